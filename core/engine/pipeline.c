/* pipeline.c: see pipeline.h. */
#include "engine/pipeline.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crash.h"
#include "engine/packwriter.h"
#include "engine/segment.h"

#define JOBS_MAX 64u
#define MEMORY_DEFAULT (64u << 20)
#define PACK_DEFAULT (64u << 20)
#define COMMITS_WAITING 2u
/* A segment is stored when so many packs, or bytes in packs, or chunks are not indexed yet: what a
 * run that is killed later has stored by then is reused, and memory stays flat. */
#define SEGMENT_PACKS 16u
#define SEGMENT_CHUNKS (256u << 10)
#define SEGMENT_BYTES (UINT64_C(512) << 20)

struct open_pack {
    pthread_mutex_t lock;
    struct packwriter *writer; /* NULL: none open */
};

struct pipeline {
    struct repo *repo;
    struct index *index;
    uint32_t codec;
    int level;
    uint64_t pack_bytes;
    size_t most_in_flight;

    pthread_mutex_t lock;                /* over everything down to the open packs */
    pthread_cond_t work;                 /* a frame was queued, or stop */
    pthread_cond_t space;                /* a frame is done, a commit is done, or failure */
    pthread_cond_t commit;               /* a pack waits for its commit, or stop */
    struct pipeline_frame *first, *last; /* queue */
    struct pipeline_frame *idle;
    size_t in_flight;
    struct packwriter *commits[COMMITS_WAITING];
    size_t commit_count; /* waiting */
    bool committing;     /* one is under way beside those */
    bool stop;           /* the jobs end when the queue is empty */
    bool stop_commits;   /* so does the committer */
    struct orch_error error;

    atomic_bool failed;
    _Atomic uint64_t stored;
    struct open_pack packs[2]; /* PACK_DATA, PACK_META */

    /* The committer's; after it is idle, finish's and free's. */
    struct pack_table *tables; /* not indexed yet */
    size_t table_count, table_capacity;
    uint64_t table_bytes, table_chunks;
    char **names;
    size_t name_count, name_capacity;

    pthread_t jobs[JOBS_MAX];
    size_t job_count;
    pthread_t committer;
    bool committer_runs;
};

static void fail(struct pipeline *p, const struct orch_error *why)
{
    (void)pthread_mutex_lock(&p->lock);
    if (!atomic_load(&p->failed)) {
        p->error = *why;
        atomic_store(&p->failed, true);
    }
    (void)pthread_cond_broadcast(&p->space);
    (void)pthread_mutex_unlock(&p->lock);
}

int32_t pipeline_failure(struct pipeline *p, struct orch_error *err)
{
    if (!atomic_load(&p->failed)) {
        return ORCH_OK;
    }
    (void)pthread_mutex_lock(&p->lock);
    int32_t code = p->error.code;
    if (err != NULL) {
        *err = p->error;
    }
    (void)pthread_mutex_unlock(&p->lock);
    return code;
}

/* ---- the committer ------------------------------------------------------------------------- */

/* Appends a slot of `size` bytes to an array that doubles. */
static void *append_slot(void **array, size_t *count, size_t *capacity, size_t size)
{
    if (*count == *capacity) {
        size_t wanted = *capacity == 0 ? 32 : *capacity * 2;
        void *grown = reallocarray(*array, wanted, size);
        if (grown == NULL) {
            return NULL;
        }
        *array = grown;
        *capacity = wanted;
    }
    return (uint8_t *)*array + (*count)++ * size;
}

static int32_t remember_name(struct pipeline *p, const uint8_t id[PACK_ID_BYTES],
                             struct orch_error *err)
{
    char name[PACK_NAME_BYTES];
    void *array = p->names;
    pack_name(id, name);
    char *copy = strdup(name);
    char **slot = copy == NULL
                      ? NULL
                      : append_slot(&array, &p->name_count, &p->name_capacity, sizeof(*p->names));
    p->names = array;
    if (slot == NULL) {
        free(copy);
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the list of packs");
    }
    *slot = copy;
    return ORCH_OK;
}

/* Makes the committed packs durable and then names them in a segment. */
static int32_t store_segment(struct pipeline *p, struct orch_error *err)
{
    if (p->table_count == 0) {
        return ORCH_OK;
    }
    char name[SEGMENT_NAME_BYTES];
    int32_t rc = storage_barrier(repo_storage(p->repo), err);
    if (rc == ORCH_OK) {
        crash_point(CRASH_INDEX_BEFORE);
        rc = segment_store(p->repo, p->tables, p->table_count, NULL, 0, name, err);
    }
    if (rc == ORCH_OK) {
        crash_point(CRASH_INDEX_STORED);
        rc = index_add_segment(p->index, name, p->tables, p->table_count, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    for (size_t i = 0; i < p->table_count; i++) {
        pack_table_clear(&p->tables[i]);
    }
    p->table_count = 0;
    p->table_bytes = 0;
    p->table_chunks = 0;
    return ORCH_OK;
}

static int32_t commit_pack(struct pipeline *p, struct packwriter *writer, struct orch_error *err)
{
    struct pack_table table;
    int32_t rc = packwriter_commit(writer, &table, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    void *array = p->tables;
    struct pack_table *slot =
        append_slot(&array, &p->table_count, &p->table_capacity, sizeof(*p->tables));
    p->tables = array;
    if (slot == NULL) {
        pack_table_clear(&table);
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the list of packs");
    }
    *slot = table;
    p->table_bytes += table.size_bytes;
    p->table_chunks += table.chunk_count;
    rc = remember_name(p, table.id, err);
    if (rc == ORCH_OK) {
        rc = index_add_pack(p->index, slot, err);
    }
    if (rc == ORCH_OK && (p->table_count >= SEGMENT_PACKS || p->table_bytes >= SEGMENT_BYTES ||
                          p->table_chunks >= SEGMENT_CHUNKS)) {
        rc = store_segment(p, err);
    }
    return rc;
}

static void *committer_main(void *arg)
{
    struct pipeline *p = arg;
    (void)pthread_mutex_lock(&p->lock);
    for (;;) {
        while (p->commit_count == 0 && !p->stop_commits) {
            (void)pthread_cond_wait(&p->commit, &p->lock);
        }
        if (p->commit_count == 0) {
            break;
        }
        struct packwriter *writer = p->commits[0];
        p->commit_count--;
        memmove(p->commits, p->commits + 1, p->commit_count * sizeof(struct packwriter *));
        p->committing = true;
        (void)pthread_cond_broadcast(&p->space);
        (void)pthread_mutex_unlock(&p->lock);
        struct orch_error why = ORCH_ERROR_INIT;
        if (atomic_load(&p->failed)) {
            packwriter_abort(writer);
        } else if (commit_pack(p, writer, &why) != ORCH_OK) {
            fail(p, &why);
        }
        (void)pthread_mutex_lock(&p->lock);
        p->committing = false;
        (void)pthread_cond_broadcast(&p->space);
    }
    (void)pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Queues a full pack for its commit; waits while too many wait already. */
static void hand_over(struct pipeline *p, struct packwriter *writer)
{
    (void)pthread_mutex_lock(&p->lock);
    while (p->commit_count == COMMITS_WAITING) {
        (void)pthread_cond_wait(&p->space, &p->lock);
    }
    p->commits[p->commit_count++] = writer;
    (void)pthread_cond_signal(&p->commit);
    (void)pthread_mutex_unlock(&p->lock);
}

/* ---- the jobs ------------------------------------------------------------------------------ */

struct job {
    struct pipeline *pipeline;
    struct codec *codec;
    uint8_t *out;
    size_t capacity;
};

static int32_t write_frame(struct job *job, struct pipeline_frame *frame, uint64_t *sealed,
                           struct orch_error *err)
{
    struct pipeline *p = job->pipeline;
    size_t stored = 0;
    uint32_t used = CODEC_NONE;
    int32_t rc = codec_compress(job->codec, frame->plain, frame->len, job->out, job->capacity,
                                &stored, &used, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct open_pack *pack = &p->packs[frame->kind == PACK_META];
    struct packwriter *full = NULL;
    (void)pthread_mutex_lock(&pack->lock);
    if (pack->writer == NULL) {
        rc = packwriter_begin(p->repo, frame->kind, &pack->writer, err);
    }
    if (rc == ORCH_OK) {
        rc = packwriter_add(pack->writer, job->out, stored, frame->len, used, frame->chunks,
                            frame->count, err);
    }
    /* Bytes of a frame that failed may be in it: no other frame may follow them. */
    if (rc != ORCH_OK) {
        packwriter_abort(pack->writer);
        pack->writer = NULL;
    }
    /* The next frame is expected to be like this one; a pack stays within its length. */
    if (rc == ORCH_OK && (packwriter_bytes(pack->writer) + stored > p->pack_bytes ||
                          packwriter_table_full(pack->writer))) {
        full = pack->writer;
        pack->writer = NULL;
    }
    (void)pthread_mutex_unlock(&pack->lock);
    if (full != NULL) {
        hand_over(p, full);
    }
    *sealed = stored + SEAL_TAG_BYTES;
    return rc;
}

static int32_t job_init(struct job *job, struct orch_error *err)
{
    struct pipeline *p = job->pipeline;
    size_t bound = codec_bound(p->codec, FRAME_PLAIN_MAX);
    job->capacity = bound < FRAME_PLAIN_MAX ? FRAME_PLAIN_MAX : bound;
    job->out = malloc(job->capacity + SEAL_TAG_BYTES);
    if (job->out == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for compression");
    }
    return codec_new(p->codec, p->level, &job->codec, err);
}

static struct pipeline_frame *next_frame(struct pipeline *p)
{
    while (p->first == NULL && !p->stop) {
        (void)pthread_cond_wait(&p->work, &p->lock);
    }
    struct pipeline_frame *frame = p->first;
    if (frame != NULL) {
        p->first = frame->next;
        p->last = p->first == NULL ? NULL : p->last;
    }
    return frame;
}

static void *job_main(void *arg)
{
    struct job job = {.pipeline = arg};
    struct pipeline *p = job.pipeline;
    struct orch_error why = ORCH_ERROR_INIT;
    if (job_init(&job, &why) != ORCH_OK) {
        fail(p, &why);
    }
    (void)pthread_mutex_lock(&p->lock);
    struct pipeline_frame *frame;
    while ((frame = next_frame(p)) != NULL) {
        (void)pthread_mutex_unlock(&p->lock);
        uint64_t sealed = 0;
        if (!atomic_load(&p->failed) && write_frame(&job, frame, &sealed, &why) != ORCH_OK) {
            fail(p, &why);
        }
        atomic_fetch_add(&p->stored, sealed);
        (void)pthread_mutex_lock(&p->lock);
        frame->owner->stored_bytes += sealed;
        frame->owner->in_flight--;
        p->in_flight--;
        frame->next = p->idle;
        p->idle = frame;
        (void)pthread_cond_broadcast(&p->space);
    }
    (void)pthread_mutex_unlock(&p->lock);
    codec_free(job.codec);
    free(job.out);
    return NULL;
}

/* ---- the interface ------------------------------------------------------------------------- */

static int32_t start_threads(struct pipeline *p, size_t jobs, struct orch_error *err)
{
    int rc = pthread_create(&p->committer, NULL, committer_main, p);
    p->committer_runs = rc == 0;
    while (rc == 0 && p->job_count < jobs) {
        rc = pthread_create(&p->jobs[p->job_count], NULL, job_main, p);
        p->job_count += rc == 0;
    }
    return rc == 0 ? ORCH_OK : orch_fail_errno(err, rc, "cannot start a thread");
}

/* Test builds can have small packs, so that little data makes many. */
static uint64_t usual_pack_bytes(void)
{
#ifdef ORCHESTRATE_TEST_HOOKS
    const char *text = getenv("ORCHESTRATE_TEST_PACK_BYTES");
    if (text != NULL && strtoull(text, NULL, 10) > 0) {
        return strtoull(text, NULL, 10);
    }
#endif
    return PACK_DEFAULT;
}

int32_t pipeline_new(struct repo *repo, struct index *index, const struct writer_options *options,
                     struct pipeline **out, struct orch_error *err)
{
    struct pipeline *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the writer");
    }
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t jobs = options->jobs != 0 ? options->jobs : cores < 1 ? 1 : (size_t)cores;
    jobs = jobs > JOBS_MAX ? JOBS_MAX : jobs;
    uint64_t memory = options->memory_bytes != 0 ? options->memory_bytes : MEMORY_DEFAULT;
    uint64_t fixed = jobs * FRAME_PLAIN_MAX;
    uint64_t frames = memory > fixed ? (memory - fixed) / FRAME_PLAIN_MAX : 0;
    p->repo = repo;
    p->index = index;
    p->codec = options->codec;
    p->level = options->level;
    p->pack_bytes = options->pack_bytes != 0 ? options->pack_bytes : usual_pack_bytes();
    p->most_in_flight = frames < jobs + 1 ? jobs + 1 : frames > 1024 ? 1024 : (size_t)frames;
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->work, NULL);
    (void)pthread_cond_init(&p->space, NULL);
    (void)pthread_cond_init(&p->commit, NULL);
    for (size_t i = 0; i < 2; i++) {
        (void)pthread_mutex_init(&p->packs[i].lock, NULL);
    }
    int32_t rc = start_threads(p, jobs, err);
    if (rc != ORCH_OK) {
        pipeline_free(p);
        return rc;
    }
    *out = p;
    return ORCH_OK;
}

static void frame_free(struct pipeline_frame *frame)
{
    free(frame->plain);
    free(frame->chunks);
    free(frame);
}

int32_t pipeline_take(struct pipeline *p, uint32_t kind, struct pipeline_owner *owner,
                      struct pipeline_frame **out, struct orch_error *err)
{
    (void)pthread_mutex_lock(&p->lock);
    struct pipeline_frame *frame = p->idle;
    p->idle = frame == NULL ? NULL : frame->next;
    (void)pthread_mutex_unlock(&p->lock);
    if (frame == NULL) {
        frame = calloc(1, sizeof(*frame));
        if (frame != NULL) {
            frame->plain = malloc(FRAME_PLAIN_MAX);
            frame->chunks = malloc(FRAME_CHUNKS_MAX * sizeof(*frame->chunks));
        }
        if (frame == NULL || frame->plain == NULL || frame->chunks == NULL) {
            if (frame != NULL) {
                frame_free(frame);
            }
            return orch_fail(err, ORCH_E_NOMEM, "no memory for a frame");
        }
    }
    frame->len = 0;
    frame->count = 0;
    frame->profile = 0;
    frame->kind = kind;
    frame->owner = owner;
    frame->next = NULL;
    *out = frame;
    return ORCH_OK;
}

void pipeline_return(struct pipeline *p, struct pipeline_frame *frame)
{
    (void)pthread_mutex_lock(&p->lock);
    frame->next = p->idle;
    p->idle = frame;
    (void)pthread_mutex_unlock(&p->lock);
}

int32_t pipeline_submit(struct pipeline *p, struct pipeline_frame *frame, struct orch_error *err)
{
    (void)pthread_mutex_lock(&p->lock);
    while (p->in_flight >= p->most_in_flight && !atomic_load(&p->failed)) {
        (void)pthread_cond_wait(&p->space, &p->lock);
    }
    if (frame->len == 0 || atomic_load(&p->failed)) {
        frame->next = p->idle;
        p->idle = frame;
    } else {
        frame->next = NULL;
        if (p->last == NULL) {
            p->first = frame;
        } else {
            p->last->next = frame;
        }
        p->last = frame;
        p->in_flight++;
        frame->owner->in_flight++;
        (void)pthread_cond_signal(&p->work);
    }
    (void)pthread_mutex_unlock(&p->lock);
    return pipeline_failure(p, err);
}

int32_t pipeline_wait(struct pipeline *p, struct pipeline_owner *owner, struct orch_error *err)
{
    (void)pthread_mutex_lock(&p->lock);
    while (owner->in_flight > 0) {
        (void)pthread_cond_wait(&p->space, &p->lock);
    }
    (void)pthread_mutex_unlock(&p->lock);
    return pipeline_failure(p, err);
}

int32_t pipeline_finish(struct pipeline *p, struct orch_error *err)
{
    (void)pthread_mutex_lock(&p->lock);
    while (p->in_flight > 0) {
        (void)pthread_cond_wait(&p->space, &p->lock);
    }
    (void)pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < 2; i++) {
        if (p->packs[i].writer != NULL) {
            hand_over(p, p->packs[i].writer);
            p->packs[i].writer = NULL;
        }
    }
    (void)pthread_mutex_lock(&p->lock);
    while (p->commit_count > 0 || p->committing) {
        (void)pthread_cond_wait(&p->space, &p->lock);
    }
    (void)pthread_mutex_unlock(&p->lock);
    int32_t rc = pipeline_failure(p, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct orch_error why = ORCH_ERROR_INIT;
    rc = store_segment(p, &why);
    if (rc != ORCH_OK) {
        fail(p, &why);
        return pipeline_failure(p, err);
    }
    return ORCH_OK;
}

void pipeline_free(struct pipeline *p)
{
    if (p == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&p->lock);
    p->stop = true;
    (void)pthread_cond_broadcast(&p->work);
    (void)pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < p->job_count; i++) {
        (void)pthread_join(p->jobs[i], NULL);
    }
    (void)pthread_mutex_lock(&p->lock);
    p->stop_commits = true;
    (void)pthread_cond_broadcast(&p->commit);
    (void)pthread_mutex_unlock(&p->lock);
    if (p->committer_runs) {
        (void)pthread_join(p->committer, NULL);
    }
    /* Committed packs that no segment names would have to be stored again by the next run. */
    struct orch_error ignored = ORCH_ERROR_INIT;
    int32_t rc = store_segment(p, &ignored);
    (void)rc;
    for (size_t i = 0; i < 2; i++) {
        packwriter_abort(p->packs[i].writer);
        (void)pthread_mutex_destroy(&p->packs[i].lock);
    }
    while (p->idle != NULL) {
        struct pipeline_frame *frame = p->idle;
        p->idle = frame->next;
        frame_free(frame);
    }
    for (size_t i = 0; i < p->table_count; i++) {
        pack_table_clear(&p->tables[i]);
    }
    for (size_t i = 0; i < p->name_count; i++) {
        free(p->names[i]);
    }
    free(p->tables);
    free(p->names);
    (void)pthread_cond_destroy(&p->work);
    (void)pthread_cond_destroy(&p->space);
    (void)pthread_cond_destroy(&p->commit);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
}

uint64_t pipeline_stored_bytes(struct pipeline *p)
{
    return atomic_load(&p->stored);
}

const char *const *pipeline_packs(struct pipeline *p)
{
    static const char *const none[] = {NULL};
    void *array = p->names;
    if (p->name_count == 0) {
        return none;
    }
    /* A zero behind the last name, which does not count as one. */
    size_t count = p->name_count;
    char **slot = append_slot(&array, &p->name_count, &p->name_capacity, sizeof(*p->names));
    p->names = array;
    p->name_count = count;
    if (slot == NULL) {
        return none;
    }
    *slot = NULL;
    return (const char *const *)p->names;
}
