/*
 * backup.h: takes a set: freeze all, stream each, seal the parts, put the manifest, verify.
 */
#ifndef CORE_RUN_BACKUP_H
#define CORE_RUN_BACKUP_H

#include "engine/set.h"
#include "run/context.h"

struct backup_options {
    const char *const *components; /* names; a count of 0: all */
    size_t component_count;
    /* "full"; "incremental": compared with the newest good part of each component, of any type;
     * "differential": with the newest of type full; "snapshot": everything is read, all components
     * at once, and stored with the fastest codec. */
    const char *type;
    const char *label;  /* or NULL */
    const char *base;   /* incremental, differential: compare with this set instead; or NULL */
    int64_t rate_limit; /* bytes per second that each source is read with at most; 0: none. A lower
                           one of a component holds */
};

struct backup_result {
    char run_id[ID_TEXT];
    struct set *set;    /* what was stored; NULL when there is none */
    json_t *components; /* array, one object per component: name, state, counts, error … */
    uint64_t stored_bytes;
    int64_t elapsed_ms;
    uint64_t verified_bytes; /* read back and proven */
    const char *verified;    /* level of the verification that passed: "data", "index" … */
};

/*
 * ORCH_OK: the set is completed and verified as configured. ORCH_E_FAILED with result->set:
 * partial. Anything else: no set. `result` is to be cleared in every case.
 */
int32_t backup_run(struct run_context *ctx, const struct backup_options *options,
                   struct backup_result *result, struct orch_error *err) ORCH_CHECKED;
void backup_result_clear(struct backup_result *result);

#endif
