/* cachebase.h: what the tests of the index cache share: a repository that has segments alone, and a
 * cache of its own. */
#ifndef TESTS_ENGINE_CACHEBASE_H
#define TESTS_ENGINE_CACHEBASE_H

#include "engine/segment.h"
#include "enginetest.h"

struct cb_world {
    struct et_repo r;
    char cache[80];
};

void cb_make(struct cb_world *w);

/* Chunk `number` of pack `pack`. */
void cb_chunk_id(uint64_t pack, uint64_t number, uint8_t id[CHUNK_ID_BYTES]);
/* A pack of 10 chunks a frame. */
void cb_table(struct pack_table *table, uint64_t pack, uint64_t chunks);
/* Stores a segment of packs first … first + count - 1. */
void cb_store(struct cb_world *w, uint64_t first, uint64_t count, uint64_t chunks,
              const char *const *supersedes, char name[SEGMENT_NAME_BYTES]);
void cb_drop(struct cb_world *w, const char *name);

struct index *cb_open(struct cb_world *w);
/* All chunks of a pack are found there, or none is. */
void cb_expect(struct index *index, uint64_t pack, uint64_t chunks, bool there);
/* Packs 1 … `packs`, of 50 chunks each, are all there is. */
void cb_expect_all(struct cb_world *w, uint64_t packs);

/* The cache's folder of this repository. */
void cb_folder(struct cb_world *w, char path[256]);
/* Its generations; the newest one's folder in `path`. */
size_t cb_generations(struct cb_world *w, unsigned *newest, char path[300]);

#endif
