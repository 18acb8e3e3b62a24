/* notes_backup.c: sends each file as an object. */
#include "notes.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int64_t nanoseconds(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct orch_token token_of(const struct stat *st)
{
    struct orch_token token = {
        .size_bytes = (uint64_t)st->st_size,
        .mtime_ns = nanoseconds(st->st_mtim),
        .ctime_ns = nanoseconds(st->st_ctim),
        .inode = (uint64_t)st->st_ino,
    };
    return token;
}

/* The bytes of the open file, and a word about it when it changed while it was read. */
static int32_t send_content(const struct notes *notes, int fd, const char *name,
                            const struct stat *before, struct orch_error *err)
{
    const struct orch_host *host = notes->host;
    uint64_t sent = 0;
    int32_t rc = orch_send_fd(host, fd, &sent, err);
    if (rc != ORCH_OK) {
        return orch_wrap(err, "%s/%s", notes->path, name);
    }
    struct stat after;
    if (fstat(fd, &after) == 0 && (sent != (uint64_t)before->st_size ||
                                   nanoseconds(after.st_mtim) != nanoseconds(before->st_mtim))) {
        orch_log(host, ORCH_LOG_WARNING, "%s/%s changed while it was read", notes->path, name);
    }
    return host->end_item(host->ctx, err);
}

static int32_t send_file(const struct notes *notes, int fd, const char *name,
                         struct orch_error *err)
{
    const struct orch_host *host = notes->host;
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return orch_fail_errno(err, errno, "cannot look at %s/%s", notes->path, name);
    }
    uint8_t meta[NOTES_META_BYTES];
    notes_put_mode(meta, st.st_mode & 07777);
    struct orch_object object = {
        .struct_size = sizeof(object),
        .flags = ORCH_OBJECT_HAS_TOKEN,
        .name = (const uint8_t *)name,
        .name_len = (uint32_t)strlen(name),
        .kind = 'f',
        .meta = meta,
        .meta_len = sizeof(meta),
        .size_bytes = (uint64_t)st.st_size,
        .mtime_ns = nanoseconds(st.st_mtim),
        .token = token_of(&st),
    };
    uint32_t unchanged = 0;
    int32_t rc = host->object(host->ctx, &object, &unchanged, err);
    if (rc != ORCH_OK || unchanged != 0) {
        return rc; /* unchanged: the earlier set has these bytes; nothing more to send */
    }
    return send_content(notes, fd, name, &st, err);
}

int32_t notes_backup(void *instance, struct orch_error *err)
{
    const struct notes *notes = instance;
    const struct orch_host *host = notes->host;
    struct notes_list list;
    int32_t rc = notes_list_load(notes->path, &list, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    int folder = open(notes->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        rc = orch_fail_errno(err, errno, "cannot open the folder %s", notes->path);
    }
    for (size_t i = 0; rc == ORCH_OK && i < list.count; i++) {
        if (host->cancelled(host->ctx)) {
            rc = orch_fail(err, ORCH_E_CANCELLED, "cancelled");
            break;
        }
        /* Not blocking: should the name be a fifo by now, open must not wait for a writer. */
        int fd = openat(folder, list.names[i], O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT) {
            continue; /* deleted since the folder was read */
        }
        if (fd < 0) {
            rc = orch_fail_errno(err, errno, "cannot open %s/%s", notes->path, list.names[i]);
            break;
        }
        rc = send_file(notes, fd, list.names[i], err);
        (void)close(fd);
    }
    if (folder >= 0) {
        (void)close(folder);
    }
    /* Facts are kept in the part, and shown to people. */
    if (rc == ORCH_OK) {
        rc = orch_fact_integer(host, "files", (int64_t)list.count, err);
    }
    notes_list_free(&list);
    return rc;
}
