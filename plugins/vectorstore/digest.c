/* digest.c: see digest.h. */
#include "digest.h"

#include "cleanup.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>

#define PIECE_BYTES (256u * 1024u)

static int32_t failed(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_FAILED, "SHA-256 is not to be had from libcrypto");
}

/* struct digest is never defined: it is libcrypto's context under another name. */
static EVP_MD_CTX *context(struct digest *digest)
{
    return (EVP_MD_CTX *)(void *)digest;
}

int32_t digest_new(struct digest **out, struct orch_error *err)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(ctx);
        return failed(err);
    }
    *out = (struct digest *)(void *)ctx;
    return ORCH_OK;
}

int32_t digest_add(struct digest *digest, const void *data, size_t len, struct orch_error *err)
{
    return EVP_DigestUpdate(context(digest), data, len) == 1 ? ORCH_OK : failed(err);
}

int32_t digest_text(struct digest *digest, char text[DIGEST_TEXT], struct orch_error *err)
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    if (EVP_DigestFinal_ex(context(digest), raw, &len) != 1 || len != 32) {
        return failed(err);
    }
    for (unsigned int i = 0; i < len; i++) {
        (void)snprintf(text + (size_t)i * 2, 3, "%02x", raw[i]);
    }
    return ORCH_OK;
}

void digest_free(struct digest *digest)
{
    EVP_MD_CTX_free(context(digest));
}

int32_t digest_fd(int fd, int32_t (*stop)(void *), void *ctx, char text[DIGEST_TEXT],
                  uint64_t *size, struct orch_error *err)
{
    CLEANUP_FREE char *piece = malloc(PIECE_BYTES);
    struct digest *digest = NULL;
    *size = 0;
    int32_t rc = piece == NULL ? orch_fail(err, ORCH_E_NOMEM, "no memory to read a file")
                               : digest_new(&digest, err);
    while (rc == ORCH_OK) {
        if (stop != NULL && stop(ctx) != 0) {
            rc = orch_fail(err, ORCH_E_CANCELLED, "cancelled");
            break;
        }
        ssize_t n = pread(fd, piece, PIECE_BYTES, (off_t)*size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            rc = orch_fail_errno(err, errno, "cannot read it");
        } else if (n == 0) {
            rc = digest_text(digest, text, err);
            break;
        } else {
            *size += (uint64_t)n;
            rc = digest_add(digest, piece, (size_t)n, err);
        }
    }
    digest_free(digest);
    return rc;
}

int32_t digest_bytes(const void *data, size_t len, char text[DIGEST_TEXT], struct orch_error *err)
{
    struct digest *digest = NULL;
    int32_t rc = digest_new(&digest, err);
    if (rc == ORCH_OK) {
        rc = digest_add(digest, data, len, err);
    }
    if (rc == ORCH_OK) {
        rc = digest_text(digest, text, err);
    }
    digest_free(digest);
    return rc;
}
