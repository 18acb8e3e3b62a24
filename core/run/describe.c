/* describe.c: see describe.h. */
#include "run/describe.h"

#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "plugin/search.h"
#include "plugin/worker.h"

#define FORMAT 1
#define FILE_MAX (1u << 20)
/* A file may change twice within one tick of the clock that stamps it. */
#define SETTLED_NS INT64_C(2000000000)

/* ---- which file ---- */

static int64_t nanoseconds(const struct timespec *t)
{
    return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

/* What tells this file from others and from what it was before; NULL when it is not to be had, or
 * so new that it may yet change unseen. */
static json_t *fingerprint(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0 || clock_wall_ns() - nanoseconds(&st.st_ctim) < SETTLED_NS) {
        return NULL;
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "device", (json_int_t)st.st_dev, "inode",
                     (json_int_t)st.st_ino, "size_bytes", (json_int_t)st.st_size, "mtime_ns",
                     (json_int_t)nanoseconds(&st.st_mtim), "ctime_ns",
                     (json_int_t)nanoseconds(&st.st_ctim));
}

/* The key of a description: both files that it depends on. NULL: not to be kept. */
static json_t *key_new(const char *path)
{
    json_t *plugin = fingerprint(path);
    json_t *program = plugin != NULL ? fingerprint(worker_program()) : NULL;
    if (program == NULL) {
        json_decref(plugin);
        return NULL;
    }
    return json_pack("{s:i, s:s, s:o, s:o}", "format", FORMAT, "path", path, "file", plugin,
                     "program", program);
}

/* ---- what is kept ---- */

static char *kept_path(const struct config *config, const char *plugin)
{
    CLEANUP_FREE char *folder = file_join(config->cache_dir, "plugins");
    struct orch_error ignored = ORCH_ERROR_INIT;
    if (folder == NULL || file_make_dirs(folder, 0700, &ignored) != ORCH_OK) {
        return NULL;
    }
    char name[80];
    (void)snprintf(name, sizeof(name), "%s.json", plugin);
    return file_join(folder, name);
}

/* Is it of that plugin? It names the file that is started later. */
static bool is_of(const struct plugin_info *info, const char *plugin, const char *path)
{
    return strcmp(info->name, plugin) == 0 && strcmp(info->path, path) == 0;
}

/* NULL when there is none for this key. */
static struct plugin_info *kept_load(const char *kept_at, const json_t *key, const char *plugin,
                                     const char *path)
{
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    struct orch_error ignored = ORCH_ERROR_INIT;
    struct plugin_info *info = NULL;
    if (file_read(kept_at, FILE_MAX, &text, &ignored) != ORCH_OK) {
        return NULL;
    }
    json_t *kept = json_loadb((const char *)text.data, text.len, 0, NULL);
    if (json_equal(json_object_get(kept, "key"), key) &&
        plugin_info_from_json(json_object_get(kept, "plugin"), &info, &ignored) != ORCH_OK) {
        info = NULL;
    }
    if (info != NULL && !is_of(info, plugin, path)) {
        plugin_info_free(info);
        info = NULL;
    }
    json_decref(kept);
    return info;
}

static void kept_store(const char *path, json_t *key, const struct plugin_info *info)
{
    struct orch_error why = ORCH_ERROR_INIT;
    json_t *kept = json_pack("{s:O, s:o}", "key", key, "plugin", plugin_info_to_json(info));
    CLEANUP_FREE char *text = json_dumps(kept, JSON_INDENT(1) | JSON_SORT_KEYS);
    json_decref(kept);
    if (text != NULL && file_replace(path, text, strlen(text), 0600, &why) != ORCH_OK) {
        log_debug(info->name, "its description is not kept: %s", why.message);
    }
}

/* ---- asking ---- */

static int32_t copy(const struct plugin_info *info, struct plugin_info **out,
                    struct orch_error *err)
{
    json_t *json = plugin_info_to_json(info);
    if (json == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a plugin's description");
    }
    int32_t rc = plugin_info_from_json(json, out, err);
    json_decref(json);
    return rc;
}

static int32_t ask(const char *path, bool in_process, struct plugin_info **out,
                   struct orch_error *err)
{
    struct worker_options start = {.plugin_path = path, .in_process = in_process};
    struct worker *worker = NULL;
    int32_t rc = worker_start(&start, &worker, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    rc = copy(worker_info(worker), out, err);
    struct orch_error close_error = ORCH_ERROR_INIT;
    if (worker_close(worker, &close_error) != ORCH_OK && rc == ORCH_OK) {
        plugin_info_free(*out);
        *out = NULL;
        *err = close_error;
        rc = close_error.code;
    }
    return rc;
}

int32_t describe_plugin(void *ctx, const struct config *config, const char *plugin,
                        struct plugin_info **out, struct orch_error *err)
{
    const struct describe *describe = ctx;
    CLEANUP_FREE char *path = NULL;
    int32_t rc = plugin_search(describe->plugin_path, plugin, &path, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    bool keep = config != NULL && !describe->in_process;
    CLEANUP_FREE char *kept = keep ? kept_path(config, plugin) : NULL;
    json_t *key = kept != NULL ? key_new(path) : NULL;
    *out = key != NULL ? kept_load(kept, key, plugin, path) : NULL;
    if (*out == NULL) {
        rc = ask(path, describe->in_process, out, err);
        json_t *after = rc == ORCH_OK && key != NULL ? key_new(path) : NULL;
        if (after != NULL && json_equal(key, after)) {
            kept_store(kept, key, *out);
        }
        json_decref(after);
    }
    json_decref(key);
    return rc;
}
