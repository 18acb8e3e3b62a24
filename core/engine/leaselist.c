/* leaselist.c: reads the leases of a repository, and sweeps those of processes known to be dead. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/field.h"
#include "engine/lease.h"
#include "engine/leasefile.h"

#define LEASE_DOCUMENT 1u
#define LEASE_STALE_TTLS 3

bool lease_file_obeys(const struct lease_file *file, const char *mark)
{
    for (size_t i = 0; i < file->acknowledged_count; i++) {
        if (strcmp(file->acknowledged[i], mark) == 0) {
            return true;
        }
    }
    return false;
}

json_t *lease_file_to_json(const struct lease_file *file)
{
    json_t *json = json_object();
    json_t *marks = json_array();
    bool good =
        fields_put_u64(json, "document", LEASE_DOCUMENT) && fields_put_text(json, "id", file->id) &&
        fields_put_text(json, "run_id", file->run_id) &&
        fields_put_text(json, "work", file->work) && fields_put_text(json, "host", file->host) &&
        fields_put_i64(json, "pid", file->process.pid) &&
        fields_put_u64(json, "start_ticks", file->process.start_ticks) &&
        fields_put_text(json, "boot_id", file->process.boot_id) &&
        fields_put_text(json, "pid_namespace", file->process.namespace_id) &&
        fields_put_i64(json, "started_ns", file->started_ns) &&
        fields_put_u64(json, "ttl_ms", file->ttl_ms) &&
        fields_put_u64(json, "renewals", file->renewals);
    for (size_t i = 0; good && i < file->acknowledged_count; i++) {
        good = json_array_append_new(marks, json_string(file->acknowledged[i])) == 0;
    }
    good = good && json_object_set(json, "acknowledged", marks) == 0;
    json_decref(marks);
    if (!good) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* A lease of an older program has no such field. */
static void marks_from_json(struct fields *f, struct lease_file *out)
{
    out->acknowledged_count = 0;
    if (json_object_get(f->object, "acknowledged") == NULL) {
        return;
    }
    const json_t *marks = fields_array(f, "acknowledged", LEASE_MARKS_MAX);
    for (size_t i = 0; i < json_array_size(marks); i++) {
        uint8_t id[ID_BYTES];
        const json_t *mark = json_array_get(marks, i);
        const char *text = json_string_value(mark);
        if (text == NULL || hex_decode(text, json_string_length(mark), id, sizeof id) != ORCH_OK) {
            fields_reject(f, "acknowledged", "holds something other than ids");
            return;
        }
        memcpy(out->acknowledged[out->acknowledged_count++], text, ID_TEXT);
    }
}

int32_t lease_file_from_json(const json_t *json, const char *what, struct lease_file *out,
                             struct orch_error *err)
{
    struct fields f = fields_over(json, what);
    if (fields_u64(&f, "document") > LEASE_DOCUMENT) {
        return orch_fail(err, ORCH_E_VERSION,
                         "%s was written by a newer program; use a newer version of orchestrate",
                         what);
    }
    fields_id(&f, "id", out->id, false);
    fields_text(&f, "run_id", out->run_id, sizeof out->run_id);
    fields_text(&f, "work", out->work, sizeof out->work);
    fields_text(&f, "host", out->host, sizeof out->host);
    out->process.pid = fields_i64(&f, "pid");
    out->process.start_ticks = fields_u64(&f, "start_ticks");
    fields_text(&f, "boot_id", out->process.boot_id, sizeof out->process.boot_id);
    fields_text(&f, "pid_namespace", out->process.namespace_id, sizeof out->process.namespace_id);
    out->started_ns = fields_i64(&f, "started_ns");
    out->ttl_ms = fields_u32(&f, "ttl_ms", UINT32_MAX);
    out->renewals = fields_u64(&f, "renewals");
    marks_from_json(&f, out);
    return fields_end(&f, err);
}

/* A walk over all leases. `each` may keep nothing of what it is given. */
struct lease_walk {
    struct repo *repo;
    int32_t (*each)(struct lease_walk *walk, const char *name, const struct lease_file *file,
                    const struct storage_stat *stat, struct orch_error *err);
    json_t *list;
};

static int32_t walk_lease(void *ctx, const char *name, const struct storage_stat *stat,
                          struct orch_error *err)
{
    struct lease_walk *walk = ctx;
    struct lease_file file;
    struct orch_error why = ORCH_ERROR_INIT;
    json_t *json = NULL;
    int32_t rc = repo_get_document(walk->repo, name, KEY_CONTROL, &json, &why);
    if (rc == ORCH_OK) {
        rc = lease_file_from_json(json, name, &file, &why);
    }
    json_decref(json);
    if (rc == ORCH_E_NOT_FOUND) {
        return ORCH_OK; /* ended since it was listed */
    }
    if (rc != ORCH_OK) {
        log_warning("lease", "%s", why.message);
        return ORCH_OK;
    }
    return walk->each(walk, name, &file, stat, err);
}

static int32_t walk_leases(struct lease_walk *walk, struct orch_error *err)
{
    return storage_list(repo_storage(walk->repo), LEASE_FOLDER, walk_lease, walk, err);
}

static int32_t sweep_one(struct lease_walk *walk, const char *name, const struct lease_file *file,
                         const struct storage_stat *stat, struct orch_error *err)
{
    (void)stat;
    (void)err;
    struct orch_error ignored = ORCH_ERROR_INIT;
    if (process_gone(&file->process) &&
        storage_remove(repo_storage(walk->repo), name, &ignored) == ORCH_OK) {
        log_info("lease", "removed the lease of a dead process (%s, pid %lld)", file->work,
                 (long long)file->process.pid);
    }
    return ORCH_OK;
}

void lease_sweep(struct repo *repo)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct lease_walk walk = {.repo = repo, .each = sweep_one, .list = NULL};
    if (walk_leases(&walk, &err) != ORCH_OK) {
        log_warning("lease", "cannot look for leases of dead processes: %s", err.message);
    }
}

static int32_t list_one(struct lease_walk *walk, const char *name, const struct lease_file *file,
                        const struct storage_stat *stat, struct orch_error *err)
{
    (void)name;
    if (process_gone(&file->process)) {
        return ORCH_OK;
    }
    char started[21];
    clock_iso(file->started_ns, started);
    int64_t age_ms = (clock_wall_ns() - stat->mtime_ns) / 1000000;
    bool stale = age_ms > (int64_t)file->ttl_ms * LEASE_STALE_TTLS;
    json_t *json = json_object();
    bool good =
        fields_put_text(json, "id", file->id) && fields_put_text(json, "run_id", file->run_id) &&
        fields_put_text(json, "work", file->work) && fields_put_text(json, "host", file->host) &&
        fields_put_i64(json, "pid", file->process.pid) &&
        fields_put_text(json, "started", started) &&
        fields_put_i64(json, "started_ns", file->started_ns) &&
        fields_put_u64(json, "ttl_ms", file->ttl_ms) &&
        fields_put_u64(json, "renewals", file->renewals) &&
        json_object_set_new(json, "stale", json_boolean(stale)) == 0;
    if (json_array_append_new(walk->list, json) != 0 || !good) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to list the leases");
    }
    return ORCH_OK;
}

int32_t lease_list(struct repo *repo, json_t **out, struct orch_error *err)
{
    struct lease_walk walk = {.repo = repo, .each = list_one, .list = json_array()};
    if (walk.list == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to list the leases");
    }
    int32_t rc = walk_leases(&walk, err);
    if (rc != ORCH_OK) {
        json_decref(walk.list);
        return rc;
    }
    *out = walk.list;
    return ORCH_OK;
}
