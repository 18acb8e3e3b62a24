/* hasher.c: see hasher.h. */
#include "engine/hasher.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define JOBS_MAX 64u

struct hasher {
    const struct chunkid *hash;
    pthread_mutex_t lock;
    pthread_cond_t work; /* a frame has come, or stop */
    pthread_cond_t done;
    struct pipeline_frame *first, *last; /* queue */
    bool stop;
    pthread_t jobs[JOBS_MAX];
    size_t job_count;
};

static void compute(const struct chunkid *hash, struct pipeline_frame *frame)
{
    const uint8_t *data = frame->plain;
    for (size_t i = 0; i < frame->count; i++) {
        struct pack_chunk *chunk = &frame->chunks[i];
        chunkid_of(hash, data, chunk->len, chunk->id);
        data += chunk->len;
    }
}

/* The next frame of the queue; NULL when the hasher stops. */
static struct pipeline_frame *take(struct hasher *h)
{
    while (!h->stop && h->first == NULL) {
        (void)pthread_cond_wait(&h->work, &h->lock);
    }
    struct pipeline_frame *frame = h->first;
    if (frame != NULL) {
        h->first = frame->next;
        h->last = h->first == NULL ? NULL : h->last;
    }
    return frame;
}

static void *job_main(void *arg)
{
    struct hasher *h = arg;
    struct pipeline_frame *frame = NULL;
    (void)pthread_mutex_lock(&h->lock);
    while ((frame = take(h)) != NULL) {
        (void)pthread_mutex_unlock(&h->lock);
        compute(h->hash, frame);
        (void)pthread_mutex_lock(&h->lock);
        frame->hashed = true;
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
    (void)pthread_cond_signal(&h->work);
    (void)pthread_mutex_unlock(&h->lock);
}

bool hasher_done(struct hasher *h, struct pipeline_frame *frame, bool wait)
{
    (void)pthread_mutex_lock(&h->lock);
    while (wait && !frame->hashed) {
        (void)pthread_cond_wait(&h->done, &h->lock);
    }
    bool done = frame->hashed;
    (void)pthread_mutex_unlock(&h->lock);
    return done;
}
