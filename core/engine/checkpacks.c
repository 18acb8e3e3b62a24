/* checkpacks.c: reads packs for a check; see checkimpl.h. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/checkimpl.h"
#include "engine/chunkid.h"
#include "engine/packreader.h"

#define JOBS_MAX 32u
/* Chunks of packs that no segment names; more of them go to the cache. */
#define RESCUE_IN_MEMORY (256u << 10)

/* What one thread needs. */
struct worker {
    struct check *check;
    struct packreader *reader;
    struct chunkid hash;
    uint8_t *sealed, *plain;
    bool data;
    atomic_size_t *next;     /* pack to be taken, shared */
    struct orch_error error; /* why this thread gave up; damage is no reason */
    uint64_t packs, chunks, bytes;
};

static void worker_clear(struct worker *worker)
{
    packreader_free(worker->reader);
    free(worker->sealed);
    free(worker->plain);
}

static int32_t worker_init(struct worker *worker, struct check *check, struct orch_error *err)
{
    worker->check = check;
    chunkid_init(&worker->hash, repo_keys(check->repo));
    worker->sealed = malloc(FRAME_SEALED_MAX);
    worker->plain = malloc(FRAME_PLAIN_MAX);
    if (worker->sealed == NULL || worker->plain == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for reading packs");
    }
    return packreader_new(check->repo, &worker->reader, err);
}

static void progress(struct worker *worker, uint64_t bytes)
{
    struct check *check = worker->check;
    worker->bytes += bytes;
    if (check->options->progress != NULL) {
        (void)pthread_mutex_lock(&check->lock);
        check->done_bytes += bytes;
        check->options->progress(check->options->ctx, check->done_bytes, check->total_bytes);
        (void)pthread_mutex_unlock(&check->lock);
    }
}

/* The chunk ids of a decoded frame. */
static int32_t check_ids(struct worker *worker, const struct pack_table *table,
                         const struct pack_frame *frame, struct orch_error *err)
{
    uint32_t offset = 0;
    for (uint32_t i = 0; i < frame->chunk_count; i++) {
        const struct pack_chunk *chunk = &table->chunks[frame->first_chunk + i];
        uint8_t id[CHUNK_ID_BYTES];
        chunkid_of(&worker->hash, worker->plain + offset, chunk->len, id);
        if (memcmp(id, chunk->id, CHUNK_ID_BYTES) != 0) {
            char text[17];
            hex_encode(chunk->id, 8, text);
            return orch_fail(err, ORCH_E_CORRUPT, "chunk %s… has other content", text);
        }
        offset += chunk->len;
        worker->chunks++;
    }
    return ORCH_OK;
}

/* A prune has deleted the pack since it was listed, as it may: that is no damage. */
static bool has_gone(struct worker *worker, const char *name, const uint8_t pack[PACK_ID_BYTES])
{
    struct storage_stat stat;
    struct orch_error ignored = ORCH_ERROR_INIT;
    return check_is_let_go(worker->check, pack) &&
           storage_stat(repo_storage(worker->check->repo), name, &stat, &ignored) ==
               ORCH_E_NOT_FOUND;
}

/* Reads one frame. `table` and `frame` may be NULL: then only the seal is checked. */
static int32_t check_frame(struct worker *worker, const char *name,
                           const struct chunk_location *place, const struct pack_table *table,
                           const struct pack_frame *frame, struct orch_error *err)
{
    struct orch_error why = ORCH_ERROR_INIT;
    struct storage *storage = repo_storage(worker->check->repo);
    int32_t rc = packreader_check_place(place, &why);
    if (rc == ORCH_OK) {
        rc =
            storage_get(storage, name, place->frame_offset, worker->sealed, place->frame_len, &why);
    }
    if (rc == ORCH_OK) {
        progress(worker, place->frame_len);
        rc = packreader_open(worker->reader, place, worker->sealed, worker->plain, &why);
    }
    if (rc == ORCH_OK && table != NULL) {
        rc = check_ids(worker, table, frame, &why);
    }
    if (rc == ORCH_OK) {
        return ORCH_OK;
    }
    if (!has_gone(worker, name, place->pack)) {
        check_report(worker->check, name, NULL, NULL, NULL, "frame %u: %s", place->frame_number,
                     why.message);
    }
    return check_mark_bad(worker->check, place->pack, place->frame_number, err);
}

static int32_t check_by_table(struct worker *worker, const char *name,
                              const struct pack_table *table, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < table->frame_count; i++) {
        const struct pack_frame *frame = &table->frames[i];
        struct chunk_location place = {.frame_offset = frame->offset,
                                       .frame_len = frame->sealed_len,
                                       .plain_len = frame->plain_len,
                                       .frame_number = (uint32_t)i,
                                       .len = frame->plain_len,
                                       .codec = frame->codec};
        memcpy(place.pack, table->id, PACK_ID_BYTES);
        rc = check_frame(worker, name, &place, table, frame, err);
    }
    return rc;
}

/* The footer is lost: the index still tells where the frames are. */
static int32_t check_by_index(struct worker *worker, const char *name,
                              const uint8_t id[PACK_ID_BYTES], struct orch_error *err)
{
    struct index *index = worker->check->index;
    struct index_pack pack;
    struct chunk_location place;
    int32_t rc = ORCH_OK;
    if (!index_pack_at(index, index_pack_find(index, id), &pack)) {
        return ORCH_OK;
    }
    for (uint64_t i = 0; rc == ORCH_OK && index_frame_at(index, &pack, i, &place); i++) {
        rc = check_frame(worker, name, &place, NULL, NULL, err);
    }
    return rc;
}

/* A segment and a footer that tell of the same pack must agree. */
static bool agrees_with_index(struct check *check, const struct pack_table *table)
{
    struct index_pack pack;
    struct chunk_location place;
    if (!index_pack_at(check->index, index_pack_find(check->index, table->id), &pack)) {
        return true;
    }
    bool good = pack.frame_count == table->frame_count && pack.kind == table->kind;
    for (size_t i = 0; good && i < table->frame_count; i++) {
        const struct pack_frame *frame = &table->frames[i];
        good = index_frame_at(check->index, &pack, i, &place) &&
               place.frame_offset == frame->offset && place.frame_len == frame->sealed_len &&
               place.plain_len == frame->plain_len && place.codec == frame->codec;
        uint32_t offset = 0;
        for (uint32_t j = 0; good && j < frame->chunk_count; j++) {
            const struct pack_chunk *chunk = &table->chunks[frame->first_chunk + j];
            good = index_find(check->index, chunk->id, &place) == ORCH_OK;
            if (good && memcmp(place.pack, table->id, PACK_ID_BYTES) == 0) {
                good = place.frame_number == i && place.offset == offset && place.len == chunk->len;
            }
            offset += chunk->len;
        }
    }
    return good;
}

static int32_t check_pack(struct worker *worker, const struct check_pack *pack,
                          struct orch_error *err)
{
    char name[PACK_NAME_BYTES];
    struct pack_key *key = NULL;
    struct pack_table table;
    struct orch_error why = ORCH_ERROR_INIT;
    pack_name(pack->id, name);
    worker->packs++;
    int32_t rc = packreader_key(worker->reader, pack->id, &key, &why);
    if (rc != ORCH_OK) {
        if (!has_gone(worker, name, pack->id)) {
            check_report(worker->check, name, NULL, NULL, NULL, "%s", why.message);
        }
        return check_mark_bad(worker->check, pack->id, CHECK_WHOLE_PACK, err);
    }
    rc = packreader_table(worker->reader, pack->id, pack->size_bytes, &table, &why);
    if (rc != ORCH_OK) {
        pack_table_clear(&table);
        if (has_gone(worker, name, pack->id)) {
            return check_mark_bad(worker->check, pack->id, CHECK_WHOLE_PACK, err);
        }
        check_report(worker->check, name, NULL, NULL, NULL, "%s", why.message);
        return worker->data ? check_by_index(worker, name, pack->id, err) : ORCH_OK;
    }
    if (!agrees_with_index(worker->check, &table)) {
        check_report(worker->check, name, NULL, NULL, NULL,
                     "its footer and the index do not tell the same");
    }
    progress(worker, pack->size_bytes - pack_table_end(&table) + PACK_HEADER_BYTES);
    if (worker->data) {
        rc = check_by_table(worker, name, &table, err);
    }
    pack_table_clear(&table);
    return rc;
}

static void *worker_main(void *arg)
{
    struct worker *worker = arg;
    struct check *check = worker->check;
    for (;;) {
        size_t number = atomic_fetch_add(worker->next, 1);
        if (number >= check->pack_count) {
            return NULL;
        }
        if (check->packs[number].wanted &&
            check_pack(worker, &check->packs[number], &worker->error) != ORCH_OK) {
            return NULL;
        }
    }
}

/* One more than there are cores: reads go past the page cache, and while some thread waits for the
 * disk, as many as there are cores shall have work. */
static size_t job_count(const struct check *check)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t jobs = check->options->jobs != 0 ? check->options->jobs
                  : cores < 1               ? 1
                                            : (size_t)cores + 1;
    return jobs > JOBS_MAX ? JOBS_MAX : jobs;
}

int32_t checkpacks_run(struct check *check, bool data, struct orch_error *err)
{
    struct worker workers[JOBS_MAX] = {0};
    pthread_t threads[JOBS_MAX];
    atomic_size_t next = 0;
    size_t jobs = job_count(check);
    size_t started = 0;
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < jobs; i++) {
        workers[i].data = data;
        workers[i].next = &next;
        rc = worker_init(&workers[i], check, err);
        if (rc == ORCH_OK) {
            int failed = pthread_create(&threads[i], NULL, worker_main, &workers[i]);
            rc = failed == 0 ? ORCH_OK : orch_fail_errno(err, failed, "cannot start a thread");
            started += failed == 0;
        }
    }
    for (size_t i = 0; i < started; i++) {
        (void)pthread_join(threads[i], NULL);
        check->result->packs += workers[i].packs;
        check->result->chunks += workers[i].chunks;
        check->result->bytes_read += workers[i].bytes;
        if (workers[i].error.code != ORCH_OK && rc == ORCH_OK) {
            rc = workers[i].error.code;
            *err = workers[i].error;
        }
    }
    for (size_t i = 0; i < jobs; i++) {
        worker_clear(&workers[i]);
    }
    return rc;
}

int32_t checkpacks_rescue(struct check *check, struct orch_error *err)
{
    bool all = true;
    for (size_t i = 0; i < check->pack_count; i++) {
        all = all && check->packs[i].indexed;
    }
    check->rescue = check->index;
    if (all) {
        return ORCH_OK;
    }
    struct packreader *reader = NULL;
    struct index *rescue = NULL;
    uint64_t chunks = 0;
    struct orch_error ignored = ORCH_ERROR_INIT;
    int32_t rc = packreader_new(check->repo, &reader, err);
    if (rc == ORCH_OK) {
        rc = index_copy(check->index, &rescue, err);
    }
    for (size_t i = 0; rc == ORCH_OK && i < check->pack_count; i++) {
        const struct check_pack *pack = &check->packs[i];
        struct pack_table table = {0};
        /* Damage here is told of when the pack is looked at. */
        if (!pack->indexed &&
            packreader_table(reader, pack->id, pack->size_bytes, &table, &ignored) == ORCH_OK) {
            rc = index_add_pack(rescue, &table, err);
            chunks += table.chunk_count;
            if (rc == ORCH_OK && chunks > RESCUE_IN_MEMORY) {
                rc = index_add_segment(rescue, NULL, &table, 1, err);
            }
        }
        pack_table_clear(&table);
    }
    packreader_free(reader);
    if (rc != ORCH_OK) {
        index_close(rescue);
        return rc;
    }
    check->rescue = rescue;
    return ORCH_OK;
}
