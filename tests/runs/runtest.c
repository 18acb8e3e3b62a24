/* runtest.c: see runtest.h. */
#include "runtest.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

static const char *plugins;

/* ---- the configuration ---- */

/* What the plugins said of themselves; by name, for as long as the process lives. */
static json_t *described;

/* Looks itself: the search refuses folders that a lax umask made writable for a group. */
static int32_t ask(const char *plugin, struct orch_error *err)
{
    char path[1024];
    (void)snprintf(path, sizeof(path), "%s/%s.so", plugins, plugin);
    struct worker_options start = {.plugin_path = path};
    CLEANUP(worker_cleanup) struct worker *worker = NULL;
    int32_t rc = worker_start(&start, &worker, err);
    if (rc == ORCH_OK) {
        described = described == NULL ? json_object() : described;
        (void)json_object_set_new(described, plugin, plugin_info_to_json(worker_info(worker)));
    }
    return rc;
}

static int32_t describe(void *ctx, const struct config *config, const char *plugin,
                        struct plugin_info **out, struct orch_error *err)
{
    (void)ctx;
    (void)config;
    int32_t rc = json_object_get(described, plugin) == NULL ? ask(plugin, err) : ORCH_OK;
    return rc == ORCH_OK ? plugin_info_from_json(json_object_get(described, plugin), out, err) : rc;
}

void runtest_load(struct runtest *t)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct config_plugins with = {.describe = describe};
    CLEANUP_FREE char *conf = folder_path(t->dir, "conf.d");
    ASSERT_OK(config_load(conf, &with, &t->ctx.config, &err), err);
}

/* "name/e: a b" as a group. */
static void component_text(const struct runtest *t, const char *spec, const char *settings,
                           struct buffer *out)
{
    char name[64];
    size_t len = strcspn(spec, ":/");
    (void)snprintf(name, sizeof(name), "%.*s", (int)len, spec);
    const char *plugin = strncmp(spec + len, "/e", 2) == 0 ? "scripted-empty" : "scripted";
    buffer_printf(out, "  %s: { plugin = \"%s\"; path = \"%s/%s\"; %s depends_on = [", name, plugin,
                  t->dir, name, settings == NULL ? "" : settings);
    const char *at = strchr(spec, ':');
    for (const char *comma = ""; at != NULL && *(at += 1 + strspn(at + 1, " ")) != 0;
         comma = ", ") {
        size_t n = strcspn(at, " ");
        buffer_printf(out, "%s\"%.*s\"", comma, (int)n, at);
        at += n - 1;
    }
    buffer_printf(out, "]; };\n");
    char data[128];
    (void)snprintf(data, sizeof(data), "%s/data", name);
    folder_write(t->dir, data, "one=1\n");
}

static void take_event(void *ctx, const struct report_event *event)
{
    static const char *const kinds[] = {"phase",   "component", "progress",
                                        "warning", "failure",   "note"};
    struct runtest *t = ctx;
    buffer_printf(&t->events, "%s %s %s\n", kinds[event->kind],
                  event->component == NULL ? "-" : event->component,
                  event->text == NULL ? "" : event->text);
    if (t->on_event != NULL) {
        t->on_event(t, event);
    }
}

void runtest_make_with(struct runtest *t, const char *const *components, const char *settings,
                       const char *repository)
{
    struct orch_error err = ORCH_ERROR_INIT;
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    *t = (struct runtest){.events = BUFFER_INIT};
    log_set_level(ORCH_LOG_ERROR); /* not that the repository is not encrypted, each time */
    folder_make(t->dir);
    buffer_printf(&text,
                  "state_dir = \"%s/state\";\ncache_dir = \"%s/cache\";\nrepositories: { main: { "
                  "url = \"%s/repo\"; encryption = \"none\"; jobs = 1; %s }; };\ncomponents: {\n",
                  t->dir, t->dir, t->dir, repository);
    for (size_t i = 0; components[i] != NULL; i++) {
        component_text(t, components[i], settings, &text);
    }
    buffer_text(&text, "};\n");
    folder_write(t->dir, "conf.d/main.conf", buffer_string(&text));
    runtest_load(t);
    struct report_receiver receiver = {.ctx = t, .event = take_event};
    t->ctx.report = report_new(&receiver);
    t->ctx.cancel = &t->cancel;
    ASSERT_OK(context_create_repository(&t->ctx, NULL, &err), err);
    free(runtest_log(t));
}

void runtest_make(struct runtest *t, const char *const *components, const char *settings)
{
    runtest_make_with(t, components, settings, "");
}

void runtest_reopen(struct runtest *t)
{
    struct orch_error err = ORCH_ERROR_INIT;
    context_close_repository(&t->ctx);
    config_free(t->ctx.config);
    runtest_load(t);
    ASSERT_OK(context_open_repository(&t->ctx, NULL, &err), err);
}

void runtest_remove(struct runtest *t)
{
    context_close_repository(&t->ctx);
    config_free(t->ctx.config);
    report_free(t->ctx.report);
    buffer_free(&t->events);
    folder_remove(t->dir);
}

/* ---- what the plugins see and did ---- */

static void write_file(const struct runtest *t, const char *component, const char *name,
                       const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", component, name);
    folder_write(t->dir, path, text);
}

void runtest_data(const struct runtest *t, const char *component, const char *text)
{
    write_file(t, component, "data", text);
}

void runtest_script(const struct runtest *t, const char *component, const char *text)
{
    write_file(t, component, "how", text);
}

bool runtest_holds(const struct runtest *t, const char *component, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/data", component);
    CLEANUP_FREE char *found = folder_read(t->dir, path);
    return found != NULL && strcmp(found, text) == 0;
}

char *runtest_log(const struct runtest *t)
{
    char *text = folder_read(t->dir, "log");
    CLEANUP_FREE char *path = folder_path(t->dir, "log");
    (void)unlink(path);
    return text == NULL ? strdup("") : text;
}

/* The first whole line at or after `from`. */
static const char *find_line(const char *log, const char *from, const char *line)
{
    size_t len = strlen(line);
    for (const char *at = strstr(from, line); at != NULL; at = strstr(at + 1, line)) {
        if ((at == log || at[-1] == '\n') && at[len] == '\n') {
            return at;
        }
    }
    return NULL;
}

size_t runtest_times(const char *log, const char *line)
{
    size_t count = 0;
    for (const char *at = find_line(log, log, line); at != NULL;
         at = find_line(log, at + 1, line)) {
        count++;
    }
    return count;
}

long runtest_place(const char *log, const char *line)
{
    const char *at = find_line(log, log, line);
    return at == NULL ? -1 : at - log;
}

bool runtest_told(struct runtest *t, const char *text)
{
    return strstr(buffer_string(&t->events), text) != NULL;
}

/* ---- runs ---- */

void runtest_backup(struct runtest *t, char id[ID_TEXT])
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct backup_options options = {.type = "full"};
    struct backup_result result;
    int32_t rc = backup_run(&t->ctx, &options, &result, &err);
    ASSERT_OK(rc, err);
    memcpy(id, result.set->id, ID_TEXT);
    backup_result_clear(&result);
    free(runtest_log(t));
}

struct restore_options runtest_options(void)
{
    static const struct restore_step all = {.kind = RESTORE_STEP_COMPONENTS};
    return (struct restore_options){.set = "latest", .steps = &all, .step_count = 1};
}

const char *runtest_member(const json_t *components, const char *component, const char *key)
{
    size_t i;
    json_t *entry;
    json_array_foreach(components, i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "component"));
        if (name != NULL && strcmp(name, component) == 0) {
            const char *value = json_string_value(json_object_get(entry, key));
            return value == NULL ? "(none)" : value;
        }
    }
    return "(no component)";
}

int runtest_main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--worker") == 0) {
        return worker_main((int)strtol(argv[2], NULL, 10));
    }
    plugins = argc > 1 ? argv[1] : ".";
    return -1;
}
