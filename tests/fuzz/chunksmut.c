/*
 * chunksmut.c: how the fuzzer changes inputs that are rows of chunks (chunks.h): the bytes of one
 * chunk are changed, or a chunk is copied, moved or left out, and the lengths are made to fit.
 */
#include <string.h>

#include "chunks.h"
#include "fuzz.h"

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

static size_t put_chunk(uint8_t *out, size_t at, size_t max, const uint8_t *data, size_t len)
{
    if (at + 2 + len > max || len > UINT16_MAX) {
        return at;
    }
    out[at] = (uint8_t)len;
    out[at + 1] = (uint8_t)(len >> 8);
    memcpy(out + at + 2, data, len);
    return at + 2 + len;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    struct chunks chunks;
    chunks_split(&chunks, data, size);
    if (seed % 16 == 0 || chunks.count == 0 || max_size - size < 2) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    uint8_t *out = malloc(max_size);
    uint8_t *one = malloc(max_size);
    must(out != NULL && one != NULL);
    size_t which = seed / 16 % chunks.count;
    size_t other = seed / 256 % chunks.count;
    unsigned action = seed / 4096 % 16;
    size_t len = 0;
    for (size_t i = 0; i < chunks.count; i++) {
        const uint8_t *bytes = chunks.list[i].data;
        size_t bytes_len = chunks.list[i].len;
        if (i == which && action == 0) { /* left out */
            continue;
        }
        if (i == which && action == 1) { /* another in its place */
            bytes = chunks.list[other].data;
            bytes_len = chunks.list[other].len;
        } else if (i == which && action == 2) { /* twice */
            len = put_chunk(out, len, max_size, bytes, bytes_len);
        } else if (i == which) {
            memcpy(one, bytes, bytes_len);
            size_t room =
                max_size - size > UINT16_MAX - bytes_len ? UINT16_MAX - bytes_len : max_size - size;
            bytes_len = LLVMFuzzerMutate(one, bytes_len, bytes_len + room);
            bytes = one;
        }
        len = put_chunk(out, len, max_size, bytes, bytes_len);
    }
    if (len > 0) {
        memcpy(data, out, len);
    }
    free(out);
    free(one);
    return len > 0 ? len : LLVMFuzzerMutate(data, size, max_size);
}
