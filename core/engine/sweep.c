/*
 * sweep.c: deletes what a prune has condemned and not pardoned; see pruneimpl.h.
 *
 * Segments first, then packs, then marks, and each of them for good before the next: whoever sees
 * no mark sees no condemned pack either, also after a power loss.
 */
#include <string.h>

#include "base/crash.h"
#include "engine/proof.h"
#include "engine/pruneimpl.h"

/* Our lease is looked at before every pack: what was put to sleep on its way deletes one at most.
 */
static int32_t remove_pack(struct prune *prune, struct prune_file *pack, struct orch_error *err)
{
    char name[PACK_NAME_BYTES];
    struct orch_error why = ORCH_ERROR_INIT;
    pack_name(pack->id, name);
    int32_t rc = lease_check(prune->lease, &why);
    if (rc == ORCH_OK) {
        rc = storage_remove(repo_storage(prune->repo), name, &why);
    }
    if (rc != ORCH_OK && rc != ORCH_E_NOT_FOUND) {
        if (err != NULL) {
            *err = why;
        }
        return rc;
    }
    pack->gone = true;
    prune->result->packs_removed += rc == ORCH_OK;
    prune->result->bytes_removed += rc == ORCH_OK ? pack->size_bytes : 0;
    crash_point(CRASH_PRUNE_PACK_REMOVED);
    return ORCH_OK;
}

static int32_t remove_part(struct prune *prune, struct prune_file *part, struct orch_error *err)
{
    char name[ID_TEXT + 8] = "parts/";
    struct orch_error why = ORCH_ERROR_INIT;
    hex_encode(part->id, ID_BYTES, name + strlen(name));
    int32_t rc = lease_check(prune->lease, &why);
    if (rc == ORCH_OK) {
        rc = storage_remove(repo_storage(prune->repo), name, &why);
    }
    if (rc != ORCH_OK && rc != ORCH_E_NOT_FOUND) {
        if (err != NULL) {
            *err = why;
        }
        return rc;
    }
    part->gone = true;
    prune->result->parts_removed += rc == ORCH_OK;
    crash_point(CRASH_PRUNE_PART_REMOVED);
    return ORCH_OK;
}

static int32_t remove_files(struct prune *prune, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < prune->condemned_packs.count; i++) {
        struct prune_file *pack = &prune->condemned_packs.list[i];
        if (sweep_dooms(pack)) {
            rc = remove_pack(prune, pack, err);
        }
    }
    for (size_t i = 0; rc == ORCH_OK && i < prune->condemned_parts.count; i++) {
        struct prune_file *part = &prune->condemned_parts.list[i];
        if (sweep_dooms(part)) {
            rc = remove_part(prune, part, err);
        }
    }
    return rc;
}

/* Proofs of sets that are gone. They were listed before the sets: none is younger than its set. */
static int32_t remove_proofs(struct prune *prune, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < prune->proofs.count; i++) {
        char id[ID_TEXT];
        bool there = false;
        hex_encode(prune->proofs.list[i].id, ID_BYTES, id);
        for (size_t j = 0; !there && j < prune->sets.count; j++) {
            there = strcmp(prune->sets.sets[j]->id, id) == 0;
        }
        rc = there ? ORCH_OK : proof_remove(prune->repo, id, err);
    }
    return rc;
}

/* ---- marks ----------------------------------------------------------------------------------- */

/* Every pack that the mark names is gone from the store. Who put it may be asleep and about to
 * delete the others: then it stays, and the next prune copies what is needed of them. */
static bool is_done(const struct prune *prune, const struct mark *mark)
{
    bool done = true;
    for (size_t i = 0; done && i < mark->pack_count; i++) {
        const struct prune_file *condemned =
            prunefiles_find(&prune->condemned_packs, mark->packs[i]);
        done = (condemned != NULL && condemned->gone) ||
               prunefiles_find(&prune->packs, mark->packs[i]) == NULL;
    }
    return done;
}

static int32_t remove_marks(struct prune *prune, bool all, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    if (all && prune->own.id[0] != '\0') {
        rc = mark_remove(prune->repo, prune->own.id, err);
        crash_point(CRASH_PRUNE_MARK_REMOVED);
    }
    for (size_t i = 0; rc == ORCH_OK && i < prune->marks.count; i++) {
        if (is_done(prune, &prune->marks.marks[i])) {
            rc = mark_remove(prune->repo, prune->marks.marks[i].id, err);
            crash_point(CRASH_PRUNE_MARK_REMOVED);
        }
    }
    return rc;
}

int32_t sweep_run(struct prune *prune, bool all, struct orch_error *err)
{
    struct storage *storage = repo_storage(prune->repo);
    int32_t rc = sweepsegments_run(prune, err);
    if (rc == ORCH_OK) {
        rc = storage_barrier(storage, err);
    }
    if (rc == ORCH_OK) {
        rc = remove_files(prune, err);
    }
    if (rc == ORCH_OK) {
        rc = remove_proofs(prune, err);
    }
    if (rc == ORCH_OK) {
        rc = sweepruns_run(prune, err);
    }
    if (rc == ORCH_OK) {
        rc = storage_barrier(storage, err);
    }
    if (rc == ORCH_OK) {
        rc = lease_check(prune->lease, err);
    }
    return rc == ORCH_OK ? remove_marks(prune, all, err) : rc;
}
