/* context.c: see context.h. */
#include "run/context.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "engine/mark.h"
#include "run/rate.h"

bool context_cancelled(const struct run_context *ctx)
{
    return ctx->cancel != NULL && __atomic_load_n(ctx->cancel, __ATOMIC_RELAXED) != 0;
}

int32_t context_state_path(const struct config *config, const char *folder, const char *name,
                           char **out, struct orch_error *err)
{
    CLEANUP_FREE char *dir =
        folder == NULL ? strdup(config->state_dir) : file_join(config->state_dir, folder);
    if (dir == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a path");
    }
    int32_t rc = file_make_dirs(dir, 0700, err);
    if (rc != ORCH_OK) {
        return orch_wrap(err, "cannot use the state folder (set state_dir in the configuration)");
    }
    *out = file_join(dir, name);
    return *out == NULL ? orch_fail(err, ORCH_E_NOMEM, "no memory for a path") : ORCH_OK;
}

/* ---- what this client remembers of a repository ---- */

static int32_t known_load(const char *path, struct repo_known *known, bool *found,
                          struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    *found = false;
    int32_t rc = file_read(path, 65536, &text, err);
    if (rc == ORCH_E_NOT_FOUND) {
        return ORCH_OK;
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    json_t *json = json_loadb((const char *)text.data, text.len, 0, NULL);
    const char *id = json_string_value(json_object_get(json, "id"));
    const json_t *encrypted = json_object_get(json, "encrypted");
    if (id == NULL || strlen(id) != ID_TEXT - 1 || !json_is_boolean(encrypted)) {
        json_decref(json);
        return orch_fail(err, ORCH_E_CORRUPT,
                         "%s, which remembers the repository, is damaged; remove it if you trust "
                         "the repository",
                         path);
    }
    (void)snprintf(known->id, sizeof(known->id), "%s", id);
    known->encrypted = json_is_true(encrypted);
    json_decref(json);
    *found = true;
    return ORCH_OK;
}

static int32_t known_store(const char *path, const struct repo *repo, struct orch_error *err)
{
    char text[128];
    int n = snprintf(text, sizeof(text), "{\"id\": \"%s\", \"encrypted\": %s}\n", repo_id(repo),
                     repo_encrypted(repo) ? "true" : "false");
    return file_replace(path, text, (size_t)n, 0600, err);
}

static int32_t known_path(const struct run_context *ctx, char **path, struct orch_error *err)
{
    char name[80];
    (void)snprintf(name, sizeof(name), "%s.json", ctx->repository->name);
    return context_state_path(ctx->config, "known", name, path, err);
}

/* ---- unlocking ---- */

static void wipe_text(char **slot)
{
    if (*slot != NULL) {
        config_secret_free(*slot);
        *slot = NULL;
    }
}

static int32_t read_key_file(const struct config_repository *repository, uint8_t key[KEY_BYTES],
                             struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    struct orch_error why = ORCH_ERROR_INIT;
    int32_t rc = file_read(repository->key_file, 4096, &text, &why);
    if (rc != ORCH_OK) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "cannot read the key_file of repository \"%s\": %s; the file that the "
                         "configuration names must be there and readable",
                         repository->name, why.message);
    }
    size_t len = text.len;
    while (len > 0 && (text.data[len - 1] == '\n' || text.data[len - 1] == '\r')) {
        len--;
    }
    rc = hex_decode((const char *)text.data, len, key, KEY_BYTES);
    if (text.data != NULL) {
        explicit_bzero(text.data, text.len);
    }
    if (rc != ORCH_OK) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "key_file %s of repository \"%s\" does not hold 64 lower-case hex digits; "
                         "for a new repository make one with: openssl rand -hex 32",
                         repository->key_file, repository->name);
    }
    return ORCH_OK;
}

/* Fills `unlock`; *passphrase and `key` hold what it points to. */
static int32_t read_unlock(const struct config_repository *repository, struct repo_unlock *unlock,
                           char **passphrase, uint8_t key[KEY_BYTES], struct orch_error *err)
{
    *unlock = (struct repo_unlock){0};
    if (!repository->encrypted) {
        return ORCH_OK;
    }
    if (repository->key_file != NULL) {
        unlock->key = key;
        return read_key_file(repository, key, err);
    }
    int32_t rc =
        config_secret_read(&repository->passphrase, "the repository's passphrase", passphrase, err);
    unlock->passphrase = *passphrase;
    if (rc == ORCH_OK && **passphrase == 0) {
        return orch_fail(err, ORCH_E_CONFIG, "the passphrase of repository \"%s\" is empty",
                         repository->name);
    }
    return rc;
}

static int32_t open_storage(struct run_context *ctx, const char *name, bool create,
                            struct orch_error *err)
{
    int32_t rc = config_repository(ctx->config, name, &ctx->repository, err);
    if (rc == ORCH_OK) {
        rc = storage_open(ctx->repository->url, create, &ctx->storage, err);
    }
    return rc;
}

int32_t context_open_repository(struct run_context *ctx, const char *name, struct orch_error *err)
{
    int32_t rc = open_storage(ctx, name, false, err);
    if (rc != ORCH_OK) {
        return rc == ORCH_E_NOT_FOUND ? orch_wrap(err, "there is no repository yet; make it with "
                                                       "\"orchestrate init\"")
                                      : rc;
    }
    CLEANUP_FREE char *path = NULL;
    struct repo_known known;
    bool found = false;
    rc = known_path(ctx, &path, err);
    if (rc == ORCH_OK) {
        rc = known_load(path, &known, &found, err);
    }
    CLEANUP(wipe_text) char *passphrase = NULL;
    uint8_t key[KEY_BYTES];
    struct repo_unlock unlock;
    if (rc == ORCH_OK) {
        rc = read_unlock(ctx->repository, &unlock, &passphrase, key, err);
    }
    if (rc == ORCH_OK) {
        rc = repo_open(ctx->storage, &unlock, found ? &known : NULL, &ctx->repo, err);
    }
    explicit_bzero(key, sizeof(key));
    if (rc == ORCH_E_REFUSED) {
        (void)orch_wrap(err,
                        "refused (what this client remembers is in %s; remove that file only if "
                        "the change was yours)",
                        path);
    }
    if (rc == ORCH_OK && ctx->repository->encrypted && !repo_encrypted(ctx->repo)) {
        rc = orch_fail(err, ORCH_E_REFUSED,
                       "repository %s is not encrypted, though the configuration says it is; if "
                       "that is intended, set encryption = \"none\"",
                       ctx->repository->url);
    }
    if (rc == ORCH_OK && !found) {
        rc = known_store(path, ctx->repo, err);
    }
    if (rc != ORCH_OK) {
        context_close_repository(ctx);
    }
    return rc;
}

int32_t context_create_repository(struct run_context *ctx, const char *name, struct orch_error *err)
{
    int32_t rc = open_storage(ctx, name, true, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    CLEANUP(wipe_text) char *passphrase = NULL;
    uint8_t key[KEY_BYTES];
    struct repo_create_options options = {.encrypted = ctx->repository->encrypted};
    rc = read_unlock(ctx->repository, &options.unlock, &passphrase, key, err);
    if (rc == ORCH_OK) {
        rc = repo_create(ctx->storage, &options, err);
    }
    if (rc == ORCH_OK) {
        rc = repo_open(ctx->storage, &options.unlock, NULL, &ctx->repo, err);
    }
    explicit_bzero(key, sizeof(key));
    CLEANUP_FREE char *path = NULL;
    if (rc == ORCH_OK) {
        rc = known_path(ctx, &path, err);
    }
    if (rc == ORCH_OK) {
        rc = known_store(path, ctx->repo, err);
    }
    if (rc != ORCH_OK) {
        context_close_repository(ctx);
    }
    return rc;
}

void context_close_repository(struct run_context *ctx)
{
    repo_close(ctx->repo);
    storage_close(ctx->storage);
    ctx->repo = NULL;
    ctx->storage = NULL;
}

/* ---- workers ---- */

uint32_t context_jobs(const struct run_context *ctx)
{
    return ctx->jobs != 0 ? ctx->jobs : ctx->repository->jobs;
}

static void component_log(void *ctx, uint32_t level, const char *text)
{
    log_line(level, ctx, "%s", text);
}

/* The configuration was judged by a description that may have been kept from an earlier run. */
static int32_t check_description(const struct run_context *ctx,
                                 const struct config_component *component,
                                 const struct plugin_info *now, struct orch_error *err)
{
    json_t *then = plugin_info_to_json(component->info);
    json_t *live = plugin_info_to_json(now);
    bool same = then != NULL && json_equal(then, live);
    json_decref(then);
    json_decref(live);
    return same ? ORCH_OK
                : orch_fail(err, ORCH_E_CHANGED,
                            "plugin %s is not what the configuration was checked against: it was "
                            "replaced meanwhile, or what is kept of it in %s/plugins is not its "
                            "own; remove that folder and try again",
                            component->plugin, ctx->config->cache_dir);
}

int32_t context_open_worker(const struct run_context *ctx, const struct config_component *component,
                            int64_t rate_limit, struct worker **out, struct orch_error *err)
{
    struct worker_options start = {
        .component = component->name,
        .plugin_path = component->info->path,
        .in_process = ctx->in_process,
        .read_ahead = rate_limit > 0 ? rate_blocks(rate_limit, 1u << 20, UINT32_MAX) : 0,
        .stall_timeout_ms = component->stall_timeout_ms,
        .job_timeout_ms = component->timeout_ms,
        .cancel = ctx->cancel,
        .log = component_log,
        .log_ctx = component->name,
    };
    CLEANUP(worker_cleanup) struct worker *worker = NULL;
    int32_t rc = worker_start(&start, &worker, err);
    if (rc == ORCH_OK) {
        rc = check_description(ctx, component, worker_info(worker), err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    struct orch_options *options = NULL;
    rc = config_options(ctx->config, component, &options, err);
    if (rc == ORCH_OK) {
        rc = worker_open(worker, options, err);
    }
    config_options_free(options);
    if (rc == ORCH_OK) {
        *out = steal_ptr(&worker);
    }
    return rc;
}

static void index_damaged(void *ctx, const char *name, const struct orch_error *why)
{
    const struct run_context *run = ctx;
    report_text(run->report, REPORT_WARNING, NULL,
                "index segment %s is damaged and left out (%s); run \"orchestrate verify\"", name,
                why->message);
}

/* A cache that cannot be had costs time, no more. */
const char *context_cache_dir(const struct run_context *ctx)
{
    struct orch_error why = ORCH_ERROR_INIT;
    if (file_make_dirs(ctx->config->cache_dir, 0700, &why) == ORCH_OK) {
        return ctx->config->cache_dir;
    }
    report_text(ctx->report, REPORT_WARNING, NULL,
                "the cache folder cannot be used (set cache_dir in the configuration): %s",
                why.message);
    return NULL;
}

/* Says in the lease which marks are obeyed from here on. */
static int32_t acknowledge(struct lease *lease, const struct mark_list *marks,
                           struct orch_error *err)
{
    CLEANUP_FREE const char **ids = calloc(marks->count + 1, sizeof(*ids));
    if (ids == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the list of marks");
    }
    for (size_t i = 0; i < marks->count; i++) {
        ids[i] = marks->marks[i].id;
    }
    return lease_acknowledge(lease, ids, err);
}

int32_t context_obey_marks(const struct run_context *ctx, struct lease *lease, bool writing,
                           struct mark_list *marks, struct orch_error *err)
{
    struct orch_error why = ORCH_ERROR_INIT;
    int32_t rc = mark_list_load(ctx->repo, marks, &why);
    if (!writing && (rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION)) {
        mark_list_clear(marks);
        report_text(ctx->report, REPORT_WARNING, NULL, "%s; run \"orchestrate verify\"",
                    why.message);
        return ORCH_OK;
    }
    if (rc != ORCH_OK) {
        *err = why;
        return rc;
    }
    return lease != NULL && marks->count > 0 ? acknowledge(lease, marks, err) : ORCH_OK;
}

int32_t context_open_index(const struct run_context *ctx, struct lease *lease, bool writing,
                           struct index **out, struct orch_error *err)
{
    struct index_options options = {.cache_dir = context_cache_dir(ctx),
                                    .check_packs = writing,
                                    .damaged = index_damaged,
                                    .ctx = (void *)(uintptr_t)ctx};
    struct mark_list marks = {0};
    struct index *index = NULL;
    int32_t rc = context_obey_marks(ctx, lease, writing, &marks, err);
    if (rc == ORCH_OK) {
        rc = index_open(ctx->repo, &options, &index, err);
    }
    if (rc == ORCH_OK) {
        rc = mark_list_shun(&marks, index, err);
    }
    mark_list_clear(&marks);
    if (rc != ORCH_OK) {
        index_close(index);
        return rc;
    }
    *out = index;
    return ORCH_OK;
}
