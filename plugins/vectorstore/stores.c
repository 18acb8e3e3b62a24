/* stores.c: see stores.h. */
#include "stores.h"

#include "cleanup.h"
#include "names.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static int32_t no_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory for the list of stores");
}

/* How long the folder part of `name` is, without its slash. */
static size_t folder_len(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash == NULL ? 0 : (size_t)(slash - name);
}

static int in_folder(const char *name, const char *folder, size_t len)
{
    return folder_len(name) == len && strncmp(name, folder, len) == 0;
}

/* The length of the index file's name without its extension. */
static size_t stem_len(const char *name)
{
    const char *base = names_base(name);
    const char *dot = strrchr(base, '.');
    return dot == NULL || dot == base ? strlen(name) : (size_t)(dot - name);
}

/* An index under a symbolic link is carried as the link. That is a backup only when the file that
 * it points to lies in the folder too. */
static int32_t check_link(const struct settings *settings, const struct tree_entry *entry,
                          struct orch_error *err)
{
    char path[PATH_MAX + NAMES_PATH_MAX];
    CLEANUP_FREE char *root = realpath(settings->path, NULL);
    (void)snprintf(path, sizeof(path), "%s/%s", settings->path, entry->name);
    CLEANUP_FREE char *real = realpath(path, NULL);
    size_t len = root == NULL ? 0 : strlen(root);
    if (root != NULL && real != NULL && strncmp(real, root, len) == 0 && real[len] == '/') {
        return ORCH_OK;
    }
    return orch_fail(
        err, ORCH_E_CONFIG,
        "index %s is a symbolic link to %s, which is not below %s, so that its vectors "
        "would be missing from the backup; set path to the folder that holds them, or "
        "exclude the link",
        path, entry->target, settings->path);
}

static int32_t name_store(const struct tree *tree, const struct settings *settings,
                          struct store *store, struct orch_error *err)
{
    const char *file = tree->entries[store->index].name;
    size_t folder = folder_len(file);
    size_t stem = stem_len(file);
    int by_folder = folder > 0 && strncmp(names_base(file), "index.", 6) == 0;
    const char *base = names_base(settings->path);
    if (folder == 0 && stem == 5 && strncmp(file, "index", 5) == 0) {
        store->name = strdup(base); /* the component's folder is itself one store */
    } else {
        store->name = strndup(file, by_folder ? folder : stem);
    }
    return store->name == NULL ? no_memory(err) : ORCH_OK;
}

/* Stores that would have the same name get the names of their files. */
static int32_t part_names(const struct tree *tree, struct stores *stores, struct orch_error *err)
{
    for (size_t i = 0; i < stores->count; i++) {
        int twice = 0;
        for (size_t j = i + 1; j < stores->count; j++) {
            if (strcmp(stores->list[i].name, stores->list[j].name) == 0) {
                char *name = strdup(tree->entries[stores->list[j].index].name);
                if (name == NULL) {
                    return no_memory(err);
                }
                free(stores->list[j].name);
                stores->list[j].name = name;
                twice = 1;
            }
        }
        if (twice) {
            char *name = strdup(tree->entries[stores->list[i].index].name);
            if (name == NULL) {
                return no_memory(err);
            }
            free(stores->list[i].name);
            stores->list[i].name = name;
        }
    }
    return ORCH_OK;
}

static int32_t add_side(struct store *store, size_t entry, struct orch_error *err)
{
    size_t *grown = realloc(store->sides, (store->side_count + 1) * sizeof(*grown));
    if (grown == NULL) {
        return no_memory(err);
    }
    grown[store->side_count++] = entry;
    store->sides = grown;
    return ORCH_OK;
}

static int is_index(const struct stores *stores, size_t entry)
{
    for (size_t i = 0; i < stores->count; i++) {
        if (stores->list[i].index == entry) {
            return 1;
        }
    }
    return 0;
}

/* Binds by stem; *bound tells whether there was one. */
static int32_t bind_by_stem(const struct tree *tree, struct stores *stores, size_t entry,
                            int *bound, struct orch_error *err)
{
    const char *name = tree->entries[entry].name;
    for (size_t i = 0; i < stores->count; i++) {
        const char *index = tree->entries[stores->list[i].index].name;
        size_t stem = stem_len(index);
        if (in_folder(name, index, folder_len(index)) && strncmp(name, index, stem) == 0 &&
            name[stem] == '.') {
            int32_t rc = add_side(&stores->list[i], entry, err);
            if (rc != ORCH_OK) {
                return rc;
            }
            *bound = 1;
        }
    }
    return ORCH_OK;
}

/* Binds to the indexes that lie in exactly this folder; *bound likewise. */
static int32_t bind_by_folder(const struct tree *tree, struct stores *stores, size_t entry,
                              size_t len, int *bound, struct orch_error *err)
{
    const char *name = tree->entries[entry].name;
    size_t here = 0;
    for (size_t i = 0; i < stores->count; i++) {
        here += (size_t)in_folder(tree->entries[stores->list[i].index].name, name, len);
    }
    if (here == 0 || (len == 0 && (stores->count != 1 || folder_len(name) != 0))) {
        return ORCH_OK;
    }
    for (size_t i = 0; i < stores->count; i++) {
        if (in_folder(tree->entries[stores->list[i].index].name, name, len)) {
            int32_t rc = add_side(&stores->list[i], entry, err);
            if (rc != ORCH_OK) {
                return rc;
            }
        }
    }
    *bound = 1;
    return ORCH_OK;
}

static int32_t bind(const struct tree *tree, struct stores *stores, size_t entry,
                    struct orch_error *err)
{
    const char *name = tree->entries[entry].name;
    int bound = 0;
    int32_t rc = bind_by_stem(tree, stores, entry, &bound, err);
    size_t len = folder_len(name);
    while (rc == ORCH_OK && !bound) {
        rc = bind_by_folder(tree, stores, entry, len, &bound, err);
        if (len == 0) {
            break;
        }
        while (len > 0 && name[len - 1] != '/') {
            len--;
        }
        len = len > 0 ? len - 1 : 0;
    }
    return rc;
}

static int32_t collect(const struct tree *tree, const struct settings *settings,
                       struct stores *stores, struct orch_error *err)
{
    for (size_t i = 0; i < tree->count; i++) {
        const struct tree_entry *entry = &tree->entries[i];
        if (entry->kind == 'd' ||
            !names_match(entry->name, settings->patterns, settings->pattern_count)) {
            continue;
        }
        if (entry->kind == 'l') {
            int32_t rc = check_link(settings, entry, err);
            if (rc != ORCH_OK) {
                return rc;
            }
            continue;
        }
        struct store *grown = realloc(stores->list, (stores->count + 1) * sizeof(*grown));
        if (grown == NULL) {
            return no_memory(err);
        }
        stores->list = grown;
        memset(&grown[stores->count], 0, sizeof(*grown));
        grown[stores->count].index = i;
        stores->count++;
        int32_t rc = name_store(tree, settings, &grown[stores->count - 1], err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return part_names(tree, stores, err);
}

int32_t stores_find(const struct tree *tree, const struct settings *settings, struct stores *stores,
                    struct orch_error *err)
{
    memset(stores, 0, sizeof(*stores));
    int32_t rc = collect(tree, settings, stores, err);
    for (size_t i = 0; rc == ORCH_OK && i < tree->count; i++) {
        if (tree->entries[i].kind == 'f' && !is_index(stores, i)) {
            rc = bind(tree, stores, i, err);
        }
    }
    if (rc != ORCH_OK) {
        stores_clear(stores);
    }
    return rc;
}

void stores_clear(struct stores *stores)
{
    for (size_t i = 0; i < stores->count; i++) {
        free(stores->list[i].name);
        free(stores->list[i].sides);
    }
    free(stores->list);
    memset(stores, 0, sizeof(*stores));
}
