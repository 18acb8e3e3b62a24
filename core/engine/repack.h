/*
 * repack.h: copies the chunks of some packs that are needed into new packs, and indexes these. The
 * old packs stay as they are.
 */
#ifndef CORE_ENGINE_REPACK_H
#define CORE_ENGINE_REPACK_H

#include "engine/usage.h"
#include "engine/writer.h"

struct repack_result {
    uint64_t packs, chunks, bytes_read, bytes_stored;
};

/*
 * Copies from the packs `numbers` of the index what `usage` needs there; each chunk's id is checked
 * on the way. A pack of which something cannot be read is logged and passed over. copied[i] (one
 * for each pack; NULL allowed): everything needed of it was copied. `stop` (NULL allowed) is asked
 * between frames; ORCH_E_CANCELLED then. When it returns, packs and segments are durable and the
 * index knows them.
 */
int32_t repack_run(struct repo *repo, struct index *index, const struct usage *usage,
                   const size_t *numbers, size_t count, const struct writer_options *options,
                   bool (*stop)(void *ctx), void *ctx, bool *copied, struct repack_result *result,
                   struct orch_error *err) ORCH_CHECKED;

/* Once these packs are shunned: good[i] tells whether everything needed of the pack is found in one
 * that is not; false also for one that cannot be read. Trust, but look, before something is
 * deleted.
 */
int32_t repack_verify(struct repo *repo, struct index *index, const struct usage *usage,
                      const size_t *numbers, size_t count, bool *good,
                      struct orch_error *err) ORCH_CHECKED;

#endif
