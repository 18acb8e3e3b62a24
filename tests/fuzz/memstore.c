/* memstore.c: see memstore.h. */
#include "memstore.h"

#include <string.h>

#include "engine/document.h"
#include "engine/repo_config.h"
#include "fuzz.h"

struct memstore_file {
    char name[STORAGE_NAME_MAX + 1];
    struct buffer bytes;
};

struct memory_put {
    struct memstore *store;
    char name[STORAGE_NAME_MAX + 1];
    struct buffer bytes;
};

static struct memstore_file *find(const struct memstore *store, const char *name)
{
    for (size_t i = 0; i < store->count; i++) {
        if (strcmp(store->files[i].name, name) == 0) {
            return &store->files[i];
        }
    }
    return NULL;
}

const struct buffer *memstore_get(const struct memstore *store, const char *name)
{
    const struct memstore_file *file = find(store, name);
    return file == NULL ? NULL : &file->bytes;
}

void memstore_set(struct memstore *store, const char *name, const void *data, size_t len)
{
    struct memstore_file *file = find(store, name);
    if (file == NULL) {
        if (store->count == store->capacity) {
            store->capacity = store->capacity == 0 ? 16 : 2 * store->capacity;
            store->files = realloc(store->files, store->capacity * sizeof(*store->files));
            must(store->files != NULL);
        }
        file = &store->files[store->count++];
        *file = (struct memstore_file){.bytes = BUFFER_INIT};
        must(strlen(name) < sizeof(file->name));
        memcpy(file->name, name, strlen(name) + 1);
    }
    buffer_free(&file->bytes);
    buffer_append(&file->bytes, data, len);
    must(!file->bytes.failed);
}

void memstore_set_document(struct memstore *store, const char *name, enum key_purpose purpose,
                           const json_t *json)
{
    CLEANUP_BUFFER struct buffer bytes = BUFFER_INIT;
    struct orch_error err = ORCH_ERROR_INIT;
    must(document_seal(store->repo, name, purpose, json, &bytes, &err) == ORCH_OK);
    memstore_set(store, name, bytes.data, bytes.len);
}

/* ---- the driver ---------------------------------------------------------------------------- */

static uint32_t memory_capabilities(void *impl)
{
    (void)impl;
    return STORAGE_CAN_PUT_IF_ABSENT;
}

static int32_t memory_put_begin(void *impl, const char *name, void **put, struct orch_error *err)
{
    struct memory_put *begun = calloc(1, sizeof(*begun));
    (void)err;
    must(begun != NULL && strlen(name) < sizeof(begun->name));
    begun->store = impl;
    memcpy(begun->name, name, strlen(name) + 1);
    *put = begun;
    return ORCH_OK;
}

static int32_t memory_put_data(void *put, const void *data, size_t len, struct orch_error *err)
{
    struct memory_put *begun = put;
    (void)err;
    buffer_append(&begun->bytes, data, len);
    must(!begun->bytes.failed);
    return ORCH_OK;
}

static void memory_put_abort(void *put)
{
    struct memory_put *begun = put;
    buffer_free(&begun->bytes);
    free(begun);
}

static int32_t memory_put_commit(void *put, uint32_t flags, struct orch_error *err)
{
    struct memory_put *begun = put;
    int32_t rc = ORCH_OK;
    if ((flags & STORAGE_IF_ABSENT) != 0 && find(begun->store, begun->name) != NULL) {
        rc = orch_fail(err, ORCH_E_EXISTS, "%s is there already", begun->name);
    } else {
        memstore_set(begun->store, begun->name, begun->bytes.data, begun->bytes.len);
    }
    memory_put_abort(put);
    return rc;
}

static int32_t memory_find(void *impl, const char *name, struct memstore_file **file,
                           struct orch_error *err)
{
    *file = find(impl, name);
    return *file == NULL ? orch_fail(err, ORCH_E_NOT_FOUND, "%s is not there", name) : ORCH_OK;
}

static int32_t memory_get(void *impl, const char *name, uint64_t offset, void *data, size_t len,
                          struct orch_error *err)
{
    struct memstore_file *file = NULL;
    int32_t rc = memory_find(impl, name, &file, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (offset > file->bytes.len || len > file->bytes.len - offset) {
        return orch_fail(err, ORCH_E_CORRUPT, "%s is shorter than that", name);
    }
    if (len > 0) {
        memcpy(data, file->bytes.data + offset, len);
    }
    return ORCH_OK;
}

static int32_t memory_stat(void *impl, const char *name, struct storage_stat *stat,
                           struct orch_error *err)
{
    struct memstore_file *file = NULL;
    int32_t rc = memory_find(impl, name, &file, err);
    if (rc == ORCH_OK) {
        *stat = (struct storage_stat){.size_bytes = file->bytes.len, .mtime_ns = 1};
    }
    return rc;
}

static int32_t memory_list(void *impl, const char *prefix,
                           int32_t (*each)(void *ctx, const char *name,
                                           const struct storage_stat *stat, struct orch_error *err),
                           void *ctx, struct orch_error *err)
{
    struct memstore *store = impl;
    size_t len = strlen(prefix);
    int32_t rc = ORCH_OK;
    /* From the end, since `each` may remove what it was given. */
    for (size_t i = store->count; rc == ORCH_OK && i-- > 0;) {
        char name[STORAGE_NAME_MAX + 1];
        struct storage_stat stat = {.size_bytes = store->files[i].bytes.len, .mtime_ns = 1};
        memcpy(name, store->files[i].name, sizeof(name));
        if (len == 0 || (strncmp(name, prefix, len) == 0 && name[len] == '/')) {
            rc = each(ctx, name, &stat, err);
        }
    }
    return rc;
}

static int32_t memory_remove(void *impl, const char *name, struct orch_error *err)
{
    struct memstore *store = impl;
    struct memstore_file *file = NULL;
    int32_t rc = memory_find(impl, name, &file, err);
    if (rc == ORCH_OK) {
        buffer_free(&file->bytes);
        *file = store->files[--store->count];
    }
    return rc;
}

static int32_t memory_barrier(void *impl, struct orch_error *err)
{
    (void)impl;
    (void)err;
    return ORCH_OK;
}

static void memory_close(void *impl)
{
    (void)impl;
}

/* ---- the repository ------------------------------------------------------------------------ */

static void put_config(struct memstore *store)
{
    static const uint8_t master[KEY_BYTES] = {7, 7, 7};
    struct repo_config config = {.id = MEMSTORE_REPO_ID, .algorithm = SEAL_NONE, .slot_count = 1};
    struct repo_unlock unlock = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    struct keys *keys = NULL;
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    must(keys_new(master, config.id, &keys, &err) == ORCH_OK);
    must(keyslot_make(config.id, &unlock, 0, master, &config.slots[0], &err) == ORCH_OK);
    must(repo_config_format(&config, keys, &text, &err) == ORCH_OK);
    memstore_set(store, REPO_CONFIG_NAME, text.data, text.len);
    keys_free(keys);
}

struct memstore *memstore_fresh(void)
{
    static struct memstore store;
    static const struct storage_driver driver = {
        .name = "memory",
        .capabilities = memory_capabilities,
        .put_begin = memory_put_begin,
        .put_data = memory_put_data,
        .put_commit = memory_put_commit,
        .put_abort = memory_put_abort,
        .get = memory_get,
        .stat = memory_stat,
        .list = memory_list,
        .remove = memory_remove,
        .barrier = memory_barrier,
        .close = memory_close,
    };
    struct repo_unlock unlock = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    if (store.repo == NULL) {
        must(storage_new(&driver, &store, &store.storage, &err) == ORCH_OK);
        put_config(&store);
        must(repo_open(store.storage, &unlock, NULL, &store.repo, &err) == ORCH_OK);
    }
    while (store.count > 1) { /* the first is `config` */
        buffer_free(&store.files[--store.count].bytes);
    }
    return &store;
}
