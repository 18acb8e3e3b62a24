/*
 * create.c: the least that a restore could do: makes the folders and files of a tree again, with the same names, sizes
 * and modes, out of one block of memory, with nothing else. The judge of restores.
 * usage: create TREE DESTINATION THREADS buffered|direct   (direct: files of 16 MiB and more past the page cache)
 *
 * The tree is walked before the clock starts. Prints JSON: seconds until all is written, and until all is on the disk.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BLOCK_BYTES ((size_t)1 << 20)
#define LARGE_BYTES ((uint64_t)16 << 20)
#define THREADS_MAX 64u

struct entry {
    char *path; /* below the tree */
    uint64_t size;
    mode_t mode;
    bool leaf; /* a folder without folders */
};

struct list {
    struct entry *items;
    size_t count, capacity;
};

/* A leaf folder with its files, files of any other folder, or one large file. */
struct unit {
    const struct entry *folder;
    size_t first, count; /* in the files */
};

struct work {
    struct list folders, files;
    struct unit *units;
    size_t unit_count;
    uint8_t *block;
    int to;
    bool direct;
    atomic_size_t next;
};

static void die(const char *what)
{
    (void)fprintf(stderr, "create: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static struct entry *add(struct list *list, const char *path, const struct stat *st)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 1024 : 2 * list->capacity;
        list->items = reallocarray(list->items, list->capacity, sizeof(*list->items));
    }
    char *copy = strdup(path);
    if (list->items == NULL || copy == NULL) {
        die("memory");
    }
    struct entry *entry = &list->items[list->count++];
    *entry = (struct entry){.path = copy, .size = (uint64_t)st->st_size, .mode = st->st_mode & 07777, .leaf = true};
    return entry;
}

static bool is_in(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    return strncmp(path, folder, len) == 0 && path[len] == '/' && strchr(path + len + 1, '/') == NULL;
}

static void walk(struct work *work, char *tree)
{
    char *paths[] = {tree, NULL};
    size_t skip = strlen(tree) + 1;
    FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (fts == NULL) {
        die(tree);
    }
    for (FTSENT *entry = fts_read(fts); entry != NULL; entry = fts_read(fts)) {
        if (entry->fts_level > 0 && entry->fts_info == FTS_D) {
            (void)add(&work->folders, entry->fts_path + skip, entry->fts_statp);
        } else if (entry->fts_info == FTS_F) {
            (void)add(&work->files, entry->fts_path + skip, entry->fts_statp);
        }
    }
    (void)fts_close(fts);
    for (size_t i = 0; i + 1 < work->folders.count; i++) { /* parents come before children */
        const char *next = work->folders.items[i + 1].path;
        work->folders.items[i].leaf = !is_in(next, work->folders.items[i].path);
    }
}

static const struct entry *folder_of(const struct work *work, const struct entry *file, size_t *from)
{
    for (size_t k = 0; k < work->folders.count; k++) {
        size_t i = (*from + k) % work->folders.count;
        if (is_in(file->path, work->folders.items[i].path)) {
            *from = i;
            return &work->folders.items[i];
        }
    }
    return NULL;
}

/* Large files first, each by itself; then the files of each folder. */
static void divide(struct work *work)
{
    work->units = calloc(work->files.count + work->folders.count + 1, sizeof(*work->units));
    if (work->units == NULL) {
        die("memory");
    }
    for (size_t i = 0; i < work->files.count; i++) {
        if (work->files.items[i].size >= LARGE_BYTES) {
            work->units[work->unit_count++] = (struct unit){.first = i, .count = 1};
        }
    }
    size_t at = 0;
    const struct entry *last = NULL;
    for (size_t i = 0; i < work->files.count; i++) {
        const struct entry *file = &work->files.items[i];
        if (file->size >= LARGE_BYTES) {
            last = NULL;
            continue;
        }
        if (last == NULL || !is_in(file->path, last->path)) {
            last = folder_of(work, file, &at);
            bool leaf = last != NULL && last->leaf;
            work->units[work->unit_count++] = (struct unit){.folder = leaf ? last : NULL, .first = i};
        }
        work->units[work->unit_count - 1].count++;
    }
}

static void make_file(const struct work *work, int folder_fd, const char *name, const struct entry *file)
{
    bool direct = work->direct && file->size >= LARGE_BYTES;
    int fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | (direct ? O_DIRECT : 0), file->mode);
    if (fd < 0) {
        die(file->path);
    }
    for (uint64_t left = file->size; left > 0;) {
        size_t len = left < BLOCK_BYTES ? (size_t)left : BLOCK_BYTES;
        if (direct && len < BLOCK_BYTES) {
            direct = false;
            (void)fcntl(fd, F_SETFL, 0);
        }
        ssize_t n = write(fd, work->block, len);
        if (n <= 0) {
            die(file->path);
        }
        left -= (uint64_t)n;
    }
    if (close(fd) != 0) {
        die(file->path);
    }
}

static void make_unit(const struct work *work, const struct unit *unit)
{
    const struct entry *files = work->files.items + unit->first;
    if (unit->folder == NULL) {
        for (size_t i = 0; i < unit->count; i++) {
            make_file(work, work->to, files[i].path, &files[i]);
        }
        return;
    }
    int fd = mkdirat(work->to, unit->folder->path, 0700) == 0
                 ? openat(work->to, unit->folder->path, O_RDONLY | O_DIRECTORY)
                 : -1;
    if (fd < 0) {
        die(unit->folder->path);
    }
    for (size_t i = 0; i < unit->count; i++) {
        make_file(work, fd, strrchr(files[i].path, '/') + 1, &files[i]);
    }
    if (fchmod(fd, unit->folder->mode) != 0) {
        die(unit->folder->path);
    }
    (void)close(fd);
}

static void *work_main(void *arg)
{
    struct work *work = arg;
    for (size_t i = atomic_fetch_add(&work->next, 1); i < work->unit_count; i = atomic_fetch_add(&work->next, 1)) {
        make_unit(work, &work->units[i]);
    }
    return NULL;
}

/* The folders that files or folders of others go into, and leaves without files. */
static void make_folders(struct work *work)
{
    bool *later = calloc(work->folders.count + 1, sizeof(*later));
    if (later == NULL) {
        die("memory");
    }
    for (size_t i = 0; i < work->unit_count; i++) {
        if (work->units[i].folder != NULL) {
            later[work->units[i].folder - work->folders.items] = true;
        }
    }
    for (size_t i = 0; i < work->folders.count; i++) {
        const struct entry *folder = &work->folders.items[i];
        if (!later[i] && mkdirat(work->to, folder->path, folder->mode | 0700) != 0) {
            die(folder->path);
        }
    }
    free(later);
}

int main(int argc, char **argv)
{
    static struct work work;
    pthread_t threads[THREADS_MAX];
    size_t count = argc == 5 ? strtoul(argv[3], NULL, 10) : 0;
    if (count == 0 || count > THREADS_MAX) {
        (void)fprintf(stderr, "usage: create TREE DESTINATION THREADS buffered|direct\n");
        return 2;
    }
    work.direct = strcmp(argv[4], "direct") == 0;
    (void)umask(0);
    walk(&work, argv[1]);
    divide(&work);
    if (posix_memalign((void **)&work.block, 4096, BLOCK_BYTES) != 0) {
        die("memory");
    }
    for (size_t i = 0; i < BLOCK_BYTES; i++) {
        work.block[i] = (uint8_t)(i * 2654435761u >> 13);
    }
    double start = now();
    work.to = mkdir(argv[2], 0755) == 0 ? open(argv[2], O_RDONLY | O_DIRECTORY) : -1;
    if (work.to < 0) {
        die(argv[2]);
    }
    make_folders(&work);
    for (size_t i = 0; i < count; i++) {
        if (pthread_create(&threads[i], NULL, work_main, &work) != 0) {
            die("threads");
        }
    }
    for (size_t i = 0; i < count; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    double written = now() - start;
    if (syncfs(work.to) != 0) {
        die("sync");
    }
    (void)printf("{\"written_s\": %.3f, \"synced_s\": %.3f}\n", written, now() - start);
    return 0;
}
