/*
 * fuzz_reflist.c: lists of chunks: short ones, and long ones in leaves under a block index; and the
 * way back: what was read is written again and must read the same.
 *
 * The input is a store of chunks (chunks.h). The first is read as a list where it is used, and the
 * others hold its nodes and leaves. Its first byte tells how often the list is written in a row, so
 * that long lists are written too.
 */
#include <string.h>

#include "chunks.h"
#include "engine/catalogue.h"
#include "exact.h"

#define REFS_MAX 6000u

/* Adds all of the list to the writer; false: it cannot be read to its end. */
static bool copy(struct chunks *chunks, const struct reflist *list, struct reflist_writer *writer,
                 uint64_t *added)
{
    struct reflist_cursor cursor;
    struct orch_error err = ORCH_ERROR_INIT;
    struct ref ref;
    bool more = true;
    int32_t rc = reflist_cursor_init(&cursor, list, chunks_fetch, chunks, &err);
    while (rc == ORCH_OK) {
        rc = reflist_cursor_next(&cursor, &ref, &more, &err);
        if (rc != ORCH_OK || !more) {
            break;
        }
        if (reflist_writer_add(writer, &ref, &err) != ORCH_OK) {
            must(ref.hole); /* holes in a row that come to too much together */
            rc = ORCH_E_INVALID;
        }
        *added += 1;
    }
    reflist_cursor_clear(&cursor);
    return rc == ORCH_OK;
}

/* The list, `times` in a row, goes through the writer and comes out as it went in. */
static void rewrite(struct chunks *chunks, const struct reflist *list, unsigned times)
{
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    struct reflist_writer *writer = NULL;
    struct written written = {0};
    struct reflist out, again;
    struct orch_error err = ORCH_ERROR_INIT;
    uint64_t added = 0, before = CATALOGUE_HASH_START, after = CATALOGUE_HASH_START;
    bool whole = true;
    must(reflist_writer_new(written_store, &written, &writer, &err) == ORCH_OK);
    reflist_writer_start(writer);
    for (unsigned i = 0; whole && i < times && added < REFS_MAX; i++) {
        whole = copy(chunks, list, writer, &added);
        times = list->tree ? 1 : times; /* fuel */
    }
    if (whole) {
        must(reflist_writer_finish(writer, &out, &err) == ORCH_OK);
        must(out.count <= added && out.tree == (out.count > REFLIST_INLINE_MAX));
        must(chunks_walk(written_fetch, &written, &out, &after) == ORCH_OK);
        if (times == 1) {
            must(chunks_walk(chunks_fetch, chunks, list, &before) != ORCH_OK || before == after);
        }
        reflist_encode(&text, &out);
        struct reader in = reader_over(text.data, text.len);
        must(!text.failed && reflist_decode(&in, &again) && reader_left(&in) == 0);
        must(again.count == out.count && again.tree == out.tree);
        must(again.tree ? memcmp(again.root, out.root, CHUNK_ID_BYTES) == 0
                        : again.bytes_len == out.bytes_len);
    }
    reflist_writer_free(writer);
    written_clear(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chunks chunks;
    struct reflist list;
    chunks_split(&chunks, data, size);
    if (chunks.count == 0 || chunks.list[0].len < 2) {
        return 0;
    }
    CLEANUP_BUFFER struct buffer text =
        exact_buffer(chunks.list[0].data + 1, chunks.list[0].len - 1);
    struct reader in = reader_over(text.data, text.len);
    if (!reflist_decode(&in, &list)) {
        return 0;
    }
    must(list.tree || list.count <= REFLIST_INLINE_MAX);
    (void)chunks_walk(chunks_fetch, &chunks, &list, NULL);
    chunks.fuel = 300;
    rewrite(&chunks, &list, 1 + chunks.list[0].data[0] * 8u);
    return 0;
}
