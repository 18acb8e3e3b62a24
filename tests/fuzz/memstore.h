/*
 * memstore.h: a store in memory, and a repository in it with keys that never change.
 *
 * So a target hands the bytes of any file to the functions that read it from a repository. What
 * they read is as long as it is and no longer: a read past the end shows.
 */
#ifndef TESTS_FUZZ_MEMSTORE_H
#define TESTS_FUZZ_MEMSTORE_H

#include "engine/repo.h"

#define MEMSTORE_REPO_ID "00112233445566778899aabbccddeeff"

struct memstore {
    struct storage *storage;
    struct repo *repo; /* SEAL_NONE: nothing here needs to be secret, and it is fast */
    struct memstore_file *files;
    size_t count, capacity;
};

/* The one store of the process, with nothing but `config` in it. */
struct memstore *memstore_fresh(void);
/* Adds or replaces a file. */
void memstore_set(struct memstore *store, const char *name, const void *data, size_t len);
/* Seals `json`, an object or an array, as the document `name` and adds it. */
void memstore_set_document(struct memstore *store, const char *name, enum key_purpose purpose,
                           const json_t *json);
/* NULL when there is none. */
const struct buffer *memstore_get(const struct memstore *store, const char *name);

#endif
