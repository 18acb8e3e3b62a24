/* controltest.c: see controltest.h. */
#include "controltest.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

static const uint8_t key_file[KEY_BYTES] = {7, 1, 7, 2, 7, 3};

struct repo_unlock ct_unlock(enum ct_kind kind)
{
    struct repo_unlock unlock = {NULL, NULL};
    if (kind == CT_PASSPHRASE_SLOT) {
        unlock.passphrase = CT_PASSPHRASE;
    } else if (kind == CT_KEYFILE_SLOT) {
        unlock.key = key_file;
    }
    return unlock;
}

void ct_make(struct ct_repo *r, enum ct_kind kind)
{
    struct orch_error err = ORCH_ERROR_INIT;
    *r = (struct ct_repo){.kind = kind};
    strcpy(r->dir, "/tmp/orch-control-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(r->dir));
    struct repo_create_options options = {
        .encrypted = kind != CT_PLAIN, .unlock = ct_unlock(kind), .scrypt_log_n = 4};
    ct_ok(storage_open(r->dir, false, &r->storage, &err), err);
    ct_ok(repo_create(r->storage, &options, &err), err);
    ct_ok(ct_open(r, &r->repo, &err), err);
}

void ct_remove(struct ct_repo *r)
{
    char command[128];
    repo_close(r->repo);
    storage_close(r->storage);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", r->dir);
    ck_assert_int_eq(system(command), 0);
}

int32_t ct_open(const struct ct_repo *r, struct repo **out, struct orch_error *err)
{
    struct repo_unlock unlock = ct_unlock(r->kind);
    return repo_open(r->storage, &unlock, NULL, out, err);
}

static char *path_of(const struct ct_repo *r, const char *name)
{
    char *path = file_join(r->dir, name);
    ck_assert_ptr_nonnull(path);
    return path;
}

void ct_read(const struct ct_repo *r, const char *name, struct buffer *out)
{
    CLEANUP_FREE char *path = path_of(r, name);
    struct orch_error err = ORCH_ERROR_INIT;
    ct_ok(file_read(path, 1 << 20, out, &err), err);
}

void ct_write(const struct ct_repo *r, const char *name, const void *data, size_t len)
{
    CLEANUP_FREE char *path = path_of(r, name);
    /* Not O_TRUNC: some file systems flush such a file when it is closed, which takes its time. */
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
    ck_assert_int_eq(ftruncate(fd, (off_t)len), 0);
    ck_assert_int_eq(close(fd), 0);
}

int ct_count(const struct ct_repo *r, const char *folder)
{
    CLEANUP_FREE char *path = path_of(r, folder);
    CLEANUP_DIR DIR *dir = opendir(path);
    int count = 0;
    for (const struct dirent *entry = dir == NULL ? NULL : readdir(dir); entry != NULL;
         entry = readdir(dir)) {
        count += entry->d_name[0] != '.';
    }
    return count;
}
