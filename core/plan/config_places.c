/*
 * config_places.c: what a restore replaces must not be the repository that it reads. See config.h.
 *
 * Judged by the names alone: a folder that does not answer must not hold up every command.
 */
#include "plan/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

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

/* A name with ".." may be anywhere, and is within nothing. */
static bool lies_within(const char *inner, const char *outer)
{
    if (strstr(inner, "/..") != NULL || strstr(outer, "/..") != NULL) {
        return false;
    }
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

static int32_t judge(const struct config *config, const char *path, struct orch_error *err)
{
    for (size_t i = 0; i < config->repository_count; i++) {
        const struct config_repository *repository = &config->repositories[i];
        const char *url = repository->url;
        const char *folder = strncmp(url, "file://", 7) == 0 ? url + 7 : url;
        if (folder[0] == '/' && (lies_within(folder, path) || lies_within(path, folder))) {
            return orch_fail(err, ORCH_E_REFUSED,
                             "a restore replaces %.300s, and repository %s (%.300s) would be lost "
                             "with it: one must not lie in the other",
                             path, repository->name, folder);
        }
    }
    return ORCH_OK;
}

/* The option `root` is put before all paths of a component. */
static const char *root_of(const struct config_component *component)
{
    for (size_t i = 0; i < component->option_count; i++) {
        const struct orch_value *value = &component->options[i].value;
        if (strcmp(value->name, "root") == 0 && value->type == ORCH_OPTION_PATH) {
            return value->string == NULL ? "" : value->string;
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
        int32_t rc = judge(config, path, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return ORCH_OK;
}

int32_t config_check_places(const struct config *config, const struct config_component *component,
                            struct orch_error *err)
{
    const char *root = root_of(component);
    for (size_t i = 0; i < component->option_count; i++) {
        const struct orch_value *value = &component->options[i].value;
        if (!is_replaced(component->info, value->name)) {
            continue;
        }
        int32_t rc = judge_option(config, root, value, err);
        if (rc != ORCH_OK) {
            return orch_wrap(err, "%s:%d: component %s, %s", component->file, component->line,
                             component->name, value->name);
        }
    }
    return ORCH_OK;
}
