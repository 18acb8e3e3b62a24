/*
 * config_places.c: what a restore replaces must not be what the restore works with.
 *
 * Judged by the names alone: a folder that does not answer must not hold up every command.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "plan/config_internal.h"

/* The next name of a path, and its length; 0 at the end. */
static size_t next_name(const char **at)
{
    for (;;) {
        *at += strspn(*at, "/");
        size_t len = strcspn(*at, "/");
        if (len != 1 || **at != '.') {
            return len;
        }
        (*at)++;
    }
}

static bool lies_within(const char *inner, const char *outer)
{
    for (;;) {
        size_t outer_len = next_name(&outer);
        size_t inner_len = next_name(&inner);
        if (outer_len == 0) {
            return true;
        }
        if (inner_len != outer_len || memcmp(inner, outer, outer_len) != 0) {
            return false;
        }
        inner += inner_len;
        outer += outer_len;
    }
}

/* A place that orchestrate itself needs. */
struct place {
    const char *path; /* NULL: it is nowhere on this machine */
    const char *what, *name;
};

static int32_t judge(const char *path, const struct place *place, struct orch_error *err)
{
    if (place->path == NULL ||
        (!lies_within(place->path, path) && !lies_within(path, place->path))) {
        return ORCH_OK;
    }
    return orch_fail(err, ORCH_E_CONFIG,
                     "a restore replaces %.300s, and %s%s%s (%.300s) would be lost with it: one "
                     "must not lie in the other",
                     path, place->what, place->name[0] == 0 ? "" : " ", place->name, place->path);
}

static int32_t judge_all(const struct config *config, const char *path, struct orch_error *err)
{
    struct place state = {config->state_dir, "the folder of orchestrate's state", ""};
    int32_t rc = judge(path, &state, err);
    for (size_t i = 0; rc == ORCH_OK && i < config->repository_count; i++) {
        const char *url = config->repositories[i].url;
        const char *local = strncmp(url, "file://", 7) == 0 ? url + 7 : url;
        struct place repository = {local[0] == '/' ? local : NULL, "repository",
                                   config->repositories[i].name};
        rc = judge(path, &repository, err);
    }
    return rc;
}

/* The option `root` is put before all paths of a component. */
static const char *root_of(const struct config_component *component)
{
    for (size_t i = 0; i < component->option_count; i++) {
        const struct orch_value *value = &component->options[i].value;
        if (strcmp(value->name, "root") == 0 && value->type == ORCH_OPTION_PATH) {
            return value->string;
        }
    }
    return "";
}

static bool is_replaced(const struct plugin_info *info, const char *option)
{
    for (size_t i = 0; i < info->option_count; i++) {
        if (strcmp(info->options[i].name, option) == 0) {
            return (info->options[i].flags & ORCH_OPTION_REPLACED) != 0;
        }
    }
    return false;
}

static int32_t judge_option(const struct config *config, const char *root,
                            const struct orch_value *value, struct orch_error *err)
{
    size_t count = value->strings != NULL ? value->count : value->string != NULL;
    for (size_t i = 0; i < count; i++) {
        CLEANUP_FREE char *path = NULL;
        const char *text = value->strings != NULL ? value->strings[i] : value->string;
        if (asprintf(&path, "%s%s", strcmp(root, "/") == 0 ? "" : root, text) < 0) {
            path = NULL;
            return orch_fail(err, ORCH_E_NOMEM, "no memory for the configuration");
        }
        int32_t rc = judge_all(config, path, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return ORCH_OK;
}

int32_t config_places_check(const struct config *config, const struct config_component *component,
                            const char **option, struct orch_error *err)
{
    const char *root = root_of(component);
    for (size_t i = 0; i < component->option_count; i++) {
        const struct orch_value *value = &component->options[i].value;
        *option = value->name;
        if (is_replaced(component->info, value->name)) {
            int32_t rc = judge_option(config, root == NULL ? "" : root, value, err);
            if (rc != ORCH_OK) {
                return rc;
            }
        }
    }
    return ORCH_OK;
}
