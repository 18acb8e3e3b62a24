/*
 * config.c: merges the groups of the configuration's files and builds the checked model. The parts
 * are listed in config_internal.h.
 */
#include "plan/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "plan/config_internal.h"
#include "plan/document.h"
#include "plan/suggest.h"

/* A named member of one of the merged groups. */
struct entry {
    const config_setting_t *setting;
    size_t order; /* in which they were met */
};

struct entries {
    struct entry *items;
    size_t count, capacity;
};

/* Everything that lives only while the configuration is read. */
struct loading {
    const struct config_plugins *plugins;
    struct config *config;
    struct entries repositories, components, defaults, scalars;
    struct config_common common;
    struct orch_error *err;
};

static int32_t fail_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory for the configuration");
}

/* ---- freeing, looking up ------------------------------------------------------------------ */

void config_free(struct config *config)
{
    if (config == NULL) {
        return;
    }
    graph_free(config->graph);
    for (size_t i = 0; i < config->repository_count; i++) {
        config_repository_clear(&config->repositories[i]);
    }
    for (size_t i = 0; i < config->component_count; i++) {
        config_component_clear(&config->components[i]);
    }
    for (size_t i = 0; config->priv != NULL && i < config->priv->plugin_count; i++) {
        free(config->priv->plugins[i].name);
        plugin_info_free(config->priv->plugins[i].info);
    }
    if (config->priv != NULL) {
        free(config->priv->plugins);
    }
    free(config->priv);
    free(config->repositories);
    free(config->components);
    free(config->dir);
    free(config->state_dir);
    free(config->cache_dir);
    free(config->hash);
    free(config);
}

void config_cleanup(struct config **slot)
{
    config_free(*slot);
}

static int compare_component(const void *key, const void *item)
{
    return strcmp(key, ((const struct config_component *)item)->name);
}

const struct config_component *config_component(const struct config *config, const char *name)
{
    if (config->component_count == 0) {
        return NULL;
    }
    return bsearch(name, config->components, config->component_count, sizeof(*config->components),
                   compare_component);
}

void config_suggest_component(const struct config *config, const char *name, struct buffer *hint)
{
    CLEANUP_FREE const char **names = calloc(config->component_count + 1, sizeof(*names));
    for (size_t i = 0; names != NULL && i < config->component_count; i++) {
        names[i] = config->components[i].name;
    }
    if (names != NULL) {
        suggest_append(hint, name, names, config->component_count);
    }
}

int32_t config_fail_component(const struct config *config, const char *name, struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer hint = BUFFER_INIT;
    config_suggest_component(config, name, &hint);
    const char *text = buffer_string(&hint);
    return orch_fail(err, ORCH_E_CONFIG, "there is no component \"%.80s\" in %s%s", name,
                     config->dir, text == NULL ? "" : text);
}

int32_t config_repository(const struct config *config, const char *name,
                          const struct config_repository **out, struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer hint = BUFFER_INIT;
    CLEANUP_FREE const char **names = calloc(config->repository_count + 1, sizeof(*names));
    if (names == NULL) {
        return fail_memory(err);
    }
    for (size_t i = 0; i < config->repository_count; i++) {
        const struct config_repository *r = &config->repositories[i];
        names[i] = r->name;
        bool is_it = name != NULL ? strcmp(r->name, name) == 0
                                  : config->repository_count == 1 || strcmp(r->name, "main") == 0;
        if (is_it) {
            *out = r;
            return ORCH_OK;
        }
    }
    if (config->repository_count == 0) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "%s configures no repository; add  repositories: { main: { url = "
                         "\"/var/backups/app\"; passphrase_file = \"/etc/orchestrate/passphrase\"; "
                         "}; };",
                         config->dir);
    }
    suggest_append(&hint, name == NULL ? "" : name, names, config->repository_count);
    const char *text = buffer_string(&hint);
    if (name == NULL) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "there are several repositories and none is called main; say which by "
                         "--repository NAME%s",
                         text == NULL ? "" : text);
    }
    return orch_fail(err, ORCH_E_CONFIG, "there is no repository %.80s%s", name,
                     text == NULL ? "" : text);
}

/* ---- merging ------------------------------------------------------------------------------ */

static int32_t add_entry(struct loading *l, struct entries *entries,
                         const config_setting_t *setting)
{
    if (entries->count == entries->capacity) {
        size_t capacity = entries->capacity == 0 ? 16 : entries->capacity * 2;
        struct entry *grown = realloc(entries->items, capacity * sizeof(*grown));
        if (grown == NULL) {
            return fail_memory(l->err);
        }
        entries->items = grown;
        entries->capacity = capacity;
    }
    entries->items[entries->count] = (struct entry){setting, entries->count};
    entries->count++;
    return ORCH_OK;
}

static int32_t add_group(struct loading *l, struct entries *entries, const config_setting_t *group)
{
    int32_t rc = document_group(group, l->err);
    for (int i = 0; rc == ORCH_OK && i < config_setting_length(group); i++) {
        rc = add_entry(l, entries, config_setting_get_elem(group, (unsigned int)i));
    }
    return rc;
}

static int32_t gather(struct loading *l, const config_setting_t *root)
{
    static const char *const keys[] = {"repositories", "components", "defaults", "state_dir",
                                       "cache_dir"};
    struct entries *groups[] = {&l->repositories, &l->components, &l->defaults};
    int32_t rc = document_only(root, "the configuration", keys, 5, l->err);
    for (int i = 0; rc == ORCH_OK && i < config_setting_length(root); i++) {
        const config_setting_t *member = config_setting_get_elem(root, (unsigned int)i);
        size_t k = 0;
        while (k < 3 && strcmp(config_setting_name(member), keys[k]) != 0) {
            k++;
        }
        rc = k < 3 ? add_group(l, groups[k], member) : add_entry(l, &l->scalars, member);
    }
    return rc;
}

static int by_setting(const void *a, const void *b)
{
    const struct entry *x = a;
    const struct entry *y = b;
    int order = strcmp(config_setting_name(x->setting), config_setting_name(y->setting));
    return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

/* Sorts by name, and finds names that two files give. `what`: "component". */
static int32_t sort_entries(struct loading *l, struct entries *entries, const char *what)
{
    if (entries->count > 1) {
        qsort(entries->items, entries->count, sizeof(*entries->items), by_setting);
    }
    for (size_t i = 1; i < entries->count; i++) {
        const config_setting_t *first = entries->items[i - 1].setting;
        const config_setting_t *second = entries->items[i].setting;
        if (strcmp(config_setting_name(first), config_setting_name(second)) == 0) {
            return document_fail(second, l->err, "%s %.80s is given twice: here and at %s:%d", what,
                                 config_setting_name(second), document_path(first),
                                 document_line(first));
        }
    }
    return ORCH_OK;
}

static int32_t check_name(const struct loading *l, const config_setting_t *setting,
                          const char *what)
{
    if (!document_name_ok(config_setting_name(setting))) {
        return document_fail(setting, l->err,
                             "%.80s cannot be the name of a %s: names begin with a small letter "
                             "and have small letters, digits and - after it, 63 at most",
                             config_setting_name(setting), what);
    }
    return document_group(setting, l->err);
}

/* ---- the model ---------------------------------------------------------------------------- */

static int32_t build_scalars(struct loading *l)
{
    for (size_t i = 0; i < l->scalars.count; i++) {
        const config_setting_t *setting = l->scalars.items[i].setting;
        bool is_state = strcmp(config_setting_name(setting), "state_dir") == 0;
        char **slot = is_state ? &l->config->state_dir : &l->config->cache_dir;
        int32_t rc = document_text(setting, slot, l->err);
        if (rc != ORCH_OK) {
            return rc;
        }
        if ((*slot)[0] != '/') {
            return document_fail(setting, l->err, "%s: expected an absolute path, found \"%.80s\"",
                                 config_setting_name(setting), *slot);
        }
    }
    return config_dirs_default(l->config, l->err);
}

static int32_t build_defaults(struct loading *l)
{
    for (size_t i = 0; i < l->defaults.count; i++) {
        const config_setting_t *setting = l->defaults.items[i].setting;
        bool known = false;
        int32_t rc = config_common_take(setting, &l->common, &known, l->err);
        if (rc != ORCH_OK) {
            return rc;
        }
        if (!known) {
            CLEANUP_BUFFER struct buffer hint = BUFFER_INIT;
            size_t count = 0;
            const char *const *names = config_common_names(&count);
            suggest_append(&hint, config_setting_name(setting), names, count);
            const char *text = buffer_string(&hint);
            return document_fail(setting, l->err, "unknown key '%.80s' in defaults%s",
                                 config_setting_name(setting), text == NULL ? "" : text);
        }
    }
    return ORCH_OK;
}

static int32_t build_repositories(struct loading *l)
{
    struct config *config = l->config;
    config->repositories = calloc(l->repositories.count + 1, sizeof(*config->repositories));
    if (config->repositories == NULL) {
        return fail_memory(l->err);
    }
    for (size_t i = 0; i < l->repositories.count; i++) {
        const config_setting_t *setting = l->repositories.items[i].setting;
        int32_t rc = check_name(l, setting, "repository");
        config->repository_count++;
        if (rc == ORCH_OK) {
            rc = config_repository_take(setting, &config->repositories[i], l->err);
        }
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return ORCH_OK;
}

/* Describes each plugin once. The error is told at the first `plugin =` that names it. */
static int32_t find_plugin(struct loading *l, const config_setting_t *setting, const char *name,
                           const struct plugin_info **out)
{
    struct config_private *priv = l->config->priv;
    for (size_t i = 0; i < priv->plugin_count; i++) {
        if (strcmp(priv->plugins[i].name, name) == 0) {
            *out = priv->plugins[i].info;
            return ORCH_OK;
        }
    }
    struct config_plugin *grown = realloc(priv->plugins, (priv->plugin_count + 1) * sizeof(*grown));
    if (grown == NULL) {
        return fail_memory(l->err);
    }
    priv->plugins = grown;
    struct config_plugin *plugin = &grown[priv->plugin_count];
    *plugin = (struct config_plugin){strdup(name), NULL};
    priv->plugin_count++;
    if (plugin->name == NULL) {
        return fail_memory(l->err);
    }
    int32_t rc = l->plugins->describe(l->plugins->ctx, l->config, name, &plugin->info, l->err);
    if (rc == ORCH_OK) {
        rc = config_plugin_check(plugin->info, l->err);
    }
    if (rc != ORCH_OK) {
        (void)orch_wrap(l->err, "plugin %.80s", name);
        return document_wrap(setting, l->err);
    }
    *out = plugin->info;
    return ORCH_OK;
}

static int32_t build_component(struct loading *l, const config_setting_t *setting,
                               struct config_component *out)
{
    int32_t rc = check_name(l, setting, "component");
    if (rc != ORCH_OK) {
        return rc;
    }
    const config_setting_t *plugin = config_setting_get_member(setting, "plugin");
    if (plugin == NULL) {
        return document_fail(setting, l->err,
                             "component %s lacks plugin: which plugin handles it, such as "
                             "\"volumes\"",
                             config_setting_name(setting));
    }
    CLEANUP_FREE char *name = NULL;
    const struct plugin_info *info = NULL;
    rc = document_text(plugin, &name, l->err);
    if (rc == ORCH_OK && !document_name_ok(name)) {
        rc =
            document_fail(plugin, l->err, "plugin: \"%.80s\" cannot be the name of a plugin", name);
    }
    if (rc == ORCH_OK) {
        rc = find_plugin(l, plugin, name, &info);
    }
    if (rc == ORCH_OK) {
        rc = config_component_take(setting, &l->common, info, out, l->err);
    }
    return rc;
}

static int32_t build_components(struct loading *l)
{
    struct config *config = l->config;
    config->components = calloc(l->components.count + 1, sizeof(*config->components));
    if (config->components == NULL) {
        return fail_memory(l->err);
    }
    for (size_t i = 0; i < l->components.count; i++) {
        config->component_count++;
        int32_t rc = build_component(l, l->components.items[i].setting, &config->components[i]);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return ORCH_OK;
}

/* ---- dependencies ------------------------------------------------------------------------- */

/* The names must be of components, each once. `names` are those of all components. */
static int32_t check_depends(struct loading *l, const config_setting_t *setting,
                             const struct config_component *component, const char *const *names)
{
    const config_setting_t *list = config_setting_get_member(setting, "depends_on");
    for (size_t i = 0; component->depends_on[i] != NULL; i++) {
        const config_setting_t *element = config_setting_get_elem(list, (unsigned int)i);
        const char *name = component->depends_on[i];
        if (config_component(l->config, name) == NULL) {
            CLEANUP_BUFFER struct buffer hint = BUFFER_INIT;
            suggest_append(&hint, name, names, l->config->component_count);
            const char *text = buffer_string(&hint);
            return document_fail(element, l->err,
                                 "%s depends on %.80s, but there is no component of that name%s",
                                 component->name, name, text == NULL ? "" : text);
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(component->depends_on[k], name) == 0) {
                return document_fail(element, l->err, "depends_on names %s twice", name);
            }
        }
    }
    return ORCH_OK;
}

static int32_t build_graph(struct loading *l)
{
    struct config *config = l->config;
    size_t n = config->component_count;
    CLEANUP_FREE struct graph_node *nodes = calloc(n + 1, sizeof(*nodes));
    CLEANUP_FREE const char **names = calloc(n + 1, sizeof(*names));
    if (nodes == NULL || names == NULL) {
        return fail_memory(l->err);
    }
    for (size_t i = 0; i < n; i++) {
        names[i] = config->components[i].name;
        nodes[i].name = names[i];
        nodes[i].depends_on = (const char *const *)config->components[i].depends_on;
    }
    for (size_t i = 0; i < n; i++) {
        int32_t rc =
            check_depends(l, l->components.items[i].setting, &config->components[i], names);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    const char *member = NULL;
    int32_t rc = graph_build_at(nodes, n, &config->graph, &member, l->err);
    if (rc != ORCH_OK && member != NULL) {
        const struct config_component *component = config_component(config, member);
        const struct entry *entry = &l->components.items[component - config->components];
        return document_wrap(config_setting_get_member(entry->setting, "depends_on"), l->err);
    }
    return rc;
}

/* ---- all of it ---------------------------------------------------------------------------- */

static int32_t build(struct loading *l, const struct config_files *files)
{
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < files->count; i++) {
        rc = gather(l, document_root(files->documents[i]));
    }
    struct entries *all[] = {&l->repositories, &l->components, &l->defaults, &l->scalars};
    static const char *const what[] = {"repository", "component", "default", "the key"};
    for (size_t i = 0; rc == ORCH_OK && i < 4; i++) {
        rc = sort_entries(l, all[i], what[i]);
    }
    rc = rc != ORCH_OK ? rc : build_scalars(l);
    rc = rc != ORCH_OK ? rc : build_defaults(l);
    rc = rc != ORCH_OK ? rc : build_repositories(l);
    rc = rc != ORCH_OK ? rc : build_components(l);
    return rc != ORCH_OK ? rc : build_graph(l);
}

static int32_t new_config(const char *dir, const char *hash, struct config **out,
                          struct orch_error *err)
{
    struct config *config = calloc(1, sizeof(*config));
    if (config == NULL) {
        return fail_memory(err);
    }
    config->dir = strdup(dir);
    config->hash = strdup(hash);
    config->priv = calloc(1, sizeof(*config->priv));
    if (config->dir == NULL || config->hash == NULL || config->priv == NULL) {
        config_free(config);
        return fail_memory(err);
    }
    *out = config;
    return ORCH_OK;
}

int32_t config_build(const char *dir, const struct config_files *files,
                     const struct config_plugins *plugins, struct config **out,
                     struct orch_error *err)
{
    CLEANUP(config_cleanup) struct config *config = NULL;
    int32_t rc = new_config(dir, files->hash, &config, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct loading l = {.plugins = plugins, .config = config, .err = err};
    rc = build(&l, files);
    free(l.repositories.items);
    free(l.components.items);
    free(l.defaults.items);
    free(l.scalars.items);
    if (rc == ORCH_OK) {
        *out = steal_ptr(&config);
    }
    return rc;
}

int32_t config_load(const char *dir, const struct config_plugins *plugins, struct config **out,
                    struct orch_error *err)
{
    CLEANUP(config_files_free) struct config_files files = {0};
    CLEANUP_FREE char *folder = strdup(dir);
    if (folder == NULL) {
        return fail_memory(err);
    }
    /* "conf.d/" and "conf.d" read the same in messages. */
    for (size_t len = strlen(folder); len > 1 && folder[len - 1] == '/'; len--) {
        folder[len - 1] = 0;
    }
    int32_t rc = config_files_load(folder, &files, err);
    return rc != ORCH_OK ? rc : config_build(folder, &files, plugins, out, err);
}
