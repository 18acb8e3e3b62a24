/*
 * byteset.h: a set of keys of one fixed length: ids of packs, of segments, damaged places. Not
 * thread-safe.
 */
#ifndef CORE_ENGINE_BYTESET_H
#define CORE_ENGINE_BYTESET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrate/error.h"

struct byteset;

int32_t byteset_new(size_t key_bytes, struct byteset **out, struct orch_error *err) ORCH_CHECKED;
void byteset_free(struct byteset *set); /* NULL is fine */
/* One that is there already is fine. */
int32_t byteset_add(struct byteset *set, const void *key, struct orch_error *err) ORCH_CHECKED;
/* NULL is an empty set. */
bool byteset_has(const struct byteset *set, const void *key);
size_t byteset_count(const struct byteset *set);

#endif
