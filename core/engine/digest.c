/* digest.c: see digest.h. */
#include "engine/digest.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct digest {
    EVP_MD_CTX *ctx;
    bool failed;
};

int32_t digest_new(struct digest **out, struct orch_error *err)
{
    struct digest *digest = calloc(1, sizeof(*digest));
    if (digest == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a digest");
    }
    digest->ctx = EVP_MD_CTX_new();
    if (digest->ctx == NULL || EVP_DigestInit_ex(digest->ctx, EVP_sha256(), NULL) != 1) {
        digest_free(digest);
        return orch_fail(err, ORCH_E_FAILED, "the crypto library cannot compute SHA-256");
    }
    *out = digest;
    return ORCH_OK;
}

void digest_free(struct digest *digest)
{
    if (digest != NULL) {
        EVP_MD_CTX_free(digest->ctx);
        free(digest);
    }
}

static void update(struct digest *digest, const void *data, size_t len)
{
    if (len > 0 && EVP_DigestUpdate(digest->ctx, data, len) != 1) {
        digest->failed = true;
    }
}

void digest_object(struct digest *digest, const struct catalogue_entry *entry)
{
    const struct orch_object *object = &entry->object;
    uint8_t head[5];
    uint8_t tail[21];
    head[0] = 'O';
    put_le32(head + 1, object->name_len);
    update(digest, head, sizeof(head));
    update(digest, object->name, object->name_len);
    put_le32(tail, object->kind);
    put_le64(tail + 4, object->size_bytes);
    tail[12] = entry->refs.tree;
    put_le64(tail + 13, entry->refs.count);
    update(digest, tail, sizeof(tail));
    if (entry->refs.tree) {
        update(digest, entry->refs.root, CHUNK_ID_BYTES);
    } else {
        update(digest, entry->refs.bytes, entry->refs.bytes_len);
    }
}

void digest_layer(struct digest *digest, const struct part_layer *layer)
{
    uint8_t tail[16];
    update(digest, "R", 1);
    update(digest, layer->root, CHUNK_ID_BYTES);
    put_le64(tail, layer->records);
    put_le64(tail + 8, layer->bytes);
    update(digest, tail, sizeof(tail));
}

int32_t digest_finish(struct digest *digest, uint8_t out[32], struct orch_error *err)
{
    if (digest->failed || EVP_DigestFinal_ex(digest->ctx, out, NULL) != 1) {
        return orch_fail(err, ORCH_E_FAILED, "the crypto library cannot compute SHA-256");
    }
    return ORCH_OK;
}
