/*
 * digest.h: SHA-256 of what is sent and of what is written, as hexadecimal text.
 */
#ifndef VECTORSTORE_DIGEST_H
#define VECTORSTORE_DIGEST_H

#include <stddef.h>

#include <orchestrate/error.h>

#define DIGEST_TEXT 65 /* 64 digits and a zero */

struct digest;

int32_t digest_new(struct digest **out, struct orch_error *err) ORCH_CHECKED;
int32_t digest_add(struct digest *digest, const void *data, size_t len,
                   struct orch_error *err) ORCH_CHECKED;
int32_t digest_text(struct digest *digest, char text[DIGEST_TEXT],
                    struct orch_error *err) ORCH_CHECKED;
void digest_free(struct digest *digest); /* NULL is allowed */

/* Of a whole file, whose position is not moved; *size counts its bytes. `stop` (may be NULL) is
 * asked now and then: non-zero ends with ORCH_E_CANCELLED. */
int32_t digest_fd(int fd, int32_t (*stop)(void *), void *ctx, char text[DIGEST_TEXT],
                  uint64_t *size, struct orch_error *err) ORCH_CHECKED;

/* Of bytes in memory. */
int32_t digest_bytes(const void *data, size_t len, char text[DIGEST_TEXT],
                     struct orch_error *err) ORCH_CHECKED;

#endif
