/*
 * prunepacks.c: which packs are worth copying from, and which packs and parts are condemned; see
 * pruneimpl.h.
 *
 * Only packs that were there when they were listed, and that the index had when it was opened a
 * moment later, are judged: what came later is not walked yet, and what we copied ourselves is
 * needed under its old places.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "engine/pruneimpl.h"

#define REPACK_ABOVE_DEFAULT 30u
/* Packs of less than this are merged when there are more than so many of a kind. */
#define SMALL_PACK_BYTES (UINT64_C(8) << 20)
#define SMALL_PACKS_MAX 32u

static int32_t no_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory to judge the packs");
}

int32_t prunepacks_foreign(struct prune *prune, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t i = 0; i < prune->marks.count; i++) {
        const struct mark *mark = &prune->marks.marks[i];
        for (size_t j = 0; rc == ORCH_OK && j < mark->pack_count; j++) {
            rc = prunefiles_add(&prune->foreign, mark->packs[j], 0, false, err);
        }
    }
    prunefiles_sort(&prune->foreign);
    return rc == ORCH_OK ? mark_list_shun(&prune->marks, prune->index, err) : rc;
}

int32_t prunepacks_know(struct prune *prune, struct orch_error *err)
{
    struct index_pack pack;
    size_t count = index_pack_count(prune->index);
    free(prune->known);
    prune->known = calloc(count + 1, sizeof(*prune->known));
    if (prune->known == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < count; i++) {
        /* One that was not listed is either lost, as the index tells, or has come since. */
        prune->known[i] =
            index_pack_at(prune->index, i, &pack) && !pack.gone &&
            (prunefiles_find(&prune->packs, pack.id) != NULL || index_shunned(prune->index, i));
    }
    prune->known_count = count;
    return ORCH_OK;
}

/* A pack that is to be judged. */
static bool known_pack(const struct prune *prune, size_t number, struct index_pack *out)
{
    return prune->known[number] && index_pack_at(prune->index, number, out) && !out->gone;
}

/* It is in the store, whole as far as its length tells. */
static bool is_stored(const struct prune *prune, const struct index_pack *pack)
{
    const struct prune_file *file = prunefiles_find(&prune->packs, pack->id);
    return file != NULL && file->size_bytes == pack->size_bytes;
}

static bool is_foreign(const struct prune *prune, const struct index_pack *pack)
{
    return prunefiles_find(&prune->foreign, pack->id) != NULL;
}

/* What sets need and the store has lost: nobody knows whether it comes back, or what else is amiss.
 */
static int32_t check_stored(const struct prune *prune, struct orch_error *err)
{
    struct index_pack pack;
    size_t lost = 0;
    char name[PACK_NAME_BYTES] = "";
    for (size_t i = 0; i < prune->known_count; i++) {
        if (known_pack(prune, i, &pack) && usage_of_pack(prune->usage, i).chunks > 0) {
            bool there = is_foreign(prune, &pack) ? is_stored(prune, &pack)
                                                  : !index_shunned(prune->index, i);
            if (!there && lost++ == 0) {
                pack_name(pack.id, name);
            }
        }
    }
    return lost == 0
               ? ORCH_OK
               : orch_fail(err, ORCH_E_CORRUPT,
                           "%s is missing or has another length than it had, and sets need it "
                           "(%zu such packs): nothing was deleted; \"orchestrate verify\" "
                           "tells which sets are hurt: take a new backup, and delete those "
                           "sets",
                           name, lost);
}

/* ---- copying --------------------------------------------------------------------------------- */

struct candidates {
    size_t *numbers;
    size_t count;
    uint64_t bytes; /* of what is needed, as it lies in the store */
};

static uint64_t needed_bytes(const struct prune *prune, size_t number,
                             const struct index_pack *pack)
{
    struct usage_pack used = usage_of_pack(prune->usage, number);
    return pack->plain_bytes == 0 ? 0
                                  : (uint64_t)((double)pack->size_bytes * (double)used.bytes /
                                               (double)pack->plain_bytes);
}

static void count_small(const struct prune *prune, size_t small[PACK_META + 1])
{
    struct index_pack pack;
    for (size_t i = 0; i < prune->known_count; i++) {
        if (known_pack(prune, i, &pack) && pack.size_bytes < SMALL_PACK_BYTES &&
            pack.kind <= PACK_META && usage_of_pack(prune->usage, i).chunks > 0) {
            small[pack.kind]++;
        }
    }
}

static int32_t find_candidates(const struct prune *prune, struct candidates *out,
                               struct orch_error *err)
{
    size_t small[PACK_META + 1] = {0};
    struct index_pack pack;
    uint32_t above = prune->options->repack_above;
    above = above == 0 ? REPACK_ABOVE_DEFAULT : above;
    out->numbers = calloc(prune->known_count + 1, sizeof(*out->numbers));
    if (out->numbers == NULL) {
        return no_memory(err);
    }
    if (above < 100) {
        count_small(prune, small);
    }
    for (size_t i = 0; i < prune->known_count; i++) {
        struct usage_pack used = usage_of_pack(prune->usage, i);
        if (!known_pack(prune, i, &pack) || used.chunks == 0) {
            continue;
        }
        uint64_t unneeded = pack.plain_bytes - used.bytes;
        bool merged = pack.size_bytes < SMALL_PACK_BYTES && pack.kind <= PACK_META &&
                      small[pack.kind] > SMALL_PACKS_MAX;
        if (is_foreign(prune, &pack) || merged ||
            (above < 100 && unneeded > pack.plain_bytes / 100 * above)) {
            out->numbers[out->count++] = i;
            out->bytes += needed_bytes(prune, i, &pack);
        }
    }
    return ORCH_OK;
}

static int32_t copy(struct prune *prune, const struct candidates *candidates,
                    struct orch_error *err)
{
    const struct prune_options *options = prune->options;
    CLEANUP_FREE bool *copied = calloc(candidates->count + 1, sizeof(*copied));
    struct repack_result result = {0};
    struct orch_error why = ORCH_ERROR_INIT;
    prune->rewritten = calloc(candidates->count + 1, sizeof(*prune->rewritten));
    if (copied == NULL || prune->rewritten == NULL) {
        return no_memory(err);
    }
    prune_phase(prune, "rewriting %zu packs", candidates->count);
    int32_t rc =
        repack_run(prune->repo, prune->index, prune->usage, candidates->numbers, candidates->count,
                   &options->writer, options->stop, options->ctx, copied, &result, &why);
    prune->result->bytes_rewritten = result.bytes_stored;
    if (rc == ORCH_E_NO_SPACE) { /* what can go without being copied makes room */
        prune_warn(prune, "packs that are hardly used cannot be rewritten now: %s", why.message);
        return ORCH_OK;
    }
    if (rc != ORCH_OK) {
        *err = why;
        return rc;
    }
    for (size_t i = 0; i < candidates->count; i++) {
        if (copied[i]) {
            prune->rewritten[prune->rewritten_count++] = candidates->numbers[i];
        }
    }
    if (prune->rewritten_count < candidates->count) {
        prune_warn(prune,
                   "%zu packs could not be read whole and stay as they are; run "
                   "\"orchestrate verify\"",
                   candidates->count - prune->rewritten_count);
    }
    return ORCH_OK;
}

int32_t prunepacks_rewrite(struct prune *prune, struct orch_error *err)
{
    struct candidates candidates = {NULL, 0, 0};
    int64_t start_ms = clock_monotonic_ms();
    int32_t rc = check_stored(prune, err);
    if (rc == ORCH_OK) {
        rc = find_candidates(prune, &candidates, err);
    }
    if (rc == ORCH_OK && prune->options->dry_run) {
        prune->result->packs_rewritten = candidates.count;
        prune->result->bytes_rewritten = candidates.bytes;
        prune->rewritten = steal_ptr(&candidates.numbers);
        prune->rewritten_count = candidates.count;
    } else if (rc == ORCH_OK && candidates.count > 0) {
        rc = copy(prune, &candidates, err);
    }
    free(candidates.numbers);
    prune->result->repack_ms += clock_monotonic_ms() - start_ms;
    return rc;
}

/* ---- condemning ------------------------------------------------------------------------------ */

static int32_t condemn(struct prune *prune, const struct index_pack *pack, struct orch_error *err)
{
    const struct prune_file *file = prunefiles_find(&prune->packs, pack->id);
    return prunefiles_add(&prune->condemned_packs, pack->id, file == NULL ? 0 : file->size_bytes,
                          file != NULL, err);
}

static int32_t condemn_unneeded(struct prune *prune, struct orch_error *err)
{
    struct index_pack pack;
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < prune->known_count; i++) {
        if (known_pack(prune, i, &pack)) {
            prune->result->bytes_needed += needed_bytes(prune, i, &pack);
            if (usage_of_pack(prune->usage, i).chunks == 0) {
                rc = condemn(prune, &pack, err);
            }
        }
    }
    for (size_t i = 0; rc == ORCH_OK && i < prune->packs.count; i++) {
        const struct prune_file *file = &prune->packs.list[i];
        prune->result->bytes += file->size_bytes;
        if (index_pack_find(prune->index, file->id) == SIZE_MAX) {
            rc = prunefiles_add(&prune->condemned_packs, file->id, file->size_bytes, true, err);
        }
    }
    prune->result->packs = prune->packs.count;
    return rc;
}

static int32_t shun_all(struct prune *prune, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < prune->condemned_packs.count; i++) {
        rc = index_shun(prune->index,
                        (const uint8_t(*)[PACK_ID_BYTES])prune->condemned_packs.list[i].id, 1, err);
    }
    return rc;
}

/* What was copied goes, if everything is found elsewhere now that all of them are shunned. */
static int32_t condemn_rewritten(struct prune *prune, struct orch_error *err)
{
    struct index_pack pack;
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < prune->rewritten_count; i++) {
        if (known_pack(prune, prune->rewritten[i], &pack)) {
            rc = index_shun(prune->index, (const uint8_t(*)[PACK_ID_BYTES])pack.id, 1, err);
        }
    }
    CLEANUP_FREE bool *good = calloc(prune->rewritten_count + 1, sizeof(*good));
    if (rc == ORCH_OK && good == NULL) {
        rc = no_memory(err);
    }
    if (rc == ORCH_OK && prune->rewritten_count > 0) {
        rc = repack_verify(prune->repo, prune->index, prune->usage, prune->rewritten,
                           prune->rewritten_count, good, err);
    }
    for (size_t i = 0; rc == ORCH_OK && i < prune->rewritten_count; i++) {
        if (!known_pack(prune, prune->rewritten[i], &pack)) {
            continue;
        }
        if (good[i]) {
            rc = condemn(prune, &pack, err);
            prune->result->packs_rewritten += rc == ORCH_OK;
        } else {
            char name[PACK_NAME_BYTES];
            pack_name(pack.id, name);
            prune_warn(prune, "%s stays: not all that was copied of it is found", name);
        }
    }
    return rc;
}

static int32_t condemn_parts(struct prune *prune, struct orch_error *err)
{
    struct prune_files named = {NULL, 0, 0};
    int32_t rc = prunesets_parts(prune, &named, err);
    for (size_t i = 0; rc == ORCH_OK && i < prune->parts.count; i++) {
        const struct prune_file *part = &prune->parts.list[i];
        if (prunefiles_find(&named, part->id) == NULL) {
            rc = prunefiles_add(&prune->condemned_parts, part->id, part->size_bytes, true, err);
        }
    }
    prunefiles_clear(&named);
    return rc;
}

/* For a dry run: nothing was copied, and nothing is shunned. */
static int32_t pretend(struct prune *prune, struct orch_error *err)
{
    struct prune_result *result = prune->result;
    struct index_pack pack;
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < prune->rewritten_count; i++) {
        if (known_pack(prune, prune->rewritten[i], &pack)) {
            rc = condemn(prune, &pack, err);
        }
    }
    for (size_t i = 0; rc == ORCH_OK && i < prune->condemned_packs.count; i++) {
        result->packs_removed += prune->condemned_packs.list[i].stored;
        result->bytes_removed += prune->condemned_packs.list[i].size_bytes;
    }
    result->parts_removed = prune->condemned_parts.count;
    for (size_t i = 0; i < prune->sets.count; i++) {
        result->sets_removed += prune->chosen[i];
        if (prune->chosen[i] && prune->options->removed != NULL) {
            prune->options->removed(prune->options->ctx, prune->sets.sets[i]);
        }
    }
    return rc;
}

int32_t prunepacks_condemn(struct prune *prune, struct orch_error *err)
{
    int32_t rc = condemn_unneeded(prune, err);
    if (rc == ORCH_OK) {
        rc = condemn_parts(prune, err);
    }
    if (rc == ORCH_OK && prune->options->dry_run) {
        rc = pretend(prune, err);
    } else if (rc == ORCH_OK) {
        rc = shun_all(prune, err);
        if (rc == ORCH_OK) {
            rc = condemn_rewritten(prune, err);
        }
    }
    prunefiles_sort(&prune->condemned_packs);
    prunefiles_sort(&prune->condemned_parts);
    return rc;
}

int32_t prunepacks_mark(struct prune *prune, struct orch_error *err)
{
    struct mark *own = &prune->own;
    const struct prune_files *packs = &prune->condemned_packs;
    const struct prune_files *parts = &prune->condemned_parts;
    own->packs = calloc(packs->count + 1, sizeof(*own->packs));
    own->parts = calloc(parts->count + 1, sizeof(*own->parts));
    if (own->packs == NULL || own->parts == NULL) {
        return no_memory(err);
    }
    (void)snprintf(own->lease, sizeof(own->lease), "%s", lease_id(prune->lease));
    for (; own->pack_count < packs->count; own->pack_count++) {
        memcpy(own->packs[own->pack_count], packs->list[own->pack_count].id, PACK_ID_BYTES);
    }
    for (; own->part_count < parts->count; own->part_count++) {
        hex_encode(parts->list[own->part_count].id, ID_BYTES, own->parts[own->part_count]);
    }
    int32_t rc = mark_store(prune->repo, own, err);
    if (rc != ORCH_OK) {
        own->id[0] = '\0';
        return rc;
    }
    crash_point(CRASH_PRUNE_MARKED);
    rc = lease_check(prune->lease, err);
    if (rc != ORCH_OK) { /* others went on without us: nobody has to obey this mark */
        struct orch_error ignored = ORCH_ERROR_INIT;
        (void)!mark_remove(prune->repo, own->id, &ignored);
        own->id[0] = '\0';
    }
    return rc;
}
