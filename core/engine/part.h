/*
 * part.h: a sealed part: what one backup run kept of one component. File parts/ID.
 */
#ifndef CORE_ENGINE_PART_H
#define CORE_ENGINE_PART_H

#include "engine/repo.h"

#define CHUNK_ID_BYTES 32

/*
 * Where a part's content lies. The catalogue holds the objects, layers hold the records. A root is
 * the id of the chunk that holds the top node of the catalogue's block index.
 */
struct part_content {
    uint8_t catalogue_root[CHUNK_ID_BYTES];
    uint64_t objects;
    uint64_t object_bytes;     /* logical, holes included */
    struct part_layer *layers; /* owned by the part */
    size_t layer_count;
    uint64_t records;
    uint64_t record_bytes; /* keys and values */
    uint8_t digest[32];    /* SHA-256 over the items and their chunk ids in order: equal for equal
                              content; see docs/repository-format.md */
};

/* One layer of records: a catalogue-like tree of blocks of records. */
struct part_layer {
    uint8_t root[CHUNK_ID_BYTES];
    uint64_t records;
    uint64_t bytes;
};

/* What was read, stored and reused while the part was made. */
struct part_stats {
    uint64_t items_read, items_unchanged;
    uint64_t bytes_read;   /* from the source */
    uint64_t bytes_reused; /* in chunks that the repository had, or unchanged */
    uint64_t bytes_new;    /* in new chunks, before compression */
    uint64_t bytes_stored; /* frames of this part, after compression and sealing */
};

struct part {
    char id[ID_TEXT];
    char component[64];
    char plugin[64];
    char plugin_version[64];
    uint32_t data_format;
    char type[16];         /* "full", "incremental" … */
    char earlier[ID_TEXT]; /* id of the part it was compared with, or "" */
    uint32_t consistency;  /* ORCH_CONSISTENCY_* */
    int64_t frozen_ns;     /* wall clock at the freeze */
    int64_t started_ns, finished_ns;
    char source_version[64];
    char source_identity[256];
    char *facts_json; /* one JSON object, owned */
    struct part_content content;
    struct part_stats stats;
};

/* Writes parts/ID; fills part->id. Not durable before a barrier. */
int32_t part_store(struct repo *repo, struct part *part, struct orch_error *err) ORCH_CHECKED;
int32_t part_load(struct repo *repo, const char *id, struct part **out,
                  struct orch_error *err) ORCH_CHECKED;
void part_free(struct part *part);  /* a part from part_load; NULL is fine */
void part_clear(struct part *part); /* what a caller-owned part owns */
void part_cleanup(struct part **slot);

#endif
