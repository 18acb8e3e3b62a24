/* storagetest.c: see storagetest.h. */
#include "storagetest.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

void st_make_dir(char dir[64])
{
    strcpy(dir, "/tmp/orch-storage-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

void st_remove_dir(const char *dir)
{
    char command[128];
    (void)snprintf(command, sizeof command, "chmod -R u+rwX '%s' && rm -rf '%s'", dir, dir);
    ck_assert_int_eq(system(command), 0);
}

const char *st_path(char out[512], const char *dir, const char *name)
{
    (void)snprintf(out, 512, "%s/%s", dir, name);
    return out;
}

bool st_exists(const char *dir, const char *name)
{
    char path[512];
    struct stat st;
    return lstat(st_path(path, dir, name), &st) == 0;
}

const char *st_text(const char *dir, const char *name, char out[256])
{
    char path[512];
    CLEANUP_FILE FILE *file = fopen(st_path(path, dir, name), "re");
    if (file == NULL) {
        return "(none)";
    }
    out[fread(out, 1, 255, file)] = '\0';
    return out;
}

void st_write(const char *dir, const char *name, const void *data, size_t len)
{
    char path[512];
    int fd = open(st_path(path, dir, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
    ck_assert_int_eq(close(fd), 0);
}

int32_t st_put(struct storage *storage, const char *name, const char *text, uint32_t flags,
               struct orch_error *err)
{
    return storage_put(storage, name, text, strlen(text), flags, err);
}

struct listing {
    char *names[64];
    int count;
};

static int32_t listing_add(void *ctx, const char *name, const struct storage_stat *stat,
                           struct orch_error *err)
{
    struct listing *listing = ctx;
    (void)stat;
    (void)err;
    ck_assert_int_lt(listing->count, 64);
    listing->names[listing->count++] = strdup(name);
    return ORCH_OK;
}

static int by_text(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

const char *st_list(struct storage *storage, const char *prefix, char out[1024])
{
    struct listing listing = {.count = 0};
    struct orch_error err = ORCH_ERROR_INIT;
    st_ok(storage_list(storage, prefix, listing_add, &listing, &err), err);
    qsort((void *)listing.names, (size_t)listing.count, sizeof listing.names[0], by_text);
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < listing.count; i++) {
        int n = snprintf(out + at, 1024 - at, "%s%s", i == 0 ? "" : " ", listing.names[i]);
        at += (size_t)n;
        free(listing.names[i]);
    }
    return out;
}

int st_count(const char *dir, const char *name)
{
    char path[512];
    CLEANUP_DIR DIR *folder = opendir(st_path(path, dir, name));
    int count = 0;
    for (const struct dirent *entry = folder == NULL ? NULL : readdir(folder); entry != NULL;
         entry = readdir(folder)) {
        count += entry->d_name[0] != '.';
    }
    return count;
}
