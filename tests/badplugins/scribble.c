/*
 * scribble.c: writes into blocks that it has handed over.
 *
 * "after-commit" changes a byte right after commit(). "reuse" writes through a pointer from eight
 * blocks ago, into space that was given back to it and is filled again afterwards: harmless, since
 * the host has its own copy by then. "always" has a thread that scribbles all the time. In every
 * variant the object's bytes are 'x'.
 */
#include "bad.h"

#include <pthread.h>
#include <stdatomic.h>

#define BLOCKS 40

struct scribbler {
    uint8_t *_Atomic target;
    atomic_int stop;
};

static void *scribble(void *arg)
{
    struct scribbler *s = arg;
    while (!atomic_load(&s->stop)) {
        volatile uint8_t *target = atomic_load(&s->target);
        if (target != NULL) {
            *target = 'y';
        }
    }
    return NULL;
}

/* Sends 'x' through reserve() and commit(); *space is where they were. */
static int32_t send_block(const struct bad *bad, void **space, uint64_t *len,
                          struct orch_error *err)
{
    const struct orch_host *host = bad->host;
    int32_t rc = host->reserve(host->ctx, 0, space, len, err);
    if (rc == ORCH_OK) {
        memset(*space, 'x', *len);
        rc = host->commit(host->ctx, *len, err);
    }
    return rc;
}

static int32_t send_blocks(const struct bad *bad, struct scribbler *scribbler,
                           struct orch_error *err)
{
    void *before[8] = {NULL};
    for (int i = 0; i < BLOCKS; i++) {
        void *space = NULL;
        uint64_t len = 0;
        int32_t rc = bad->host->reserve(bad->host->ctx, 0, &space, &len, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        if (strcmp(bad->how, "reuse") == 0 && before[i % 8] == space) {
            memset(before[i % 8], 'y', len); /* the same slot, eight blocks later */
        }
        before[i % 8] = space;
        rc = send_block(bad, &space, &len, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        if (strcmp(bad->how, "after-commit") == 0) {
            ((uint8_t *)space)[len / 2] = 'y';
        }
        atomic_store(&scribbler->target, (uint8_t *)space + len / 2);
    }
    return ORCH_OK;
}

static int32_t backup(void *instance, struct orch_error *err)
{
    const struct bad *bad = instance;
    struct scribbler scribbler = {.target = NULL};
    pthread_t thread;
    int threaded =
        strcmp(bad->how, "always") == 0 && pthread_create(&thread, NULL, scribble, &scribbler) == 0;
    int32_t rc = bad_begin(bad->host, "object", err);
    if (rc == ORCH_OK) {
        rc = send_blocks(bad, &scribbler, err);
    }
    if (rc == ORCH_OK) {
        rc = bad->host->end_item(bad->host->ctx, err);
    }
    if (threaded) {
        atomic_store(&scribbler.stop, 1);
        (void)pthread_join(thread, NULL);
    }
    return rc;
}

ORCH_EXPORT const struct orch_plugin orch_plugin = {ORCH_PLUGIN_HEADER, BAD_COMMON,
                                                    .name = "scribble", .probe = bad_probe,
                                                    .backup = backup,   .restore = bad_restore};
