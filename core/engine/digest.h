/*
 * digest.h: the digest of a part's content: SHA-256 over its objects (name, kind, size, references)
 * in name order and then its layers. Equal content under equal keys gives equal digests; metadata
 * and times are left out.
 */
#ifndef CORE_ENGINE_DIGEST_H
#define CORE_ENGINE_DIGEST_H

#include "engine/catalogue.h"

struct digest;

int32_t digest_new(struct digest **out, struct orch_error *err) ORCH_CHECKED;
void digest_free(struct digest *digest); /* NULL is fine */
void digest_object(struct digest *digest, const struct catalogue_entry *entry);
void digest_layer(struct digest *digest, const struct part_layer *layer);
/* Ends it. */
int32_t digest_finish(struct digest *digest, uint8_t out[32], struct orch_error *err) ORCH_CHECKED;

#endif
