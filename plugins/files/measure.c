/* measure.c: see measure.h. */
#include "measure.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include <orchestrate/support.h>

#include "cleanup.h"
#include "links.h"
#include "name.h"
#include "open.h"
#include "walk.h"

#define COPY_BLOCK 65536

struct run {
    const struct measure *measure;
    struct tally *tally; /* or */
    struct build *build;
    struct links links;
    struct bytes meta;
    struct bytes block;
    char target[PATH_MAX];
};

static int32_t no_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory for a file tree");
}

static int32_t copy_content(struct run *run, const struct walk_entry *entry, struct orch_error *err)
{
    char shown[NAME_SHOWN_MAX];
    CLEANUP_FD int fd = open_file_at(entry->dir_fd, entry->base);
    if (fd < 0) {
        return orch_fail_errno(err, errno, "cannot read %s",
                               name_shown(shown, entry->name, entry->name_len));
    }
    if (bytes_reserve(&run->block, COPY_BLOCK) != 0) {
        return no_memory(err);
    }
    for (;;) {
        ssize_t n = read(fd, run->block.data, COPY_BLOCK);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return orch_fail_errno(err, errno, "cannot read %s",
                                   name_shown(shown, entry->name, entry->name_len));
        }
        if (n == 0) {
            return ORCH_OK;
        }
        int32_t rc = build_data(run->build, run->block.data, (uint64_t)n, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
}

static int32_t copy_entry(struct run *run, const struct walk_entry *entry, uint32_t kind,
                          const struct meta *meta, struct orch_error *err)
{
    if (meta_encode(meta, &run->meta) != 0) {
        return no_memory(err);
    }
    struct orch_object object = {
        .struct_size = (uint32_t)sizeof(object),
        .name = entry->name,
        .name_len = (uint32_t)entry->name_len,
        .kind = kind,
        .meta = run->meta.data,
        .meta_len = (uint32_t)run->meta.len,
    };
    int32_t rc = build_object(run->build, &object, err);
    if (rc == ORCH_OK && kind == META_KIND_FILE) {
        rc = copy_content(run, entry, err);
    }
    return rc == ORCH_OK ? build_item_end(run->build, err) : rc;
}

/* A later name of a file that came before becomes a link to it. */
static int32_t resolve_link(struct run *run, const struct walk_entry *entry, uint32_t *kind,
                            struct meta *meta, struct orch_error *err)
{
    if (!run->measure->hard_links || *kind != META_KIND_FILE || entry->st->st_nlink < 2) {
        return ORCH_OK;
    }
    size_t first_len = 0;
    const uint8_t *first = links_find(&run->links, entry->root, entry->st, &first_len);
    if (first == NULL) {
        return links_add(&run->links, entry->root, entry->st, entry->name, entry->name_len) == 0
                   ? ORCH_OK
                   : no_memory(err);
    }
    *meta = (struct meta){.mode = meta->mode, .hard = first, .hard_len = first_len};
    *kind = META_KIND_HARD_LINK;
    return ORCH_OK;
}

static int32_t on_entry(void *ctx, const struct walk_entry *entry, struct orch_error *err)
{
    struct run *run = ctx;
    const struct orch_host *host = run->measure->host;
    if (host->cancelled(host->ctx)) {
        return orch_fail(err, ORCH_E_CANCELLED, "cancelled");
    }
    struct meta meta;
    meta_from_stat(&meta, entry->st);
    meta.xattrs = entry->xattrs;
    meta.xattrs_len = entry->xattrs_len;
    uint32_t kind = meta_kind(meta.mode);
    int carried = kind == META_KIND_FILE || kind == META_KIND_FOLDER || kind == META_KIND_SYMLINK;
    if (kind == 0 || (!carried && !run->measure->special_files)) {
        return ORCH_OK;
    }
    if (kind == META_KIND_SYMLINK) {
        ssize_t n = readlinkat(entry->dir_fd, entry->base, run->target, sizeof(run->target));
        if (n <= 0) {
            return ORCH_OK; /* gone: the sums will tell */
        }
        meta.link = (const uint8_t *)run->target;
        meta.link_len = (size_t)n;
    }
    int32_t rc = resolve_link(run, entry, &kind, &meta, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (run->build != NULL) {
        return copy_entry(run, entry, kind, &meta, err);
    }
    uint64_t size = kind == META_KIND_FILE ? (uint64_t)entry->st->st_size : 0;
    return tally_add(run->tally, entry->name, entry->name_len, kind, &meta, size, size) == 0
               ? ORCH_OK
               : no_memory(err);
}

/* A folder that lets nobody in, as one that a backup noted, adds no more than itself in both:
 * the sums tell whether that is right. */
static int32_t on_note(void *ctx, uint32_t what, const uint8_t *name, size_t len, int os_errno,
                       struct orch_error *err)
{
    const struct run *run = ctx;
    char shown[NAME_SHOWN_MAX];
    if (what != WALK_UNREADABLE) {
        return ORCH_OK;
    }
    (void)name_shown(shown, name, len);
    if (os_errno != EACCES) {
        return orch_fail_errno(err, os_errno, "cannot read %s", shown);
    }
    orch_log(run->measure->host, ORCH_LOG_WARNING, "cannot look into %s: %s", shown,
             strerror(os_errno));
    return ORCH_OK;
}

static int32_t run_walk(struct run *run, struct orch_error *err)
{
    const struct measure *measure = run->measure;
    struct walk_options options = {
        .roots = measure->roots,
        .exclude = measure->exclude,
        .want_xattrs = 1,
        .missing_root_ok = 1,
        .skip_temporary = measure->skip_temporary,
    };
    /* What cannot be read cannot be copied. */
    struct walk_visitor visitor = {
        .ctx = run, .entry = on_entry, .note = run->build == NULL ? on_note : NULL};
    int32_t rc = walk_roots_ahead(&options, &visitor, err);
    links_free(&run->links);
    bytes_free(&run->meta);
    bytes_free(&run->block);
    return rc;
}

int32_t measure_trees(const struct measure *measure, struct tally_sums *sums,
                      struct orch_error *err)
{
    struct run run = {.measure = measure};
    int32_t rc = tally_new(&run.tally, err);
    if (rc == ORCH_OK) {
        rc = run_walk(&run, err);
    }
    if (rc == ORCH_OK) {
        rc = tally_end(run.tally, sums, err);
    }
    tally_free(run.tally);
    return rc;
}

int32_t measure_copy(const struct measure *measure, struct build *build, struct orch_error *err)
{
    struct run run = {.measure = measure, .build = build};
    return run_walk(&run, err);
}
