/* roots.c: see roots.h. */
#include "roots.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <orchestrate/support.h>

#include "name.h"

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct root *)a)->name, ((const struct root *)b)->name);
}

static void root_forget_place(struct root *root)
{
    free(root->path);
    free(root->parent);
    root->path = NULL;
    root->parent = NULL;
    root->base = NULL;
}

static int32_t root_place(struct root *root, const char *prefix, struct orch_error *err)
{
    root_forget_place(root);
    const char *name = prefix[0] != 0 && strcmp(root->name, "/") == 0 ? "" : root->name;
    if (asprintf(&root->path, "%s%s", prefix, name) < 0) {
        root->path = NULL;
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a path");
    }
    char *slash = strrchr(root->path, '/');
    size_t parent_len = slash == root->path ? 1 : (size_t)(slash - root->path);
    root->parent = strndup(root->path, parent_len);
    if (root->parent == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a path");
    }
    root->base = slash[1] == 0 ? "." : slash + 1;
    return ORCH_OK;
}

static int32_t refuse_overlaps(const struct roots *roots, struct orch_error *err)
{
    for (size_t i = 0; i < roots->count; i++) {
        for (size_t j = 0; j < roots->count; j++) {
            const struct root *inner = &roots->items[i];
            const struct root *outer = &roots->items[j];
            if (i != j && name_is_within((const uint8_t *)inner->name, inner->name_len, outer->name,
                                         outer->name_len)) {
                return orch_fail(err, ORCH_E_CONFIG,
                                 "paths overlap: %s lies inside %s; name the outer one alone",
                                 inner->name, outer->name);
            }
        }
    }
    return ORCH_OK;
}

int32_t roots_open(struct roots *roots, const struct orch_options *options, struct orch_error *err)
{
    *roots = (struct roots){0};
    const struct orch_value *paths = orch_option(options, "paths");
    if (paths == NULL || paths->count == 0) {
        return orch_fail(err, ORCH_E_CONFIG, "the option paths names nothing");
    }
    roots->items = calloc((size_t)paths->count, sizeof(*roots->items));
    if (roots->items == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for %llu paths",
                         (unsigned long long)paths->count);
    }
    for (uint64_t i = 0; i < paths->count; i++) {
        struct root *root = &roots->items[i];
        int32_t rc = name_normalise(paths->strings[i], &root->name, err);
        if (rc != ORCH_OK) {
            roots_close(roots);
            return rc;
        }
        root->name_len = strlen(root->name);
        roots->count++;
    }
    qsort(roots->items, roots->count, sizeof(*roots->items), by_name);
    int32_t rc = refuse_overlaps(roots, err);
    if (rc == ORCH_OK) {
        rc = roots_move(roots, orch_option_string(options, "root", "/"), err);
    }
    if (rc != ORCH_OK) {
        roots_close(roots);
    }
    return rc;
}

int32_t roots_move(struct roots *roots, const char *prefix, struct orch_error *err)
{
    char *clean = NULL;
    int32_t rc = name_normalise(prefix, &clean, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (strcmp(clean, "/") == 0) {
        clean[0] = 0;
    }
    free(roots->prefix);
    roots->prefix = clean;
    for (size_t i = 0; i < roots->count && rc == ORCH_OK; i++) {
        rc = root_place(&roots->items[i], clean, err);
    }
    return rc;
}

void roots_close(struct roots *roots)
{
    for (size_t i = 0; i < roots->count; i++) {
        root_forget_place(&roots->items[i]);
        free(roots->items[i].name);
    }
    free(roots->items);
    free(roots->prefix);
    *roots = (struct roots){0};
}

const struct root *roots_find(const struct roots *roots, const uint8_t *name, size_t len)
{
    for (size_t i = 0; i < roots->count; i++) {
        const struct root *root = &roots->items[i];
        if (name_is_within(name, len, root->name, root->name_len)) {
            return root;
        }
    }
    return NULL;
}

const uint8_t *roots_relative(const struct root *root, const uint8_t *name, size_t len,
                              size_t *relative_len)
{
    size_t skip = root->name_len == 1 ? 1 : root->name_len + 1;
    if (len < skip) {
        skip = len;
    }
    *relative_len = len - skip;
    return name + skip;
}
