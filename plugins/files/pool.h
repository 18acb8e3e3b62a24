/*
 * pool.h: threads that create small files, each fed through a queue of its own; the queues are
 * bounded together.
 */
#ifndef PLUGINS_FILES_POOL_H
#define PLUGINS_FILES_POOL_H

#include <orchestrate/error.h>

#include "apply.h"
#include "dirs.h"

struct pool;

/* One file: created new in `dir` with this content and metadata. */
struct pool_job {
    struct pool_job *next;
    struct dir_ref *dir; /* held */
    struct meta meta;    /* points into `bytes` */
    size_t content_len;
    const uint8_t *content;
    const uint8_t *name; /* the object's, for messages */
    size_t name_len;
    char base[256];
    uint8_t bytes[]; /* encoded metadata, content, name */
};

/* A job with copies of all. `meta_bytes` were decoded without fault before. NULL: no memory. */
struct pool_job *pool_job_new(struct dir_ref *dir, const char *base, const struct bytes *meta_bytes,
                              uint32_t kind, const struct bytes *content, const uint8_t *name,
                              size_t name_len);
void pool_job_free(struct pool_job *job);

int32_t pool_new(struct apply_report *report, struct pool **out,
                 struct orch_error *err) ORCH_CHECKED;
/* Takes the job over. Waits while the queue is full. Gives the first failure of any job so far. */
int32_t pool_submit(struct pool *pool, struct pool_job *job, struct orch_error *err) ORCH_CHECKED;
/* Waits for all jobs; gives the first failure. */
int32_t pool_drain(struct pool *pool, struct orch_error *err) ORCH_CHECKED;
/* Ends the threads; jobs not begun are dropped. NULL is allowed. */
void pool_free(struct pool *pool);

/* Makes one file here and now: what a thread does with a job. */
int32_t pool_make_file(const struct pool_job *job, struct apply_report *report,
                       struct orch_error *err) ORCH_CHECKED;

/* Writes all; 0 or an errno. */
int pool_write_all(int fd, const uint8_t *data, size_t len);

#endif
