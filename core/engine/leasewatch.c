/*
 * leasewatch.c: watches the leases of others until they stand in nobody's way; see lease.h.
 *
 * What counts is the time between the end of the first reading that showed a lease as it is and the
 * beginning of the last one. The holder counts from before it put the lease so, and therefore knows
 * of its end no later than we do.
 */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "engine/document.h"
#include "engine/lease.h"
#include "engine/leasefile.h"
#include "engine/mark.h"

#define DIGEST_BYTES 32
/* How often the leases are listed: see list_leases(). */
#define LISTINGS 3
/* Two clocks may run at slightly different speeds: we wait a thirty-second of the time longer. */
#define WATCH_MARGIN 32

struct watched {
    char name[STORAGE_NAME_MAX + 1];
    struct lease_file file; /* as far as it could be read */
    uint8_t digest[DIGEST_BYTES];
    int64_t since_ms; /* it has been as it is since then, as far as we know */
    bool seen;
    bool readable;
    bool gone;
};

struct lease_watch {
    struct repo *repo;
    char (*marks)[ID_TEXT];
    size_t mark_count;
    struct watched *list;
    size_t count, capacity;
};

static const char *base_name(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash == NULL ? name : slash + 1;
}

static int32_t note_name(void *ctx, const char *name, const struct storage_stat *stat,
                         struct orch_error *err)
{
    struct lease_watch *watch = ctx;
    (void)stat;
    for (size_t i = 0; i < watch->count; i++) {
        if (strcmp(watch->list[i].name, name) == 0) {
            return ORCH_OK;
        }
    }
    if (watch->count == watch->capacity) {
        size_t capacity = watch->capacity == 0 ? 16 : 2 * watch->capacity;
        struct watched *list = reallocarray(watch->list, capacity, sizeof *list);
        if (list == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory to watch the leases");
        }
        watch->list = list;
        watch->capacity = capacity;
    }
    struct watched *lease = &watch->list[watch->count++];
    memset(lease, 0, sizeof *lease);
    (void)snprintf(lease->name, sizeof lease->name, "%s", name);
    return ORCH_OK;
}

/*
 * A file that is replaced while its folder is read may be missed on some file systems: its old
 * entry is gone before it was read, and the new one lies where nobody looks any more. A lease that
 * lives is replaced now and then, but hardly twice within milliseconds (taken, acknowledged), so
 * that it is seen in one of three readings.
 */
static int32_t list_leases(struct lease_watch *watch, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (int i = 0; rc == ORCH_OK && i < LISTINGS; i++) {
        rc = storage_list(repo_storage(watch->repo), LEASE_FOLDER, note_name, watch, err);
    }
    return rc;
}

static bool obeys_all(const struct lease_watch *watch, const struct lease_file *file)
{
    bool all = watch->mark_count > 0;
    for (size_t i = 0; all && i < watch->mark_count; i++) {
        all = lease_file_obeys(file, watch->marks[i]);
    }
    return all;
}

/* Takes in what the file says now. */
static void understand(const struct lease_watch *watch, struct watched *lease,
                       const struct buffer *bytes)
{
    json_t *json = NULL;
    struct orch_error why = ORCH_ERROR_INIT;
    int32_t rc =
        document_open(watch->repo, lease->name, KEY_CONTROL, bytes->data, bytes->len, &json, &why);
    if (rc == ORCH_OK) {
        rc = lease_file_from_json(json, lease->name, &lease->file, &why);
    }
    json_decref(json);
    lease->readable = rc == ORCH_OK;
    if (rc != ORCH_OK) {
        memset(&lease->file, 0, sizeof lease->file);
        (void)snprintf(lease->file.id, sizeof lease->file.id, "%.32s", base_name(lease->name));
        if (!lease->seen) {
            log_warning("lease", "%s", why.message);
        }
    }
}

/* Reads the lease again. *changed: it is not as it was, or it was not seen before. */
static int32_t look(const struct lease_watch *watch, struct watched *lease, bool *changed,
                    struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer bytes = BUFFER_INIT;
    uint8_t digest[DIGEST_BYTES];
    struct orch_error why = ORCH_ERROR_INIT;
    int32_t rc = storage_read(repo_storage(watch->repo), lease->name, DOCUMENT_MAX, &bytes, &why);
    *changed = rc == ORCH_E_CHANGED;
    if (rc == ORCH_E_NOT_FOUND || rc == ORCH_E_CHANGED) {
        lease->gone = rc == ORCH_E_NOT_FOUND;
        return ORCH_OK;
    }
    if (rc == ORCH_OK && EVP_Digest(bytes.data, bytes.len, digest, NULL, EVP_sha256(), NULL) != 1) {
        rc = orch_fail(&why, ORCH_E_FAILED, "the crypto library cannot compute SHA-256");
    }
    if (rc != ORCH_OK) {
        if (err != NULL) {
            *err = why;
        }
        return rc;
    }
    *changed = !lease->seen || memcmp(digest, lease->digest, DIGEST_BYTES) != 0;
    if (*changed) {
        memcpy(lease->digest, digest, DIGEST_BYTES);
        understand(watch, lease, &bytes);
        lease->seen = true;
    }
    return ORCH_OK;
}

/* Removes the file of a lease that counts no more; somebody else may have done it. */
static int32_t take_away(const struct lease_watch *watch, struct watched *lease,
                         struct orch_error *err)
{
    struct orch_error why = ORCH_ERROR_INIT;
    int32_t rc = storage_remove(repo_storage(watch->repo), lease->name, &why);
    lease->gone = rc == ORCH_OK || rc == ORCH_E_NOT_FOUND;
    if (!lease->gone && err != NULL) {
        *err = why;
    }
    return lease->gone ? ORCH_OK : rc;
}

static int32_t give_up(const struct lease_watch *watch, struct watched *lease,
                       struct orch_error *err)
{
    uint8_t id[ID_BYTES];
    const char *name = base_name(lease->name);
    int32_t rc = ORCH_OK;
    /* A file with a name that no lease has was put by nobody who writes sets. */
    if (hex_decode(name, strlen(name), id, sizeof id) == ORCH_OK) {
        rc = lapsed_put(watch->repo, name, err);
    }
    if (rc == ORCH_OK) {
        log_info("lease", "%s has lapsed (%s on %s, pid %lld)", lease->name, lease->file.work,
                 lease->file.host, (long long)lease->file.process.pid);
        rc = take_away(watch, lease, err);
    }
    return rc;
}

static int32_t watch_one(const struct lease_watch *watch, struct watched *lease,
                         struct orch_error *err)
{
    bool changed = false;
    int64_t begun_ms = lease_clock_ms();
    int32_t rc = look(watch, lease, &changed, err);
    if (rc != ORCH_OK || lease->gone) {
        return rc;
    }
    if (changed) {
        lease->since_ms = lease_clock_ms();
    }
    if (lease->readable && process_gone(&lease->file.process)) {
        return take_away(watch, lease, err);
    }
    if (lease->readable && obeys_all(watch, &lease->file)) {
        lease->gone = true;
        return ORCH_OK;
    }
    int64_t ttl_ms = lease->readable ? (int64_t)lease->file.ttl_ms : lease_usual_ttl_ms();
    if (begun_ms - lease->since_ms > ttl_ms + ttl_ms / WATCH_MARGIN) {
        rc = give_up(watch, lease, err);
    }
    return rc;
}

static int32_t copy_marks(struct lease_watch *watch, const char *const *marks,
                          struct orch_error *err)
{
    size_t count = 0;
    while (marks != NULL && marks[count] != NULL) {
        count++;
    }
    watch->marks = count == 0 ? NULL : calloc(count, sizeof *watch->marks);
    if (count > 0 && watch->marks == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to watch the leases");
    }
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(watch->marks[i], ID_TEXT, "%s", marks[i]);
    }
    watch->mark_count = count;
    return ORCH_OK;
}

int32_t lease_watch_new(struct repo *repo, const struct lease *own, const char *const *marks,
                        struct lease_watch **out, struct orch_error *err)
{
    struct lease_watch *watch = calloc(1, sizeof *watch);
    size_t left = 0;
    if (watch == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to watch the leases");
    }
    watch->repo = repo;
    int32_t rc = copy_marks(watch, marks, err);
    if (rc == ORCH_OK) {
        rc = list_leases(watch, err);
    }
    for (size_t i = 0; rc == ORCH_OK && own != NULL && i < watch->count; i++) {
        watch->list[i].gone = strcmp(base_name(watch->list[i].name), lease_id(own)) == 0;
    }
    if (rc == ORCH_OK) {
        rc = lease_watch_poll(watch, &left, err);
    }
    if (rc != ORCH_OK) {
        lease_watch_free(watch);
        return rc;
    }
    *out = watch;
    return ORCH_OK;
}

void lease_watch_free(struct lease_watch *watch)
{
    if (watch != NULL) {
        free(watch->marks);
        free(watch->list);
        free(watch);
    }
}

int32_t lease_watch_poll(struct lease_watch *watch, size_t *left, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    *left = 0;
    for (size_t i = 0; rc == ORCH_OK && i < watch->count; i++) {
        if (!watch->list[i].gone) {
            rc = watch_one(watch, &watch->list[i], err);
            *left += !watch->list[i].gone;
        }
    }
    return rc;
}

bool lease_watch_at(const struct lease_watch *watch, size_t number, struct lease_seen *out)
{
    for (size_t i = 0; i < watch->count; i++) {
        const struct watched *lease = &watch->list[i];
        if (!lease->gone && number-- == 0) {
            *out = (struct lease_seen){.id = lease->file.id,
                                       .run_id = lease->file.run_id,
                                       .work = lease->file.work,
                                       .host = lease->file.host,
                                       .pid = lease->file.process.pid};
            return true;
        }
    }
    return false;
}
