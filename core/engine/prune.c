/*
 * prune.c: the order of a prune's steps; see prune.h and pruneimpl.h. Numbers are those of
 * docs/prune-protocol.md, which says why the order is what it is.
 */
#include "engine/prune.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "engine/pruneimpl.h"

int32_t prune_stopped(const struct prune *prune, struct orch_error *err)
{
    const struct prune_options *options = prune->options;
    return options->stop != NULL && options->stop(options->ctx)
               ? orch_fail(err, ORCH_E_CANCELLED, "the prune was stopped; run it again to finish")
               : ORCH_OK;
}

void prune_phase(const struct prune *prune, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    log_info("prune", "%s", text);
    if (prune->options->phase != NULL) {
        prune->options->phase(prune->options->ctx, text);
    }
}

void prune_warn(const struct prune *prune, const char *format, ...)
{
    char text[ORCH_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (prune->options->warning != NULL) {
        prune->options->warning(prune->options->ctx, text);
    } else {
        log_warning("prune", "%s", text);
    }
}

static void clear(struct prune *prune)
{
    usage_free(prune->usage);
    index_close(prune->index);
    mark_list_clear(&prune->marks);
    mark_clear(&prune->own);
    prunefiles_clear(&prune->foreign);
    prunefiles_clear(&prune->packs);
    prunefiles_clear(&prune->parts);
    prunefiles_clear(&prune->proofs);
    prunefiles_clear(&prune->condemned_packs);
    prunefiles_clear(&prune->condemned_parts);
    set_list_free(&prune->sets);
    set_list_free(&prune->invalid);
    free(prune->chosen);
    free(prune->known);
    free(prune->rewritten);
    lease_end(prune->lease);
}

static void count_damaged(void *ctx, const char *name, const struct orch_error *why)
{
    struct prune *prune = ctx;
    (void)name;
    prune->damaged_segments++;
    prune_warn(prune, "%s", why->message);
}

/* 4. After the sets: then every chunk of every set has a place in what is listed here. */
static int32_t open_index(struct prune *prune, struct orch_error *err)
{
    struct index_options options = {.cache_dir = prune->options->cache_dir,
                                    .check_packs = true,
                                    .check_segments = true,
                                    .damaged = count_damaged,
                                    .ctx = prune};
    prune_phase(prune, "reading the index");
    int32_t rc = prunefiles_packs(prune, err);
    if (rc == ORCH_OK) {
        rc = prunefiles_load(prune, "parts", &prune->parts, err);
    }
    if (rc == ORCH_OK) {
        rc = index_open(prune->repo, &options, &prune->index, err);
    }
    if (rc == ORCH_OK) {
        rc = prunepacks_know(prune, err);
    }
    if (rc == ORCH_OK && prune->damaged_segments > 0 && prune->options->dry_run) {
        rc = orch_fail(err, ORCH_E_CORRUPT,
                       "an index segment is damaged, so that a dry run cannot tell what is needed; "
                       "a prune makes the index whole first");
    } else if (rc == ORCH_OK && prune->damaged_segments > 0) {
        rc = prunereindex_run(prune, err);
    }
    return rc == ORCH_OK ? prunepacks_foreign(prune, err) : rc;
}

/* 1 to 5, and what follows from them. */
static int32_t judge(struct prune *prune, struct orch_error *err)
{
    int32_t rc = mark_list_load(prune->repo, &prune->marks, err);
    if (rc == ORCH_OK) {
        rc = prunesets_choose(prune, err);
    }
    if (rc == ORCH_OK) {
        rc = open_index(prune, err);
    }
    if (rc == ORCH_OK) {
        rc = prunesets_walk(prune, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    crash_point(CRASH_PRUNE_WALKED);
    /* Only now, when what stays is known to be readable as far as its trees go. */
    if (!prune->options->dry_run) {
        rc = prunesets_remove(prune, err);
    }
    if (rc == ORCH_OK) {
        rc = prunepacks_rewrite(prune, err);
    }
    crash_point(CRASH_PRUNE_REPACKED);
    return rc == ORCH_OK ? prunepacks_condemn(prune, err) : rc;
}

static bool any_deletable(const struct prune *prune)
{
    bool any = false;
    for (size_t i = 0; !any && i < prune->condemned_packs.count; i++) {
        any = prune->condemned_packs.list[i].deletable;
    }
    for (size_t i = 0; !any && i < prune->condemned_parts.count; i++) {
        any = prune->condemned_parts.list[i].deletable;
    }
    return any;
}

/* 6 and 7. */
static int32_t mark_and_wait(struct prune *prune, bool *all, bool *again, struct orch_error *err)
{
    int64_t start_ms = clock_monotonic_ms();
    *all = true;
    *again = false;
    if (prune->condemned_packs.count == 0 && prune->condemned_parts.count == 0) {
        return ORCH_OK;
    }
    int32_t rc = prunepacks_mark(prune, err);
    if (rc == ORCH_OK) {
        prune_phase(prune, "waiting for others who may need what goes");
        rc = prunelease_wait(prune, all, again, err);
    }
    if (rc == ORCH_OK && *again) {
        rc = mark_remove(prune->repo, prune->own.id, err);
    }
    prune->result->wait_ms += clock_monotonic_ms() - start_ms;
    crash_point(CRASH_PRUNE_WAITED);
    return rc;
}

/* 8 to 10. */
static int32_t sweep(struct prune *prune, bool all, struct orch_error *err)
{
    int64_t start_ms = clock_monotonic_ms();
    prune_phase(prune, "deleting");
    int32_t rc = prunefiles_load(prune, "proofs", &prune->proofs, err);
    if (rc == ORCH_OK) {
        rc = prunesets_again(prune, err);
    }
    if (rc == ORCH_OK) {
        rc = prunepardon_run(prune, err);
    }
    if (rc == ORCH_OK) { /* what others put and removed, and we go by, is there for good */
        rc = storage_barrier(repo_storage(prune->repo), err);
    }
    if (rc == ORCH_OK) {
        rc = lease_check(prune->lease, err);
    }
    if (rc == ORCH_OK) {
        rc = sweep_run(prune, all, err);
    }
    prune->result->sweep_ms += clock_monotonic_ms() - start_ms;
    crash_point(CRASH_PRUNE_FINISHED);
    return rc;
}

static int32_t run_once(struct prune *prune, bool *again, struct orch_error *err)
{
    struct prune_result *result = prune->result;
    bool busy = false;
    bool all = true;
    *again = false;
    int32_t rc = prunelease_begin(prune, &busy, err);
    if (rc != ORCH_OK || busy) {
        result->state = PRUNE_BUSY;
        return rc;
    }
    rc = judge(prune, err);
    if (rc != ORCH_OK || prune->options->dry_run) {
        return rc;
    }
    rc = mark_and_wait(prune, &all, again, err);
    if (rc != ORCH_OK || *again) {
        return rc;
    }
    result->state = all ? PRUNE_DONE : PRUNE_MARKED;
    return all || any_deletable(prune) ? sweep(prune, all, err) : ORCH_OK;
}

int32_t prune_run(struct repo *repo, const struct prune_options *options,
                  struct prune_result *result, struct orch_error *err)
{
    struct orch_error own = ORCH_ERROR_INIT;
    bool again = true;
    err = err == NULL ? &own : err;
    memset(result, 0, sizeof(*result));
    int32_t rc = id_new(result->run_id, err);
    int64_t deadline_ms = clock_monotonic_ms() + (options->wait_ms > 0 ? options->wait_ms : 0);
    while (rc == ORCH_OK && again) {
        struct prune prune = {
            .repo = repo, .options = options, .result = result, .deadline_ms = deadline_ms};
        char run_id[ID_TEXT];
        uint64_t removed = result->sets_removed; /* what was removed stays removed */
        memcpy(run_id, result->run_id, sizeof(run_id));
        memset(result, 0, sizeof(*result));
        memcpy(result->run_id, run_id, sizeof(run_id));
        result->sets_removed = removed;
        rc = run_once(&prune, &again, err);
        clear(&prune);
    }
    return rc;
}

int32_t prune_remove_set(struct repo *repo, const struct set *set, struct orch_error *err)
{
    char file[SET_FILE_NAME];
    set_file_name(set, file);
    crash_point(CRASH_DELETE_BEFORE);
    int32_t rc = storage_remove(repo_storage(repo), file, err);
    if (rc == ORCH_OK) {
        rc = storage_barrier(repo_storage(repo), err);
    }
    crash_point(CRASH_DELETE_DONE);
    return rc;
}
