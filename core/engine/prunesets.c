/*
 * prunesets.c: which sets there are, which of them go, and what the others need; see pruneimpl.h.
 *
 * What cannot be read ends a prune before it has deleted anything: nobody can tell what it needs.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "engine/pruneimpl.h"

struct unreadable {
    struct orch_error why; /* the first; code 0: none */
};

static void note_unreadable(void *ctx, const char *name, const struct orch_error *why)
{
    struct unreadable *unreadable = ctx;
    if (unreadable->why.code == ORCH_OK) {
        (void)orch_fail(
            &unreadable->why, why->code,
            "%s cannot be read, so that nobody can tell what its set needs, and nothing "
            "was deleted: bring it back from another copy of the repository, or remove "
            "that file to give the set up (%.500s)",
            name, why->message);
    }
}

static int32_t load_sets(struct prune *prune, struct set_list *valid, struct set_list *invalid,
                         struct orch_error *err)
{
    struct unreadable unreadable = {.why = ORCH_ERROR_INIT};
    int32_t rc =
        set_list_load_split(prune->repo, note_unreadable, &unreadable, valid, invalid, err);
    if (rc == ORCH_OK && unreadable.why.code != ORCH_OK) {
        set_list_free(valid);
        set_list_free(invalid);
        if (err != NULL) {
            *err = unreadable.why;
        }
        return unreadable.why.code;
    }
    return rc;
}

/* ---- which sets go --------------------------------------------------------------------------- */

static bool has_set(const struct set_list *list, const char *id)
{
    bool found = false;
    for (size_t i = 0; !found && i < list->count; i++) {
        found = strcmp(list->sets[i]->id, id) == 0;
    }
    return found;
}

static bool at_work(const struct lease_watch *watch, const char *lease)
{
    struct lease_seen seen;
    bool found = false;
    for (size_t i = 0; !found && lease[0] != '\0' && lease_watch_at(watch, i, &seen); i++) {
        found = strcmp(seen.id, lease) == 0;
    }
    return found;
}

/*
 * Retention judges sets that are settled: there before the leases were listed, their own lease not
 * among these, and still there after it. A set whose writer is at work may yet be withdrawn, and
 * then an older one would have gone because of it.
 */
static int32_t choose_among(struct prune *prune, const struct set_list *before,
                            const struct lease_watch *watch, struct orch_error *err)
{
    const struct prune_options *options = prune->options;
    size_t count = prune->sets.count;
    struct set_list settled = {calloc(count + 1, sizeof(struct set *)), 0};
    CLEANUP_FREE size_t *numbers = calloc(count + 1, sizeof(*numbers));
    CLEANUP_FREE bool *remove = calloc(count + 1, sizeof(*remove));
    int32_t rc = ORCH_OK;
    if (settled.sets == NULL || numbers == NULL || remove == NULL) {
        rc = orch_fail(err, ORCH_E_NOMEM, "no memory to judge the sets");
    }
    for (size_t i = 0; rc == ORCH_OK && i < count; i++) {
        struct set *set = prune->sets.sets[i];
        if (has_set(before, set->id) && !at_work(watch, set->lease)) {
            numbers[settled.count] = i;
            settled.sets[settled.count++] = set;
        }
    }
    if (rc == ORCH_OK) {
        rc = options->choose(options->ctx, &settled, remove, err);
    }
    for (size_t i = 0; rc == ORCH_OK && i < settled.count; i++) {
        prune->chosen[numbers[i]] = remove[i];
    }
    free((void *)settled.sets);
    return rc;
}

int32_t prunesets_choose(struct prune *prune, struct orch_error *err)
{
    struct set_list before = {NULL, 0};
    struct set_list ignored = {NULL, 0};
    struct lease_watch *watch = NULL;
    int32_t rc = ORCH_OK;
    if (prune->options->choose != NULL) {
        rc = load_sets(prune, &before, &ignored, err);
        set_list_free(&ignored);
        if (rc == ORCH_OK) {
            rc = lease_watch_new(prune->repo, prune->lease, NULL, &watch, err);
        }
    }
    if (rc == ORCH_OK) {
        rc = load_sets(prune, &prune->sets, &prune->invalid, err);
    }
    if (rc == ORCH_OK) {
        prune->chosen = calloc(prune->sets.count + 1, sizeof(*prune->chosen));
        rc = prune->chosen == NULL ? orch_fail(err, ORCH_E_NOMEM, "no memory to judge the sets")
                                   : ORCH_OK;
    }
    if (rc == ORCH_OK && prune->options->choose != NULL) {
        rc = choose_among(prune, &before, watch, err);
    }
    lease_watch_free(watch);
    set_list_free(&before);
    return rc;
}

/* ---- walking --------------------------------------------------------------------------------- */

static int32_t walk_set(struct prune *prune, const struct set *set, struct orch_error *err)
{
    int32_t rc = prune_stopped(prune, err);
    return rc == ORCH_OK ? usage_add_set(prune->usage, set, NULL, NULL, err) : rc;
}

static int32_t walk_all(struct prune *prune, struct orch_error *err)
{
    usage_free(prune->usage);
    prune->usage = NULL;
    prune->result->sets_kept = 0;
    int32_t rc = usage_new(prune->repo, prune->index, &prune->usage, err);
    for (size_t i = 0; rc == ORCH_OK && i < prune->sets.count; i++) {
        if (!prune->chosen[i]) {
            rc = walk_set(prune, prune->sets.sets[i], err);
            prune->result->sets_kept++;
        }
    }
    return rc;
}

/* A walk that failed: what to do about it. */
static int32_t unwalkable(int32_t rc, struct orch_error *err)
{
    if (rc == ORCH_E_NOMEM || rc == ORCH_E_CANCELLED || err == NULL) {
        return rc;
    }
    struct orch_error why = *err;
    return orch_fail(
        err, rc,
        "%.600s; nobody can tell what that set needs, so that nothing was deleted: run "
        "\"orchestrate verify\"; if the set cannot be made whole, delete it",
        why.message);
}

int32_t prunesets_walk(struct prune *prune, struct orch_error *err)
{
    size_t kept = 0;
    int64_t start_ms = clock_monotonic_ms();
    for (size_t i = 0; i < prune->sets.count; i++) {
        kept += !prune->chosen[i];
    }
    prune_phase(prune, "walking %zu sets", kept);
    int32_t rc = walk_all(prune, err);
    if (rc == ORCH_E_NOT_FOUND && !prune->reindexed && !prune->options->dry_run) {
        /* A segment is lost: perhaps the packs still tell what it said. */
        rc = prunereindex_run(prune, err);
        if (rc == ORCH_OK) {
            rc = walk_all(prune, err);
        }
    }
    prune->result->walk_ms += clock_monotonic_ms() - start_ms;
    prune->result->chunks_needed = rc == ORCH_OK ? usage_chunks(prune->usage) : 0;
    return rc == ORCH_OK ? rc : unwalkable(rc, err);
}

int32_t prunesets_again(struct prune *prune, struct orch_error *err)
{
    struct set_list valid = {NULL, 0};
    struct set_list invalid = {NULL, 0};
    int64_t start_ms = clock_monotonic_ms();
    int32_t rc = load_sets(prune, &valid, &invalid, err);
    set_list_free(&invalid);
    if (rc == ORCH_OK) { /* after the sets: everything that these need is named by now */
        rc = index_refresh(prune->index, err);
    }
    for (size_t i = 0; rc == ORCH_OK && i < valid.count; i++) {
        rc = walk_set(prune, valid.sets[i], err);
        if (rc != ORCH_OK) {
            rc = unwalkable(rc, err);
        }
    }
    bool *chosen = rc == ORCH_OK ? calloc(valid.count + 1, sizeof(*chosen)) : NULL;
    if (rc == ORCH_OK && chosen == NULL) {
        rc = orch_fail(err, ORCH_E_NOMEM, "no memory to judge the sets");
    }
    if (rc != ORCH_OK) {
        set_list_free(&valid);
        return rc;
    }
    set_list_free(&prune->sets);
    free(prune->chosen);
    prune->sets = valid;
    prune->chosen = chosen;
    prune->result->sets_kept = valid.count;
    prune->result->chunks_needed = usage_chunks(prune->usage);
    prune->result->walk_ms += clock_monotonic_ms() - start_ms;
    return ORCH_OK;
}

/* ---- removing -------------------------------------------------------------------------------- */

static int32_t remove_manifest(struct prune *prune, const struct set *set, struct orch_error *err)
{
    char file[SET_FILE_NAME];
    struct orch_error why = ORCH_ERROR_INIT;
    set_file_name(set, file);
    int32_t rc = storage_remove(repo_storage(prune->repo), file, &why);
    crash_point(CRASH_PRUNE_SET_REMOVED);
    if (rc != ORCH_OK && rc != ORCH_E_NOT_FOUND) {
        if (err != NULL) {
            *err = why;
        }
        return rc;
    }
    return ORCH_OK;
}

/* Of the first `count` sets, those chosen are gone for good: only now that may be said. */
static void report_removed(struct prune *prune, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (prune->chosen[i]) {
            prune->result->sets_removed++;
            if (prune->options->removed != NULL) {
                prune->options->removed(prune->options->ctx, prune->sets.sets[i]);
            }
        }
    }
}

int32_t prunesets_remove(struct prune *prune, struct orch_error *err)
{
    struct storage *storage = repo_storage(prune->repo);
    size_t done = 0;
    /* What is kept has to be there for good before anything goes because of it. */
    int32_t rc = storage_barrier(storage, err);
    if (rc == ORCH_OK) {
        rc = lease_check(prune->lease, err);
    }
    while (rc == ORCH_OK && done < prune->sets.count) {
        rc = prune->chosen[done] ? remove_manifest(prune, prune->sets.sets[done], err) : ORCH_OK;
        done += rc == ORCH_OK;
    }
    for (size_t i = 0; rc == ORCH_OK && i < prune->invalid.count; i++) {
        rc = remove_manifest(prune, prune->invalid.sets[i], err);
    }
    /* A power loss brings back what is not removed for good. After a failure the first one counts.
     */
    struct orch_error late = ORCH_ERROR_INIT;
    int32_t synced = storage_barrier(storage, &late);
    if (synced == ORCH_OK) {
        report_removed(prune, done);
    } else if (rc == ORCH_OK) {
        rc = synced;
        if (err != NULL) {
            *err = late;
        }
    }
    return rc;
}

int32_t prunesets_parts(const struct prune *prune, struct prune_files *out, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < prune->sets.count; i++) {
        const struct set *set = prune->sets.sets[i];
        for (size_t j = 0; rc == ORCH_OK && !prune->chosen[i] && j < set->component_count; j++) {
            const struct set_component *component = &set->components[j];
            uint8_t id[ID_BYTES];
            if (component->good &&
                hex_decode(component->part, strlen(component->part), id, sizeof(id)) == ORCH_OK) {
                rc = prunefiles_add(out, id, 0, false, err);
            }
        }
    }
    prunefiles_sort(out);
    return rc;
}
