/* pool.c: see pool.h. */
#include "pool.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "name.h"

#define THREADS_MAX 4
#define QUEUE_JOBS_MAX 256u
#define QUEUE_BYTES_MAX (16u * 1024u * 1024u)
/* A thread that has more than this to do shares a folder with one that has nothing. */
#define JOBS_ALONE 32u

/* A thread and its jobs. */
struct hand {
    struct pool *pool;
    pthread_t thread;
    pthread_cond_t work; /* there is a job, or the end */
    struct pool_job *head;
    struct pool_job **tail;
    size_t jobs; /* queued or at work */
};

/* The files of a folder go to one thread: two that create in one folder wait for each other. */
struct pool {
    pthread_mutex_t lock;
    pthread_cond_t space; /* there is room, or all is done */
    size_t jobs;          /* of all threads */
    size_t bytes;
    int ending;
    int failed;
    struct orch_error error;
    struct apply_report *report;
    struct hand hands[THREADS_MAX];
    size_t hand_count;
    size_t at;                 /* the hand that got the last job */
    const struct dir_ref *dir; /* of that job; only compared, it may be gone */
};

struct pool_job *pool_job_new(struct dir_ref *dir, const char *base, const struct bytes *meta_bytes,
                              uint32_t kind, const struct bytes *content, const uint8_t *name,
                              size_t name_len)
{
    size_t base_len = strlen(base);
    struct pool_job *job = malloc(sizeof(*job) + meta_bytes->len + content->len + name_len);
    if (job == NULL || base_len >= sizeof(job->base)) {
        free(job);
        dir_ref_drop(dir);
        return NULL;
    }
    *job = (struct pool_job){.dir = dir, .content_len = content->len, .name_len = name_len};
    memcpy(job->base, base, base_len + 1);
    uint8_t *at = job->bytes;
    memcpy(at, meta_bytes->data, meta_bytes->len);
    at += meta_bytes->len;
    job->content = at;
    if (content->len > 0) {
        memcpy(at, content->data, content->len);
    }
    at += content->len;
    job->name = at;
    memcpy(at, name, name_len);
    struct orch_error ignored = ORCH_ERROR_INIT;
    if (meta_decode(job->bytes, meta_bytes->len, kind, &job->meta, &ignored) != ORCH_OK) {
        pool_job_free(job);
        return NULL;
    }
    return job;
}

void pool_job_free(struct pool_job *job)
{
    if (job != NULL) {
        dir_ref_drop(job->dir);
        free(job);
    }
}

int pool_write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno;
        }
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

int32_t pool_make_file(const struct pool_job *job, struct apply_report *report,
                       struct orch_error *err)
{
    const char *act = "create";
    CLEANUP_FD int fd =
        openat(job->dir->fd, job->base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int error = fd < 0 ? errno : 0;
    if (error == 0) {
        act = "write";
        error = pool_write_all(fd, job->content, job->content_len);
    }
    if (error == 0) {
        error = apply_to_fd(fd, &job->meta, report, &act);
    }
    if (error == 0) {
        act = "write";
        error = close(steal_fd(&fd)) == 0 ? 0 : errno;
    }
    if (error != 0) {
        char shown[NAME_SHOWN_MAX];
        return orch_fail_errno(err, error, "cannot %s %s", act,
                               name_shown(shown, job->name, job->name_len));
    }
    return ORCH_OK;
}

static struct pool_job *take(struct hand *hand)
{
    while (hand->head == NULL && !hand->pool->ending) {
        (void)pthread_cond_wait(&hand->work, &hand->pool->lock);
    }
    struct pool_job *job = hand->head;
    if (job != NULL) {
        hand->head = job->next;
        hand->tail = hand->head == NULL ? &hand->head : hand->tail;
    }
    return job;
}

static void *work(void *arg)
{
    struct hand *hand = arg;
    struct pool *pool = hand->pool;
    struct pool_job *job = NULL;
    (void)pthread_mutex_lock(&pool->lock);
    while ((job = take(hand)) != NULL) {
        int skip = pool->failed || pool->ending;
        (void)pthread_mutex_unlock(&pool->lock);
        struct orch_error error = ORCH_ERROR_INIT;
        int32_t rc = skip ? ORCH_OK : pool_make_file(job, pool->report, &error);
        size_t size = job->content_len;
        pool_job_free(job);
        (void)pthread_mutex_lock(&pool->lock);
        if (rc != ORCH_OK && !pool->failed) {
            pool->failed = 1;
            pool->error = error;
        }
        hand->jobs--;
        pool->jobs--;
        pool->bytes -= size;
        (void)pthread_cond_signal(&pool->space);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static int start(struct pool *pool, struct hand *hand)
{
    hand->pool = pool;
    hand->tail = &hand->head;
    (void)pthread_cond_init(&hand->work, NULL);
    int error = pthread_create(&hand->thread, NULL, work, hand);
    if (error != 0) {
        (void)pthread_cond_destroy(&hand->work);
    }
    return error;
}

int32_t pool_new(struct apply_report *report, struct pool **out, struct orch_error *err)
{
    struct pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for threads");
    }
    pool->report = report;
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->space, NULL);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t wanted = cores < 2 ? 1 : cores > THREADS_MAX ? THREADS_MAX : (size_t)cores;
    while (pool->hand_count < wanted && start(pool, &pool->hands[pool->hand_count]) == 0) {
        pool->hand_count++;
    }
    if (pool->hand_count == 0) {
        pool_free(pool);
        return orch_fail(err, ORCH_E_FAILED, "cannot start a thread");
    }
    *out = pool;
    return ORCH_OK;
}

static int32_t failure(const struct pool *pool, struct orch_error *err)
{
    if (pool->failed && err != NULL) {
        *err = pool->error;
    }
    return pool->failed ? pool->error.code : ORCH_OK;
}

/* The hand for a file of `dir`: the same as for the last one of that folder, unless it has much to
 * do while another has nothing. */
static struct hand *choose(struct pool *pool, const struct dir_ref *dir)
{
    size_t least = 0;
    for (size_t i = 1; i < pool->hand_count; i++) {
        least = pool->hands[i].jobs < pool->hands[least].jobs ? i : least;
    }
    int idle = pool->hands[least].jobs == 0 && pool->hands[pool->at].jobs > JOBS_ALONE;
    if (dir != pool->dir || idle) {
        pool->at = least;
        pool->dir = dir;
    }
    return &pool->hands[pool->at];
}

int32_t pool_submit(struct pool *pool, struct pool_job *job, struct orch_error *err)
{
    (void)pthread_mutex_lock(&pool->lock);
    while (!pool->failed && pool->jobs > 0 &&
           (pool->jobs >= QUEUE_JOBS_MAX || pool->bytes + job->content_len > QUEUE_BYTES_MAX)) {
        (void)pthread_cond_wait(&pool->space, &pool->lock);
    }
    int32_t rc = failure(pool, err);
    if (rc == ORCH_OK) {
        struct hand *hand = choose(pool, job->dir);
        job->next = NULL;
        *hand->tail = job;
        hand->tail = &job->next;
        hand->jobs++;
        pool->jobs++;
        pool->bytes += job->content_len;
        (void)pthread_cond_signal(&hand->work);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    if (rc != ORCH_OK) {
        pool_job_free(job);
    }
    return rc;
}

int32_t pool_drain(struct pool *pool, struct orch_error *err)
{
    (void)pthread_mutex_lock(&pool->lock);
    while (pool->jobs > 0) {
        (void)pthread_cond_wait(&pool->space, &pool->lock);
    }
    int32_t rc = failure(pool, err);
    (void)pthread_mutex_unlock(&pool->lock);
    return rc;
}

void pool_free(struct pool *pool)
{
    if (pool == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&pool->lock);
    pool->ending = 1;
    for (size_t i = 0; i < pool->hand_count; i++) {
        (void)pthread_cond_signal(&pool->hands[i].work);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->hand_count; i++) {
        (void)pthread_join(pool->hands[i].thread, NULL);
        (void)pthread_cond_destroy(&pool->hands[i].work);
    }
    (void)pthread_cond_destroy(&pool->space);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool);
}
