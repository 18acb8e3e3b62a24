/* aside.c: see aside.h. */
#include "aside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/cleanup.h"
#include "files/crash.h"
#include "files/erase.h"
#include "files/measure.h"
#include "files/name.h"
#include "files/place.h"

int32_t aside_paths_open(const struct config *config, const char *run_id, struct aside_paths *paths,
                         struct orch_error *err)
{
    *paths = (struct aside_paths){0};
    if (config->work_dir == NULL) {
        return orch_fail(err, ORCH_E_CONFIG, "the config plugin needs a work folder to restore");
    }
    int32_t rc = name_run(paths->run, run_id, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (strspn(run_id, "0123456789abcdef") != strlen(run_id) || strlen(run_id) > 128) {
        return orch_fail(err, ORCH_E_INVALID, "the run's id is no hex number");
    }
    const char *work = config->work_dir;
    if (asprintf(&paths->stage, "%s/stage-%s", work, paths->run) < 0) {
        paths->stage = NULL;
    }
    if (asprintf(&paths->folder, "%s/aside", work) < 0) {
        paths->folder = NULL;
    }
    if (asprintf(&paths->aside, "%s/aside/%s", work, run_id) < 0) {
        paths->aside = NULL;
    }
    if (asprintf(&paths->part, "%s/aside/%s.part", work, run_id) < 0) {
        paths->part = NULL;
    }
    if (paths->stage == NULL || paths->folder == NULL || paths->aside == NULL ||
        paths->part == NULL) {
        aside_paths_close(paths);
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a path");
    }
    return ORCH_OK;
}

void aside_paths_close(struct aside_paths *paths)
{
    free(paths->stage);
    free(paths->folder);
    free(paths->aside);
    free(paths->part);
    *paths = (struct aside_paths){0};
}

int32_t aside_roots(const struct config *config, const char *prefix, struct roots *out,
                    struct orch_error *err)
{
    *out = (struct roots){0};
    out->items = calloc(config->roots.count, sizeof(*out->items));
    if (out->items == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for paths");
    }
    for (size_t i = 0; i < config->roots.count; i++) {
        out->items[i].name = strdup(config->roots.items[i].name);
        if (out->items[i].name == NULL) {
            roots_close(out);
            return orch_fail(err, ORCH_E_NOMEM, "no memory for paths");
        }
        out->items[i].name_len = config->roots.items[i].name_len;
        out->count++;
    }
    int32_t rc = roots_move(out, prefix, err);
    if (rc != ORCH_OK) {
        roots_close(out);
    }
    return rc;
}

int32_t aside_targets(const struct config *config, const char *prefix, struct build_target **out,
                      struct orch_error *err)
{
    struct roots roots;
    int32_t rc = aside_roots(config, prefix, &roots, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct build_target *targets = calloc(roots.count, sizeof(*targets));
    if (targets == NULL) {
        rc = orch_fail(err, ORCH_E_NOMEM, "no memory for paths");
    }
    for (size_t i = 0; i < roots.count && rc == ORCH_OK; i++) {
        const struct root *root = &roots.items[i];
        rc = place_make_folders(root->parent, 0700, err);
        if (rc == ORCH_OK) {
            (void)snprintf(targets[i].base, sizeof(targets[i].base), "%s", root->base);
            targets[i].parent = strdup(root->parent);
            rc = targets[i].parent != NULL ? ORCH_OK
                                           : orch_fail(err, ORCH_E_NOMEM, "no memory for paths");
        }
    }
    roots_close(&roots);
    if (rc != ORCH_OK) {
        aside_targets_free(config, targets);
        return rc;
    }
    *out = targets;
    return ORCH_OK;
}

void aside_targets_free(const struct config *config, struct build_target *targets)
{
    for (size_t i = 0; targets != NULL && i < config->roots.count; i++) {
        free(targets[i].parent);
    }
    free(targets);
}

static int32_t copy_live(const struct config *config, const char *prefix,
                         const struct patterns *exclude, struct orch_error *err)
{
    struct build_target *targets = NULL;
    struct build *build = NULL;
    int32_t rc = aside_targets(config, prefix, &targets, err);
    if (rc == ORCH_OK) {
        rc = build_new(&config->roots, targets, &build, err);
    }
    if (rc == ORCH_OK) {
        struct measure measure = {
            .host = config->host, .roots = &config->roots, .exclude = exclude, .skip_temporary = 1};
        rc = measure_copy(&measure, build, err);
    }
    if (rc == ORCH_OK) {
        rc = build_finish(build, err);
    }
    build_free(build);
    aside_targets_free(config, targets);
    return rc;
}

int32_t aside_make(const struct config *config, const struct aside_paths *paths,
                   const struct patterns *exclude, struct orch_error *err)
{
    struct stat st;
    if (lstat(paths->aside, &st) == 0) {
        return ORCH_OK; /* an earlier attempt: what is live now may be its own */
    }
    int32_t rc = place_make_folders(paths->folder, 0700, err);
    if (rc == ORCH_OK) {
        rc = erase_path(paths->part, err);
    }
    if (rc == ORCH_OK) {
        rc = place_make_folders(paths->part, 0700, err);
    }
    if (rc == ORCH_OK) {
        rc = copy_live(config, paths->part, exclude, err);
    }
    if (rc != ORCH_OK) {
        return orch_wrap(err, "cannot set the old configuration aside");
    }
    crash_here("aside-copied");
    CLEANUP_FD int folder = open(paths->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || syncfs(folder) != 0 || rename(paths->part, paths->aside) != 0 ||
        place_sync(folder) != 0) {
        return orch_fail_errno(err, errno, "cannot keep the old configuration in %s", paths->aside);
    }
    return ORCH_OK;
}

/* -- pruning -- */

struct copy {
    char name[256];
    struct timespec made;
};

static int newest_first(const void *a, const void *b)
{
    const struct copy *x = a;
    const struct copy *y = b;
    if (x->made.tv_sec != y->made.tv_sec) {
        return x->made.tv_sec < y->made.tv_sec ? 1 : -1;
    }
    return x->made.tv_nsec < y->made.tv_nsec ? 1 : x->made.tv_nsec > y->made.tv_nsec ? -1 : 0;
}

static int32_t list_copies(DIR *dir, struct copy **out, size_t *count, struct orch_error *err)
{
    size_t capacity = 0;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        struct stat st;
        if (entry->d_name[0] == '.' ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        if (*count == capacity) {
            capacity = capacity == 0 ? 16 : capacity * 2;
            struct copy *grown = reallocarray(*out, capacity, sizeof(*grown));
            if (grown == NULL) {
                return orch_fail(err, ORCH_E_NOMEM, "no memory for old copies");
            }
            *out = grown;
        }
        struct copy *copy = &(*out)[(*count)++];
        (void)snprintf(copy->name, sizeof(copy->name), "%s", entry->d_name);
        copy->made = st.st_mtim;
    }
    return ORCH_OK;
}

int32_t aside_prune(const struct aside_paths *paths, int64_t keep, struct orch_error *err)
{
    DIR *dir = opendir(paths->folder);
    if (dir == NULL) {
        return errno == ENOENT ? ORCH_OK
                               : orch_fail_errno(err, errno, "cannot list %s", paths->folder);
    }
    struct copy *copies = NULL;
    size_t count = 0;
    int32_t rc = list_copies(dir, &copies, &count, err);
    if (rc == ORCH_OK && count > 1) {
        qsort(copies, count, sizeof(*copies), newest_first);
    }
    for (size_t i = keep < 0 ? 0 : (size_t)keep; i < count && rc == ORCH_OK; i++) {
        rc = erase_at(dirfd(dir), copies[i].name, err);
    }
    free(copies);
    (void)closedir(dir);
    return rc;
}
