/* sample.c: the keys with the smallest hashes. */
#include "sample.h"

#include "hash.h"
#include "rdb_value.h"

#include <inttypes.h>
#include <orchestrate/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void find_largest(struct sample *sample)
{
    sample->largest = 0;
    for (uint32_t i = 1; i < sample->used; i++) {
        if (sample->keys[i].rank > sample->keys[sample->largest].rank) {
            sample->largest = i;
        }
    }
}

int32_t sample_offer(struct sample *sample, const struct crc64 *crc, const struct rdb_event *key,
                     struct orch_error *err)
{
    if (key->key_len > SAMPLE_KEY_MAX) {
        return ORCH_OK;
    }
    uint64_t rank = hash_bytes(key->db, key->key, key->key_len).low;
    if (sample->used == SAMPLE_KEYS && rank >= sample->keys[sample->largest].rank) {
        return ORCH_OK;
    }
    uint8_t *copy = malloc(key->key_len + 1);
    if (copy == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "out of memory for a sampled key");
    }
    if (key->key_len > 0) {
        memcpy(copy, key->key, key->key_len);
    }
    struct sample_key *slot;
    if (sample->used < SAMPLE_KEYS) {
        slot = &sample->keys[sample->used++];
    } else {
        slot = &sample->keys[sample->largest];
        free(slot->key);
    }
    *slot =
        (struct sample_key){.rank = rank,
                            .db = key->db,
                            .type = key->type,
                            .key = copy,
                            .key_len = key->key_len,
                            .digest = rdb_value_digest(crc, key->type, key->value, key->value_len),
                            .count = rdb_value_count(key->type, key->value, key->value_len),
                            .expires_ms = key->expires_ms};
    if (sample->used == SAMPLE_KEYS) {
        find_largest(sample);
    }
    return ORCH_OK;
}

void sample_free(struct sample *sample)
{
    for (uint32_t i = 0; i < sample->used; i++) {
        free(sample->keys[i].key);
    }
    memset(sample, 0, sizeof(*sample));
}

static void to_hex(const uint8_t *data, size_t len, char *text)
{
    static const char DIGITS[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = DIGITS[data[i] >> 4];
        text[2 * i + 1] = DIGITS[data[i] & 15];
    }
    text[2 * len] = '\0';
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes hex in lower case. A new block, or NULL (also when it is no hex). */
static uint8_t *from_hex(const char *text, size_t *len)
{
    size_t chars = strlen(text);
    uint8_t *data = chars % 2 == 0 && chars / 2 <= SAMPLE_KEY_MAX ? malloc(chars / 2 + 1) : NULL;
    for (size_t i = 0; data != NULL && i < chars / 2; i++) {
        int high = nibble(text[2 * i]);
        int low = nibble(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            free(data);
            return NULL;
        }
        data[i] = (uint8_t)(high << 4 | low);
    }
    *len = chars / 2;
    return data;
}

json_t *sample_to_json(const struct sample *sample)
{
    json_t *array = json_array();
    for (uint32_t i = 0; array != NULL && i < sample->used; i++) {
        const struct sample_key *key = &sample->keys[i];
        char hex[2 * SAMPLE_KEY_MAX + 1], digest[17];
        to_hex(key->key, key->key_len, hex);
        (void)snprintf(digest, sizeof(digest), "%016" PRIx64, key->digest);
        json_t *one = json_pack("{s:I, s:I, s:s, s:s}", "db", (json_int_t)key->db, "type",
                                (json_int_t)key->type, "key", hex, "digest", digest);
        int bad = one == NULL;
        if (!bad && key->expires_ms != ORCH_NO_EXPIRY) {
            bad = json_object_set_new(one, "expires_ms", json_integer(key->expires_ms));
        }
        if (!bad && key->count != RDB_VALUE_UNCOUNTED) {
            bad |= json_object_set_new(one, "count", json_integer((json_int_t)key->count));
        }
        if (bad || json_array_append_new(array, one) != 0) {
            if (bad) {
                json_decref(one);
            }
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

int32_t sample_from_json(const json_t *array, struct sample *sample, struct orch_error *err)
{
    memset(sample, 0, sizeof(*sample));
    size_t index;
    json_t *one;
    json_array_foreach(array, index, one)
    {
        const char *hex = json_string_value(json_object_get(one, "key"));
        const char *digest = json_string_value(json_object_get(one, "digest"));
        const json_t *expires = json_object_get(one, "expires_ms");
        const json_t *count = json_object_get(one, "count");
        json_int_t db = json_integer_value(json_object_get(one, "db"));
        json_int_t type = json_integer_value(json_object_get(one, "type"));
        size_t len = 0;
        uint8_t *key = hex == NULL ? NULL : from_hex(hex, &len);
        if (key == NULL || digest == NULL || db < 0 || db > INT32_MAX || type < 0 || type > 255 ||
            sample->used == SAMPLE_KEYS) {
            free(key);
            sample_free(sample);
            return orch_fail(err, ORCH_E_CORRUPT, "the sample in the part's facts is damaged");
        }
        sample->keys[sample->used++] = (struct sample_key){
            .db = (uint32_t)db,
            .type = (uint32_t)type,
            .key = key,
            .key_len = len,
            .digest = strtoull(digest, NULL, 16),
            .count =
                json_is_integer(count) ? (uint64_t)json_integer_value(count) : RDB_VALUE_UNCOUNTED,
            .expires_ms = json_is_integer(expires) ? json_integer_value(expires) : ORCH_NO_EXPIRY};
    }
    return ORCH_OK;
}
