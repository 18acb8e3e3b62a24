/* folder.c: see folder.h. */
#include "folder.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

void folder_make(char path[FOLDER_TEXT])
{
    (void)snprintf(path, FOLDER_TEXT, "/tmp/orchestrate-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(path));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int open_up(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)ftw;
    return type == FTW_D || type == FTW_DNR ? chmod(path, st->st_mode | 0700) : 0;
}

void folder_remove(const char *path)
{
    (void)nftw(path, open_up, 16, FTW_PHYS);
    ck_assert_int_eq(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

char *folder_path(const char *folder, const char *name)
{
    char *path = file_join(folder, name);
    ck_assert_ptr_nonnull(path);
    return path;
}

void folder_write(const char *folder, const char *name, const char *text)
{
    CLEANUP_FREE char *path = folder_path(folder, name);
    CLEANUP_FREE char *above = strdup(path);
    *strrchr(above, '/') = 0;
    struct orch_error err = ORCH_ERROR_INIT;
    ck_assert_int_eq(file_make_dirs(above, 0700, &err), ORCH_OK);
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

char *folder_read(const char *folder, const char *name)
{
    CLEANUP_FREE char *path = folder_path(folder, name);
    struct buffer text = BUFFER_INIT;
    if (file_read(path, 1u << 20, &text, NULL) != ORCH_OK) {
        buffer_free(&text);
        return NULL;
    }
    return buffer_string(&text);
}

size_t folder_count(const char *folder, const char *name)
{
    CLEANUP_FREE char *path = folder_path(folder, name);
    CLEANUP_DIR DIR *dir = opendir(path);
    ck_assert(dir != NULL || errno == ENOENT);
    size_t count = 0;
    for (const struct dirent *e = dir == NULL ? NULL : readdir(dir); e != NULL; e = readdir(dir)) {
        count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    }
    return count;
}
