/*
 * proof.h: which sets were verified, how and with what outcome: files proofs/SET_ID, replaced by
 * each verification that looked as deep or found damage. A set without one was never verified.
 */
#ifndef CORE_ENGINE_PROOF_H
#define CORE_ENGINE_PROOF_H

#include "engine/check.h"

struct proof {
    char set[ID_TEXT];
    bool good;
    /* What was read: CHECK_DATA is every byte that the set needs; a backup's own verification reads
     * only what it has newly stored and is `own`. */
    enum check_level level;
    bool own;
    int64_t at_ns; /* wall clock, for display */
    char run_id[ID_TEXT];
    char host[256];
};

int32_t proof_store(struct repo *repo, const struct proof *proof,
                    struct orch_error *err) ORCH_CHECKED;
/* ORCH_E_NOT_FOUND (no message) when there is none. */
int32_t proof_load(struct repo *repo, const char *set_id, struct proof *out,
                   struct orch_error *err) ORCH_CHECKED;
/* Of a set that goes; a missing one is no error. */
int32_t proof_remove(struct repo *repo, const char *set_id, struct orch_error *err) ORCH_CHECKED;
/* Good, at CHECK_DATA, and not only its backup's own? */
bool proof_is_full(const struct proof *proof);

#endif
