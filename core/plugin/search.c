/* search.c: see search.h. */
#include "plugin/search.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "plugin/info_check.h"

#ifndef ORCHESTRATE_PLUGIN_DIR
#define ORCHESTRATE_PLUGIN_DIR "/usr/local/lib/orchestrate/plugins"
#endif

#define SUFFIX ".so"

/* A zero-terminated array of new strings. */
struct list {
    char **items;
    size_t count;
    bool failed;
};

void plugin_names_free(char **names)
{
    for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
        free(names[i]);
    }
    free(names);
}

static void list_cleanup(struct list *list)
{
    plugin_names_free(list->items);
}

/* Takes `text`, which may be NULL when memory ran out. */
static void list_add(struct list *list, char *text)
{
    char **grown = realloc(list->items, (list->count + 2) * sizeof(*grown));
    if (grown == NULL || text == NULL) {
        list->items = grown == NULL ? list->items : grown;
        list->failed = true;
        free(text);
        if (grown != NULL) {
            grown[list->count] = NULL;
        }
        return;
    }
    grown[list->count++] = text;
    grown[list->count] = NULL;
    list->items = grown;
}

static void add_folders(struct list *folders, const char *path)
{
    while (path != NULL && *path != 0) {
        size_t len = strcspn(path, ":");
        if (len > 0) {
            list_add(folders, strndup(path, len));
        }
        path += len;
        path += *path == ':' ? 1 : 0;
    }
}

static void collect_folders(const char *extra, struct list *folders)
{
    add_folders(folders, extra);
    add_folders(folders, getenv("ORCHESTRATE_PLUGIN_PATH"));
    add_folders(folders, ORCHESTRATE_PLUGIN_DIR);
}

/* Whoever may write a plugin or its folder decides what runs here as us. */
static int32_t check_owner(const char *path, const char *what, struct orch_error *err)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return orch_fail_errno(err, errno, "cannot look at the %s %s", what, path);
    }
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return orch_fail(err, ORCH_E_ACCESS,
                         "the %s %s is refused: its group or others may write it (mode %03o); "
                         "use chmod go-w",
                         what, path, (unsigned)st.st_mode & 07777);
    }
    if (st.st_uid != 0 && st.st_uid != geteuid()) {
        return orch_fail(err, ORCH_E_ACCESS,
                         "the %s %s is refused: it belongs to user %u, neither to root nor to "
                         "the current user",
                         what, path, (unsigned)st.st_uid);
    }
    return ORCH_OK;
}

/* `folder`/`name`.so or `folder`/`name`/`name`.so, new memory, or NULL. */
static char *candidate(const char *folder, const char *name, bool nested)
{
    struct buffer path = BUFFER_INIT;
    buffer_printf(&path, "%s/%s%s%s%s", folder, nested ? name : "", nested ? "/" : "", name,
                  SUFFIX);
    char *text = buffer_string(&path);
    if (text == NULL) {
        buffer_free(&path);
    }
    return text;
}

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static int32_t check_found(const char *folder, const char *path, bool nested,
                           struct orch_error *err)
{
    int32_t rc = check_owner(folder, "plugin folder", err);
    if (rc == ORCH_OK && nested) {
        CLEANUP_FREE char *inner = strndup(path, (size_t)(strrchr(path, '/') - path));
        if (inner == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory to search for plugins");
        }
        rc = check_owner(inner, "plugin folder", err);
    }
    return rc == ORCH_OK ? check_owner(path, "plugin", err) : rc;
}

static int32_t not_found(const struct list *folders, const char *name, struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    for (size_t i = 0; i < folders->count; i++) {
        buffer_printf(&text, "%s%s", i > 0 ? ", " : "", folders->items[i]);
    }
    const char *searched = buffer_string(&text);
    return orch_fail(err, ORCH_E_CONFIG,
                     "there is no plugin %s (%s%s) in %s; give its folder with --plugin-path", name,
                     name, SUFFIX, searched == NULL ? "any folder" : searched);
}

int32_t plugin_search(const char *extra, const char *name, char **path, struct orch_error *err)
{
    if (!info_name_is_legal(name)) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "\"%.64s\" cannot be a plugin: a name is a lower-case letter and up to 62 "
                         "lower-case letters, digits and hyphens",
                         name);
    }
    CLEANUP(list_cleanup) struct list folders = {0};
    collect_folders(extra, &folders);
    for (size_t i = 0; i < folders.count; i++) {
        for (int nested = 0; nested < 2; nested++) {
            CLEANUP_FREE char *file = candidate(folders.items[i], name, nested == 1);
            if (file == NULL) {
                return orch_fail(err, ORCH_E_NOMEM, "no memory to search for plugins");
            }
            if (!is_file(file)) {
                continue;
            }
            int32_t rc = check_found(folders.items[i], file, nested == 1, err);
            if (rc != ORCH_OK) {
                return rc;
            }
            /* dlopen takes a name without slash for a library of the system: make it absolute. */
            *path = realpath(file, NULL);
            return *path == NULL ? orch_fail_errno(err, errno, "cannot resolve %s", file) : ORCH_OK;
        }
    }
    if (folders.failed) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to search for plugins");
    }
    return not_found(&folders, name, err);
}

/* The plugin's name when `entry` of `folder` is a plugin file or the folder of one, new memory. */
static char *name_of_entry(const char *folder, const char *entry)
{
    size_t len = strlen(entry);
    size_t suffix = strlen(SUFFIX);
    bool nested = len <= suffix || strcmp(entry + len - suffix, SUFFIX) != 0;
    CLEANUP_FREE char *name = strndup(entry, nested ? len : len - suffix);
    if (name == NULL || !info_name_is_legal(name)) {
        return NULL;
    }
    CLEANUP_FREE char *file = candidate(folder, name, nested);
    return file != NULL && is_file(file) ? steal_ptr(&name) : NULL;
}

static void add_names(struct list *names, const char *folder)
{
    CLEANUP_DIR DIR *dir = opendir(folder);
    const struct dirent *entry = NULL;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char *name = name_of_entry(folder, entry->d_name);
        if (name != NULL) {
            list_add(names, name);
        }
    }
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int32_t plugin_search_all(const char *extra, char ***names, struct orch_error *err)
{
    CLEANUP(list_cleanup) struct list folders = {0};
    CLEANUP(list_cleanup) struct list found = {0};
    collect_folders(extra, &folders);
    for (size_t i = 0; i < folders.count; i++) {
        add_names(&found, folders.items[i]);
    }
    char **out = calloc(found.count + 1, sizeof(*out));
    if (out == NULL || folders.failed || found.failed) {
        free(out);
        return orch_fail(err, ORCH_E_NOMEM, "no memory to search for plugins");
    }
    size_t n = 0;
    if (found.count > 0) {
        qsort(found.items, found.count, sizeof(*found.items), compare_names);
    }
    for (size_t i = 0; i < found.count; i++) {
        if (n == 0 || strcmp(out[n - 1], found.items[i]) != 0) {
            out[n++] = found.items[i];
        } else {
            free(found.items[i]);
        }
    }
    free(steal_ptr(&found.items));
    *names = out;
    return ORCH_OK;
}
