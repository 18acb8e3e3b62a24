/* chunk.c: see chunk.h. */
#include "engine/chunk.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <orchestrate/plugin.h>

#include "base/buffer.h"

/* The hash hangs on the last 64 bytes. A cut falls where its upper 16 bits are zero: 64 KiB behind
 * CHUNK_MIN on average. */
#define CUT_BELOW (UINT64_C(1) << 48)

struct chunk_cutter {
    const struct chunk_gear *gear;
    chunk_sink sink;
    void *ctx;
    size_t fixed;       /* length of a fixed cut, or 0: by content */
    uint64_t head;      /* bytes left before the first row */
    uint64_t row_phase; /* bytes into the present fixed cut, since a hole may end inside one */
    uint64_t hash;
    size_t len;       /* bytes of the present chunk so far */
    size_t carry_len; /* of which this many are in `carry` */
    uint8_t *carry;   /* CHUNK_MAX bytes */
};

int32_t chunk_gear_init_key(struct chunk_gear *gear, const uint8_t key[KEY_BYTES],
                            struct orch_error *err)
{
    for (uint32_t i = 0; i < 64; i++) {
        uint8_t counter[4];
        uint8_t block[32];
        unsigned len = 0;
        put_le32(counter, i);
        if (HMAC(EVP_sha256(), key, KEY_BYTES, counter, sizeof(counter), block, &len) == NULL ||
            len != sizeof(block)) {
            return orch_fail(err, ORCH_E_FAILED, "the crypto library cannot compute HMAC-SHA-256");
        }
        for (size_t j = 0; j < 4; j++) {
            gear->table[4 * i + j] = get_le64(block + 8 * j);
        }
    }
    return ORCH_OK;
}

int32_t chunk_gear_init(struct chunk_gear *gear, const struct keys *keys, struct orch_error *err)
{
    return chunk_gear_init_key(gear, keys_get(keys, KEY_GEAR), err);
}

int32_t chunk_cutter_new(const struct chunk_gear *gear, chunk_sink sink, void *ctx,
                         struct chunk_cutter **out, struct orch_error *err)
{
    struct chunk_cutter *cutter = calloc(1, sizeof(*cutter));
    uint8_t *carry = malloc(CHUNK_MAX);
    if (cutter == NULL || carry == NULL) {
        free(cutter);
        free(carry);
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the chunker");
    }
    cutter->gear = gear;
    cutter->sink = sink;
    cutter->ctx = ctx;
    cutter->carry = carry;
    *out = cutter;
    return ORCH_OK;
}

void chunk_cutter_free(struct chunk_cutter *cutter)
{
    if (cutter != NULL) {
        free(cutter->carry);
        free(cutter);
    }
}

void chunk_cutter_start(struct chunk_cutter *cutter, uint32_t profile, uint32_t row_bytes,
                        uint64_t row_offset)
{
    cutter->fixed = 0;
    cutter->head = 0;
    cutter->row_phase = 0;
    cutter->hash = 0;
    cutter->len = 0;
    cutter->carry_len = 0;
    if (profile == ORCH_PROFILE_CONTENT || row_bytes == 0 || row_bytes > CHUNK_MAX) {
        return;
    }
    size_t target = profile == ORCH_PROFILE_ROWS ? CHUNK_ROWS_TARGET : CHUNK_PAGES_TARGET;
    size_t rows = target / row_bytes;
    cutter->fixed = (rows == 0 ? 1 : rows) * row_bytes;
    cutter->head = row_offset;
}

/* How much of `data` belongs to the present fixed chunk; *cut when that ends it. */
static size_t step_fixed(struct chunk_cutter *c, size_t len, bool *cut)
{
    if (c->head > 0) {
        size_t room = CHUNK_MAX - c->len;
        size_t take = c->head < room ? (size_t)c->head : room;
        *cut = take <= len;
        take = *cut ? take : len;
        c->head -= take;
        return take;
    }
    size_t room = c->fixed - (size_t)c->row_phase;
    *cut = room <= len;
    size_t take = *cut ? room : len;
    c->row_phase = *cut ? 0 : c->row_phase + take;
    return take;
}

/*
 * The number of bytes up to and with the one behind which a cut falls; 0 for none. Two bytes a
 * step: what they add to the hash does not wait for it.
 */
static size_t scan(const uint64_t *table, const uint8_t *data, size_t len, uint64_t *hash)
{
    uint64_t h = *hash;
    size_t i = 0;
    for (; i + 4 <= len; i += 4) {
        uint64_t first = (h << 1) + table[data[i]];
        uint64_t second = (h << 2) + ((table[data[i]] << 1) + table[data[i + 1]]);
        uint64_t third = (second << 1) + table[data[i + 2]];
        h = (second << 2) + ((table[data[i + 2]] << 1) + table[data[i + 3]]);
        bool cut =
            (first < CUT_BELOW) | (second < CUT_BELOW) | (third < CUT_BELOW) | (h < CUT_BELOW);
        if (__builtin_expect(cut, 0)) {
            return i + (first < CUT_BELOW ? 1 : second < CUT_BELOW ? 2 : third < CUT_BELOW ? 3 : 4);
        }
    }
    for (; i < len; i++) {
        h = (h << 1) + table[data[i]];
        if (h < CUT_BELOW) {
            return i + 1;
        }
    }
    *hash = h;
    return 0;
}

static size_t step_content(struct chunk_cutter *c, const uint8_t *data, size_t len, bool *cut)
{
    size_t skip = c->len < CHUNK_MIN ? CHUNK_MIN - c->len : 0;
    if (skip >= len) {
        return len;
    }
    size_t most = CHUNK_MAX - c->len - skip;
    size_t part = len - skip < most ? len - skip : most;
    size_t at = scan(c->gear->table, data + skip, part, &c->hash);
    *cut = at > 0 || part == most;
    return skip + (at > 0 ? at : part);
}

size_t chunk_cutter_step(struct chunk_cutter *c, const uint8_t *data, size_t len, bool *cut)
{
    *cut = false;
    size_t take = c->fixed != 0 ? step_fixed(c, len, cut) : step_content(c, data, len, cut);
    c->len += take;
    if (*cut) {
        chunk_cutter_end(c);
    }
    return take;
}

void chunk_cutter_end(struct chunk_cutter *c)
{
    c->len = 0;
    c->hash = 0;
}

static int32_t emit(struct chunk_cutter *c, const uint8_t *data, size_t len, struct orch_error *err)
{
    c->carry_len = 0;
    return c->sink(c->ctx, data, len, err);
}

int32_t chunk_cutter_feed(struct chunk_cutter *c, const uint8_t *data, size_t len,
                          struct orch_error *err)
{
    while (len > 0) {
        bool cut = false;
        size_t take = chunk_cutter_step(c, data, len, &cut);
        int32_t rc = ORCH_OK;
        if (cut && c->carry_len == 0) {
            rc = emit(c, data, take, err);
        } else {
            memcpy(c->carry + c->carry_len, data, take);
            c->carry_len += take;
            if (cut) {
                rc = emit(c, c->carry, c->carry_len, err);
            }
        }
        if (rc != ORCH_OK) {
            return rc;
        }
        data += take;
        len -= take;
    }
    return ORCH_OK;
}

int32_t chunk_cutter_flush(struct chunk_cutter *c, struct orch_error *err)
{
    chunk_cutter_end(c);
    return c->carry_len == 0 ? ORCH_OK : emit(c, c->carry, c->carry_len, err);
}

void chunk_cutter_skip(struct chunk_cutter *c, uint64_t len)
{
    if (c->fixed == 0) {
        return;
    }
    if (c->head > len) {
        c->head -= len;
        return;
    }
    len -= c->head;
    c->head = 0;
    c->row_phase = (c->row_phase + len % c->fixed) % c->fixed;
}
