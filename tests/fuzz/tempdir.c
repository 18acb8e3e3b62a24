/* tempdir.c: see tempdir.h. */
#include "tempdir.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

#include "fuzz.h"

static char path[256];

static int remove_one(const char *name, const struct stat *stat, int type, struct FTW *where)
{
    (void)stat;
    (void)type;
    if (where->level > 0) {
        (void)remove(name);
    }
    return 0;
}

void tempdir_clear(void)
{
    (void)nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void remove_all(void)
{
    tempdir_clear();
    (void)rmdir(path);
}

const char *tempdir_path(void)
{
    if (path[0] == 0) {
        const char *base = getenv("TMPDIR");
        (void)snprintf(path, sizeof(path), "%s/fuzz-XXXXXX", base == NULL ? "/dev/shm" : base);
        must(mkdtemp(path) != NULL);
        must(atexit(remove_all) == 0);
    }
    return path;
}
