/*
 * storage.h: where a repository's files lie. One small interface, one driver per kind of store.
 *
 * A name is a relative path of safe characters ("packs/ab/abcd…"): [a-z0-9_.-] and '/', no "." or
 * ".." element, at most STORAGE_NAME_MAX bytes; checked here, before a driver sees it. The folder
 * "tmp" belongs to the driver. Drivers may be used from several threads at once. Every function
 * returns 0 or a code and fills `err` with the name and what to do.
 *
 * In test builds ORCHESTRATE_STORAGE_FAULT makes a directory store fail; see fault.h.
 */
#ifndef CORE_STORAGE_STORAGE_H
#define CORE_STORAGE_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "orchestrate/error.h"

#define STORAGE_NAME_MAX 255u

struct storage;     /* an open store */
struct storage_put; /* a streamed put under way */

/* What a store can do beyond the required operations. */
#define STORAGE_CAN_PUT_IF_ABSENT 1u    /* exactly one of two racing puts wins */
#define STORAGE_CAN_COMPARE_AND_SWAP 2u /* reserved */

/* Flags of a put. */
#define STORAGE_IF_ABSENT 1u /* ORCH_E_EXISTS when the name is taken */
#define STORAGE_DURABLE                                                                            \
    2u /* survives a power loss once the put has returned; without it, once                        \
          storage_barrier() has returned */

struct storage_stat {
    uint64_t size_bytes;
    int64_t mtime_ns; /* by the store's clock; for display only */
};

/*
 * A driver. All operations but `read` are required; storage_new() refuses a driver that lacks one.
 * The driver owns `impl` once storage_new() has succeeded.
 */
struct storage_driver {
    const char *name; /* "directory" */
    uint32_t (*capabilities)(void *impl);
    int32_t (*put_begin)(void *impl, const char *name, void **put, struct orch_error *err);
    int32_t (*put_data)(void *put, const void *data, size_t len, struct orch_error *err);
    /* Ends and frees the put, whatever the outcome. After a failure the name does not exist, or
     * has what it had; only a durable put that replaces a file can have replaced it already when
     * syncing the folder fails. */
    int32_t (*put_commit)(void *put, uint32_t flags, struct orch_error *err);
    void (*put_abort)(void *put);
    /* Exactly `len` bytes from `offset`; fewer is ORCH_E_CORRUPT, a missing name NOT_FOUND. */
    int32_t (*get)(void *impl, const char *name, uint64_t offset, void *data, size_t len,
                   struct orch_error *err);
    int32_t (*stat)(void *impl, const char *name, struct storage_stat *stat,
                    struct orch_error *err);
    /* Calls `each` for every name under the folder `prefix` ("packs"; "" for all), in any order, at
     * any depth; temporary names of unfinished puts are left out. A missing folder is empty. */
    int32_t (*list)(void *impl, const char *prefix,
                    int32_t (*each)(void *ctx, const char *name, const struct storage_stat *stat,
                                    struct orch_error *err),
                    void *ctx, struct orch_error *err);
    /* A missing name is ORCH_E_NOT_FOUND. */
    int32_t (*remove)(void *impl, const char *name, struct orch_error *err);
    /* All commits and removals that returned before this call now survive a power loss, and so does
     * what an earlier list() of the same folder has shown. */
    int32_t (*barrier)(void *impl, struct orch_error *err);
    void (*close)(void *impl);
    /* Optional: appends the whole file, as it was at one instant, to `out`; more than `max` bytes
     * is ORCH_E_CORRUPT. Without it storage_read() asks stat and get. */
    int32_t (*read)(void *impl, const char *name, size_t max, struct buffer *out,
                    struct orch_error *err);
};

/* Opens the store at `url`: an absolute path, or "file:///path". Others: ORCH_E_UNSUPPORTED.
 * `create` makes the folder (0700) when it is missing. */
int32_t storage_open(const char *url, bool create, struct storage **out,
                     struct orch_error *err) ORCH_CHECKED;
/* A store over a driver; for tests and wrappers. Its url is the driver's name and a colon. */
int32_t storage_new(const struct storage_driver *driver, void *impl, struct storage **out,
                    struct orch_error *err) ORCH_CHECKED;
void storage_close(struct storage *storage); /* NULL is fine */
void storage_cleanup(struct storage **slot);

/* Whether `name` is a valid name; drivers use it to leave foreign files out of lists. */
bool storage_name_ok(const char *name);

uint32_t storage_capabilities(const struct storage *storage);
const char *storage_url(const struct storage *storage);

/* A whole small file at once. */
int32_t storage_put(struct storage *storage, const char *name, const void *data, size_t len,
                    uint32_t flags, struct orch_error *err) ORCH_CHECKED;
int32_t storage_put_begin(struct storage *storage, const char *name, struct storage_put **out,
                          struct orch_error *err) ORCH_CHECKED;
int32_t storage_put_data(struct storage_put *put, const void *data, size_t len,
                         struct orch_error *err) ORCH_CHECKED;
int32_t storage_put_commit(struct storage_put *put, uint32_t flags,
                           struct orch_error *err) ORCH_CHECKED;
void storage_put_abort(struct storage_put *put); /* NULL is fine */

int32_t storage_get(struct storage *storage, const char *name, uint64_t offset, void *data,
                    size_t len, struct orch_error *err) ORCH_CHECKED;
/* Appends the whole file to `out`; more than `max` bytes is ORCH_E_CORRUPT. */
int32_t storage_read(struct storage *storage, const char *name, size_t max, struct buffer *out,
                     struct orch_error *err) ORCH_CHECKED;
int32_t storage_stat(struct storage *storage, const char *name, struct storage_stat *stat,
                     struct orch_error *err) ORCH_CHECKED;
int32_t storage_list(struct storage *storage, const char *prefix,
                     int32_t (*each)(void *ctx, const char *name, const struct storage_stat *stat,
                                     struct orch_error *err),
                     void *ctx, struct orch_error *err) ORCH_CHECKED;
int32_t storage_remove(struct storage *storage, const char *name,
                       struct orch_error *err) ORCH_CHECKED;
int32_t storage_barrier(struct storage *storage, struct orch_error *err) ORCH_CHECKED;

#endif
