/*
 * prune.h: removes sets and the data that no set needs, beside running backups and restores. The
 * steps are those of docs/prune-protocol.md.
 */
#ifndef CORE_ENGINE_PRUNE_H
#define CORE_ENGINE_PRUNE_H

#include "engine/lease.h"
#include "engine/repack.h"
#include "engine/set.h"

struct prune_options {
    /* Which sets go. Called with the valid sets, newest first; sets remove[i] (zeroed before) for
     * each. NULL: none goes, and only data is collected. */
    int32_t (*choose)(void *ctx, const struct set_list *sets, bool *remove, struct orch_error *err);
    bool dry_run; /* changes nothing; the result tells what would be done */
    /* A pack is rewritten when more than this share of its plain bytes is not needed, in percent;
     * 0: the default, 30. 100: never. */
    uint32_t repack_above;
    int64_t wait_ms;       /* how long to wait for others in step 7; < 0: not at all */
    const char *cache_dir; /* as in index_options */
    struct writer_options writer;
    const struct lease_timing *timing; /* NULL: the usual one */
    /* All may be NULL. */
    bool (*stop)(void *ctx);
    void (*phase)(void *ctx, const char *text); /* "walking 12 sets" … */
    void (*removed)(void *ctx, const struct set *set);
    void (*waiting)(void *ctx, const struct lease_seen *lease); /* told once for each */
    void (*warning)(void *ctx, const char *text);
    void *ctx;
};

enum prune_state {
    PRUNE_DONE,   /* everything that could go is gone */
    PRUNE_MARKED, /* others were at work: marks stay, a later prune deletes the packs */
    PRUNE_BUSY    /* another prune is at work: nothing was done */
};

struct prune_result {
    enum prune_state state;
    char run_id[ID_TEXT];
    uint64_t sets_kept, sets_removed;
    uint64_t packs, packs_removed, packs_rewritten, packs_pardoned;
    uint64_t parts_removed, segments_written, segments_removed;
    uint64_t bytes, bytes_needed; /* of all packs as they lie in the store; of those, in use */
    uint64_t bytes_removed, bytes_rewritten;
    uint64_t chunks_needed;
    struct lease_seen blocked; /* PRUNE_MARKED and PRUNE_BUSY: one of the leases in the way */
    char blocked_text[4][256]; /* owner of what `blocked` points to */
    int64_t walk_ms, repack_ms, wait_ms, sweep_ms;
};

/* A failure leaves everything that sets need in place; run it again. */
int32_t prune_run(struct repo *repo, const struct prune_options *options,
                  struct prune_result *result, struct orch_error *err) ORCH_CHECKED;

/* Removes one set's manifest, durably. Its data goes with the next prune. */
int32_t prune_remove_set(struct repo *repo, const struct set *set,
                         struct orch_error *err) ORCH_CHECKED;

#endif
