/* prunetest.c: see prunetest.h. */
#include "prunetest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "engine/check.h"
#include "engine/mark.h"

#define ROW_BYTES 8192u

void pt_random(struct pt_source *source, uint64_t seed, size_t objects, uint64_t variety)
{
    struct et_random random = {seed};
    memset(source, 0, sizeof(*source));
    source->objects = objects;
    for (size_t i = 0; i < objects; i++) {
        source->contents[i] = 1 + et_random_next(&random) % variety;
    }
}

static void put_object(struct part_writer *part, const char *name, uint64_t content, size_t len,
                       bool rows)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct orch_object object = et_object(name);
    uint8_t *data = malloc(len + 8);
    if (data == NULL) {
        ck_abort_msg("no memory");
    }
    et_random_fill(content, data, len);
    object.profile = rows ? ORCH_PROFILE_ROWS : 0;
    object.row_bytes = rows ? ROW_BYTES : 0;
    et_ok(et_put_object(part, &object, data, len, 0, &err), err);
    free(data);
}

static void put_huge_record(struct part_writer *part, uint64_t content)
{
    struct orch_error err = ORCH_ERROR_INIT;
    size_t key_len = 100000, len = 300000;
    uint8_t *key = malloc(key_len + 8);
    uint8_t *value = malloc(len + 8);
    if (key == NULL || value == NULL) {
        ck_abort_msg("no memory");
    }
    et_random_fill(content + 1000000, key, key_len);
    et_random_fill(content + 2000000, value, len);
    et_ok(et_put_record(part, 0, key, key_len, value, len, 0, &err), err);
    free(key);
    free(value);
}

void pt_feed(struct part_writer *part, void *ctx)
{
    const struct pt_source *source = ctx;
    struct orch_error err = ORCH_ERROR_INIT;
    char name[32];
    for (size_t i = 0; i < source->objects; i++) {
        uint64_t content = source->contents[i];
        size_t len = source->object_bytes != 0 ? source->object_bytes
                                               : (size_t)(content * 7919 % 200000) + 100;
        (void)snprintf(name, sizeof(name), "object-%04zu", i);
        put_object(part, name, content, len, false);
    }
    if (source->row_object > 0) {
        put_object(part, "rows", 77 + source->contents[0], source->row_object * ROW_BYTES, true);
    }
    for (size_t i = 0; i < source->records; i++) {
        uint8_t value[200];
        (void)snprintf(name, sizeof(name), "record-%06zu", i);
        et_text_fill(source->contents[0] + i / 100, value, sizeof(value));
        et_ok(et_put_record(part, 0, name, strlen(name), value, sizeof(value), 0, &err), err);
    }
    if (source->huge_record) {
        put_huge_record(part, source->contents[0]);
    }
}

static void store_part(struct repo *repo, struct part *part)
{
    struct orch_error err = ORCH_ERROR_INIT;
    strcpy(part->component, "test");
    strcpy(part->plugin, "test");
    strcpy(part->plugin_version, "1");
    strcpy(part->type, "full");
    part->facts_json = strdup("{}");
    et_ok(part_store(repo, part, &err), err);
}

static void store_set(struct repo *repo, const struct part *part, const char *lease,
                      char id[ID_TEXT])
{
    struct orch_error err = ORCH_ERROR_INIT;
    static char *none[1] = {NULL};
    struct set_component component = {.name = "test", .plugin = "test", .good = true};
    strcpy(component.part, part->id);
    component.depends_on = none;
    struct set set = {.state = SET_COMPLETED, .started_ns = clock_wall_ns()};
    strcpy(set.type, "full");
    et_ok(id_new(set.run_id, &err), err);
    strcpy(set.host, "test");
    strcpy(set.lease, lease);
    strcpy(set.program_version, "0");
    set.finished_ns = set.started_ns;
    set.components = &component;
    set.component_count = 1;
    et_ok(set_store(repo, &set, &err), err);
    strcpy(id, set.id);
}

void pt_set(struct repo *repo, struct pt_source *source, const char *lease, uint64_t pack_bytes,
            char id[ID_TEXT])
{
    struct writer_options options = {.codec = CODEC_ZSTD, .jobs = 1, .pack_bytes = pack_bytes};
    struct part part;
    et_backup(repo, &options, NULL, pt_feed, source, &part);
    store_part(repo, &part);
    store_set(repo, &part, lease, id);
    part_clear(&part);
}

/* ---- a backup step by step ------------------------------------------------------------------- */

void pt_backup_begin(struct repo *repo, struct pt_backup *backup)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct index_options options = {.check_packs = true};
    struct mark_list marks;
    char run_id[ID_TEXT];
    memset(backup, 0, sizeof(*backup));
    backup->repo = repo;
    et_ok(id_new(run_id, &err), err);
    et_ok(lease_take(repo, run_id, "backup", &backup->lease, &err), err);
    et_ok(mark_list_load(repo, &marks, &err), err);
    const char **ids = calloc(marks.count + 1, sizeof(*ids));
    for (size_t i = 0; ids != NULL && i < marks.count; i++) {
        ids[i] = marks.marks[i].id;
    }
    et_ok(lease_acknowledge(backup->lease, ids, &err), err);
    et_ok(index_open(repo, &options, &backup->index, &err), err);
    et_ok(mark_list_shun(&marks, backup->index, &err), err);
    free((void *)ids);
    mark_list_clear(&marks);
}

void pt_backup_store(struct pt_backup *backup, struct pt_source *source, uint64_t pack_bytes)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct writer_options options = {.codec = CODEC_ZSTD, .jobs = 1, .pack_bytes = pack_bytes};
    struct writer *writer = NULL;
    struct part_writer *part = NULL;
    struct orch_event end = et_event(ORCH_EVENT_END);
    et_ok(writer_open(backup->repo, backup->index, &options, &writer, &err), err);
    et_ok(part_writer_open(writer, NULL, &part, &err), err);
    pt_feed(part, source);
    et_ok(part_writer_put(part, &end, &err), err);
    et_ok(part_writer_finish(part, &backup->part.content, &backup->part.stats, &err), err);
    part_writer_close(part);
    et_ok(writer_finish(writer, &err), err);
    writer_close(writer);
    store_part(backup->repo, &backup->part);
    et_ok(storage_barrier(repo_storage(backup->repo), &err), err);
}

void pt_backup_seal(struct pt_backup *backup)
{
    struct orch_error err = ORCH_ERROR_INIT;
    et_ok(lease_check(backup->lease, &err), err);
    store_set(backup->repo, &backup->part, lease_id(backup->lease), backup->set);
    et_ok(lease_check(backup->lease, &err), err);
}

void pt_backup_end(struct pt_backup *backup)
{
    lease_end(backup->lease);
    index_close(backup->index);
    part_clear(&backup->part);
}

/* ---- stores ---------------------------------------------------------------------------------- */

const char *pt_folder(void)
{
    return access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp";
}

void pt_open(const char *dir, struct et_repo *r)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct repo_unlock unlock = et_unlock(true);
    struct et_repo opened = {.storage = NULL};
    ck_assert_uint_lt(strlen(dir), sizeof(opened.dir));
    strcpy(opened.dir, dir);
    *r = opened;
    et_ok(storage_open(r->dir, false, &r->storage, &err), err);
    et_ok(repo_open(r->storage, &unlock, NULL, &r->repo, &err), err);
}

void pt_close(struct et_repo *r)
{
    repo_close(r->repo);
    storage_close(r->storage);
}

void pt_clone(const char *dir, struct et_repo *r)
{
    char command[200];
    char path[64];
    (void)snprintf(path, sizeof(path), "%s/orch-prune-XXXXXX", pt_folder());
    if (mkdtemp(path) == NULL) {
        ck_abort_msg("cannot make a folder below %s", pt_folder());
    }
    (void)snprintf(command, sizeof(command), "cp -a '%s/.' '%s'", dir, path);
    ck_assert_int_eq(system(command), 0);
    pt_open(path, r);
}

struct set *pt_find(struct set_list *list, const char *id)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->sets[i]->id, id) == 0) {
            return list->sets[i];
        }
    }
    ck_abort_msg("set %s is not listed", id);
    return NULL;
}

void pt_twin(const struct et_repo *original, struct et_repo *twin)
{
    struct orch_error err = ORCH_ERROR_INIT;
    char command[160];
    memset(twin, 0, sizeof(*twin));
    strcpy(twin->dir, "/tmp/orch-twin-XXXXXX");
    if (mkdtemp(twin->dir) == NULL) {
        ck_abort_msg("cannot make a folder below /tmp");
    }
    (void)snprintf(command, sizeof(command), "cp '%s/config' '%s/config'", original->dir,
                   twin->dir);
    ck_assert_int_eq(system(command), 0);
    et_ok(storage_open(twin->dir, false, &twin->storage, &err), err);
    struct repo_unlock unlock = et_unlock(repo_encrypted(original->repo));
    et_ok(repo_open(twin->storage, &unlock, NULL, &twin->repo, &err), err);
}

/* ---- the store as a whole -------------------------------------------------------------------- */

static int32_t add_line(void *ctx, const char *name, const struct storage_stat *stat,
                        struct orch_error *err)
{
    struct buffer *lines = ctx;
    (void)err;
    if (strncmp(name, "leases/", 7) != 0) {
        buffer_printf(lines, "%s %llu %lld\n", name, (unsigned long long)stat->size_bytes,
                      (long long)stat->mtime_ns);
    }
    return ORCH_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *pt_listing(const struct et_repo *r)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct buffer lines = BUFFER_INIT, sorted = BUFFER_INIT;
    et_ok(storage_list(r->storage, "", add_line, &lines, &err), err);
    char *rest = buffer_string(&lines);
    char **list = calloc(lines.len + 1, sizeof(*list));
    size_t count = 0;
    for (char *line = strtok_r(rest, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        list[count++] = line;
    }
    qsort(list, count, sizeof(*list), by_text);
    for (size_t i = 0; i < count; i++) {
        buffer_printf(&sorted, "%s\n", list[i]);
    }
    free(list);
    buffer_free(&lines);
    return buffer_string(&sorted);
}

static int32_t count_one(void *ctx, const char *name, const struct storage_stat *stat,
                         struct orch_error *err)
{
    (void)name;
    (void)stat;
    (void)err;
    (*(size_t *)ctx)++;
    return ORCH_OK;
}

size_t pt_count(const struct et_repo *r, const char *folder)
{
    struct orch_error err = ORCH_ERROR_INIT;
    size_t count = 0;
    et_ok(storage_list(r->storage, folder, count_one, &count, &err), err);
    return count;
}

static void print_finding(void *ctx, const struct check_finding *finding)
{
    fprintf(stderr, "%s: %s %s: %s\n", (const char *)ctx,
            finding->file == NULL ? "" : finding->file, finding->set == NULL ? "" : finding->set,
            finding->problem);
}

void pt_whole(struct repo *repo, const char *what)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct check_result result;
    union {
        const char *text;
        void *ctx;
    } name = {.text = what};
    struct check_options options = {
        .level = CHECK_DATA, .jobs = 1, .finding = print_finding, .ctx = name.ctx};
    et_ok(check_repository(repo, &options, &result, &err), err);
    ck_assert_msg(result.findings == 0, "%s: %llu findings", what,
                  (unsigned long long)result.findings);
}
