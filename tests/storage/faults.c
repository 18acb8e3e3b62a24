/* faults.c: see faults.h. */
#include "faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct faults_put {
    struct faults *faults;
    struct storage_put *put;
    char name[STORAGE_NAME_MAX + 1];
};

static int32_t faults_hit(struct faults *faults, enum faults_op op, struct orch_error *err)
{
    uint64_t call = __atomic_add_fetch(&faults->calls[op], 1, __ATOMIC_RELAXED); /* of any thread */
    if (faults->at != 0 && op == faults->op &&
        (call == faults->at || (faults->sticky && call > faults->at))) {
        return orch_fail(err, faults->code, "injected fault");
    }
    return ORCH_OK;
}

static uint32_t faults_capabilities(void *impl)
{
    return ((struct faults *)impl)->capabilities;
}

static int32_t faults_put_begin(void *impl, const char *name, void **put, struct orch_error *err)
{
    struct faults *faults = impl;
    int32_t rc = faults_hit(faults, FAULTS_PUT_BEGIN, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct faults_put *own = calloc(1, sizeof *own);
    own->faults = faults;
    (void)snprintf(own->name, sizeof own->name, "%s", name);
    rc = storage_put_begin(faults->inner, name, &own->put, err);
    if (rc != ORCH_OK) {
        free(own);
        return rc;
    }
    *put = own;
    return ORCH_OK;
}

static int32_t faults_put_data(void *put, const void *data, size_t len, struct orch_error *err)
{
    struct faults_put *own = put;
    int32_t rc = faults_hit(own->faults, FAULTS_PUT_DATA, err);
    return rc != ORCH_OK ? rc : storage_put_data(own->put, data, len, err);
}

static int32_t faults_put_commit(void *put, uint32_t flags, struct orch_error *err)
{
    struct faults_put *own = put;
    int32_t rc = faults_hit(own->faults, FAULTS_PUT_COMMIT, err);
    if (rc != ORCH_OK) {
        storage_put_abort(own->put);
    } else {
        rc = storage_put_commit(own->put, flags, err);
    }
    if (rc == ORCH_OK && own->faults->committed != NULL) {
        own->faults->committed(own->faults->ctx, own->name);
    }
    free(own);
    return rc;
}

static void faults_put_abort(void *put)
{
    struct faults_put *own = put;
    storage_put_abort(own->put);
    free(own);
}

static int32_t faults_get(void *impl, const char *name, uint64_t offset, void *data, size_t len,
                          struct orch_error *err)
{
    struct faults *faults = impl;
    int32_t rc = faults_hit(faults, FAULTS_GET, err);
    return rc != ORCH_OK ? rc : storage_get(faults->inner, name, offset, data, len, err);
}

static int32_t faults_stat(void *impl, const char *name, struct storage_stat *stat,
                           struct orch_error *err)
{
    struct faults *faults = impl;
    int32_t rc = faults_hit(faults, FAULTS_STAT, err);
    return rc != ORCH_OK ? rc : storage_stat(faults->inner, name, stat, err);
}

static int32_t faults_list(void *impl, const char *prefix,
                           int32_t (*each)(void *ctx, const char *name,
                                           const struct storage_stat *stat, struct orch_error *err),
                           void *ctx, struct orch_error *err)
{
    struct faults *faults = impl;
    int32_t rc = faults_hit(faults, FAULTS_LIST, err);
    return rc != ORCH_OK ? rc : storage_list(faults->inner, prefix, each, ctx, err);
}

static int32_t faults_remove(void *impl, const char *name, struct orch_error *err)
{
    struct faults *faults = impl;
    int32_t rc = faults_hit(faults, FAULTS_REMOVE, err);
    return rc != ORCH_OK ? rc : storage_remove(faults->inner, name, err);
}

static int32_t faults_barrier(void *impl, struct orch_error *err)
{
    struct faults *faults = impl;
    int32_t rc = faults_hit(faults, FAULTS_BARRIER, err);
    return rc != ORCH_OK ? rc : storage_barrier(faults->inner, err);
}

static void faults_close(void *impl)
{
    (void)impl;
}

static const struct storage_driver faults_driver = {
    .name = "faults",
    .capabilities = faults_capabilities,
    .put_begin = faults_put_begin,
    .put_data = faults_put_data,
    .put_commit = faults_put_commit,
    .put_abort = faults_put_abort,
    .get = faults_get,
    .stat = faults_stat,
    .list = faults_list,
    .remove = faults_remove,
    .barrier = faults_barrier,
    .close = faults_close,
};

int32_t faults_open(struct faults *faults, struct storage **out, struct orch_error *err)
{
    return storage_new(&faults_driver, faults, out, err);
}
