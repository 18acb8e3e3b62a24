/*
 * records.h: a layer of records: blocks of records under a block index without keys.
 *
 * A block says in its header how it is ordered; 0 is "as they came", the only way for now. Keys and
 * values up to RECORDS_INLINE_MAX stand in the block, longer ones are chunks of their own.
 */
#ifndef CORE_ENGINE_RECORDS_H
#define CORE_ENGINE_RECORDS_H

#include <orchestrate/plugin.h>

#include "engine/reflist.h"

#define RECORDS_INLINE_MAX (64u << 10)
#define RECORDS_EXTRA_MAX (64u << 10)
#define RECORDS_KEY_MAX (512u << 20)

struct record_entry {
    struct orch_record record; /* key NULL when key_by_refs */
    bool key_by_refs, value_by_refs;
    struct reflist key_refs;
    const uint8_t *value; /* value_len bytes, when not by refs */
    struct reflist value_refs;
};

/* ---- writing ------------------------------------------------------------------------------- */

struct records_writer;

/* Blocks go through `store_block`, nodes of the index through `store_node`. */
int32_t records_writer_new(tree_store store_block, tree_store store_node, void *ctx,
                           struct records_writer **out, struct orch_error *err) ORCH_CHECKED;
void records_writer_free(struct records_writer *writer); /* NULL is fine */
int32_t records_writer_add(struct records_writer *writer, const struct record_entry *entry,
                           struct orch_error *err) ORCH_CHECKED;
int32_t records_writer_finish(struct records_writer *writer, struct part_layer *layer,
                              struct orch_error *err) ORCH_CHECKED;

/* ---- one block: a pure function over bytes -------------------------------------------------- */

struct records_block {
    struct reader in;
    uint32_t left;
};

int32_t records_block_open(struct records_block *block, const void *data, size_t len,
                           struct orch_error *err) ORCH_CHECKED;
/* Everything in the entry points into the block's bytes. */
int32_t records_block_next(struct records_block *block, struct record_entry *entry, bool *more,
                           struct orch_error *err) ORCH_CHECKED;

#endif
