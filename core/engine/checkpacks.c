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
/* Frames that a thread reads in one go, so that many ids are computed side by side; fewer where
 * there are many threads, for the sake of memory. */
#define LOT_FRAMES 4u
#define LOT_FRAMES_OF_ALL 32u

/* Frames that follow each other in a pack. */
struct lot {
    const char *name;               /* of the pack */
    const struct pack_table *table; /* NULL: only the seals are checked */
    size_t count;
    struct chunk_location places[LOT_FRAMES];
    int32_t codes[LOT_FRAMES]; /* of what was found */
    struct orch_error errors[LOT_FRAMES];
};

/* Ids that are to be what the table says. */
struct ids {
    struct chunkid_job jobs[CHUNKID_MANY];
    uint8_t real[CHUNKID_MANY][CHUNK_ID_BYTES];
    const uint8_t *expected[CHUNKID_MANY];
    size_t frame[CHUNKID_MANY]; /* in the lot */
    size_t count;
};

/* What one thread needs. */
struct worker {
    struct check *check;
    struct packreader *reader;
    struct chunkid hash;
    struct lot *lot;
    size_t lot_frames;
    struct ids *ids;
    uint8_t *sealed;
    uint8_t *plain[LOT_FRAMES];
    bool data;
    atomic_size_t *next;     /* pack to be taken, shared */
    struct orch_error error; /* why this thread gave up; damage is no reason */
    uint64_t packs, chunks, bytes;
};

static void worker_clear(struct worker *worker)
{
    packreader_free(worker->reader);
    free(worker->lot);
    free(worker->ids);
    free(worker->sealed);
    for (size_t i = 0; i < LOT_FRAMES; i++) {
        free(worker->plain[i]);
    }
}

static int32_t worker_init(struct worker *worker, struct check *check, size_t jobs,
                           struct orch_error *err)
{
    size_t frames = LOT_FRAMES_OF_ALL / jobs;
    worker->check = check;
    worker->lot_frames = frames < 1 ? 1 : frames > LOT_FRAMES ? LOT_FRAMES : frames;
    chunkid_init(&worker->hash, repo_keys(check->repo));
    worker->lot = calloc(1, sizeof(*worker->lot));
    worker->ids = calloc(1, sizeof(*worker->ids));
    worker->sealed = malloc(worker->lot_frames * FRAME_SEALED_MAX);
    bool all = worker->lot != NULL && worker->ids != NULL && worker->sealed != NULL;
    for (size_t i = 0; i < worker->lot_frames; i++) {
        worker->plain[i] = malloc(FRAME_PLAIN_MAX);
        all = all && worker->plain[i] != NULL;
    }
    if (!all) {
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

/* A prune has deleted the pack since it was listed, as it may: that is no damage. */
static bool has_gone(struct worker *worker, const char *name, const uint8_t pack[PACK_ID_BYTES])
{
    struct storage_stat stat;
    struct orch_error ignored = ORCH_ERROR_INIT;
    return check_is_let_go(worker->check, pack) &&
           storage_stat(repo_storage(worker->check->repo), name, &stat, &ignored) ==
               ORCH_E_NOT_FOUND;
}

/* Reads the frames of the lot whose places can be; `ats` gives where each lies in worker->sealed.
 */
static void read_lot(struct worker *worker, size_t ats[LOT_FRAMES])
{
    struct lot *lot = worker->lot;
    struct storage *storage = repo_storage(worker->check->repo);
    struct orch_error ignored = ORCH_ERROR_INIT;
    size_t bytes = 0;
    bool all = true;
    for (size_t i = 0; i < lot->count; i++) {
        lot->codes[i] = packreader_check_place(&lot->places[i], &lot->errors[i]);
        all = all && lot->codes[i] == ORCH_OK &&
              lot->places[i].frame_offset == lot->places[0].frame_offset + bytes;
        ats[i] = bytes;
        bytes += lot->codes[i] == ORCH_OK ? lot->places[i].frame_len : 0;
    }
    bool whole = all && storage_get(storage, lot->name, lot->places[0].frame_offset, worker->sealed,
                                    bytes, &ignored) == ORCH_OK;
    for (size_t i = 0; i < lot->count; i++) {
        if (!whole && lot->codes[i] == ORCH_OK) { /* where one cannot be read, the others can */
            lot->codes[i] =
                storage_get(storage, lot->name, lot->places[i].frame_offset,
                            worker->sealed + ats[i], lot->places[i].frame_len, &lot->errors[i]);
        }
    }
}

/* Computes the ids that have come together and compares them. */
static void compare_ids(struct worker *worker)
{
    struct ids *ids = worker->ids;
    struct lot *lot = worker->lot;
    chunkid_of_many(&worker->hash, ids->jobs, ids->count);
    for (size_t i = 0; i < ids->count; i++) {
        size_t frame = ids->frame[i];
        if (memcmp(ids->real[i], ids->expected[i], CHUNK_ID_BYTES) != 0 &&
            lot->codes[frame] == ORCH_OK) {
            char text[17];
            hex_encode(ids->expected[i], 8, text);
            lot->codes[frame] =
                orch_fail(&lot->errors[frame], ORCH_E_CORRUPT, "chunk %s… has other content", text);
        }
    }
    worker->chunks += ids->count;
    ids->count = 0;
}

/* Asks for the ids of the chunks in frame `i` of the lot, which is decoded. */
static void gather_ids(struct worker *worker, size_t i)
{
    struct ids *ids = worker->ids;
    const struct pack_table *table = worker->lot->table;
    const struct pack_frame *frame = &table->frames[worker->lot->places[i].frame_number];
    const uint8_t *data = worker->plain[i];
    for (uint32_t k = 0; k < frame->chunk_count; k++) {
        const struct pack_chunk *chunk = &table->chunks[frame->first_chunk + k];
        if (ids->count == CHUNKID_MANY) {
            compare_ids(worker);
        }
        ids->jobs[ids->count] =
            (struct chunkid_job){.data = data, .len = chunk->len, .id = ids->real[ids->count]};
        ids->expected[ids->count] = chunk->id;
        ids->frame[ids->count++] = i;
        data += chunk->len;
    }
}

/* Checks the frames of the lot, and empties it. */
static int32_t check_lot(struct worker *worker, struct orch_error *err)
{
    struct lot *lot = worker->lot;
    size_t ats[LOT_FRAMES];
    int32_t rc = ORCH_OK;
    read_lot(worker, ats);
    for (size_t i = 0; i < lot->count; i++) {
        if (lot->codes[i] == ORCH_OK) {
            progress(worker, lot->places[i].frame_len);
            lot->codes[i] =
                packreader_open(worker->reader, &lot->places[i], worker->sealed + ats[i],
                                worker->plain[i], &lot->errors[i]);
        }
        if (lot->codes[i] == ORCH_OK && lot->table != NULL) {
            gather_ids(worker, i);
        }
    }
    compare_ids(worker);
    for (size_t i = 0; rc == ORCH_OK && i < lot->count; i++) {
        const struct chunk_location *place = &lot->places[i];
        if (lot->codes[i] == ORCH_OK) {
            continue;
        }
        if (!has_gone(worker, lot->name, place->pack)) {
            check_report(worker->check, lot->name, NULL, NULL, NULL, "frame %u: %s",
                         place->frame_number, lot->errors[i].message);
        }
        rc = check_mark_bad(worker->check, place->pack, place->frame_number, err);
    }
    lot->count = 0;
    return rc;
}

/* Adds a frame to the lot; a full one is checked. */
static int32_t add_frame(struct worker *worker, const struct chunk_location *place,
                         struct orch_error *err)
{
    struct lot *lot = worker->lot;
    lot->places[lot->count] = *place;
    lot->errors[lot->count++] = (struct orch_error)ORCH_ERROR_INIT;
    return lot->count == worker->lot_frames ? check_lot(worker, err) : ORCH_OK;
}

static int32_t check_by_table(struct worker *worker, const char *name,
                              const struct pack_table *table, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    *worker->lot = (struct lot){.name = name, .table = table};
    for (size_t i = 0; rc == ORCH_OK && i < table->frame_count; i++) {
        const struct pack_frame *frame = &table->frames[i];
        struct chunk_location place = {.frame_offset = frame->offset,
                                       .frame_len = frame->sealed_len,
                                       .plain_len = frame->plain_len,
                                       .frame_number = (uint32_t)i,
                                       .len = frame->plain_len,
                                       .codec = frame->codec};
        memcpy(place.pack, table->id, PACK_ID_BYTES);
        rc = add_frame(worker, &place, err);
    }
    return rc == ORCH_OK && worker->lot->count > 0 ? check_lot(worker, err) : rc;
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
    *worker->lot = (struct lot){.name = name};
    for (uint64_t i = 0; rc == ORCH_OK && index_frame_at(index, &pack, i, &place); i++) {
        rc = add_frame(worker, &place, err);
    }
    return rc == ORCH_OK && worker->lot->count > 0 ? check_lot(worker, err) : rc;
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

static size_t job_count(const struct check *check)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t jobs = check->options->jobs != 0 ? check->options->jobs : cores < 1 ? 1 : (size_t)cores;
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
        rc = worker_init(&workers[i], check, jobs, err);
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
