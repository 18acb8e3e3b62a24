/* usageimpl.h: what usage.c (places that are needed) and usagewalk.c (walking parts) share. */
#ifndef CORE_ENGINE_USAGEIMPL_H
#define CORE_ENGINE_USAGEIMPL_H

#include "engine/usage.h"

/* The kinds of trees; a chunk that was walked as a piece of one kind is not walked as such again.
 */
enum usage_tree { USAGE_CATALOGUE, USAGE_RECORDS, USAGE_REFS, USAGE_TREES };

/* The chunk is needed. ORCH_E_NOT_FOUND when it has no place. */
int32_t usage_need(struct usage *usage, const uint8_t id[CHUNK_ID_BYTES],
                   struct chunk_location *place, struct orch_error *err) ORCH_CHECKED;
/* The same, to be looked up soon: at the latest by usage_flush(). */
int32_t usage_need_later(struct usage *usage, const uint8_t id[CHUNK_ID_BYTES],
                         struct orch_error *err) ORCH_CHECKED;
int32_t usage_flush(struct usage *usage, struct orch_error *err) ORCH_CHECKED;

/* Was everything below that piece of a tree walked? */
bool usage_walked(const struct usage *usage, enum usage_tree tree, uint64_t place);
int32_t usage_set_walked(struct usage *usage, enum usage_tree tree, uint64_t place,
                         struct orch_error *err) ORCH_CHECKED;

struct usage_walk;
int32_t usage_walk_new(struct usage *usage, struct repo *repo, struct index *index,
                       struct usage_walk **out, struct orch_error *err) ORCH_CHECKED;
void usage_walk_free(struct usage_walk *walk); /* NULL is fine */
int32_t usage_walk_part(struct usage_walk *walk, const struct part *part,
                        struct orch_error *err) ORCH_CHECKED;

#endif
