/*
 * vectorstore.c: the plugin's descriptor, and the short callbacks.
 *
 * A component is a folder of vector stores: index files that FAISS reads, each with the side files
 * that belong to it (a docstore, say), and whatever else lies in the folder.
 */
#include "instance.h"

#include "cleanup.h"
#include "index.h"
#include "names.h"

#include <orchestrate/support.h>

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Messages name files, whose names may be any bytes; text is UTF-8. */
static int32_t ended(int32_t rc, struct orch_error *err)
{
    if (rc != ORCH_OK && err != NULL) {
        names_clean(err->message);
    }
    return rc;
}

static void on_close(void *instance)
{
    struct vectorstore *self = instance;
    if (self != NULL) {
        source_free(self->source);
        settings_clear(&self->settings);
        free(self);
    }
}

static int32_t on_open(const struct orch_host *host, const struct orch_options *options,
                       void **instance, struct orch_error *err)
{
    struct vectorstore *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for an instance");
    }
    self->host = host;
    int32_t rc = settings_read(options, &self->settings, err);
    if (rc == ORCH_OK && self->settings.endpoint != NULL &&
        curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        rc = orch_fail(err, ORCH_E_FAILED, "libcurl cannot be started");
    }
    if (rc != ORCH_OK) {
        on_close(self);
        return ended(rc, err);
    }
    if (self->settings.work_dir != NULL) {
        (void)mkdir(self->settings.work_dir, 0700); /* what cannot be made is done without */
    }
    *instance = self;
    return ORCH_OK;
}

static int32_t on_probe(void *instance, struct orch_probe *probe, struct orch_error *err)
{
    struct vectorstore *self = instance;
    struct tree tree;
    struct stores stores;
    int32_t rc = tree_read(self->host, self->settings.path, self->settings.excludes,
                           self->settings.exclude_count, 0, &tree, err);
    if (rc != ORCH_OK) {
        return ended(rc, err);
    }
    rc = stores_find(&tree, &self->settings, &stores, err);
    if (rc == ORCH_OK && stores.count == 0 && !self->settings.allow_empty) {
        rc = orch_fail(err, ORCH_E_EMPTY,
                       "no file below %s is an index by its name; correct path or pattern, or set "
                       "allow_empty",
                       self->settings.path);
        stores_clear(&stores);
    }
    if (rc == ORCH_OK) {
        probe->items = tree.count;
        probe->size_bytes = 0;
        for (size_t i = 0; i < tree.count; i++) {
            probe->size_bytes +=
                tree.entries[i].kind == 'f' ? (uint64_t)tree.entries[i].st.st_size : 0;
        }
        (void)snprintf(probe->version, sizeof(probe->version), "FAISS %s", index_faiss_version());
        (void)snprintf(probe->identity, sizeof(probe->identity), "%.255s", self->settings.path);
        rc = orch_fact_integer(self->host, "store_count", (int64_t)stores.count, err);
        stores_clear(&stores);
    }
    tree_clear(&tree);
    return ended(rc, err);
}

static int32_t on_freeze(void *instance, struct orch_freeze *freeze, struct orch_error *err)
{
    struct vectorstore *self = instance;
    source_free(self->source);
    self->source = NULL;
    int32_t rc = source_take(self->host, &self->settings, &self->source, err);
    if (rc != ORCH_OK) {
        return ended(rc, err);
    }
    int snapshot = self->source->cloned && self->source->stable;
    freeze->consistency = snapshot ? ORCH_CONSISTENCY_SNAPSHOT : ORCH_CONSISTENCY_FUZZY;
    freeze->flags = 0;
    (void)snprintf(freeze->cost, sizeof(freeze->cost), "%s",
                   snapshot ? "file clones, which share their blocks with the originals"
                            : "open files; a change in place would fail the backup");
    if (!self->source->stable) {
        orch_log(self->host, ORCH_LOG_WARNING,
                 "files below %s changed while they were opened: stores may be of slightly "
                 "different moments",
                 self->settings.path);
    }
    return ORCH_OK;
}

static int32_t on_thaw(void *instance, struct orch_error *err)
{
    struct vectorstore *self = instance;
    (void)err;
    source_free(self->source);
    self->source = NULL;
    return ORCH_OK;
}

static int32_t on_backup(void *instance, struct orch_error *err)
{
    return ended(backup_run(instance, err), err);
}

static int32_t on_check(void *instance, const struct orch_restore *restore, struct orch_error *err)
{
    return ended(check_run(instance, restore, err), err);
}

static int32_t on_restore(void *instance, const struct orch_restore *restore,
                          struct orch_error *err)
{
    return ended(restore_run(instance, restore, err), err);
}

static int32_t on_verify(void *instance, const struct orch_restore *restore, struct orch_error *err)
{
    return ended(verify_run(instance, restore, err), err);
}

static int32_t on_settle(void *instance, const struct orch_restore *restore, uint32_t outcome,
                         struct orch_error *err)
{
    return ended(settle_run(instance, restore, outcome, err), err);
}

/* A folder below `directory` becomes the target. */
static int32_t on_scratch(void *instance, const char *directory, struct orch_error *err)
{
    struct vectorstore *self = instance;
    size_t size = strlen(directory) + sizeof("/vectors");
    char *path = malloc(size);
    if (path == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a scratch target");
    }
    (void)snprintf(path, size, "%s/vectors", directory);
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        int32_t rc = orch_fail_errno(err, errno, "cannot make the scratch folder %s", path);
        free(path);
        return rc;
    }
    free(self->settings.path);
    self->settings.path = path;
    return ORCH_OK;
}

extern const struct orch_plugin orch_plugin;
ORCH_EXPORT const struct orch_plugin orch_plugin = {
    ORCH_PLUGIN_HEADER,
    .capabilities = ORCH_CAP_OBJECTS | ORCH_CAP_TOKENS | ORCH_CAP_SELECT,
    .name = "vectorstore",
    .version = ORCHESTRATE_VERSION,
    .summary = "Folders of FAISS vector stores, bound to the embedding model they were made with",
    .data_format = 1,
    .data_format_oldest = 1,
    .options = settings_options,
    .option_count = SETTINGS_OPTION_COUNT,
    .open = on_open,
    .close = on_close,
    .probe = on_probe,
    .freeze = on_freeze,
    .thaw = on_thaw,
    .backup = on_backup,
    .check = on_check,
    .restore = on_restore,
    .verify = on_verify,
    .settle = on_settle,
    .scratch = on_scratch,
};
