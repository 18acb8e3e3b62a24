/*
 * check.h: proves that sets are whole.
 */
#ifndef CORE_ENGINE_CHECK_H
#define CORE_ENGINE_CHECK_H

#include "engine/index.h"
#include "engine/set.h"

enum check_level {
    CHECK_MANIFEST, /* config, manifests and parts open */
    CHECK_INDEX,    /* and every chunk of every catalogue and layer is in the index and its pack's
                       footer, and packs have their length */
    CHECK_DATA      /* and every frame is read, opened, decompressed and each chunk's id is right;
                       every byte of every pack, index segment and part is covered */
};

/* One finding. Names what is hurt as far as it can be told; NULL otherwise. */
struct check_finding {
    const char *file; /* in the repository */
    const char *set;  /* name of a set */
    const char *component;
    const char *object; /* escaped for printing */
    const char *problem;
};

struct check_options {
    enum check_level level;
    const char *const *set_ids; /* zero-terminated; NULL: the whole repository, so that also
                                   packs and segments no set needs are read */
    const char *const *packs;   /* zero-terminated; CHECK_DATA reads these packs alone; NULL: all */
    uint32_t jobs;              /* 0: one per core, and one more for packs */
    const char *cache_dir;      /* as in index_options */
    bool trust_cache; /* segments that the cache has are not read again: for a restore or a backup,
                         which see through the same cache. A damaged one is not told of then. */
    void (*finding)(void *ctx, const struct check_finding *finding);
    void (*progress)(void *ctx, uint64_t done_bytes, uint64_t total_bytes); /* may be NULL */
    void *ctx;
};

struct check_result {
    uint64_t sets, parts, objects, records, chunks, packs, bytes_read;
    uint64_t findings;
};

/* Reads the marks first, then the sets, then the index (docs/prune-protocol.md): a pack that is
 * condemned may go meanwhile, and is no finding then, unless a set needs it.
 * ORCH_OK when the check could be made, whatever it found; look at result->findings. */
int32_t check_repository(struct repo *repo, const struct check_options *options,
                         struct check_result *result, struct orch_error *err) ORCH_CHECKED;

#endif
