/* build.c: see build.h: what comes in, and the entries that are made as they come. */
#include "build_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cleanup.h"
#include "name.h"
#include "pool.h"

/* Files up to this size are kept in memory and made by the threads. */
#define SMALL_FILE_BYTES (256u * 1024u)

static const char *shown(char out[NAME_SHOWN_MAX], const struct build *build)
{
    return name_shown(out, build->name.data, build->name.len);
}

int32_t build_fail_errno(const struct build *build, int error, const char *act,
                         struct orch_error *err)
{
    char text[NAME_SHOWN_MAX];
    return orch_fail_errno(err, error, "cannot %s %s", act, shown(text, build));
}

int32_t build_fail_corrupt(const struct build *build, const char *why, struct orch_error *err)
{
    char text[NAME_SHOWN_MAX];
    return orch_fail(err, ORCH_E_CORRUPT, "the part holds %s, but %s; nothing was replaced",
                     shown(text, build), why);
}

int32_t build_no_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory for the tree that is restored");
}

int32_t build_new(const struct roots *roots, const struct build_target *targets, struct build **out,
                  struct orch_error *err)
{
    struct build *build = calloc(1, sizeof(*build));
    if (build != NULL) {
        build->trees = calloc(roots->count, sizeof(*build->trees));
    }
    if (build == NULL || build->trees == NULL) {
        free(build);
        return build_no_memory(err);
    }
    build->roots = roots;
    build->targets = targets;
    build->tree_count = roots->count;
    build->fd = -1;
    int32_t rc = pool_new(&build->report, &build->pool, err);
    if (rc != ORCH_OK) {
        build_free(build);
        return rc;
    }
    *out = build;
    return ORCH_OK;
}

void build_free(struct build *build)
{
    if (build == NULL) {
        return;
    }
    pool_free(build->pool);
    for (size_t i = 0; i < build->tree_count; i++) {
        if (build->trees[i].is_open) {
            dirs_close(&build->trees[i].dirs);
        }
    }
    stream_free(&build->stream);
    if (build->fd >= 0) {
        (void)close(build->fd);
    }
    free(build->trees);
    free(build->folders.items);
    free(build->links.items);
    bytes_free(&build->later);
    bytes_free(&build->name);
    bytes_free(&build->meta_bytes);
    bytes_free(&build->content);
    free(build);
}

/* -- where an object goes -- */

int32_t build_seek_parent(struct build *build, size_t root, const uint8_t *rel, size_t rel_len,
                          int *dir_fd, struct orch_error *err)
{
    if (build->current != root && build->trees[build->current].is_open) {
        int32_t rc = dirs_seek(&build->trees[build->current].dirs, rel, 0, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    build->current = root;
    struct tree *tree = &build->trees[root];
    if (!tree->is_open) {
        return build_fail_corrupt(build, "not its folder", err);
    }
    size_t base_at = dirs_base_at(rel, rel_len);
    struct orch_error inner = ORCH_ERROR_INIT;
    int32_t rc = dirs_seek(&tree->dirs, rel, base_at == 0 ? 0 : base_at - 1, &inner);
    if (rc == ORCH_E_NOT_FOUND || inner.os_errno == ENOTDIR || inner.os_errno == ELOOP) {
        return build_fail_corrupt(build, "not its folder", err);
    }
    if (rc != ORCH_OK) {
        *err = inner;
        return rc;
    }
    *dir_fd = dirs_fd(&tree->dirs);
    return ORCH_OK;
}

static int32_t open_parent(const struct build *build, size_t root, int *fd, struct orch_error *err)
{
    const char *parent = build->targets[root].parent;
    *fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd >= 0 ? ORCH_OK : orch_fail_errno(err, errno, "cannot open %s", parent);
}

/* What a parent's default ACL left on a new root must not be inherited by all below it. */
static void shed_acls(int fd)
{
    (void)fremovexattr(fd, "system.posix_acl_default");
    (void)fremovexattr(fd, "system.posix_acl_access");
}

static int32_t make_root_folder(struct build *build, int parent, const char *base,
                                struct orch_error *err)
{
    struct tree *tree = &build->trees[build->root];
    if (mkdirat(parent, base, 0700) != 0) {
        return build_fail_errno(build, errno, "create the folder for", err);
    }
    int fd = openat(parent, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return build_fail_errno(build, errno, "open the new folder for", err);
    }
    shed_acls(fd);
    if (fchmod(fd, 0700) != 0) {
        int error = errno;
        (void)close(fd);
        return build_fail_errno(build, error, "set the mode of", err);
    }
    int32_t rc = dirs_open(&tree->dirs, fd, err);
    tree->is_open = rc == ORCH_OK;
    return rc;
}

/* -- making entries -- */

static int32_t make_special(struct build *build, int dir_fd, const char *base,
                            struct orch_error *err)
{
    int rc = 0;
    char target[4096];
    if (build->kind == META_KIND_SYMLINK) {
        memcpy(target, build->meta.link, build->meta.link_len);
        target[build->meta.link_len] = 0;
        rc = symlinkat(target, dir_fd, base);
    } else {
        rc = mknodat(dir_fd, base, (build->meta.mode & S_IFMT) | 0600,
                     makedev(build->meta.dev_major, build->meta.dev_minor));
    }
    if (rc != 0) {
        return build_fail_errno(build, errno, "create", err);
    }
    const char *act = "";
    int error = apply_to_name(dir_fd, base, &build->meta, &build->report, &act);
    return error == 0 ? ORCH_OK : build_fail_errno(build, error, act, err);
}

static int32_t open_stream(struct build *build, int dir_fd, const char *base,
                           struct orch_error *err)
{
    build->fd = openat(dir_fd, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    build->state = STATE_STREAM;
    if (build->fd < 0) {
        return build_fail_errno(build, errno, "create", err);
    }
    return stream_begin(&build->stream, build->fd) == 0 ? ORCH_OK : build_no_memory(err);
}

static int32_t make_entry(struct build *build, int dir_fd, const char *base, struct orch_error *err)
{
    build->state = STATE_PLAIN;
    switch (build->kind) {
    case META_KIND_FILE:
        build->state = STATE_BUFFER;
        build->content.len = 0;
        return ORCH_OK;
    case META_KIND_FOLDER:
        if (mkdirat(dir_fd, base, 0700) != 0) {
            return build_fail_errno(build, errno, "create the folder", err);
        }
        return build_later_add(build, &build->folders, build->meta_bytes.data,
                               build->meta_bytes.len) == 0
                   ? ORCH_OK
                   : build_no_memory(err);
    case META_KIND_HARD_LINK:
        return build_later_add(build, &build->links, build->meta.hard, build->meta.hard_len) == 0
                   ? ORCH_OK
                   : build_no_memory(err);
    default:
        return make_special(build, dir_fd, base, err);
    }
}

/* The object of a root itself: a folder or a file, at the root's target. */
static int32_t make_root(struct build *build, struct orch_error *err)
{
    const struct build_target *target = &build->targets[build->root];
    CLEANUP_FD int parent = -1;
    int32_t rc = open_parent(build, build->root, &parent, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    build->trees[build->root].kind = build->kind;
    if (build->kind == META_KIND_FOLDER) {
        build->state = STATE_PLAIN;
        rc = make_root_folder(build, parent, target->base, err);
        if (rc == ORCH_OK && build_later_add(build, &build->folders, build->meta_bytes.data,
                                             build->meta_bytes.len) != 0) {
            rc = build_no_memory(err);
        }
        return rc;
    }
    if (build->kind != META_KIND_FILE) {
        return build_fail_corrupt(build, "a root can be a folder or a file only", err);
    }
    rc = open_stream(build, parent, target->base, err);
    if (rc == ORCH_OK) {
        shed_acls(build->fd);
    }
    return rc;
}

/* -- objects -- */

static int32_t take_name(struct build *build, const struct orch_object *object,
                         struct orch_error *err)
{
    char text[NAME_SHOWN_MAX];
    (void)name_shown(text, object->name, object->name_len);
    if (!name_is_valid(object->name, object->name_len)) {
        return orch_fail(err, ORCH_E_CORRUPT,
                         "the part holds an unsound name, %s; nothing was replaced", text);
    }
    if (build->name.len > 0 &&
        name_compare(build->name.data, build->name.len, object->name, object->name_len) >= 0) {
        return orch_fail(err, ORCH_E_CORRUPT, "the part holds %s out of order", text);
    }
    const struct root *root = roots_find(build->roots, object->name, object->name_len);
    if (root == NULL) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "the part holds %s, which is below none of the component's paths: restore "
                         "with the paths that were backed up",
                         text);
    }
    build->root = (size_t)(root - build->roots->items);
    build->name.len = 0;
    return bytes_add(&build->name, object->name, object->name_len) == 0 ? ORCH_OK
                                                                        : build_no_memory(err);
}

int32_t build_object(struct build *build, const struct orch_object *object, struct orch_error *err)
{
    int32_t rc = take_name(build, object, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    build->kind = object->kind;
    build->meta_bytes.len = 0;
    if (bytes_add(&build->meta_bytes, object->meta, object->meta == NULL ? 0 : object->meta_len) !=
        0) {
        return build_no_memory(err);
    }
    rc = meta_decode(build->meta_bytes.data, build->meta_bytes.len, build->kind, &build->meta, err);
    if (rc != ORCH_OK) {
        char text[NAME_SHOWN_MAX];
        return orch_wrap(err, "the part holds %s unsoundly", shown(text, build));
    }
    size_t rel_len = 0;
    const uint8_t *rel = roots_relative(&build->roots->items[build->root], build->name.data,
                                        build->name.len, &rel_len);
    if (rel_len == 0) {
        return make_root(build, err);
    }
    int dir_fd = -1;
    rc = build_seek_parent(build, build->root, rel, rel_len, &dir_fd, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    size_t base_at = dirs_base_at(rel, rel_len);
    memcpy(build->base, rel + base_at, rel_len - base_at);
    build->base[rel_len - base_at] = 0;
    return make_entry(build, dir_fd, build->base, err);
}

static int32_t write_stream(struct build *build, const uint8_t *data, size_t len,
                            struct orch_error *err)
{
    int error = stream_write(&build->stream, data, len);
    return error == 0 ? ORCH_OK : build_fail_errno(build, error, "write", err);
}

/* A file that turned out large or sparse is written from here on as it comes. */
static int32_t buffer_to_stream(struct build *build, struct orch_error *err)
{
    int32_t rc = open_stream(build, dirs_fd(&build->trees[build->root].dirs), build->base, err);
    return rc == ORCH_OK ? write_stream(build, build->content.data, build->content.len, err) : rc;
}

static int32_t grow(const struct build *build, uint64_t more, struct orch_error *err)
{
    return more > (uint64_t)INT64_MAX - stream_length(&build->stream)
               ? build_fail_corrupt(build, "its length is absurd", err)
               : ORCH_OK;
}

int32_t build_data(struct build *build, const void *data, uint64_t len, struct orch_error *err)
{
    if (build->state == STATE_BUFFER && len > SMALL_FILE_BYTES - build->content.len) {
        int32_t rc = buffer_to_stream(build, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    if (build->state == STATE_BUFFER) {
        return bytes_add(&build->content, data, (size_t)len) == 0 ? ORCH_OK : build_no_memory(err);
    }
    if (build->state != STATE_STREAM) {
        return build_fail_corrupt(build, "content for what is no file", err);
    }
    int32_t rc = grow(build, len, err);
    return rc == ORCH_OK ? write_stream(build, data, (size_t)len, err) : rc;
}

int32_t build_hole(struct build *build, uint64_t len, struct orch_error *err)
{
    if (build->state == STATE_BUFFER) {
        int32_t rc = buffer_to_stream(build, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    if (build->state != STATE_STREAM) {
        return build_fail_corrupt(build, "content for what is no file", err);
    }
    int32_t rc = grow(build, len, err);
    int error = rc == ORCH_OK ? stream_hole(&build->stream, len) : 0;
    return error == 0 ? rc : build_fail_errno(build, error, "write", err);
}

static int32_t submit(struct build *build, struct orch_error *err)
{
    struct pool_job *job =
        pool_job_new(dirs_hold(&build->trees[build->root].dirs), build->base, &build->meta_bytes,
                     build->kind, &build->content, build->name.data, build->name.len);
    return job == NULL ? build_no_memory(err) : pool_submit(build->pool, job, err);
}

static int32_t finish_stream(struct build *build, struct orch_error *err)
{
    CLEANUP_FD int fd = steal_fd(&build->fd);
    const char *act = "write";
    int error = stream_end(&build->stream);
    if (error == 0) {
        error = apply_to_fd(fd, &build->meta, &build->report, &act);
    }
    if (error != 0) {
        return build_fail_errno(build, error, act, err);
    }
    return close(steal_fd(&fd)) == 0 ? ORCH_OK : build_fail_errno(build, errno, "write", err);
}

int32_t build_item_end(struct build *build, struct orch_error *err)
{
    uint32_t state = build->state;
    build->state = STATE_NONE;
    switch (state) {
    case STATE_BUFFER:
        return submit(build, err);
    case STATE_STREAM:
        return finish_stream(build, err);
    default:
        return ORCH_OK;
    }
}

int32_t build_from_host(struct build *build, const struct orch_host *host, struct orch_error *err)
{
    for (;;) {
        struct orch_event event = {.struct_size = (uint32_t)sizeof(event)};
        int32_t rc = host->next(host->ctx, &event, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        if (host->cancelled(host->ctx)) {
            return orch_fail(err, ORCH_E_CANCELLED, "cancelled");
        }
        switch (event.type) {
        case ORCH_EVENT_END:
            return build_finish(build, err);
        case ORCH_EVENT_OBJECT:
            rc = build_object(build, &event.object, err);
            break;
        case ORCH_EVENT_DATA:
            rc = build_data(build, event.data, event.data_len, err);
            break;
        case ORCH_EVENT_HOLE:
            rc = build_hole(build, event.data_len, err);
            break;
        case ORCH_EVENT_ITEM_END:
            rc = build_item_end(build, err);
            break;
        default:
            rc = orch_fail(err, ORCH_E_CORRUPT, "the part holds records, which are no files");
            break;
        }
        if (rc != ORCH_OK) {
            return rc;
        }
    }
}

/* -- what came -- */

uint32_t build_root_kind(const struct build *build, size_t root)
{
    return build->trees[root].kind;
}

const struct apply_report *build_report(const struct build *build)
{
    return &build->report;
}
