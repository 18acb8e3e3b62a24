/*
 * sweepruns.c: removes the logs of old runs that no set came from; see pruneimpl.h.
 *
 * Their age is told by the store's clock alone: a file's time against that of our own lease, which
 * was put a moment ago.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/leasefile.h"
#include "engine/pruneimpl.h"
#include "engine/runfile.h"

#define RUN_KEPT_NS (INT64_C(90) * 24 * 3600 * 1000000000)

struct run_file {
    char run[ID_TEXT];
    uint64_t number;
    int64_t mtime_ns;
};

struct run_files {
    struct run_file *list;
    size_t count, capacity;
};

static int32_t each_file(void *ctx, const char *name, const struct storage_stat *stat,
                         struct orch_error *err)
{
    struct run_files *files = ctx;
    struct run_file file = {.mtime_ns = stat->mtime_ns};
    uint8_t id[ID_BYTES];
    const char *run = name + sizeof(RUN_FOLDER);
    const char *slash = strchr(run, '/');
    char *end = NULL;
    if (slash == NULL || slash - run != ID_TEXT - 1 ||
        hex_decode(run, ID_TEXT - 1, id, sizeof(id)) != ORCH_OK) {
        return ORCH_OK; /* none of ours */
    }
    memcpy(file.run, run, ID_TEXT - 1);
    file.number = strtoull(slash + 1, &end, 10);
    if (file.number == 0 || *end != '\0') {
        return ORCH_OK;
    }
    if (files->count == files->capacity) {
        size_t capacity = files->capacity * 2 + 256;
        struct run_file *list = reallocarray(files->list, capacity, sizeof(*list));
        if (list == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory for the list of runs");
        }
        files->list = list;
        files->capacity = capacity;
    }
    files->list[files->count++] = file;
    return ORCH_OK;
}

/* By run; the last event first, so that what a crash leaves of a log is its beginning. */
static int last_first(const void *a, const void *b)
{
    const struct run_file *left = a;
    const struct run_file *right = b;
    int order = strcmp(left->run, right->run);
    return order != 0                     ? order
           : left->number < right->number ? 1
           : left->number > right->number ? -1
                                          : 0;
}

static bool has_set(const struct prune *prune, const char *run)
{
    bool found = false;
    for (size_t i = 0; !found && i < prune->sets.count; i++) {
        found = strcmp(prune->sets.sets[i]->run_id, run) == 0;
    }
    return found;
}

static bool at_work(const struct lease_watch *watch, const char *run)
{
    struct lease_seen seen;
    bool found = false;
    for (size_t i = 0; !found && lease_watch_at(watch, i, &seen); i++) {
        found = strcmp(seen.run_id, run) == 0;
    }
    return found;
}

static int32_t remove_run(struct prune *prune, const struct run_file *files, size_t count,
                          struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < count; i++) {
        char name[RUN_NAME];
        struct orch_error why = ORCH_ERROR_INIT;
        (void)snprintf(name, sizeof(name), "%s/%s/%llu", RUN_FOLDER, files[i].run,
                       (unsigned long long)files[i].number);
        rc = storage_remove(repo_storage(prune->repo), name, &why);
        if (rc == ORCH_E_NOT_FOUND) {
            rc = ORCH_OK;
        } else if (rc != ORCH_OK && err != NULL) {
            *err = why;
        }
    }
    return rc;
}

static int32_t remove_old(struct prune *prune, struct run_files *files,
                          const struct lease_watch *watch, int64_t now_ns, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t i = 0, next = 0; rc == ORCH_OK && i < files->count; i = next) {
        int64_t newest_ns = INT64_MIN;
        const char *run = files->list[i].run;
        for (next = i; next < files->count && strcmp(files->list[next].run, run) == 0; next++) {
            int64_t mtime_ns = files->list[next].mtime_ns;
            newest_ns = mtime_ns > newest_ns ? mtime_ns : newest_ns;
        }
        if (now_ns - newest_ns > RUN_KEPT_NS && !has_set(prune, run) && !at_work(watch, run)) {
            rc = remove_run(prune, &files->list[i], next - i, err);
        }
    }
    return rc;
}

int32_t sweepruns_run(struct prune *prune, struct orch_error *err)
{
    struct run_files files = {NULL, 0, 0};
    struct lease_watch *watch = NULL;
    struct storage_stat lease = {0, 0};
    char name[LEASE_NAME];
    (void)snprintf(name, sizeof(name), "%s/%s", LEASE_FOLDER, lease_id(prune->lease));
    int32_t rc = storage_list(repo_storage(prune->repo), RUN_FOLDER, each_file, &files, err);
    if (rc == ORCH_OK) {
        rc = lease_watch_new(prune->repo, NULL, NULL, &watch, err);
    }
    if (rc == ORCH_OK) {
        rc = storage_stat(repo_storage(prune->repo), name, &lease, err);
    }
    if (rc == ORCH_OK && files.count > 0) {
        qsort(files.list, files.count, sizeof(*files.list), last_first);
        rc = remove_old(prune, &files, watch, lease.mtime_ns, err);
    }
    lease_watch_free(watch);
    free(files.list);
    return rc;
}
