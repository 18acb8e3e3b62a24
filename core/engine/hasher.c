/* hasher.c: see hasher.h. */
#include "engine/hasher.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define JOBS_MAX 64u
/* A thread takes frames when there are so many, and so many at most: at least sixteen chunks. */
#define BATCH_LEAST 4u
#define BATCH_MOST 8u

struct hasher {
    const struct chunkid *hash;
    pthread_mutex_t lock;
    pthread_cond_t work; /* a batch is together, somebody waits, or stop */
    pthread_cond_t done;
    struct pipeline_frame *first, *last; /* queue */
    size_t queued;
    size_t waiting; /* callers that wait for a frame */
    bool stop;
    pthread_t jobs[JOBS_MAX];
    size_t job_count;
};

/* Ids that are asked for, gathered over frames. */
struct gathered {
    const struct chunkid *hash;
    struct chunkid_job jobs[CHUNKID_MANY];
    size_t count;
};

static void compute(struct gathered *gathered)
{
    chunkid_of_many(gathered->hash, gathered->jobs, gathered->count);
    gathered->count = 0;
}

static void gather(struct gathered *gathered, struct pipeline_frame *frame)
{
    const uint8_t *data = frame->plain;
    for (size_t i = 0; i < frame->count; i++) {
        struct pack_chunk *chunk = &frame->chunks[i];
        if (gathered->count == CHUNKID_MANY) {
            compute(gathered);
        }
        gathered->jobs[gathered->count++] =
            (struct chunkid_job){.data = data, .len = chunk->len, .id = chunk->id};
        data += chunk->len;
    }
}

/* Takes frames off the queue; none when the hasher stops. */
static size_t take_batch(struct hasher *h, struct pipeline_frame *batch[BATCH_MOST])
{
    size_t count = 0;
    while (!h->stop && h->queued < BATCH_LEAST && (h->waiting == 0 || h->queued == 0)) {
        (void)pthread_cond_wait(&h->work, &h->lock);
    }
    while (count < BATCH_MOST && h->first != NULL) {
        batch[count++] = h->first;
        h->first = h->first->next;
        h->last = h->first == NULL ? NULL : h->last;
        h->queued--;
    }
    return count;
}

static void *job_main(void *arg)
{
    struct hasher *h = arg;
    struct pipeline_frame *batch[BATCH_MOST];
    struct gathered gathered = {.hash = h->hash};
    size_t count = 0;
    (void)pthread_mutex_lock(&h->lock);
    while ((count = take_batch(h, batch)) > 0) {
        (void)pthread_mutex_unlock(&h->lock);
        for (size_t i = 0; i < count; i++) {
            gather(&gathered, batch[i]);
        }
        compute(&gathered);
        (void)pthread_mutex_lock(&h->lock);
        for (size_t i = 0; i < count; i++) {
            batch[i]->hashed = true;
        }
        (void)pthread_cond_broadcast(&h->done);
    }
    (void)pthread_mutex_unlock(&h->lock);
    return NULL;
}

int32_t hasher_new(const struct chunkid *hash, uint32_t jobs, struct hasher **out,
                   struct orch_error *err)
{
    struct hasher *h = calloc(1, sizeof(*h));
    if (h == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the writer");
    }
    h->hash = hash;
    (void)pthread_mutex_init(&h->lock, NULL);
    (void)pthread_cond_init(&h->work, NULL);
    (void)pthread_cond_init(&h->done, NULL);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t wanted = jobs != 0 ? jobs : cores < 1 ? 1 : (size_t)cores;
    wanted = wanted > JOBS_MAX ? JOBS_MAX : wanted;
    while (h->job_count < wanted) {
        int rc = pthread_create(&h->jobs[h->job_count], NULL, job_main, h);
        if (rc != 0) {
            hasher_free(h);
            return orch_fail_errno(err, rc, "cannot start a thread");
        }
        h->job_count++;
    }
    *out = h;
    return ORCH_OK;
}

void hasher_free(struct hasher *h)
{
    if (h == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&h->lock);
    h->stop = true;
    (void)pthread_cond_broadcast(&h->work);
    (void)pthread_mutex_unlock(&h->lock);
    for (size_t i = 0; i < h->job_count; i++) {
        (void)pthread_join(h->jobs[i], NULL);
    }
    (void)pthread_cond_destroy(&h->work);
    (void)pthread_cond_destroy(&h->done);
    (void)pthread_mutex_destroy(&h->lock);
    free(h);
}

void hasher_submit(struct hasher *h, struct pipeline_frame *frame)
{
    frame->hashed = false;
    frame->next = NULL;
    (void)pthread_mutex_lock(&h->lock);
    if (h->last == NULL) {
        h->first = frame;
    } else {
        h->last->next = frame;
    }
    h->last = frame;
    h->queued++;
    if (h->queued >= BATCH_LEAST || h->waiting > 0) {
        (void)pthread_cond_signal(&h->work);
    }
    (void)pthread_mutex_unlock(&h->lock);
}

bool hasher_done(struct hasher *h, struct pipeline_frame *frame, bool wait)
{
    (void)pthread_mutex_lock(&h->lock);
    if (wait && !frame->hashed) {
        h->waiting++;
        (void)pthread_cond_signal(&h->work);
        while (!frame->hashed) {
            (void)pthread_cond_wait(&h->done, &h->lock);
        }
        h->waiting--;
    }
    bool done = frame->hashed;
    (void)pthread_mutex_unlock(&h->lock);
    return done;
}
