/* chunks.c: see chunks.h. */
#include "chunks.h"

#include <string.h>

#include "engine/catalogue.h"
#include "engine/frame.h"
#include "exact.h"

#define FUEL 150u

void chunks_split(struct chunks *chunks, const uint8_t *data, size_t size)
{
    struct reader in = reader_over(data, size);
    chunks->count = 0;
    chunks->fuel = FUEL;
    while (chunks->count < CHUNKS_MAX && reader_left(&in) >= 2) {
        size_t len = reader_u16(&in);
        const uint8_t *bytes = reader_take(&in, len);
        if (bytes == NULL) {
            break;
        }
        chunks->list[chunks->count].data = bytes;
        chunks->list[chunks->count].len = len;
        chunks->count++;
    }
}

bool chunks_begins(const struct chunks *chunks, size_t i, char kind)
{
    return chunks->list[i].len > 0 && chunks->list[i].data[0] == (uint8_t)kind;
}

int32_t chunks_fetch(void *ctx, const uint8_t id[CHUNK_ID_BYTES], struct buffer *out,
                     struct orch_error *err)
{
    struct chunks *chunks = ctx;
    if (chunks->count == 0 || chunks->fuel == 0) {
        return orch_fail(err, ORCH_E_NOT_FOUND, "no such chunk");
    }
    chunks->fuel--;
    size_t i = id[0] % chunks->count;
    buffer_free(out);
    *out = exact_buffer(chunks->list[i].data, chunks->list[i].len);
    return ORCH_OK;
}

static void mix_ref(uint64_t *hash, const struct ref *ref)
{
    *hash = catalogue_hash(*hash, &ref->len, sizeof(ref->len));
    *hash = ref->hole ? *hash + 1 : catalogue_hash(*hash, ref->id, CHUNK_ID_BYTES);
}

int32_t chunks_walk(tree_fetch fetch, void *ctx, const struct reflist *list, uint64_t *hash)
{
    struct reflist_cursor cursor;
    struct orch_error err = ORCH_ERROR_INIT;
    struct ref ref, hole = {.hole = true};
    uint64_t count = 0;
    bool more = true;
    int32_t rc = reflist_cursor_init(&cursor, list, fetch, ctx, &err);
    while (rc == ORCH_OK && more) {
        rc = reflist_cursor_next(&cursor, &ref, &more, &err);
        if (rc != ORCH_OK || !more) {
            break;
        }
        must(ref.len > 0 && ref.len <= (ref.hole ? UINT64_MAX >> 2 : FRAME_CHUNK_MAX));
        count++;
        if (ref.hole) {
            hole.len += ref.len;
        } else if (hash != NULL) {
            if (hole.len > 0) {
                mix_ref(hash, &hole);
            }
            hole.len = 0;
            mix_ref(hash, &ref);
        }
    }
    if (hash != NULL && hole.len > 0) {
        mix_ref(hash, &hole);
    }
    must(list->tree || rc == ORCH_OK); /* a short list was checked when it was decoded */
    must(rc != ORCH_OK || count == list->count);
    must(rc == ORCH_OK || err.message[0] != 0);
    reflist_cursor_clear(&cursor);
    return rc;
}

int32_t written_store(void *ctx, const void *data, size_t len, uint8_t id[CHUNK_ID_BYTES],
                      struct orch_error *err)
{
    struct written *written = ctx;
    (void)err;
    if (written->count == written->capacity) {
        written->capacity = written->capacity == 0 ? 16 : 2 * written->capacity;
        written->list = realloc(written->list, written->capacity * sizeof(*written->list));
        must(written->list != NULL);
    }
    must(len > 0 && len <= FRAME_CHUNK_MAX);
    written->list[written->count] = exact_buffer(data, len);
    memset(id, 0, CHUNK_ID_BYTES);
    put_le64(id, written->count++);
    return ORCH_OK;
}

int32_t written_fetch(void *ctx, const uint8_t id[CHUNK_ID_BYTES], struct buffer *out,
                      struct orch_error *err)
{
    const struct written *written = ctx;
    uint64_t number = get_le64(id);
    (void)err;
    must(number < written->count);
    buffer_free(out);
    *out = exact_buffer(written->list[number].data, written->list[number].len);
    return ORCH_OK;
}

void written_clear(struct written *written)
{
    for (size_t i = 0; i < written->count; i++) {
        buffer_free(&written->list[i]);
    }
    free(written->list);
    *written = (struct written){0};
}
