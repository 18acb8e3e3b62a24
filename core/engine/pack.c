/* pack.c: name, header, footer and trailer of a pack; see pack.h. */
#include "engine/pack.h"

#include <openssl/crypto.h>
#include <string.h>

#include "engine/frame.h"

#define PACK_VERSION 1u
#define WRAP_SYMMETRIC 1u /* data key sealed under a key expanded from KEY_DATA and the salt */
#define WRAPPED_BYTES (SEAL_KEY_BYTES + SEAL_TAG_BYTES)

/* Offsets in the header. */
#define AT_VERSION 8
#define AT_KIND 10
#define AT_ALGORITHM 11
#define AT_WRAP 12
#define AT_ZERO 13
#define AT_WRAPPED_LEN 14
#define AT_ID 16
#define AT_SALT 32
#define AT_WRAPPED 64
#define SALT_BYTES 32

/* The first nonce byte keeps footer and trailer apart from the frames. */
#define NONCE_FOOTER 1
#define NONCE_TRAILER 2

static const char pack_magic[9] = "ORCHPACK";
static const char trailer_magic[9] = "ORCHTAIL";

void pack_name(const uint8_t id[PACK_ID_BYTES], char name[PACK_NAME_BYTES])
{
    memcpy(name, "packs/", 6);
    hex_encode(id, 1, name + 6);
    name[8] = '/';
    hex_encode(id, PACK_ID_BYTES, name + 9);
}

int32_t pack_name_id(const char *name, uint8_t id[PACK_ID_BYTES])
{
    char expected[PACK_NAME_BYTES];
    if (strlen(name) != 9 + 2 * PACK_ID_BYTES ||
        hex_decode(name + 9, 2 * PACK_ID_BYTES, id, PACK_ID_BYTES) != ORCH_OK) {
        return ORCH_E_INVALID;
    }
    pack_name(id, expected);
    return strcmp(name, expected) == 0 ? ORCH_OK : ORCH_E_INVALID;
}

static int32_t wrap_seal(const struct keys *keys, uint32_t algorithm, const uint8_t *header,
                         struct seal **out, struct orch_error *err)
{
    uint8_t key[KEY_BYTES];
    int32_t rc = keys_expand(keys, KEY_DATA, header + AT_SALT, SALT_BYTES, "pack key", key, err);
    if (rc == ORCH_OK) {
        rc = seal_new(algorithm, key, out, err);
    }
    OPENSSL_cleanse(key, sizeof(key));
    return rc;
}

static void key_fill(struct pack_key *out, const uint8_t *header, struct seal *seal)
{
    out->seal = seal;
    memcpy(out->id, header + AT_ID, PACK_ID_BYTES);
    out->kind = header[AT_KIND];
    out->algorithm = header[AT_ALGORITHM];
}

int32_t pack_key_new(const struct keys *keys, uint32_t algorithm, uint32_t kind,
                     struct pack_key *out, uint8_t header[PACK_HEADER_BYTES],
                     struct orch_error *err)
{
    static const uint8_t nonce[SEAL_NONCE_BYTES]; /* the wrapping key is used once */
    uint8_t data_key[SEAL_KEY_BYTES];
    memset(header, 0, PACK_HEADER_BYTES);
    memcpy(header, pack_magic, 8);
    header[AT_VERSION] = PACK_VERSION;
    header[AT_KIND] = (uint8_t)kind;
    header[AT_ALGORITHM] = (uint8_t)algorithm;
    header[AT_WRAP] = WRAP_SYMMETRIC;
    header[AT_WRAPPED_LEN] = WRAPPED_BYTES;
    int32_t rc = id_random(header + AT_ID, PACK_ID_BYTES + SALT_BYTES, err);
    if (rc != ORCH_OK || (rc = id_random(data_key, sizeof(data_key), err)) != ORCH_OK) {
        return rc;
    }
    struct seal *wrap = NULL;
    struct seal *seal = NULL;
    rc = wrap_seal(keys, algorithm, header, &wrap, err);
    if (rc == ORCH_OK) {
        rc = seal_close(wrap, nonce, header, AT_WRAPPED, data_key, sizeof(data_key),
                        header + AT_WRAPPED, err);
    }
    if (rc == ORCH_OK) {
        rc = seal_new(algorithm, data_key, &seal, err);
    }
    if (rc == ORCH_OK) {
        key_fill(out, header, seal);
    }
    seal_free(wrap);
    OPENSSL_cleanse(data_key, sizeof(data_key));
    return rc;
}

static int32_t header_check(const uint8_t *header, uint32_t algorithm, const uint8_t *id,
                            struct orch_error *err)
{
    if (memcmp(header, pack_magic, 8) != 0) {
        return orch_fail(err, ORCH_E_CORRUPT, "its header is damaged, or it is not a pack");
    }
    if (header[AT_VERSION] != PACK_VERSION || header[AT_VERSION + 1] != 0 ||
        header[AT_WRAP] != WRAP_SYMMETRIC) {
        return orch_fail(err, ORCH_E_VERSION,
                         "its header tells of format %u with key wrapping %u, which this version "
                         "does not know; or it is damaged",
                         header[AT_VERSION] + 256u * header[AT_VERSION + 1], header[AT_WRAP]);
    }
    if (header[AT_ALGORITHM] != algorithm || header[AT_WRAPPED_LEN] != WRAPPED_BYTES ||
        header[AT_WRAPPED_LEN + 1] != 0 || memcmp(header + AT_ID, id, PACK_ID_BYTES) != 0 ||
        (header[AT_KIND] != PACK_DATA && header[AT_KIND] != PACK_META)) {
        return orch_fail(err, ORCH_E_CORRUPT, "its header is damaged, or it is another pack");
    }
    return ORCH_OK;
}

int32_t pack_key_open(const struct keys *keys, uint32_t algorithm,
                      const uint8_t header[PACK_HEADER_BYTES], const uint8_t id[PACK_ID_BYTES],
                      struct pack_key *out, struct orch_error *err)
{
    static const uint8_t nonce[SEAL_NONCE_BYTES];
    uint8_t data_key[SEAL_KEY_BYTES];
    struct seal *wrap = NULL;
    struct seal *seal = NULL;
    int32_t rc = header_check(header, algorithm, id, err);
    if (rc != ORCH_OK || (rc = wrap_seal(keys, algorithm, header, &wrap, err)) != ORCH_OK) {
        return rc;
    }
    rc = seal_open(wrap, nonce, header, AT_WRAPPED, header + AT_WRAPPED, WRAPPED_BYTES, data_key,
                   err);
    if (rc != ORCH_OK) {
        rc = orch_wrap(err, "its header");
    } else if ((rc = seal_new(algorithm, data_key, &seal, err)) == ORCH_OK) {
        key_fill(out, header, seal);
    }
    seal_free(wrap);
    OPENSSL_cleanse(data_key, sizeof(data_key));
    return rc;
}

void pack_key_clear(struct pack_key *key)
{
    seal_free(key->seal);
    memset(key, 0, sizeof(*key));
}

#define FOOTER_AD_BYTES 40

static void footer_ad(const struct pack_key *key, uint64_t offset, uint32_t len,
                      uint8_t ad[FOOTER_AD_BYTES])
{
    memset(ad, 0, FOOTER_AD_BYTES);
    memcpy(ad, "ORCHFTR1", 8);
    memcpy(ad + 8, key->id, PACK_ID_BYTES);
    ad[24] = key->kind;
    ad[25] = key->algorithm;
    put_le64(ad + 28, offset);
    put_le32(ad + 36, len);
}

/* Trailer: magic 8, version 2, flags 2, kind 1, zero 3, footer offset 8, footer length 4, zero 4,
 * parity offset 8, tag 16. */
#define TRAILER_SIGNED (PACK_TRAILER_BYTES - SEAL_TAG_BYTES)

int32_t pack_footer_encode(struct pack_key *key, const struct pack_table *table, struct buffer *out,
                           struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer plain = BUFFER_INIT;
    pack_table_encode(table, &plain);
    uint8_t *room = buffer_reserve(out, plain.len + SEAL_TAG_BYTES + PACK_TRAILER_BYTES);
    if (plain.failed || room == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the footer of a pack");
    }
    uint64_t offset = pack_table_end(table);
    uint32_t len = (uint32_t)(plain.len + SEAL_TAG_BYTES);
    uint8_t ad[FOOTER_AD_BYTES];
    footer_ad(key, offset, len, ad);
    uint8_t nonce[SEAL_NONCE_BYTES] = {NONCE_FOOTER};
    int32_t rc = seal_close(key->seal, nonce, ad, sizeof(ad), plain.data, plain.len, room, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    uint8_t *trailer = room + len;
    memset(trailer, 0, PACK_TRAILER_BYTES);
    memcpy(trailer, trailer_magic, 8);
    trailer[8] = PACK_VERSION;
    trailer[12] = key->kind;
    put_le64(trailer + 16, offset);
    put_le32(trailer + 24, len);
    nonce[0] = NONCE_TRAILER;
    uint8_t tag[SEAL_TAG_BYTES];
    rc = seal_close(key->seal, nonce, trailer, TRAILER_SIGNED, "", 0, tag, err);
    if (rc == ORCH_OK) {
        memcpy(trailer + TRAILER_SIGNED, tag, sizeof(tag));
        out->len += len + PACK_TRAILER_BYTES;
    }
    return rc;
}

int32_t pack_trailer_open(struct pack_key *key, const uint8_t trailer[PACK_TRAILER_BYTES],
                          uint64_t file_bytes, uint64_t *footer_offset, uint32_t *footer_len,
                          struct orch_error *err)
{
    uint8_t nonce[SEAL_NONCE_BYTES] = {NONCE_TRAILER};
    uint8_t nothing[1];
    int32_t rc = seal_open(key->seal, nonce, trailer, TRAILER_SIGNED, trailer + TRAILER_SIGNED,
                           SEAL_TAG_BYTES, nothing, err);
    if (rc != ORCH_OK) {
        return orch_wrap(err, "its trailer");
    }
    if (memcmp(trailer, trailer_magic, 8) != 0 || trailer[8] != PACK_VERSION || trailer[9] != 0) {
        return orch_fail(err, ORCH_E_VERSION,
                         "its trailer is of a format not known to this version");
    }
    uint64_t offset = get_le64(trailer + 16);
    uint32_t len = get_le32(trailer + 24);
    if (get_le64(trailer + 32) != 0 || (trailer[10] | trailer[11]) != 0) {
        return orch_fail(err, ORCH_E_VERSION, "it has parity, which this version does not know");
    }
    if (len <= SEAL_TAG_BYTES || len > PACK_FOOTER_MAX || offset < PACK_HEADER_BYTES ||
        offset > file_bytes || file_bytes - offset != (uint64_t)len + PACK_TRAILER_BYTES) {
        return orch_fail(err, ORCH_E_CORRUPT, "its trailer and its length do not agree");
    }
    *footer_offset = offset;
    *footer_len = len;
    return ORCH_OK;
}

int32_t pack_footer_open(struct pack_key *key, uint8_t *footer, uint32_t footer_len,
                         uint64_t footer_offset, uint64_t file_bytes, struct pack_table *out,
                         struct orch_error *err)
{
    uint8_t ad[FOOTER_AD_BYTES];
    uint8_t nonce[SEAL_NONCE_BYTES] = {NONCE_FOOTER};
    footer_ad(key, footer_offset, footer_len, ad);
    int32_t rc = seal_open(key->seal, nonce, ad, sizeof(ad), footer, footer_len, footer, err);
    if (rc != ORCH_OK) {
        return orch_wrap(err, "its footer");
    }
    struct reader in = reader_over(footer, footer_len - SEAL_TAG_BYTES);
    memcpy(out->id, key->id, PACK_ID_BYTES);
    out->kind = key->kind;
    out->size_bytes = file_bytes;
    rc = pack_table_decode(out, &in, err);
    if (rc == ORCH_OK && (reader_left(&in) != 0 || pack_table_end(out) != footer_offset)) {
        rc = orch_fail(err, ORCH_E_CORRUPT, "its footer does not account for every byte");
    }
    return rc;
}
