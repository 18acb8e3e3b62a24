/*
 * document.h: the bytes of a sealed document: JSON, compressed, sealed and bound to its name.
 *
 *   0  8  magic "ORCHDOC1"
 *   8  4  version, 1
 *  12  4  purpose: 1 manifest, 2 control
 *  16  4  algorithm, SEAL_*
 *  20  4  zero
 *  24 32  salt
 *  56     the sealed zstd frame and its tag, to the end
 */
#ifndef CORE_ENGINE_DOCUMENT_H
#define CORE_ENGINE_DOCUMENT_H

#include "engine/repo.h"

#define DOCUMENT_PLAIN_MAX ((size_t)256 << 20) /* of JSON text */
#define DOCUMENT_MAX ((size_t)257 << 20)       /* of a file */

/* Appends the file's bytes to `out`. */
int32_t document_seal(const struct repo *repo, const char *name, enum key_purpose purpose,
                      const json_t *document, struct buffer *out,
                      struct orch_error *err) ORCH_CHECKED;
/* A new reference in *json. */
int32_t document_open(const struct repo *repo, const char *name, enum key_purpose purpose,
                      const void *bytes, size_t len, json_t **json,
                      struct orch_error *err) ORCH_CHECKED;

/* The last step of document_open: the bytes behind the seal to JSON. */
int32_t document_decompress(const char *name, const uint8_t *bytes, size_t len, json_t **json,
                            struct orch_error *err) ORCH_CHECKED;

#endif
