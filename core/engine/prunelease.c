/*
 * prunelease.c: the lease of a prune, and waiting for those of others; see pruneimpl.h.
 *
 * Waiting means looking again after a while, longer each time, up to a second.
 */
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/crash.h"
#include "engine/leasefile.h"
#include "engine/pruneimpl.h"

#define WORK "prune"
#define NAP_FIRST_MS 20
#define NAP_MAX_MS 1000
#define NAP_SLICE_MS 100 /* how soon somebody who wants to stop us is heard */
#define TOLD_MAX 64u
/* How long the one of two prunes that may go on waits for the other to give way. */
#define GRACE_MS 1000

/* Until the deadline at most. */
static void nap(const struct prune *prune, int64_t ms, int64_t deadline_ms)
{
    int64_t left_ms = deadline_ms - clock_monotonic_ms();
    ms = ms < left_ms ? ms : left_ms;
    while (ms > 0 && (prune->options->stop == NULL || !prune->options->stop(prune->options->ctx))) {
        int64_t slice_ms = ms < NAP_SLICE_MS ? ms : NAP_SLICE_MS;
        struct timespec time = {.tv_sec = 0, .tv_nsec = slice_ms * 1000000};
        (void)nanosleep(&time, NULL);
        ms -= slice_ms;
    }
}

static int64_t longer(int64_t ms)
{
    return ms * 2 > NAP_MAX_MS ? NAP_MAX_MS : ms * 2;
}

/* Remembers who is in the way, for the result. */
static void note_blocked(struct prune *prune, const struct lease_seen *seen)
{
    struct prune_result *result = prune->result;
    const char *const texts[4] = {seen->id, seen->run_id, seen->work, seen->host};
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(result->blocked_text[i], sizeof(result->blocked_text[i]), "%s", texts[i]);
    }
    result->blocked = (struct lease_seen){.id = result->blocked_text[0],
                                          .run_id = result->blocked_text[1],
                                          .work = result->blocked_text[2],
                                          .host = result->blocked_text[3],
                                          .pid = seen->pid};
}

/* Those who were told of already. */
struct told {
    char ids[TOLD_MAX][ID_TEXT];
    size_t count;
};

static void tell(struct prune *prune, struct told *told, const struct lease_seen *seen)
{
    bool known = told->count == TOLD_MAX;
    for (size_t i = 0; !known && i < told->count; i++) {
        known = strcmp(told->ids[i], seen->id) == 0;
    }
    if (!known) {
        (void)snprintf(told->ids[told->count++], ID_TEXT, "%s", seen->id);
        if (prune->options->waiting != NULL) {
            prune->options->waiting(prune->options->ctx, seen);
        }
    }
}

/* A prune among those that are watched. */
static bool other_prune(const struct lease_watch *watch, struct lease_seen *out)
{
    for (size_t i = 0; lease_watch_at(watch, i, out); i++) {
        if (strcmp(out->work, WORK) == 0) {
            return true;
        }
    }
    return false;
}

/* Waits without a lease of our own, so that nobody waits for us meanwhile. */
static int32_t wait_for_prune(struct prune *prune, struct told *told, bool *busy,
                              struct orch_error *err)
{
    struct lease_watch *watch = NULL;
    struct lease_seen seen;
    size_t left = 0;
    int32_t rc = lease_watch_new(prune->repo, NULL, NULL, &watch, err);
    *busy = false;
    for (int64_t ms = NAP_FIRST_MS; rc == ORCH_OK && other_prune(watch, &seen); ms = longer(ms)) {
        tell(prune, told, &seen);
        note_blocked(prune, &seen);
        *busy = clock_monotonic_ms() >= prune->deadline_ms;
        if (*busy || (rc = prune_stopped(prune, err)) != ORCH_OK) {
            break;
        }
        nap(prune, ms, prune->deadline_ms);
        rc = lease_watch_poll(watch, &left, err);
    }
    lease_watch_free(watch);
    return rc;
}

/*
 * Somebody may have taken a lease in the moment before we took ours. Of two who see each other the
 * one with the greater id gives way at once. If it does not, it has not seen us and is at work:
 * then it is our turn to give way.
 */
static int32_t yields(struct prune *prune, bool *yield, struct orch_error *err)
{
    struct lease_watch *watch = NULL;
    struct lease_seen seen;
    size_t left = 0;
    int64_t until_ms = clock_monotonic_ms() + GRACE_MS;
    int32_t rc = lease_watch_new(prune->repo, prune->lease, NULL, &watch, err);
    *yield = false;
    while (rc == ORCH_OK && other_prune(watch, &seen)) {
        *yield = strcmp(seen.id, lease_id(prune->lease)) < 0 || clock_monotonic_ms() >= until_ms;
        if (*yield || (rc = prune_stopped(prune, err)) != ORCH_OK) {
            break;
        }
        nap(prune, NAP_FIRST_MS, until_ms);
        rc = lease_watch_poll(watch, &left, err);
    }
    lease_watch_free(watch);
    return rc;
}

int32_t prunelease_begin(struct prune *prune, bool *busy, struct orch_error *err)
{
    const struct prune_options *options = prune->options;
    struct told told = {.count = 0};
    *busy = false;
    if (options->dry_run) { /* a reader among others, whom a prune waits for */
        return lease_take_timed(prune->repo, prune->result->run_id, "prune (dry run)",
                                options->timing, &prune->lease, err);
    }
    for (;;) {
        int32_t rc = wait_for_prune(prune, &told, busy, err);
        if (rc != ORCH_OK || *busy) {
            return rc;
        }
        rc = lease_take_timed(prune->repo, prune->result->run_id, WORK, options->timing,
                              &prune->lease, err);
        bool yield = false;
        if (rc == ORCH_OK) {
            rc = yields(prune, &yield, err);
        }
        if (rc != ORCH_OK) {
            return rc;
        }
        if (!yield) {
            crash_point(CRASH_PRUNE_LEASED);
            return ORCH_OK;
        }
        lease_end(prune->lease);
        prune->lease = NULL;
    }
}

/* ---- step 7 ---------------------------------------------------------------------------------- */

static void set_deletable(struct prune_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        files->list[i].deletable = true;
    }
}

/* What a mark names, and we too, may go: everybody obeys that mark. */
static void set_deletable_of(struct prune *prune, const struct mark *mark)
{
    for (size_t i = 0; i < mark->pack_count; i++) {
        struct prune_file *pack = prunefiles_find(&prune->condemned_packs, mark->packs[i]);
        if (pack != NULL) {
            pack->deletable = true;
        }
    }
    for (size_t i = 0; i < mark->part_count; i++) {
        uint8_t id[ID_BYTES];
        struct prune_file *part = hex_decode(mark->parts[i], ID_TEXT - 1, id, sizeof(id)) == ORCH_OK
                                      ? prunefiles_find(&prune->condemned_parts, id)
                                      : NULL;
        if (part != NULL) {
            part->deletable = true;
        }
    }
}

/* Others do not end in time. What an older mark names may go all the same when everybody who is at
 * work now came after it and obeys it: else a repository where somebody is always at work would
 * never lose anything. */
static int32_t by_older_marks(struct prune *prune, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < prune->marks.count; i++) {
        const char *const ids[] = {prune->marks.marks[i].id, NULL};
        struct lease_watch *watch = NULL;
        struct lease_seen seen;
        rc = lease_watch_new(prune->repo, prune->lease, ids, &watch, err);
        if (rc == ORCH_OK && !lease_watch_at(watch, 0, &seen)) {
            set_deletable_of(prune, &prune->marks.marks[i]);
        }
        lease_watch_free(watch);
    }
    return rc;
}

int32_t prunelease_wait(struct prune *prune, bool *all, bool *again, struct orch_error *err)
{
    const char *const own[] = {prune->own.id, NULL};
    struct lease_watch *watch = NULL;
    struct lease_seen seen;
    struct told told = {.count = 0};
    size_t left = 0;
    *all = *again = false;
    int32_t rc = lease_watch_new(prune->repo, prune->lease, own, &watch, err);
    for (int64_t ms = NAP_FIRST_MS; rc == ORCH_OK; ms = longer(ms)) {
        *all = !lease_watch_at(watch, 0, &seen);
        if (*all || (rc = lease_check(prune->lease, err)) != ORCH_OK ||
            (rc = prune_stopped(prune, err)) != ORCH_OK) {
            break;
        }
        note_blocked(prune, &seen);
        for (size_t i = 0; lease_watch_at(watch, i, &seen); i++) {
            tell(prune, &told, &seen);
        }
        *again = other_prune(watch, &seen) && strcmp(seen.id, lease_id(prune->lease)) < 0;
        if (*again || clock_monotonic_ms() >= prune->deadline_ms) {
            break;
        }
        nap(prune, ms, prune->deadline_ms);
        rc = lease_watch_poll(watch, &left, err);
    }
    lease_watch_free(watch);
    if (rc == ORCH_OK && *all) {
        set_deletable(&prune->condemned_packs);
        set_deletable(&prune->condemned_parts);
    } else if (rc == ORCH_OK && !*again) {
        rc = by_older_marks(prune, err);
    }
    return rc;
}
