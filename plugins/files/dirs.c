/* dirs.c: see dirs.h. */
#include "dirs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "name.h"
#include "open.h"

#define OPEN_FRAMES 48u

struct dir_ref *dir_ref_new(int *fd)
{
    struct dir_ref *ref = malloc(sizeof(*ref));
    if (ref != NULL) {
        atomic_init(&ref->holders, 1);
        ref->fd = steal_fd(fd);
    }
    return ref;
}

struct dir_ref *dir_ref_hold(struct dir_ref *ref)
{
    (void)atomic_fetch_add(&ref->holders, 1);
    return ref;
}

void dir_ref_drop(struct dir_ref *ref)
{
    if (ref != NULL && atomic_fetch_sub(&ref->holders, 1) == 1) {
        (void)close(ref->fd);
        free(ref);
    }
}

static int32_t push(struct dirs *dirs, int *fd, size_t path_len, struct orch_error *err)
{
    struct stat st;
    if (fstat(*fd, &st) != 0) {
        return orch_fail_errno(err, errno, "cannot look at an open folder");
    }
    if (dirs->depth == dirs->capacity) {
        size_t capacity = dirs->capacity == 0 ? 16 : dirs->capacity * 2;
        struct dir_frame *frames = reallocarray(dirs->frames, capacity, sizeof(*frames));
        if (frames == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory for %zu folders", capacity);
        }
        dirs->frames = frames;
        dirs->capacity = capacity;
    }
    struct dir_ref *ref = dir_ref_new(fd);
    if (ref == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a folder");
    }
    /* The base stays open: it is where every search begins. */
    if (dirs->depth > OPEN_FRAMES) {
        struct dir_frame *old = &dirs->frames[dirs->depth - OPEN_FRAMES];
        dir_ref_drop(old->ref);
        old->ref = NULL;
    }
    dirs->frames[dirs->depth++] =
        (struct dir_frame){.ref = ref, .dev = st.st_dev, .ino = st.st_ino, .path_len = path_len};
    return ORCH_OK;
}

int32_t dirs_open(struct dirs *dirs, int base_fd, struct orch_error *err)
{
    CLEANUP_FD int fd = base_fd;
    *dirs = (struct dirs){0};
    return push(dirs, &fd, 0, err);
}

/* Opens the parent of the deepest folder again, by way of "..". */
static int32_t reopen_parent(struct dirs *dirs, struct orch_error *err)
{
    struct dir_frame *top = &dirs->frames[dirs->depth - 1];
    struct dir_frame *parent = top - 1;
    CLEANUP_FD int fd = open_folder_at(top->ref->fd, "..");
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_dev != parent->dev || st.st_ino != parent->ino) {
        char shown[NAME_SHOWN_MAX];
        return orch_fail(err, ORCH_E_CHANGED, "the folder %s was moved meanwhile",
                         name_shown(shown, dirs->path.data, dirs->path.len));
    }
    parent->ref = dir_ref_new(&fd);
    return parent->ref != NULL ? ORCH_OK : orch_fail(err, ORCH_E_NOMEM, "no memory for a folder");
}

static int32_t pop(struct dirs *dirs, struct orch_error *err)
{
    struct dir_frame *top = &dirs->frames[dirs->depth - 1];
    if ((top - 1)->ref == NULL) {
        int32_t rc = reopen_parent(dirs, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    dir_ref_drop(top->ref);
    dirs->depth--;
    dirs->path.len = dirs->frames[dirs->depth - 1].path_len;
    return ORCH_OK;
}

static int is_above(const struct dirs *dirs, const uint8_t *path, size_t len)
{
    size_t have = dirs->path.len;
    return have == 0 || (have <= len && memcmp(dirs->path.data, path, have) == 0 &&
                         (have == len || path[have] == '/'));
}

/* Enters the element of `path` that follows the deepest folder. */
static int32_t enter(struct dirs *dirs, const uint8_t *path, size_t len, struct orch_error *err)
{
    size_t start = dirs->path.len + (dirs->path.len > 0);
    const uint8_t *slash = memchr(path + start, '/', len - start);
    size_t end = slash == NULL ? len : (size_t)(slash - path);
    char element[256];
    if (end == start || end - start >= sizeof(element)) {
        return orch_fail(err, ORCH_E_INVALID, "a path with an unsound element");
    }
    memcpy(element, path + start, end - start);
    element[end - start] = 0;
    CLEANUP_FD int fd = open_folder_at(dirs_fd(dirs), element);
    if (fd < 0) {
        char shown[NAME_SHOWN_MAX];
        return orch_fail_errno(err, errno, "cannot enter the folder %s",
                               name_shown(shown, path, end));
    }
    size_t before = dirs->path.len;
    if (bytes_add(&dirs->path, path + before, end - before) != 0) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a path");
    }
    int32_t rc = push(dirs, &fd, end, err);
    if (rc != ORCH_OK) {
        dirs->path.len = before;
    }
    return rc;
}

int32_t dirs_seek(struct dirs *dirs, const uint8_t *path, size_t len, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    while (rc == ORCH_OK && !is_above(dirs, path, len)) {
        rc = pop(dirs, err);
    }
    while (rc == ORCH_OK && dirs->path.len < len) {
        rc = enter(dirs, path, len, err);
    }
    return rc;
}

int dirs_fd(const struct dirs *dirs)
{
    return dirs->frames[dirs->depth - 1].ref->fd;
}

struct dir_ref *dirs_hold(const struct dirs *dirs)
{
    return dir_ref_hold(dirs->frames[dirs->depth - 1].ref);
}

void dirs_close(struct dirs *dirs)
{
    while (dirs->depth > 0) {
        dir_ref_drop(dirs->frames[--dirs->depth].ref);
    }
    free(dirs->frames);
    bytes_free(&dirs->path);
    *dirs = (struct dirs){0};
}

size_t dirs_base_at(const uint8_t *path, size_t len)
{
    const uint8_t *slash = len == 0 ? NULL : memrchr(path, '/', len);
    return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}
