/*
 * segment.h: the files index/ID: which chunks some packs hold. A segment never changes; its name is
 * the SHA-256 of its bytes, and one that others supersede is not read.
 */
#ifndef CORE_ENGINE_SEGMENT_H
#define CORE_ENGINE_SEGMENT_H

#include "engine/pack.h"

#define SEGMENT_ID_BYTES 32
#define SEGMENT_NAME_BYTES 80 /* "index/", 64 digits, zero */
#define SEGMENT_MAX (256u << 20)

/* Stores a segment of these packs, durably. `name` (NULL allowed) gets the file's name. */
int32_t segment_store(struct repo *repo, const struct pack_table *tables, size_t count,
                      const uint8_t (*supersedes)[SEGMENT_ID_BYTES], size_t supersedes_count,
                      char name[SEGMENT_NAME_BYTES], struct orch_error *err) ORCH_CHECKED;

struct segment {
    uint8_t (*supersedes)[SEGMENT_ID_BYTES];
    size_t supersedes_count;
    struct pack_table *tables;
    size_t count;
};

/* Reads and checks the segment "index/…" whole. */
int32_t segment_load(struct repo *repo, const char *name, struct segment *out,
                     struct orch_error *err) ORCH_CHECKED;
void segment_clear(struct segment *segment);

/* Decodes the opened body of a segment. */
int32_t segment_decode(const void *data, size_t len, struct segment *out,
                       struct orch_error *err) ORCH_CHECKED;

#endif
