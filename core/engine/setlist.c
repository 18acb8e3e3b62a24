/* setlist.c: all sets of a repository, and finding one among them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "engine/mark.h"
#include "engine/setload.h"

#define NAME_STAMP 15u     /* "20260131_120000" */
#define AMBIGUOUS_SHOWN 6u /* sets named in a message */

/* The manifests' names while the folder is read. */
struct names {
    char **list;
    size_t count;
    size_t capacity;
};

static void names_clear(struct names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        free(names->list[i]);
    }
    free((void *)names->list);
}

static int32_t names_add(void *ctx, const char *name, const struct storage_stat *stat,
                         struct orch_error *err)
{
    struct names *names = ctx;
    (void)stat;
    if (names->count == names->capacity) {
        size_t capacity = names->capacity == 0 ? 64 : 2 * names->capacity;
        char **list = realloc((void *)names->list, capacity * sizeof *list);
        if (list == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory to list the sets");
        }
        names->list = list;
        names->capacity = capacity;
    }
    char *copy = strdup(name);
    if (copy == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to list the sets");
    }
    names->list[names->count++] = copy;
    return ORCH_OK;
}

/* Orders names by time, then by the number behind it. */
static int compare_names(const char *a, const char *b)
{
    int order = strncmp(a, b, NAME_STAMP);
    if (order != 0 || strlen(a) < NAME_STAMP || strlen(b) < NAME_STAMP) {
        return order;
    }
    unsigned long left = a[NAME_STAMP] == '-' ? strtoul(a + NAME_STAMP + 1, NULL, 10) : 1;
    unsigned long right = b[NAME_STAMP] == '-' ? strtoul(b + NAME_STAMP + 1, NULL, 10) : 1;
    return left < right ? -1 : left > right;
}

static int newest_first(const void *left, const void *right)
{
    const struct set *a = *(struct set *const *)left;
    const struct set *b = *(struct set *const *)right;
    int order = compare_names(b->name, a->name);
    return order != 0 ? order : strcmp(b->id, a->id);
}

/* What cannot be read: told, or the end of the call. */
static int32_t
unreadable(void (*damaged)(void *ctx, const char *name, const struct orch_error *why), void *ctx,
           const char *name, const struct orch_error *why, struct orch_error *err)
{
    if (damaged != NULL && (why->code == ORCH_E_CORRUPT || why->code == ORCH_E_VERSION)) {
        damaged(ctx, name, why);
        return ORCH_OK;
    }
    if (err != NULL) {
        *err = *why;
    }
    return why->code;
}

int32_t set_list_load_all(struct repo *repo,
                          void (*damaged)(void *ctx, const char *name,
                                          const struct orch_error *why),
                          void *ctx, struct set_list *out, struct orch_error *err)
{
    CLEANUP(names_clear) struct names names = {NULL, 0, 0};
    *out = (struct set_list){NULL, 0};
    int32_t rc = storage_list(repo_storage(repo), SET_FOLDER, names_add, &names, err);
    if (rc != ORCH_OK || names.count == 0) {
        return rc;
    }
    out->sets = calloc(names.count, sizeof(struct set *));
    if (out->sets == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to list the sets");
    }
    for (size_t i = 0; i < names.count; i++) {
        struct orch_error why = ORCH_ERROR_INIT;
        rc = set_load(repo, names.list[i], &out->sets[out->count], &why);
        if (rc == ORCH_OK) {
            out->count++;
        } else if (rc != ORCH_E_NOT_FOUND && /* deleted since it was listed */
                   (rc = unreadable(damaged, ctx, names.list[i], &why, err)) != ORCH_OK) {
            set_list_free(out);
            return rc;
        }
    }
    qsort((void *)out->sets, out->count, sizeof(struct set *), newest_first);
    return ORCH_OK;
}

int32_t set_list_load_split(
    struct repo *repo, void (*damaged)(void *ctx, const char *name, const struct orch_error *why),
    void *ctx, struct set_list *valid, struct set_list *invalid, struct orch_error *err)
{
    struct lapsed_list *lapsed = NULL;
    *invalid = (struct set_list){NULL, 0};
    int32_t rc = set_list_load_all(repo, damaged, ctx, valid, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    /* After the sets: what is put now was under way when these were listed. */
    rc = lapsed_list_load(repo, &lapsed, err);
    if (rc == ORCH_OK && valid->count > 0) {
        invalid->sets = calloc(valid->count, sizeof(struct set *));
        if (invalid->sets == NULL) {
            rc = orch_fail(err, ORCH_E_NOMEM, "no memory to list the sets");
        }
    }
    size_t all = valid->count;
    size_t at = 0;
    valid->count = 0;
    for (; rc == ORCH_OK && at < all; at++) {
        struct set *set = valid->sets[at];
        struct orch_error why = ORCH_ERROR_INIT;
        bool counts = false;
        if (lapsed_list_check(lapsed, set->lease, set->id, &counts, &why) != ORCH_OK) {
            char file[SET_FILE_NAME];
            set_file_name(set, file);
            rc = unreadable(damaged, ctx, file, &why, err);
            set_free(set);
        } else if (counts) {
            valid->sets[valid->count++] = set;
        } else {
            invalid->sets[invalid->count++] = set;
        }
    }
    lapsed_list_free(lapsed);
    if (rc != ORCH_OK) {
        for (; at < all; at++) {
            set_free(valid->sets[at]);
        }
        set_list_free(valid);
        set_list_free(invalid);
    }
    return rc;
}

int32_t set_list_load(struct repo *repo,
                      void (*damaged)(void *ctx, const char *name, const struct orch_error *why),
                      void *ctx, struct set_list *out, struct orch_error *err)
{
    struct set_list invalid;
    int32_t rc = set_list_load_split(repo, damaged, ctx, out, &invalid, err);
    if (rc == ORCH_OK) {
        set_list_free(&invalid);
    }
    return rc;
}

void set_list_free(struct set_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        set_free(list->sets[i]);
    }
    free((void *)list->sets);
    *list = (struct set_list){NULL, 0};
}

/* The first component that the set has no good part of; NULL: it has them all. */
static const char *first_missing(const struct set *set, const char *const *components,
                                 size_t component_count)
{
    for (size_t i = 0; i < component_count; i++) {
        const struct set_component *found = set_component_find(set, components[i]);
        if (found == NULL || !found->good) {
            return components[i];
        }
    }
    return NULL;
}

static int32_t find_latest(const struct set_list *list, const char *const *components,
                           size_t component_count, const struct set **out, struct orch_error *err)
{
    if (list->count == 0) {
        return orch_fail(err, ORCH_E_NOT_FOUND,
                         "the repository holds no set yet; take one with 'orchestrate backup'");
    }
    for (size_t i = 0; i < list->count; i++) {
        if (list->sets[i]->state == SET_COMPLETED &&
            first_missing(list->sets[i], components, component_count) == NULL) {
            *out = list->sets[i];
            return ORCH_OK;
        }
    }
    const struct set *newest = list->sets[0];
    const char *missing = first_missing(newest, components, component_count);
    if (missing != NULL) {
        return orch_fail(err, ORCH_E_NOT_FOUND,
                         "no completed set holds every component asked for; the newest, %s, has no "
                         "good part of %s: name a set, or ask for fewer components",
                         newest->name, missing);
    }
    return orch_fail(err, ORCH_E_NOT_FOUND,
                     "no set is completed; the newest, %s, is partial: name it to use it all the "
                     "same",
                     newest->name);
}

/* How well a text fits a set. */
enum fit { FIT_NOT, FIT_PREFIX, FIT_NAME, FIT_ID };

static enum fit fit_of(const struct set *set, const char *text)
{
    if (strcmp(set->id, text) == 0) {
        return FIT_ID;
    }
    if (strcmp(set->name, text) == 0) {
        return FIT_NAME;
    }
    return text[0] != '\0' && strncmp(set->id, text, strlen(text)) == 0 ? FIT_PREFIX : FIT_NOT;
}

/* A text that fits several sets equally well: name them. */
static int32_t fail_ambiguous(const struct set_list *list, const char *text, enum fit fit,
                              struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer names = BUFFER_INIT;
    size_t shown = 0;
    size_t total = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (fit_of(list->sets[i], text) == fit && total++ < AMBIGUOUS_SHOWN) {
            buffer_printf(&names, "%s%s (%s)", shown++ == 0 ? "" : ", ", list->sets[i]->id,
                          list->sets[i]->name);
        }
    }
    if (total > shown) {
        buffer_printf(&names, " and %zu more", total - shown);
    }
    const char *all = buffer_string(&names);
    return orch_fail(err, ORCH_E_INVALID, "\"%s\" fits several sets: %s; give more of the id", text,
                     all == NULL ? "" : all);
}

int32_t set_find(const struct set_list *list, const char *text, const char *const *components,
                 size_t component_count, const struct set **out, struct orch_error *err)
{
    if (strcmp(text, "latest") == 0) {
        return find_latest(list, components, component_count, out, err);
    }
    const struct set *fits = NULL;
    enum fit best = FIT_NOT;
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        enum fit fit = fit_of(list->sets[i], text);
        if (fit > best) {
            best = fit;
            count = 0;
            fits = list->sets[i];
        }
        count += fit != FIT_NOT && fit == best;
    }
    if (count > 1) {
        return fail_ambiguous(list, text, best, err);
    }
    if (count == 0) {
        return orch_fail(err, ORCH_E_NOT_FOUND,
                         "no set has the id, the beginning of an id, or the name \"%.64s\"; "
                         "'orchestrate list' shows them all",
                         text);
    }
    *out = fits;
    return ORCH_OK;
}
