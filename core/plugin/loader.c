/* loader.c: see loader.h. */
#include "plugin/loader.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "plugin/info_check.h"

#define NEEDS_KNOWN UINT64_C(0)
#define OPTION_SIZE_FIRST sizeof(struct orch_option)

static void info_cleanup(struct plugin_info **slot)
{
    plugin_info_free(*slot);
}

static int32_t find_descriptor(const char *path, const struct orch_plugin **out,
                               struct orch_error *err)
{
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (object == NULL) {
        const char *why = dlerror();
        return orch_fail(err, ORCH_E_INVALID, "%s cannot be loaded as a plugin: %s", path,
                         why == NULL ? "no reason was given" : why);
    }
    const struct orch_plugin *plugin = dlsym(object, ORCH_PLUGIN_SYMBOL);
    if (plugin == NULL) {
        return orch_fail(err, ORCH_E_INVALID,
                         "%s is not an orchestrate plugin: it does not export " ORCH_PLUGIN_SYMBOL,
                         path);
    }
    if (plugin->magic != ORCH_PLUGIN_MAGIC) {
        return orch_fail(err, ORCH_E_INVALID,
                         "%s is not an orchestrate plugin: its descriptor has another magic", path);
    }
    if (plugin->abi_major != ORCH_ABI_MAJOR) {
        return orch_fail(err, ORCH_E_VERSION,
                         "%s was built for plugin ABI %u, but this orchestrate has ABI %u: "
                         "build it again with the matching SDK",
                         path, plugin->abi_major, ORCH_ABI_MAJOR);
    }
    *out = plugin;
    return ORCH_OK;
}

static int32_t copy_descriptor(const char *path, const struct orch_plugin *from,
                               struct orch_plugin *to, struct orch_error *err)
{
    size_t size = from->struct_size < sizeof(*to) ? from->struct_size : sizeof(*to);
    memset(to, 0, sizeof(*to));
    memcpy(to, from, size);
    if (size < offsetof(struct orch_plugin, open)) {
        return orch_fail(err, ORCH_E_INVALID, "%s has a descriptor that is cut short", path);
    }
    if ((to->needs & ~NEEDS_KNOWN) != 0) {
        return orch_fail(err, ORCH_E_VERSION,
                         "%s needs a feature that this orchestrate lacks (need bits %#llx): a "
                         "newer orchestrate is needed",
                         path, (unsigned long long)(to->needs & ~NEEDS_KNOWN));
    }
    if (to->option_count > 0 && to->option_size < OPTION_SIZE_FIRST) {
        return orch_fail(err, ORCH_E_INVALID, "%s says that its options are of %u bytes each", path,
                         to->option_size);
    }
    return ORCH_OK;
}

static int32_t check_callbacks(const char *path, const struct orch_plugin *p,
                               struct orch_error *err)
{
    const char *missing = p->open == NULL      ? "open"
                          : p->close == NULL   ? "close"
                          : p->probe == NULL   ? "probe"
                          : p->backup == NULL  ? "backup"
                          : p->check == NULL   ? "check"
                          : p->restore == NULL ? "restore"
                          : p->verify == NULL  ? "verify"
                                               : NULL;
    if (missing != NULL) {
        return orch_fail(err, ORCH_E_INVALID, "%s lacks the callback %s, which every plugin has",
                         path, missing);
    }
    if (p->quiesce != NULL && p->resume == NULL) {
        return orch_fail(err, ORCH_E_INVALID, "%s has quiesce but no resume", path);
    }
    return ORCH_OK;
}

static int32_t check_texts(const char *path, const struct orch_plugin *p, struct orch_error *err)
{
    if (p->name == NULL || p->version == NULL || p->summary == NULL) {
        return orch_fail(err, ORCH_E_INVALID, "%s has no name, version or summary", path);
    }
    if (p->option_count > 0 && p->options == NULL) {
        return orch_fail(err, ORCH_E_INVALID, "%s counts options, but has none", path);
    }
    const char *file = strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1;
    size_t len = strlen(p->name);
    if (strncmp(file, p->name, len) != 0 || strcmp(file + len, ".so") != 0) {
        return orch_fail(err, ORCH_E_INVALID,
                         "%s calls itself \"%.64s\": a plugin's file must be named NAME.so", path,
                         p->name);
    }
    return ORCH_OK;
}

static int32_t fill_options(const char *path, const struct orch_plugin *p, struct plugin_info *info,
                            struct orch_error *err)
{
    info->options = calloc((size_t)p->option_count + 1, sizeof(*info->options));
    if (info->options == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for %llu options",
                         (unsigned long long)p->option_count);
    }
    const uint8_t *base = (const uint8_t *)p->options;
    for (uint64_t i = 0; i < p->option_count; i++) {
        const struct orch_option *from = (const void *)(base + i * p->option_size);
        struct plugin_option *to = &info->options[i];
        info->option_count = (size_t)i + 1;
        if (from->name == NULL || from->help == NULL) {
            return orch_fail(err, ORCH_E_INVALID, "%s declares an option without name or help",
                             path);
        }
        to->name = strdup(from->name);
        to->type = from->type;
        to->flags = from->flags;
        to->help = strdup(from->help);
        to->default_value = from->default_value == NULL ? NULL : strdup(from->default_value);
        if (to->name == NULL || to->help == NULL ||
            (from->default_value != NULL && to->default_value == NULL)) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory for an option");
        }
    }
    return ORCH_OK;
}

static int32_t fill_info(const char *path, const struct orch_plugin *p, struct plugin_info *info,
                         struct orch_error *err)
{
    info->name = strdup(p->name);
    info->version = strdup(p->version);
    info->summary = strdup(p->summary);
    info->path = strdup(path);
    if (info->name == NULL || info->version == NULL || info->summary == NULL ||
        info->path == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a plugin's descriptor");
    }
    info->abi_major = p->abi_major;
    info->abi_minor = p->abi_minor;
    info->capabilities = p->capabilities;
    info->callbacks = (p->freeze != NULL ? PLUGIN_HAS_FREEZE : 0) |
                      (p->quiesce != NULL ? PLUGIN_HAS_QUIESCE : 0) |
                      (p->settle != NULL ? PLUGIN_HAS_SETTLE : 0) |
                      (p->scratch != NULL ? PLUGIN_HAS_SCRATCH : 0);
    info->data_format = p->data_format;
    info->data_format_oldest = p->data_format_oldest;
    if (p->option_count > 10000) {
        return orch_fail(err, ORCH_E_INVALID, "%s declares %llu options", path,
                         (unsigned long long)p->option_count);
    }
    return fill_options(path, p, info, err);
}

int32_t loader_open(const char *path, struct orch_plugin *plugin, struct plugin_info **out,
                    struct orch_error *err)
{
    const struct orch_plugin *found = NULL;
    CLEANUP(info_cleanup) struct plugin_info *info = calloc(1, sizeof(*info));
    if (info == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a plugin's descriptor");
    }
    int32_t rc = find_descriptor(path, &found, err);
    if (rc == ORCH_OK) {
        rc = copy_descriptor(path, found, plugin, err);
    }
    if (rc == ORCH_OK) {
        rc = check_callbacks(path, plugin, err);
    }
    if (rc == ORCH_OK) {
        rc = check_texts(path, plugin, err);
    }
    if (rc == ORCH_OK) {
        rc = fill_info(path, plugin, info, err);
    }
    if (rc == ORCH_OK) {
        rc = info_check(info, err);
    }
    if (rc == ORCH_OK) {
        *out = steal_ptr(&info);
    }
    return rc;
}
