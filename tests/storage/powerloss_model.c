/* powerloss_model.c: see powerloss_model.h. */
#include "powerloss_model.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define NONE (-1)

/* A file or folder, whatever its names. */
struct object {
    char where[512];      /* a path that should lead to it now */
    char where_else[512]; /* one that leads to it if the last rename did not happen */
    uint64_t synced;      /* bytes that are safe; UINT64_MAX for files older than the journal */
    bool folder;
};

/* A name, and which object it leads to: as processes see it, and as the disk has it. */
struct entry {
    char path[512];
    int now;
    int on_disk;
    int before; /* what it led to before the last rename onto it, or removal */
};

struct model {
    struct object *objects;
    size_t object_count;
    struct entry *entries;
    size_t entry_count;
    char stash[512]; /* a folder for what is on its way */
    uint64_t seed;   /* 0: the least survives */
    uint64_t drawn;
    struct powerloss_result *result;
};

/* A number below `below` that looks random (splitmix64). */
static uint64_t draw(struct model *model, uint64_t below)
{
    uint64_t x = (model->seed + ++model->drawn) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (x ^ (x >> 31)) % below;
}

static bool same_file(const char *a, const char *b)
{
    struct stat x;
    struct stat y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

static void *grow(void *list, size_t count, size_t size)
{
    if ((count & (count - 1)) != 0) {
        return list; /* room is doubled at powers of two */
    }
    void *bigger = realloc(list, (count == 0 ? 1 : 2 * count) * size);
    if (bigger == NULL) {
        abort();
    }
    return bigger;
}

static int add_object(struct model *model, const char *where, uint64_t synced, bool folder)
{
    model->objects = grow(model->objects, model->object_count, sizeof *model->objects);
    struct object *object = &model->objects[model->object_count];
    *object = (struct object){.synced = synced, .folder = folder};
    (void)snprintf(object->where, sizeof object->where, "%s", where);
    return (int)model->object_count++;
}

static struct entry *entry_known(const struct model *model, const char *path)
{
    for (size_t i = model->entry_count; i-- > 0;) {
        if (strcmp(model->entries[i].path, path) == 0) {
            return &model->entries[i];
        }
    }
    return NULL;
}

static struct entry *entry_of(struct model *model, const char *path)
{
    struct entry *known = entry_known(model, path);
    if (known != NULL) {
        return known;
    }
    model->entries = grow(model->entries, model->entry_count, sizeof *model->entries);
    struct entry *entry = &model->entries[model->entry_count++];
    *entry = (struct entry){.now = NONE, .on_disk = NONE, .before = NONE};
    (void)snprintf(entry->path, sizeof entry->path, "%s", path);
    return entry;
}

/* A name whose file is older than the journal shows up here for the first time. */
static void adopt_old(struct model *model, const char *path, const char *saved)
{
    struct entry *entry = entry_of(model, path);
    if (entry->now == NONE && entry->on_disk == NONE && strcmp(saved, "-") != 0) {
        entry->now = entry->on_disk = add_object(model, path, UINT64_MAX, false);
    }
}

/* What `entry` leads to is about to lose this name, and lives on under `saved`. */
static void bury(struct model *model, const struct entry *entry, const char *saved)
{
    if (entry->now != NONE && strcmp(saved, "-") != 0) {
        struct object *object = &model->objects[entry->now];
        (void)snprintf(object->where, sizeof object->where, "%s", saved);
    }
}

static void on_rename(struct model *model, const char *from, const char *to, const char *saved)
{
    if (access(from, F_OK) == 0) {
        return; /* killed before it happened: temporary names are never used again */
    }
    adopt_old(model, to, saved);
    bury(model, entry_of(model, to), saved);
    int moved = entry_of(model, from)->now;
    entry_of(model, from)->now = NONE;
    struct entry *target = entry_of(model, to);
    target->before = target->now;
    target->now = moved;
    if (moved != NONE) {
        struct object *object = &model->objects[moved];
        (void)snprintf(object->where_else, sizeof object->where_else, "%s", from);
        (void)snprintf(object->where, sizeof object->where, "%s", to);
    }
}

static void on_norename(struct model *model, const char *from, const char *to)
{
    struct entry *target = entry_of(model, to);
    int moved = target->now;
    target->now = target->before;
    entry_of(model, from)->now = moved;
    if (moved != NONE) {
        struct object *object = &model->objects[moved];
        (void)snprintf(object->where, sizeof object->where, "%s", from);
    }
}

static void on_remove(struct model *model, const char *path, const char *saved)
{
    if (strcmp(saved, "-") != 0 && same_file(path, saved)) {
        return; /* killed before it happened */
    }
    adopt_old(model, path, saved);
    struct entry *entry = entry_of(model, path);
    bury(model, entry, saved);
    entry->before = entry->now;
    entry->now = NONE;
}

static void on_noremove(struct model *model, const char *path)
{
    struct entry *entry = entry_known(model, path);
    if (entry != NULL && entry->now == NONE && entry->before != NONE) {
        entry->now = entry->before;
        (void)snprintf(model->objects[entry->now].where, sizeof model->objects[0].where, "%s",
                       path);
    }
}

static void on_syncdir(struct model *model, const char *folder)
{
    size_t len = strlen(folder);
    for (size_t i = 0; i < model->entry_count; i++) {
        struct entry *entry = &model->entries[i];
        if (strncmp(entry->path, folder, len) == 0 && entry->path[len] == '/' &&
            strchr(entry->path + len + 1, '/') == NULL) {
            entry->on_disk = entry->now;
        }
    }
}

/* One line of the journal. */
static void on_line(struct model *model, char *line)
{
    char *field[4] = {"", "", "", ""};
    int count = 0;
    char *save = NULL;
    line[strcspn(line, "\n")] = '\0';
    for (char *p = strtok_r(line, "\t", &save); p != NULL && count < 4;
         p = strtok_r(NULL, "\t", &save)) {
        field[count++] = p;
    }
    if (strcmp(field[0], "create") == 0 || strcmp(field[0], "mkdir") == 0) {
        bool folder = field[0][0] == 'm';
        entry_of(model, field[1])->now = add_object(model, field[1], 0, folder);
    } else if (strcmp(field[0], "sync") == 0) {
        int now = entry_of(model, field[1])->now;
        if (now != NONE) {
            model->objects[now].synced = strtoull(field[2], NULL, 10);
        }
    } else if (strcmp(field[0], "syncdir") == 0) {
        on_syncdir(model, field[1]);
    } else if (strcmp(field[0], "rename") == 0) {
        on_rename(model, field[1], field[2], field[3]);
    } else if (strcmp(field[0], "norename") == 0) {
        on_norename(model, field[1], field[2]);
    } else if (strcmp(field[0], "remove") == 0) {
        on_remove(model, field[1], field[2]);
    } else if (strcmp(field[0], "noremove") == 0) {
        on_noremove(model, field[1]);
    }
}

/* True if the path leads to another object that was buried: the last rename did not happen. */
static bool leads_elsewhere(const struct model *model, const struct object *object)
{
    for (size_t i = 0; i < model->entry_count; i++) {
        const struct entry *entry = &model->entries[i];
        if (strcmp(entry->path, object->where) == 0 && entry->before != NONE &&
            same_file(object->where, model->objects[entry->before].where)) {
            return true;
        }
    }
    return false;
}

static void stash_path(const struct model *model, size_t object, char out[1024])
{
    (void)snprintf(out, 1024, "%s/object-%zu", model->stash, object);
}

/* Puts zeros, or what looks like another file's bytes, over the end of a file. */
static void overwrite(const char *path, uint64_t from, uint64_t len, bool zeros)
{
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
    for (uint64_t i = 0; fd >= 0 && i < len; i++) {
        uint8_t byte = zeros ? 0 : (uint8_t)(i * 181 + (i >> 8) + 7);
        if (pwrite(fd, &byte, 1, (off_t)(from + i)) != 1) {
            fprintf(stderr, "powerloss: cannot write %s: %s\n", path, strerror(errno));
            return;
        }
    }
}

/* Of a file's last `lost` bytes, none was synced. */
static void tear_by_chance(struct model *model, const char *path, uint64_t synced, uint64_t lost)
{
    uint64_t kind = draw(model, 4);
    uint64_t kept = draw(model, lost);
    if (kind == 0) {
        return; /* all of it had got there */
    }
    model->result->torn++;
    if (kind > 1) { /* of the block that was under way, and what follows it, at most a page */
        uint64_t len = lost - kept < 4096 ? lost - kept : 4096;
        overwrite(path, synced + lost - len, len, kind == 2);
    } else if (truncate(path, (off_t)(synced + kept)) != 0) {
        fprintf(stderr, "powerloss: cannot cut %s: %s\n", path, strerror(errno));
    }
}

/* Brings a file's content into the stash, with the bytes that survive. */
static void stash_object(struct model *model, size_t i, bool half)
{
    struct object *object = &model->objects[i];
    char path[1024];
    struct stat st;
    stash_path(model, i, path);
    const char *from = object->where;
    if (object->where_else[0] != '\0' &&
        (access(from, F_OK) != 0 || leads_elsewhere(model, object))) {
        from = object->where_else;
    }
    if (link(from, path) != 0 || stat(path, &st) != 0 || (uint64_t)st.st_size <= object->synced) {
        return; /* gone for good, or safe */
    }
    uint64_t lost = (uint64_t)st.st_size - object->synced;
    if (model->seed != 0) {
        tear_by_chance(model, path, object->synced, lost);
        return;
    }
    model->result->torn++;
    if (truncate(path, (off_t)(object->synced + (half ? lost / 2 : 0))) != 0) {
        fprintf(stderr, "powerloss: cannot cut %s: %s\n", path, strerror(errno));
    }
}

/* True if a folder above the path is one that did not survive. */
static bool folder_lost(const struct model *model, const char *path)
{
    for (size_t i = 0; i < model->entry_count; i++) {
        const struct entry *entry = &model->entries[i];
        size_t len = strlen(entry->path);
        if (entry->now != NONE && model->objects[entry->now].folder && entry->on_disk == NONE &&
            strncmp(path, entry->path, len) == 0 && path[len] == '/') {
            return true;
        }
    }
    return false;
}

/* With a seed: which of the changes that no sync covers have happened all the same. */
static void choose_survivors(struct model *model)
{
    for (size_t i = 0; model->seed != 0 && i < model->entry_count; i++) {
        struct entry *entry = &model->entries[i];
        if (entry->now != entry->on_disk && draw(model, 2) == 0) {
            entry->on_disk = entry->now;
        }
    }
}

static void remove_names(struct model *model)
{
    for (size_t i = 0; i < model->entry_count; i++) {
        (void)unlink(model->entries[i].path); /* leaves folders alone */
    }
    for (size_t i = model->entry_count; i-- > 0;) { /* deeper ones were made later */
        const struct entry *entry = &model->entries[i];
        if (entry->now != NONE && model->objects[entry->now].folder && entry->on_disk == NONE) {
            model->result->undone++;
            (void)rmdir(entry->path);
        }
    }
}

static void restore_names(struct model *model)
{
    for (size_t i = 0; i < model->entry_count; i++) {
        const struct entry *entry = &model->entries[i];
        char path[1024];
        bool folder = entry->now != NONE && model->objects[entry->now].folder;
        model->result->undone += !folder && entry->now != entry->on_disk;
        if (folder || entry->on_disk == NONE || folder_lost(model, entry->path)) {
            continue;
        }
        stash_path(model, (size_t)entry->on_disk, path);
        if (link(path, entry->path) != 0 && errno != ENOENT) {
            fprintf(stderr, "powerloss: cannot put back %s: %s\n", entry->path, strerror(errno));
        }
    }
}

static void empty_folder(const char *path)
{
    CLEANUP_DIR DIR *dir = opendir(path);
    for (const struct dirent *entry = dir == NULL ? NULL : readdir(dir); entry != NULL;
         entry = readdir(dir)) {
        (void)unlinkat(dirfd(dir), entry->d_name, 0);
    }
}

int powerloss_model_apply(const char *log_path, uint64_t seed, struct powerloss_result *result)
{
    struct model model = {.result = result, .seed = seed};
    *result = (struct powerloss_result){0, 0};
    CLEANUP_FILE FILE *log = fopen(log_path, "r+e");
    if (log == NULL) {
        fprintf(stderr, "powerloss: cannot open %s: %s\n", log_path, strerror(errno));
        return -1;
    }
    (void)snprintf(model.stash, sizeof model.stash, "%s.saved", log_path);
    (void)mkdir(model.stash, 0700);
    char line[2048];
    while (fgets(line, sizeof line, log) != NULL) {
        on_line(&model, line);
    }
    for (size_t i = 0; i < model.object_count; i++) {
        if (!model.objects[i].folder) {
            stash_object(&model, i, i % 2 == 1);
        }
    }
    choose_survivors(&model);
    remove_names(&model);
    restore_names(&model);
    empty_folder(model.stash);
    free(model.objects);
    free(model.entries);
    return ftruncate(fileno(log), 0) == 0 ? 0 : -1;
}
