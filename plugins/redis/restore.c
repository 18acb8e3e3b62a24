/*
 * restore.c: strategy "replace", and what is done with the old data afterwards.
 *
 * By spare databases: load into empty ones, compare the counts, swap all in one transaction. The
 * live data is never half done; whatever is killed, the markers tell what a later attempt finds:
 *
 *   marker "loading" in a spare     not swapped: the spare is emptied, the load starts again
 *   marker "aside" in a spare       swapped: that is the old data and stays; a new load replaces
 *                                   what is live now
 *
 * In place, when there is no spare or no memory for both: the old keys go to an RDB file first,
 * which is written once per run, synced and renamed before the first key is touched.
 */
#include "asidefile.h"
#include "facts.h"
#include "hook.h"
#include "libraries.h"
#include "load.h"
#include "redis.h"
#include "state.h"
#include "swap.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct attempt {
    struct redis *redis;
    const struct orch_restore *restore;
    struct conn *conn;
    struct server server;
    struct facts facts;
    struct place place;
    struct state state;
    struct load load;
    int in_place;
    int libraries_changed;
};

static int32_t refuse_unfit(const struct attempt *attempt, struct orch_error *err)
{
    const struct orch_restore *restore = attempt->restore;
    if (restore->strategy != ORCH_STRATEGY_REPLACE || restore->select_count > 0) {
        return orch_fail(
            err, ORCH_E_UNSUPPORTED,
            "the redis plugin restores whole parts by replacing; merging and selecting "
            "are not built yet");
    }
    if (restore->data_format != 1) {
        return orch_fail(err, ORCH_E_VERSION, "the part has data format %u; this plugin reads 1",
                         restore->data_format);
    }
    return ORCH_OK;
}

/* Looks at server and markers. Called again after spares of a killed attempt were emptied. */
static int32_t look(struct attempt *attempt, struct orch_error *err)
{
    server_free(&attempt->server);
    place_free(&attempt->place);
    int32_t rc = server_read(attempt->conn, &attempt->server, err);
    if (rc == ORCH_OK) {
        rc = server_usable(&attempt->server, err);
    }
    if (rc == ORCH_OK && attempt->server.is_replica) {
        rc = orch_fail(err, ORCH_E_INCOMPATIBLE,
                       "the Redis server is a replica, which takes no writes: name the primary in "
                       "the url");
    }
    return rc == ORCH_OK
               ? place_plan(attempt->redis, attempt->conn, &attempt->server, &attempt->facts,
                            attempt->restore->run_id, &attempt->place, err)
               : rc;
}

static void tell_about_loss(const struct attempt *attempt)
{
    char phase[32];
    state_phase(&attempt->state, phase, sizeof(phase));
    int swapped = strcmp(phase, STATE_SWAPPED) == 0;
    for (uint32_t i = 0; i < attempt->place.count; i++) {
        swapped &= !attempt->place.jobs[i].has_aside;
    }
    if (swapped) {
        orch_log(attempt->redis->host, ORCH_LOG_WARNING,
                 "the old data that an earlier attempt of this restore had set aside is gone; did "
                 "the server restart without saving? Its present data is set aside instead");
    }
}

static int32_t prepare(struct attempt *attempt, struct orch_error *err)
{
    const struct orch_restore *restore = attempt->restore;
    int32_t rc = refuse_unfit(attempt, err);
    if (rc == ORCH_OK) {
        rc = state_paths(attempt->redis, restore->run_id, &attempt->state, err);
    }
    if (rc == ORCH_OK) {
        rc = facts_parse(restore->facts_json, &attempt->facts, err);
    }
    if (rc == ORCH_OK) {
        rc = redis_connect(attempt->redis, &attempt->conn, err);
    }
    if (rc == ORCH_OK) {
        rc = server_read(attempt->conn, &attempt->server, err);
    }
    struct marks marks = {0};
    if (rc == ORCH_OK) {
        rc = mark_find(attempt->conn, &attempt->server, &marks, err);
    }
    if (rc == ORCH_OK) {
        rc = place_drop_loading(attempt->conn, &marks, restore->run_id, err);
    }
    mark_free(&marks);
    if (rc == ORCH_OK) {
        rc = look(attempt, err);
    }
    if (rc == ORCH_OK) {
        tell_about_loss(attempt);
    }
    return rc;
}

static int all_aside(const struct place *place)
{
    for (uint32_t i = 0; i < place->count; i++) {
        if (!place->jobs[i].has_aside) {
            return 0;
        }
    }
    return 1;
}

/* Gives spares back that were taken in vain. */
static int32_t give_back(struct attempt *attempt, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (uint32_t i = 0; rc == ORCH_OK && i < attempt->place.count; i++) {
        struct place_job *job = &attempt->place.jobs[i];
        struct mark mark = {.db = job->spare, .role = MARK_LOADING};
        int done = 0;
        (void)snprintf(mark.run, sizeof(mark.run), "%s", attempt->restore->run_id);
        if (job->has_spare) {
            rc = mark_drop(attempt->conn, &mark, &done, err);
        }
        job->has_spare = 0;
    }
    return rc;
}

static int32_t choose(struct attempt *attempt, struct orch_error *err)
{
    const struct redis *redis = attempt->redis;
    int wish = redis->aside;
    int safe = all_aside(&attempt->place);
    attempt->in_place = 1;
    if (state_exists(attempt->state.aside) || (wish == REDIS_ASIDE_FILE && !safe)) {
        return ORCH_OK;
    }
    if (wish == REDIS_ASIDE_AUTO &&
        !place_fits(&attempt->server, &attempt->facts, attempt->restore)) {
        orch_log(redis->host, ORCH_LOG_INFO,
                 "old and new data do not fit into the server's maxmemory together: restoring in "
                 "place, with the old data in a file");
        return ORCH_OK;
    }
    int all = 0;
    int32_t rc = state_save(&attempt->state, redis, attempt->restore->run_id, STATE_LOADING,
                            &attempt->place, err);
    if (rc == ORCH_OK) {
        rc = place_take_spares(attempt->conn, &attempt->server, attempt->restore->run_id,
                               &attempt->place, &all, err);
    }
    if (rc != ORCH_OK || all) {
        attempt->in_place = 0;
        return rc;
    }
    rc = give_back(attempt, err);
    if (rc == ORCH_OK && wish == REDIS_ASIDE_DATABASE && !safe) {
        rc = orch_fail(err, ORCH_E_NO_SPACE,
                       "the server has fewer empty databases than the %u that are to be restored; "
                       "empty some, or set aside = \"file\"",
                       attempt->place.count);
    }
    return rc;
}

/* In place: the old keys to a file, unless they are safe already, and the targets emptied. */
static int32_t clear_targets(struct attempt *attempt, struct orch_error *err)
{
    const struct orch_host *host = attempt->redis->host;
    const char *aside = attempt->state.aside;
    int32_t rc = ORCH_OK;
    if (!state_exists(aside) && !all_aside(&attempt->place)) {
        rc = asidefile_write(attempt->redis, attempt->conn, &attempt->server, &attempt->place,
                             aside, err);
        hook_crash("aside-written");
    }
    if (rc == ORCH_OK) {
        rc = state_save(&attempt->state, attempt->redis, attempt->restore->run_id, STATE_FLUSHING,
                        &attempt->place, err);
    }
    for (uint32_t i = 0; rc == ORCH_OK && i < attempt->place.count; i++) {
        const struct place_job *job = &attempt->place.jobs[i];
        char target[32], kept[32];
        (void)snprintf(target, sizeof(target), "database %u", job->target);
        (void)snprintf(kept, sizeof(kept), "database %u", job->aside);
        rc = host->intent(host->ctx, "flush", target, job->has_aside ? kept : aside, err);
        if (rc == ORCH_OK) {
            hook_crash("flush-before");
            rc = conn_select(attempt->conn, job->target, err);
        }
        if (rc == ORCH_OK) {
            rc = conn_run(attempt->conn, NULL, err, "FLUSHDB", NULL);
        }
        if (rc == ORCH_OK) {
            hook_crash("flush-after");
            rc = host->done(host->ctx, "flush", target, err);
        }
    }
    return rc;
}

/* What came must be what the backup counted. */
static int32_t complete(const struct attempt *attempt, struct orch_error *err)
{
    for (uint32_t i = 0; i < attempt->place.count; i++) {
        uint32_t db = attempt->place.jobs[i].part_db;
        const struct tally_db *told = tally_find(&attempt->facts.tally, db);
        const struct tally_db *came = tally_find(&attempt->load.tally, db);
        uint64_t want = told == NULL ? 0 : told->keys;
        uint64_t have = came == NULL ? 0 : came->keys;
        if (want != have) {
            return orch_fail(err, ORCH_E_CORRUPT,
                             "the part delivered %" PRIu64 " keys of database %u, and its backup "
                             "counted %" PRIu64,
                             have, db, want);
        }
    }
    return ORCH_OK;
}

/* What the server holds now must be what was loaded, but for keys that have expired. */
static int32_t counted(const struct attempt *attempt, struct conn *conn, struct orch_error *err)
{
    for (uint32_t i = 0; i < attempt->place.count; i++) {
        const struct place_job *job = &attempt->place.jobs[i];
        const struct tally *tally = &attempt->load.tally;
        const struct tally_db *came = tally_find(tally, job->part_db);
        uint64_t have = 0;
        uint32_t db = job->has_spare ? job->spare : job->target;
        int32_t rc = mark_db_size(conn, db, &have, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        have -= job->has_spare && have > 0; /* the marker */
        uint64_t most = came == NULL ? 0 : came->keys;
        uint64_t least = tally_alive(tally, came, server_now_ms(conn));
        if (have < least) {
            return orch_fail(err, ORCH_E_NO_SPACE,
                             "the server kept %" PRIu64 " of %" PRIu64 " keys of database %u; with "
                             "maxmemory at %" PRIu64 " bytes and the policy %s it evicts them: "
                             "raise maxmemory",
                             have, most, job->part_db, attempt->server.maxmemory,
                             attempt->server.policy);
        }
        if (have > most) {
            return orch_fail(err, ORCH_E_CHANGED,
                             "database %u has %" PRIu64 " keys after %" PRIu64 " were restored: "
                             "something else writes to it; stop that and run again",
                             db, have, most);
        }
    }
    return ORCH_OK;
}

static int32_t load_all(struct attempt *attempt, struct orch_error *err)
{
    CLEANUP_CONN struct conn *pipeline = NULL;
    attempt->load.tally.base_ms = server_now_ms(attempt->conn);
    int32_t rc = redis_connect(attempt->redis, &pipeline, err);
    if (rc == ORCH_OK) {
        rc = load_run(attempt->redis, pipeline, &attempt->place, &attempt->facts, &attempt->load,
                      err);
    }
    if (rc == ORCH_OK) {
        hook_crash("loaded");
        rc = complete(attempt, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    if (attempt->load.left_out > 0) {
        orch_log(attempt->redis->host, ORCH_LOG_INFO,
                 "left out %" PRIu64 " keys of databases that the url does not name",
                 attempt->load.left_out);
    }
    /* The main connection has been silent for as long as the load took. */
    conn_free(attempt->conn);
    attempt->conn = NULL;
    rc = redis_connect(attempt->redis, &attempt->conn, err);
    return rc == ORCH_OK ? counted(attempt, attempt->conn, err) : rc;
}

/* "databases 0, 3" */
static void name_databases(const struct place *place, int spares, char *text, size_t size)
{
    size_t at = (size_t)snprintf(text, size, place->count == 1 ? "database" : "databases");
    for (uint32_t i = 0; i < place->count && at + 16 < size; i++) {
        const struct place_job *job = &place->jobs[i];
        at += (size_t)snprintf(text + at, size - at, "%s %u", i > 0 ? "," : "",
                               spares ? job->spare : job->target);
    }
}

static int32_t swap_all(struct attempt *attempt, struct orch_error *err)
{
    const struct orch_host *host = attempt->redis->host;
    const char *run_id = attempt->restore->run_id;
    char targets[512], asides[512];
    CLEANUP_CONN struct conn *conn = NULL;
    name_databases(&attempt->place, 0, targets, sizeof(targets));
    name_databases(&attempt->place, 1, asides, sizeof(asides));
    int32_t rc =
        state_save(&attempt->state, attempt->redis, run_id, STATE_SWAPPING, &attempt->place, err);
    if (rc == ORCH_OK) {
        rc = host->intent(host->ctx, "swap", targets, asides, err);
    }
    if (rc == ORCH_OK) {
        rc = redis_connect(attempt->redis, &conn, err);
    }
    if (rc == ORCH_OK) {
        hook_crash("swap-before");
        rc = swap_run(conn, run_id, &attempt->place, err);
    }
    if (rc == ORCH_OK) {
        hook_crash("swap-after");
        rc = state_save(&attempt->state, attempt->redis, run_id, STATE_SWAPPED, &attempt->place,
                        err);
    }
    return rc == ORCH_OK ? host->done(host->ctx, "swap", targets, err) : rc;
}

static int32_t apply(struct attempt *attempt, struct orch_error *err)
{
    int32_t rc = prepare(attempt, err);
    if (rc == ORCH_OK) {
        rc = choose(attempt, err);
    }
    if (rc == ORCH_OK) {
        hook_crash("chosen");
        rc = attempt->in_place ? clear_targets(attempt, err) : ORCH_OK;
    }
    if (rc == ORCH_OK) {
        rc = load_all(attempt, err);
    }
    if (rc == ORCH_OK) {
        rc = libraries_apply(attempt->redis, attempt->conn, &attempt->server, &attempt->facts,
                             &attempt->load, &attempt->state, &attempt->libraries_changed, err);
    }
    if (rc == ORCH_OK && !attempt->in_place && attempt->place.count > 0) {
        rc = swap_all(attempt, err);
    } else if (rc == ORCH_OK) {
        rc = state_save(&attempt->state, attempt->redis, attempt->restore->run_id, STATE_LOADED,
                        &attempt->place, err);
    }
    return rc;
}

/*
 * After a failure: spares are emptied, so that no memory stays taken, and function libraries that
 * were replaced before a swap that did not happen go back. Nothing here may hide the first error.
 */
static void undo(struct attempt *attempt)
{
    struct orch_error ignored = ORCH_ERROR_INIT;
    CLEANUP_CONN struct conn *conn = NULL;
    CLEANUP_SERVER struct server server = {0};
    CLEANUP_MARKS struct marks marks = {0};
    if (attempt->conn == NULL || redis_connect(attempt->redis, &conn, &ignored) != ORCH_OK ||
        server_read(conn, &server, &ignored) != ORCH_OK ||
        mark_find(conn, &server, &marks, &ignored) != ORCH_OK) {
        return;
    }
    int swapped = 0;
    for (uint32_t i = 0; i < attempt->place.count; i++) {
        const struct place_job *job = &attempt->place.jobs[i];
        swapped |= mark_aside_of(&marks, attempt->restore->run_id, job->target) != NULL;
    }
    int32_t rc = place_drop_loading(conn, &marks, attempt->restore->run_id, &ignored);
    if (rc == ORCH_OK && attempt->libraries_changed && !attempt->in_place && !swapped) {
        rc = libraries_put_back(conn, &attempt->state, &ignored);
    }
    if (rc != ORCH_OK) {
        orch_log(attempt->redis->host, ORCH_LOG_WARNING, "cleaning up: %s", ignored.message);
    }
}

int32_t restore_run(void *instance, const struct orch_restore *restore, struct orch_error *err)
{
    struct redis *redis = instance;
    struct attempt attempt = {.redis = redis, .restore = restore};
    tally_free(&redis->restored);
    int32_t rc = apply(&attempt, err);
    if (rc == ORCH_OK) {
        redis->restored = attempt.load.tally;
        memset(&attempt.load.tally, 0, sizeof(attempt.load.tally));
    } else {
        undo(&attempt);
        if (attempt.in_place && state_exists(attempt.state.aside)) {
            rc = orch_wrap(err, "the old data is in %s", attempt.state.aside);
        }
    }
    conn_free(attempt.conn);
    load_free(&attempt.load);
    place_free(&attempt.place);
    facts_free(&attempt.facts);
    server_free(&attempt.server);
    return rc;
}

/* Lets go of one database of the run; keeps an aside that somebody has begun to use. */
static int32_t let_go(const struct redis *redis, struct conn *conn, const struct mark *mark,
                      struct orch_error *err)
{
    int done = 0;
    int32_t rc = mark_drop(conn, mark, &done, err);
    if (rc == ORCH_OK && !done) {
        orch_log(redis->host, ORCH_LOG_WARNING,
                 "database %u, where the restore had set the old data aside, has been written to "
                 "since: it is left as it is; look at it and empty it",
                 mark->db);
    }
    return rc;
}

int32_t restore_settle(void *instance, const struct orch_restore *restore, uint32_t outcome,
                       struct orch_error *err)
{
    struct redis *redis = instance;
    struct state state;
    CLEANUP_CONN struct conn *conn = NULL;
    CLEANUP_SERVER struct server server = {0};
    CLEANUP_MARKS struct marks marks = {0};
    int32_t rc = state_paths(redis, restore->run_id, &state, err);
    if (rc == ORCH_OK) {
        rc = redis_connect(redis, &conn, err);
    }
    if (rc == ORCH_OK) {
        rc = server_read(conn, &server, err);
    }
    if (rc == ORCH_OK) {
        rc = mark_find(conn, &server, &marks, err);
    }
    if (rc == ORCH_OK) {
        rc = place_drop_loading(conn, &marks, restore->run_id, err);
    }
    int kept = state_exists(state.aside) || state_exists(state.functions);
    for (uint32_t i = 0; rc == ORCH_OK && i < marks.count; i++) {
        const struct mark *mark = &marks.list[i];
        if (mark->role != MARK_ASIDE || strcmp(mark->run, restore->run_id) != 0) {
            continue;
        }
        kept = 1;
        if (outcome == ORCH_SETTLE_VERIFIED) {
            rc = let_go(redis, conn, mark, err);
        } else {
            orch_log(redis->host, ORCH_LOG_WARNING,
                     "the old data of database %u is kept in database %u", mark->target, mark->db);
        }
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    if (outcome == ORCH_SETTLE_VERIFIED || !kept) {
        state_clear(&state);
    } else if (state_exists(state.aside)) {
        orch_log(redis->host, ORCH_LOG_WARNING, "the old data is kept in %s", state.aside);
    }
    return ORCH_OK;
}
