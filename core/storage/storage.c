/* storage.c: the face of a store: checks names, finds the driver, and adds what all drivers share.
 */
#include "storage/storage.h"

#include <stdlib.h>
#include <string.h>

#include "storage/directory.h"

#define STORAGE_ELEMENT_MAX 128u
#define STORAGE_READ_TRIES 4

struct storage {
    const struct storage_driver *driver;
    void *impl;
    char *url;
};

struct storage_put {
    struct storage *storage;
    void *put;
};

static bool name_byte_ok(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

bool storage_name_ok(const char *name)
{
    size_t total = strlen(name);
    if (total == 0 || total > STORAGE_NAME_MAX) {
        return false;
    }
    size_t element = 0;
    for (const char *p = name;; p++) {
        if (*p != '/' && *p != '\0') {
            if (!name_byte_ok(*p)) {
                return false;
            }
            element++;
            continue;
        }
        bool dots =
            (element == 1 && p[-1] == '.') || (element == 2 && p[-1] == '.' && p[-2] == '.');
        if (element == 0 || element > STORAGE_ELEMENT_MAX || dots) {
            return false;
        }
        if (*p == '\0') {
            return true;
        }
        element = 0;
    }
}

static int32_t check_name(const struct storage *storage, const char *name, struct orch_error *err)
{
    if (!storage_name_ok(name)) {
        return orch_fail(err, ORCH_E_INVALID,
                         "\"%.80s\" is not a valid file name in the repository %s (a-z 0-9 _ . - "
                         "and /)",
                         name, storage->url);
    }
    return ORCH_OK;
}

int32_t storage_open(const char *url, bool create, struct storage **out, struct orch_error *err)
{
    const char *path = url;
    if (strncmp(url, "file://", 7) == 0) {
        path = url + 7;
    }
    if (path[0] != '/') {
        return orch_fail(err, ORCH_E_UNSUPPORTED,
                         "repository \"%s\" is of no kind that this program can open; use an "
                         "absolute path or file:///path",
                         url);
    }
    const struct storage_driver *driver = NULL;
    void *impl = NULL;
    int32_t rc = directory_open(path, create, &driver, &impl, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct storage *storage = NULL;
    rc = storage_new(driver, impl, &storage, err);
    if (rc != ORCH_OK) {
        driver->close(impl);
        return rc;
    }
    free(storage->url);
    storage->url = strdup(url);
    if (storage->url == NULL) {
        storage_close(storage);
        return orch_fail(err, ORCH_E_NOMEM, "no memory to open %s", url);
    }
    *out = storage;
    return ORCH_OK;
}

int32_t storage_new(const struct storage_driver *driver, void *impl, struct storage **out,
                    struct orch_error *err)
{
    if (driver->name == NULL || driver->capabilities == NULL || driver->put_begin == NULL ||
        driver->put_data == NULL || driver->put_commit == NULL || driver->put_abort == NULL ||
        driver->get == NULL || driver->stat == NULL || driver->list == NULL ||
        driver->remove == NULL || driver->barrier == NULL || driver->close == NULL) {
        return orch_fail(err, ORCH_E_INVALID, "storage driver \"%s\" lacks a required operation",
                         driver->name == NULL ? "" : driver->name);
    }
    struct storage *storage = calloc(1, sizeof *storage);
    struct buffer url = BUFFER_INIT;
    buffer_printf(&url, "%s:", driver->name);
    if (storage == NULL || buffer_string(&url) == NULL) {
        free(storage);
        buffer_free(&url);
        return orch_fail(err, ORCH_E_NOMEM, "no memory to open a store");
    }
    storage->driver = driver;
    storage->impl = impl;
    storage->url = (char *)url.data;
    *out = storage;
    return ORCH_OK;
}

void storage_close(struct storage *storage)
{
    if (storage != NULL) {
        storage->driver->close(storage->impl);
        free(storage->url);
        free(storage);
    }
}

void storage_cleanup(struct storage **slot)
{
    storage_close(*slot);
}

uint32_t storage_capabilities(const struct storage *storage)
{
    return storage->driver->capabilities(storage->impl);
}

const char *storage_url(const struct storage *storage)
{
    return storage->url;
}

int32_t storage_put(struct storage *storage, const char *name, const void *data, size_t len,
                    uint32_t flags, struct orch_error *err)
{
    struct storage_put *put = NULL;
    int32_t rc = storage_put_begin(storage, name, &put, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    rc = storage_put_data(put, data, len, err);
    if (rc != ORCH_OK) {
        storage_put_abort(put);
        return rc;
    }
    return storage_put_commit(put, flags, err);
}

int32_t storage_put_begin(struct storage *storage, const char *name, struct storage_put **out,
                          struct orch_error *err)
{
    int32_t rc = check_name(storage, name, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct storage_put *put = calloc(1, sizeof *put);
    if (put == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to store %s", name);
    }
    put->storage = storage;
    rc = storage->driver->put_begin(storage->impl, name, &put->put, err);
    if (rc != ORCH_OK) {
        free(put);
        return rc;
    }
    *out = put;
    return ORCH_OK;
}

int32_t storage_put_data(struct storage_put *put, const void *data, size_t len,
                         struct orch_error *err)
{
    if (len == 0) {
        return ORCH_OK;
    }
    return put->storage->driver->put_data(put->put, data, len, err);
}

int32_t storage_put_commit(struct storage_put *put, uint32_t flags, struct orch_error *err)
{
    int32_t rc;
    if ((flags & STORAGE_IF_ABSENT) != 0 &&
        (storage_capabilities(put->storage) & STORAGE_CAN_PUT_IF_ABSENT) == 0) {
        put->storage->driver->put_abort(put->put);
        rc = orch_fail(err, ORCH_E_UNSUPPORTED, "the store %s cannot put a file only if absent",
                       put->storage->url);
    } else {
        rc = put->storage->driver->put_commit(put->put, flags, err);
    }
    free(put);
    return rc;
}

void storage_put_abort(struct storage_put *put)
{
    if (put != NULL) {
        put->storage->driver->put_abort(put->put);
        free(put);
    }
}

int32_t storage_get(struct storage *storage, const char *name, uint64_t offset, void *data,
                    size_t len, struct orch_error *err)
{
    int32_t rc = check_name(storage, name, err);
    return rc != ORCH_OK ? rc : storage->driver->get(storage->impl, name, offset, data, len, err);
}

/* One attempt to read a whole file by stat and get. *changed: the file was replaced meanwhile. */
static int32_t read_by_parts(struct storage *storage, const char *name, size_t max,
                             struct buffer *out, bool *changed, struct orch_error *err)
{
    struct storage_stat before = {0};
    struct storage_stat after = {0};
    *changed = false;
    int32_t rc = storage->driver->stat(storage->impl, name, &before, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (before.size_bytes > max) {
        return orch_fail(err, ORCH_E_CORRUPT,
                         "%s in %s has %llu bytes where at most %zu make sense; it is damaged",
                         name, storage->url, (unsigned long long)before.size_bytes, max);
    }
    size_t size = (size_t)before.size_bytes;
    uint8_t *space = buffer_reserve(out, size + 1); /* of an empty file too, there is data */
    if (space == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to read %s", name);
    }
    rc = storage->driver->get(storage->impl, name, 0, space, size, err);
    if (rc != ORCH_OK && rc != ORCH_E_CORRUPT) {
        return rc;
    }
    struct orch_error ignored = ORCH_ERROR_INIT;
    int32_t again = storage->driver->stat(storage->impl, name, &after, &ignored);
    if (again == ORCH_OK &&
        (after.size_bytes != before.size_bytes || after.mtime_ns != before.mtime_ns)) {
        *changed = true;
        return orch_fail(err, ORCH_E_CHANGED, "%s in %s changed while it was read; try again", name,
                         storage->url);
    }
    if (rc == ORCH_OK) {
        out->len += size;
    }
    return rc;
}

int32_t storage_read(struct storage *storage, const char *name, size_t max, struct buffer *out,
                     struct orch_error *err)
{
    int32_t rc = check_name(storage, name, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (storage->driver->read != NULL) {
        return storage->driver->read(storage->impl, name, max, out, err);
    }
    bool changed = true;
    for (int i = 0; i < STORAGE_READ_TRIES && changed; i++) {
        rc = read_by_parts(storage, name, max, out, &changed, err);
    }
    return rc;
}

int32_t storage_stat(struct storage *storage, const char *name, struct storage_stat *stat,
                     struct orch_error *err)
{
    int32_t rc = check_name(storage, name, err);
    return rc != ORCH_OK ? rc : storage->driver->stat(storage->impl, name, stat, err);
}

int32_t storage_list(struct storage *storage, const char *prefix,
                     int32_t (*each)(void *ctx, const char *name, const struct storage_stat *stat,
                                     struct orch_error *err),
                     void *ctx, struct orch_error *err)
{
    int32_t rc = prefix[0] == '\0' ? ORCH_OK : check_name(storage, prefix, err);
    return rc != ORCH_OK ? rc : storage->driver->list(storage->impl, prefix, each, ctx, err);
}

int32_t storage_remove(struct storage *storage, const char *name, struct orch_error *err)
{
    int32_t rc = check_name(storage, name, err);
    return rc != ORCH_OK ? rc : storage->driver->remove(storage->impl, name, err);
}

int32_t storage_barrier(struct storage *storage, struct orch_error *err)
{
    return storage->driver->barrier(storage->impl, err);
}
