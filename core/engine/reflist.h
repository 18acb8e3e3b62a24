/*
 * reflist.h: the content of an object or of a huge value: references to chunks, and holes, in
 * order.
 *
 * Up to REFLIST_INLINE_MAX references stand where they are used. Longer lists are cut into leaves,
 * which are chunks under a block index without keys; so a list may be of any length.
 */
#ifndef CORE_ENGINE_REFLIST_H
#define CORE_ENGINE_REFLIST_H

#include "engine/tree.h"

#define REFLIST_INLINE_MAX 1024u

struct ref {
    bool hole; /* `len` bytes of zeros; no chunk */
    uint64_t len;
    uint8_t id[CHUNK_ID_BYTES];
};

struct reflist {
    bool tree;
    uint64_t count;
    const uint8_t *bytes; /* not tree: the encoded references */
    size_t bytes_len;
    uint8_t root[CHUNK_ID_BYTES]; /* tree */
};

void ref_encode(struct buffer *out, const struct ref *ref);
/* false: malformed */
bool ref_decode(struct reader *in, struct ref *ref);

void reflist_encode(struct buffer *out, const struct reflist *list);
/* `list->bytes` points into the reader's bytes. Every reference is checked. */
bool reflist_decode(struct reader *in, struct reflist *list);

/* Reads the header of a leaf of a long list; *count references follow in *in. */
int32_t reflist_leaf_open(struct reader *in, const void *data, size_t len, uint32_t *count,
                          struct orch_error *err) ORCH_CHECKED;

/* ---- writing ------------------------------------------------------------------------------- */

struct reflist_writer;

int32_t reflist_writer_new(tree_store store, void *ctx, struct reflist_writer **out,
                           struct orch_error *err) ORCH_CHECKED;
void reflist_writer_free(struct reflist_writer *writer); /* NULL is fine */
/* Begins a new list; what was not finished is forgotten. */
void reflist_writer_start(struct reflist_writer *writer);
/* Holes that follow each other become one. */
int32_t reflist_writer_add(struct reflist_writer *writer, const struct ref *ref,
                           struct orch_error *err) ORCH_CHECKED;
/* list->bytes is the writer's, until the next start. */
int32_t reflist_writer_finish(struct reflist_writer *writer, struct reflist *list,
                              struct orch_error *err) ORCH_CHECKED;

/* ---- reading ------------------------------------------------------------------------------- */

struct reflist_cursor {
    struct reader in;
    uint64_t left; /* references not yet read, of the whole list */
    tree_fetch fetch;
    void *ctx;
    struct tree_cursor *tree; /* NULL for short lists */
    struct buffer leaf;
    uint32_t leaf_left;
};

/* `list->bytes` must stay. Ends with reflist_cursor_clear, also after a failure. */
int32_t reflist_cursor_init(struct reflist_cursor *cursor, const struct reflist *list,
                            tree_fetch fetch, void *ctx, struct orch_error *err) ORCH_CHECKED;
int32_t reflist_cursor_next(struct reflist_cursor *cursor, struct ref *ref, bool *more,
                            struct orch_error *err) ORCH_CHECKED;
void reflist_cursor_clear(struct reflist_cursor *cursor);

#endif
