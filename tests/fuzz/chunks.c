/* chunks.c: see chunks.h. */
#include "chunks.h"

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

int32_t chunks_fetch(void *ctx, const uint8_t id[CHUNK_ID_BYTES], struct buffer *out,
                     struct orch_error *err)
{
    struct chunks *chunks = ctx;
    if (chunks->count == 0 || chunks->fuel == 0) {
        return orch_fail(err, ORCH_E_NOT_FOUND, "no such chunk");
    }
    chunks->fuel--;
    size_t i = id[0] % chunks->count;
    buffer_free(out); /* exact memory, so that a read past the end shows */
    buffer_append(out, chunks->list[i].data, chunks->list[i].len);
    return out->failed ? orch_fail(err, ORCH_E_NOMEM, "no memory") : ORCH_OK;
}
