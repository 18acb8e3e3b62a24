/*
 * catalogue.h: the objects of a part: entries in bytewise name order, in blocks that are cut by the
 * names they hold, under a keyed block index.
 */
#ifndef CORE_ENGINE_CATALOGUE_H
#define CORE_ENGINE_CATALOGUE_H

#include <orchestrate/plugin.h>

#include "engine/reflist.h"

#define CATALOGUE_META_MAX (1u << 20)

/* The SDK's object (whose size_bytes is the real one) with its content. */
struct catalogue_entry {
    struct orch_object object;
    struct reflist refs;
};

/* ---- writing ------------------------------------------------------------------------------- */

struct catalogue_writer;

int32_t catalogue_writer_new(tree_store store, void *ctx, struct catalogue_writer **out,
                             struct orch_error *err) ORCH_CHECKED;
void catalogue_writer_free(struct catalogue_writer *writer); /* NULL is fine */
/* Names strictly ascending: the caller has checked. */
int32_t catalogue_writer_add(struct catalogue_writer *writer, const struct catalogue_entry *entry,
                             struct orch_error *err) ORCH_CHECKED;
int32_t catalogue_writer_finish(struct catalogue_writer *writer, uint8_t root[CHUNK_ID_BYTES],
                                struct orch_error *err) ORCH_CHECKED;

/* ---- one block: a pure function over bytes -------------------------------------------------- */

struct catalogue_block {
    struct reader in;
    uint32_t left;
    uint8_t name[TREE_KEY_MAX];
    uint32_t name_len; /* 0: no entry read yet */
};

/* `data` stays the caller's and must outlive the block. */
int32_t catalogue_block_open(struct catalogue_block *block, const void *data, size_t len,
                             struct orch_error *err) ORCH_CHECKED;
/* The next entry; *more is false past the last. The name is valid until the next call, everything
 * else points into the block's bytes. Names out of order are ORCH_E_CORRUPT. */
int32_t catalogue_block_next(struct catalogue_block *block, struct catalogue_entry *entry,
                             bool *more, struct orch_error *err) ORCH_CHECKED;

/* ---- reading ------------------------------------------------------------------------------- */

struct catalogue_cursor;

int32_t catalogue_cursor_new(const uint8_t root[CHUNK_ID_BYTES], tree_fetch fetch, void *ctx,
                             struct catalogue_cursor **out, struct orch_error *err) ORCH_CHECKED;
void catalogue_cursor_free(struct catalogue_cursor *cursor); /* NULL is fine */
int32_t catalogue_cursor_next(struct catalogue_cursor *cursor, struct catalogue_entry *entry,
                              bool *more, struct orch_error *err) ORCH_CHECKED;
/* Before the first next: goes to the block that would hold `name`; entries before it may come. */
int32_t catalogue_cursor_seek(struct catalogue_cursor *cursor, const void *name, size_t name_len,
                              struct orch_error *err) ORCH_CHECKED;

/* 64-bit FNV-1a, which decides where blocks end. */
uint64_t catalogue_hash(uint64_t hash, const void *data, size_t len);
#define CATALOGUE_HASH_START UINT64_C(0xcbf29ce484222325)

#endif
