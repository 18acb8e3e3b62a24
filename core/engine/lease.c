/* lease.c: takes, renews and ends our own lease. Reading those of others: leaselist.c. */
#include "engine/lease.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/field.h"
#include "engine/leasefile.h"

struct lease {
    struct repo *repo; /* borrowed */
    struct lease_timing timing;
    char name[LEASE_NAME];
    pthread_t thread;
    pthread_mutex_t putting; /* one put at a time; taken before `lock` */
    struct lease_file file;  /* what it says; guarded by `putting` once the thread runs */
    pthread_mutex_t lock;    /* guards what follows */
    pthread_cond_t wake;
    bool stop;
    bool lost;
    int64_t renewed_ms;       /* when the last renewal that worked was begun */
    struct orch_error failed; /* why the last renewal did not work; code 0: it did */
};

int64_t lease_clock_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int32_t lease_put(struct lease *lease, uint32_t flags, struct orch_error *err)
{
    json_t *json = lease_file_to_json(&lease->file);
    if (json == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a lease");
    }
    int32_t rc = repo_put_document(lease->repo, lease->name, KEY_CONTROL, json, flags, err);
    json_decref(json);
    return rc;
}

/* Others may take a lease for lapsed once they have seen no change for its time to live. They see
 * a renewal no sooner than it was begun, so that counting from there errs on the safe side. */
static bool lease_overdue(const struct lease *lease, int64_t now_ms)
{
    return now_ms - lease->renewed_ms > (int64_t)lease->timing.ttl_ms;
}

/* One renewal, under `putting`. A lease that is lost is not put again: others act on its end. */
static int32_t lease_renew(struct lease *lease, struct orch_error *err)
{
    struct storage_stat stat;
    struct orch_error why = ORCH_ERROR_INIT;
    int32_t rc = lease_check(lease, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    int64_t begun_ms = lease_clock_ms();
    rc = storage_stat(repo_storage(lease->repo), lease->name, &stat, &why);
    bool taken_away = rc == ORCH_E_NOT_FOUND; /* somebody judged it lapsed */
    if (rc == ORCH_OK) {
        lease->file.renewals++;
        rc = lease_put(lease, 0, &why);
    }
    int64_t ended_ms = lease_clock_ms();
    (void)pthread_mutex_lock(&lease->lock);
    if (taken_away || lease_overdue(lease, ended_ms)) {
        lease->lost = true;
    }
    if (rc == ORCH_OK) {
        lease->renewed_ms = begun_ms;
        lease->failed.code = ORCH_OK;
    } else {
        lease->failed = why;
    }
    (void)pthread_mutex_unlock(&lease->lock);
    if (rc != ORCH_OK && err != NULL) {
        *err = why;
    }
    return rc;
}

/* Waits until `ms` from now or until the lease ends; under the lock. */
static void lease_wait(struct lease *lease, uint32_t ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (!lease->stop &&
           pthread_cond_timedwait(&lease->wake, &lease->lock, &until) != ETIMEDOUT) {
    }
}

static void *lease_thread(void *argument)
{
    struct lease *lease = argument;
    (void)pthread_mutex_lock(&lease->lock);
    for (;;) {
        /* After a failure sooner, so that several tries fit into the time to live. */
        uint32_t ms = lease->timing.renew_ms;
        lease_wait(lease, lease->failed.code == ORCH_OK ? ms : ms / 4 + 1);
        if (lease->stop || lease->lost) {
            break;
        }
        (void)pthread_mutex_unlock(&lease->lock);
        (void)pthread_mutex_lock(&lease->putting);
        struct orch_error err = ORCH_ERROR_INIT;
        if (lease_renew(lease, &err) != ORCH_OK) {
            log_warning("lease", "a renewal failed, trying again: %s", err.message);
        }
        (void)pthread_mutex_unlock(&lease->putting);
        (void)pthread_mutex_lock(&lease->lock);
    }
    (void)pthread_mutex_unlock(&lease->lock);
    return NULL;
}

static void lease_free(struct lease *lease)
{
    (void)pthread_cond_destroy(&lease->wake);
    (void)pthread_mutex_destroy(&lease->lock);
    (void)pthread_mutex_destroy(&lease->putting);
    free(lease);
}

/* The usual timing; in test builds ORCHESTRATE_LEASE_TTL_MS makes it shorter, so that a scenario
 * can see leases lapse. */
static struct lease_timing usual_timing(void)
{
    struct lease_timing timing = {LEASE_TTL_MS, LEASE_RENEW_MS};
#ifdef ORCHESTRATE_TEST_HOOKS
    const char *text = getenv("ORCHESTRATE_LEASE_TTL_MS");
    unsigned long ttl_ms = text == NULL ? 0 : strtoul(text, NULL, 10);
    if (ttl_ms >= 4 && ttl_ms < LEASE_TTL_MS) {
        timing = (struct lease_timing){(uint32_t)ttl_ms, (uint32_t)ttl_ms / 4};
    }
#endif
    return timing;
}

uint32_t lease_usual_ttl_ms(void)
{
    return usual_timing().ttl_ms;
}

static struct lease *lease_new(struct repo *repo, const char *run_id, const char *work,
                               const struct lease_timing *timing)
{
    struct lease *lease = calloc(1, sizeof *lease);
    pthread_condattr_t attributes;
    if (lease == NULL) {
        return NULL;
    }
    (void)pthread_mutex_init(&lease->putting, NULL);
    (void)pthread_mutex_init(&lease->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&lease->wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    lease->repo = repo;
    lease->timing = timing != NULL ? *timing : usual_timing();
    struct lease_file *file = &lease->file;
    (void)snprintf(file->run_id, sizeof file->run_id, "%s", run_id);
    (void)snprintf(file->work, sizeof file->work, "%s", work);
    (void)gethostname(file->host, sizeof file->host - 1);
    process_self(&file->process);
    file->started_ns = clock_wall_ns();
    file->ttl_ms = lease->timing.ttl_ms;
    return lease;
}

int32_t lease_take(struct repo *repo, const char *run_id, const char *work, struct lease **out,
                   struct orch_error *err)
{
    return lease_take_timed(repo, run_id, work, NULL, out, err);
}

int32_t lease_take_timed(struct repo *repo, const char *run_id, const char *work,
                         const struct lease_timing *timing, struct lease **out,
                         struct orch_error *err)
{
    lease_sweep(repo);
    struct lease *lease = lease_new(repo, run_id, work, timing);
    if (lease == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a lease");
    }
    int32_t rc = id_new(lease->file.id, err);
    if (rc == ORCH_OK) {
        (void)snprintf(lease->name, sizeof lease->name, "%s/%s", LEASE_FOLDER, lease->file.id);
        lease->renewed_ms = lease_clock_ms();
        rc = lease_put(lease, STORAGE_IF_ABSENT | STORAGE_DURABLE, err);
    }
    if (rc != ORCH_OK) {
        lease_free(lease);
        return rc;
    }
    int os = pthread_create(&lease->thread, NULL, lease_thread, lease);
    if (os != 0) {
        struct orch_error ignored = ORCH_ERROR_INIT;
        (void)!storage_remove(repo_storage(repo), lease->name, &ignored);
        lease_free(lease);
        return orch_fail_errno(err, os, "cannot start the thread that renews the lease");
    }
    *out = lease;
    return ORCH_OK;
}

int32_t lease_check(struct lease *lease, struct orch_error *err)
{
    (void)pthread_mutex_lock(&lease->lock);
    if (lease_overdue(lease, lease_clock_ms())) {
        lease->lost = true;
    }
    bool lost = lease->lost;
    struct orch_error why = lease->failed;
    (void)pthread_mutex_unlock(&lease->lock);
    if (!lost) {
        return ORCH_OK;
    }
    return orch_fail(
        err, ORCH_E_TIMEOUT,
        "the lease on the repository was lost: it was not renewed within %u s%s%s; run "
        "this again",
        (lease->timing.ttl_ms + 999) / 1000, why.code == ORCH_OK ? "" : ": ",
        why.code == ORCH_OK ? "" : why.message);
}

int32_t lease_acknowledge(struct lease *lease, const char *const *marks, struct orch_error *err)
{
    (void)pthread_mutex_lock(&lease->putting);
    struct lease_file *file = &lease->file;
    for (size_t i = 0; marks[i] != NULL && file->acknowledged_count < LEASE_MARKS_MAX; i++) {
        if (!lease_file_obeys(file, marks[i])) {
            (void)snprintf(file->acknowledged[file->acknowledged_count++], ID_TEXT, "%s", marks[i]);
        }
    }
    int32_t rc = marks[0] == NULL ? ORCH_OK : lease_renew(lease, err);
    (void)pthread_mutex_unlock(&lease->putting);
    return rc;
}

const char *lease_id(const struct lease *lease)
{
    return lease->file.id;
}

void lease_end(struct lease *lease)
{
    if (lease == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&lease->lock);
    lease->stop = true;
    (void)pthread_cond_signal(&lease->wake);
    (void)pthread_mutex_unlock(&lease->lock);
    (void)pthread_join(lease->thread, NULL);
    struct orch_error err = ORCH_ERROR_INIT;
    int32_t rc = storage_remove(repo_storage(lease->repo), lease->name, &err);
    if (rc != ORCH_OK && rc != ORCH_E_NOT_FOUND) {
        log_warning("lease", "the lease stays until it lapses: %s", err.message);
    }
    lease_free(lease);
}
