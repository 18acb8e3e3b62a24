/*
 * harness.c: see harness.h. The plugin, its options, and the steps of a backup and a restore; what
 * the host's services do stands in harness_host.c.
 */
#include "harness_internal.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

int32_t harness_load(const char *path, struct harness **out, struct orch_error *err)
{
    *out = NULL;
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        return orch_fail(err, ORCH_E_FAILED, "cannot load %s: %s", path, dlerror());
    }
    const struct orch_plugin *plugin = dlsym(handle, ORCH_PLUGIN_SYMBOL);
    if (plugin == NULL || plugin->magic != ORCH_PLUGIN_MAGIC) {
        (void)dlclose(handle);
        return orch_fail(err, ORCH_E_VERSION, "%s is not an orchestrate plugin", path);
    }
    struct harness *h = calloc(1, sizeof(*h));
    if (h == NULL) {
        (void)dlclose(handle);
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the harness");
    }
    h->handle = handle;
    h->plugin = plugin;
    h->work_dir = strdup("/tmp");
    h->fail_after = UINT64_MAX;
    harness_host_init(h);
    *out = h;
    return ORCH_OK;
}

const struct orch_plugin *harness_plugin(const struct harness *harness)
{
    return harness->plugin;
}

static void free_options(struct harness *h)
{
    for (uint64_t i = 0; i < h->value_count; i++) {
        struct orch_value *v = &h->values[i];
        for (uint64_t k = 0; k < v->count; k++) {
            free((void *)(uintptr_t)v->strings[k]);
        }
        free((void *)(uintptr_t)v->strings);
        free((void *)(uintptr_t)v->string);
    }
    free(h->values);
}

static void clear_items(struct harness_items *items)
{
    for (uint64_t i = 0; i < items->count; i++) {
        struct harness_item *item = &items->list[i];
        free((void *)(uintptr_t)item->object.name);
        free((void *)(uintptr_t)item->object.meta);
        free((void *)(uintptr_t)item->rec.key);
        free((void *)(uintptr_t)item->rec.extra);
        free(item->data);
    }
    free(items->list);
    *items = (struct harness_items){0};
}

void harness_free(struct harness *h)
{
    if (h == NULL) {
        return;
    }
    harness_close(h);
    clear_items(&h->items);
    clear_items(&h->earlier);
    free_options(h);
    harness_host_free(h);
    free(h->work_dir);
    (void)dlclose(h->handle);
    free(h);
}

static const struct orch_option *declared(const struct harness *h, const char *name)
{
    const char *base = (const char *)h->plugin->options;
    for (uint64_t i = 0; i < h->plugin->option_count; i++) {
        const struct orch_option *o =
            (const struct orch_option *)(const void *)(base + i * h->plugin->option_size);
        if (strcmp(o->name, name) == 0) {
            return o;
        }
    }
    return NULL;
}

/* Splits `text` at commas into new memory. */
static const char **split(const char *text, uint64_t *count)
{
    uint64_t n = *text == 0 ? 0 : 1;
    for (const char *p = text; *p != 0; p++) {
        n += *p == ',';
    }
    const char **list = calloc(n + 1, sizeof(*list));
    if (list == NULL) {
        return NULL;
    }
    for (uint64_t i = 0; i < n; i++) {
        size_t len = strcspn(text, ",");
        list[i] = strndup(text, len);
        text += len + 1;
    }
    *count = n;
    return list;
}

static void set_value(struct orch_value *v, const struct orch_option *o, const char *text)
{
    v->name = o->name;
    v->type = o->type;
    switch (o->type) {
    case ORCH_OPTION_STRING_LIST:
    case ORCH_OPTION_PATH_LIST:
        v->strings = split(text, &v->count);
        break;
    case ORCH_OPTION_STRING:
    case ORCH_OPTION_PATH:
        v->string = strdup(text);
        break;
    case ORCH_OPTION_FLOAT:
        v->number = strtod(text, NULL);
        break;
    default:
        v->integer = strcmp(text, "true") == 0 ? 1 : strtoll(text, NULL, 10);
        break;
    }
}

static int32_t add_value(struct harness *h, const struct orch_option *o, const char *text,
                         uint32_t is_default, struct orch_error *err)
{
    for (uint64_t i = 0; i < h->value_count; i++) {
        struct orch_value *old = &h->values[i];
        if (strcmp(old->name, o->name) == 0) {
            if (is_default) {
                return ORCH_OK;
            }
            for (uint64_t k = 0; k < old->count; k++) {
                free((void *)(uintptr_t)old->strings[k]);
            }
            free((void *)(uintptr_t)old->strings);
            free((void *)(uintptr_t)old->string);
            *old = (struct orch_value){0};
            set_value(old, o, text);
            return ORCH_OK;
        }
    }
    struct orch_value *grown = realloc(h->values, (h->value_count + 1) * sizeof(*grown));
    if (grown == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for option %s", o->name);
    }
    h->values = grown;
    grown[h->value_count] = (struct orch_value){.is_default = is_default};
    set_value(&grown[h->value_count++], o, text);
    return ORCH_OK;
}

/* Durations and sizes of declared defaults carry units; the harness knows the common ones. */
static const char *plain_default(const struct orch_option *o, char *space, size_t size)
{
    if (o->type != ORCH_OPTION_SIZE && o->type != ORCH_OPTION_DURATION) {
        return o->default_value;
    }
    static const struct {
        const char *unit;
        long long factor;
    } units[] = {{"ms", 1},          {"s", 1000},        {"m", 60000},       {"h", 3600000},
                 {"d", 86400000},    {"B", 1},           {"KB", 1000},       {"MB", 1000000},
                 {"GB", 1000000000}, {"KiB", 1LL << 10}, {"MiB", 1LL << 20}, {"GiB", 1LL << 30}};
    char *end = NULL;
    long long n = strtoll(o->default_value, &end, 10);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(end, units[i].unit) == 0) {
            n *= units[i].factor;
            break;
        }
    }
    (void)snprintf(space, size, "%lld", n);
    return space;
}

int32_t harness_option(struct harness *h, const char *name, const char *text,
                       struct orch_error *err)
{
    const struct orch_option *o = declared(h, name);
    if (o == NULL) {
        return orch_fail(err, ORCH_E_CONFIG, "plugin %s declares no option %s", h->plugin->name,
                         name);
    }
    return add_value(h, o, text, 0, err);
}

void harness_work_dir(struct harness *h, const char *path)
{
    free(h->work_dir);
    h->work_dir = strdup(path);
}

int32_t harness_open(struct harness *h, struct orch_error *err)
{
    const char *base = (const char *)h->plugin->options;
    for (uint64_t i = 0; i < h->plugin->option_count; i++) {
        const struct orch_option *o =
            (const struct orch_option *)(const void *)(base + i * h->plugin->option_size);
        char space[32];
        if (o->default_value != NULL) {
            int32_t rc = add_value(h, o, plain_default(o, space, sizeof(space)), 1, err);
            if (rc != ORCH_OK) {
                return rc;
            }
        } else if ((o->flags & ORCH_OPTION_REQUIRED) != 0) {
            int found = 0;
            for (uint64_t k = 0; k < h->value_count; k++) {
                found |= strcmp(h->values[k].name, o->name) == 0;
            }
            if (!found) {
                return orch_fail(err, ORCH_E_CONFIG, "option %s is required", o->name);
            }
        }
    }
    struct orch_options options = {
        .struct_size = (uint32_t)sizeof(options),
        .value_size = (uint32_t)sizeof(struct orch_value),
        .count = h->value_count,
        .values = h->values,
        .component = "harness",
        .work_dir = h->work_dir,
    };
    h->options = options;
    harness_reset_facts(h);
    return h->plugin->open(&h->host, &h->options, &h->instance, err);
}

void harness_close(struct harness *h)
{
    if (h->instance != NULL) {
        h->plugin->close(h->instance);
        h->instance = NULL;
    }
}

int32_t harness_backup(struct harness *h, int incremental, struct orch_probe *probe,
                       struct orch_freeze *freeze, struct orch_error *err)
{
    clear_items(&h->earlier);
    h->earlier = h->items;
    h->items = (struct harness_items){0};
    h->incremental = incremental;
    h->earlier_at = 0;
    h->writing = 1;
    h->in_item = 0;
    *probe = (struct orch_probe){.struct_size = (uint32_t)sizeof(*probe),
                                 .items = ORCH_SIZE_UNKNOWN,
                                 .size_bytes = ORCH_SIZE_UNKNOWN};
    *freeze = (struct orch_freeze){.struct_size = (uint32_t)sizeof(*freeze)};
    int32_t rc = h->plugin->probe(h->instance, probe, err);
    if (rc == ORCH_OK && h->plugin->freeze != NULL) {
        rc = h->plugin->freeze(h->instance, freeze, err);
    }
    if (rc == ORCH_OK) {
        rc = h->plugin->backup(h->instance, err);
        if (rc == ORCH_OK && h->in_item) {
            rc = orch_fail(err, ORCH_E_PROTOCOL, "backup ended within an item");
        }
        struct orch_error thaw = ORCH_ERROR_INIT;
        if (h->plugin->thaw != NULL && h->plugin->thaw(h->instance, &thaw) != ORCH_OK &&
            rc == ORCH_OK) {
            *err = thaw;
            rc = thaw.code;
        }
    }
    h->writing = 0;
    return rc;
}

const struct harness_item *harness_items(const struct harness *h, uint64_t *count)
{
    *count = h->items.count;
    return h->items.list;
}

const struct harness_item *harness_find(const struct harness *h, const char *name)
{
    size_t len = strlen(name);
    for (uint64_t i = 0; i < h->items.count; i++) {
        const struct harness_item *item = &h->items.list[i];
        const uint8_t *key = item->is_record ? item->rec.key : item->object.name;
        size_t key_len = item->is_record ? item->rec.key_len : item->object.name_len;
        if (key_len == len && memcmp(key, name, len) == 0) {
            return item;
        }
    }
    return NULL;
}

static struct orch_restore request(struct harness *h, const char *run_id, uint32_t attempt)
{
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < h->items.count; i++) {
        bytes += h->items.list[i].data_len;
    }
    return (struct orch_restore){
        .struct_size = (uint32_t)sizeof(struct orch_restore),
        .strategy = ORCH_STRATEGY_REPLACE,
        .attempt = attempt,
        .data_format = h->plugin->data_format,
        .run_id = run_id,
        .facts_json = h->saved_facts != NULL ? h->saved_facts : harness_facts(h),
        .items = h->items.count,
        .size_bytes = bytes,
    };
}

int32_t harness_check(struct harness *h, const char *run_id, struct orch_error *err)
{
    struct orch_restore restore = request(h, run_id, 1);
    h->verdict_count = 0;
    return h->plugin->check(h->instance, &restore, err);
}

int32_t harness_restore(struct harness *h, const char *run_id, uint32_t attempt,
                        struct orch_error *err)
{
    struct orch_restore restore = request(h, run_id, attempt);
    h->verdict_count = 0;
    harness_rewind(h);
    int32_t rc = h->plugin->restore(h->instance, &restore, err);
    if (rc == ORCH_OK && !h->read_end) {
        rc = orch_fail(err, ORCH_E_PROTOCOL, "restore returned before it had read the END event");
    }
    return rc;
}

int32_t harness_verify(struct harness *h, const char *run_id, struct orch_error *err)
{
    struct orch_restore restore = request(h, run_id, 1);
    h->verdict_count = 0;
    return h->plugin->verify(h->instance, &restore, err);
}

int32_t harness_settle(struct harness *h, const char *run_id, uint32_t outcome,
                       struct orch_error *err)
{
    if (h->plugin->settle == NULL) {
        return ORCH_OK;
    }
    struct orch_restore restore = request(h, run_id, 1);
    return h->plugin->settle(h->instance, &restore, outcome, err);
}

const struct harness_verdict *harness_verdicts(const struct harness *h, uint64_t *count)
{
    *count = h->verdict_count;
    return h->verdicts;
}

uint32_t harness_worst(const struct harness *h)
{
    uint32_t worst = ORCH_VERDICT_GO;
    for (uint64_t i = 0; i < h->verdict_count; i++) {
        worst = h->verdicts[i].severity > worst ? h->verdicts[i].severity : worst;
    }
    return worst;
}
