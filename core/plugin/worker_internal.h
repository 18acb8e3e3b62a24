/*
 * worker_internal.h: the host's side of a worker, shared by worker.c (start, calls of the
 * interface, close), worker_call.c (one call: limits, escalation, death), worker_frames.c and
 * worker_bulk.c (backup and restore).
 */
#ifndef CORE_PLUGIN_WORKER_INTERNAL_H
#define CORE_PLUGIN_WORKER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include <jansson.h>

#include "plugin/items.h"
#include "plugin/process.h"
#include "plugin/ring.h"
#include "plugin/stream.h"
#include "plugin/wire.h"
#include "plugin/worker.h"

/* Blocks that a stream may have in flight. The earlier entries have slots of their own. */
#define WORKER_BLOCKS 8u
#define WORKER_EARLIER_BLOCKS 4u

struct worker {
    char *component; /* or NULL */
    char *plugin_path;
    char *plugin_name; /* for messages, before there is an info */
    bool in_process;
    bool inline_data;
    uint32_t read_ahead; /* 1 to WORKER_BLOCKS */
    int64_t call_timeout_ms, stall_timeout_ms, job_timeout_ms, grace_ms;
    const volatile int *cancel;
    void (*log)(void *ctx, uint32_t level, const char *text);
    void *log_ctx;

    struct process *process; /* NULL when in_process */
    pthread_t thread;
    bool have_thread;
    int thread_socket; /* what the thread serves */
    int thread_status;
    struct wire *wire;
    struct ring ring;
    int wake;            /* eventfd: something happened on another thread */
    atomic_uint cancels; /* calls of worker_cancel */
    uint32_t next_id;

    bool dead;
    struct orch_error death;
    struct plugin_info *info;
    json_t *facts;
    size_t facts_bytes;
    char *facts_text;
};

struct bulk;

/* One call. The first group is set by the caller. */
struct worker_call {
    const char *name;
    bool cleanup; /* runs although the run was cancelled before */
    bool secret;  /* the arguments hold secrets: wiped after sending */
    bool patient; /* like backup and restore it may take as long as it shows signs of life */
    const struct worker_services *services;
    struct worker_verdicts *verdicts;
    struct bulk *bulk; /* backup, restore */
    uint8_t expect;    /* the frame that ends the call: WIRE_REPLY, or WIRE_HELLO at the start */

    uint32_t id;
    int64_t deadline_ms; /* monotonic; INT64_MAX for none */
    int64_t life_ms;     /* last sign of life */
    unsigned cancels_before;
    int cancel_before;
    struct orch_error reason; /* why it is being stopped; code 0: it is not */
    int stage;                /* 0 runs, 1 asked to stop, 2 SIGTERM, 3 SIGKILL */
    int64_t stage_ms;         /* when the next stage comes */
    bool cancel_sent;
    bool replied;
    json_t *reply;
};

/* Runs one call to its end; takes `args` (NULL for WIRE_HELLO). *reply (NULL: not wanted) is new.
 */
int32_t worker_call_run(struct worker *worker, struct worker_call *call, json_t *args,
                        json_t **reply, struct orch_error *err) ORCH_CHECKED;
/* The worker turned out to be gone outside a call of worker_call_run: ends it and says how it died.
 */
int32_t worker_call_lost(struct worker *worker, struct worker_call *call,
                         struct orch_error *err) ORCH_CHECKED;
/* worker_frames.c: handles one frame; a failure is a breach of the protocol. */
int32_t worker_take_frame(struct worker *worker, struct worker_call *call,
                          const struct wire_frame *frame, const uint8_t *payload,
                          struct orch_error *err) ORCH_CHECKED;
/* Asks for the end of the call, for this reason (copied), unless there is one already. */
void worker_call_stop(struct worker_call *call, const struct orch_error *reason);
/* "plugin redis of component sessions" */
void worker_who(const struct worker *worker, char *text, size_t size);
void worker_log(struct worker *worker, uint32_t level, const char *text);
/* "died of signal 11 (Segmentation fault)", "ended with exit status 3" */
void worker_describe_exit(const struct process_exit *how, char *text, size_t size);

/* ---- bulk, for worker_call.c; a failure is a breach of the protocol ---- */
int32_t bulk_take_data(struct worker *worker, struct worker_call *call,
                       const struct wire_frame *frame, const uint8_t *payload,
                       struct orch_error *err) ORCH_CHECKED;
int32_t bulk_take_credit(struct bulk *bulk, const struct wire_frame *frame,
                         struct orch_error *err) ORCH_CHECKED;
int32_t bulk_take_done(struct bulk *bulk, const json_t *json, struct orch_error *err) ORCH_CHECKED;
/* Starts the feeder, if there is one: once the CALL is on its way, since what comes before it would
 * be dropped. */
int32_t bulk_run_feeder(struct bulk *bulk, struct orch_error *err) ORCH_CHECKED;
/* The feeder's failure, if it has ended with one. */
bool bulk_feeder_failed(struct bulk *bulk, struct orch_error *err);
/* The worker waits for us, not we for it. */
bool bulk_host_is_slow(struct bulk *bulk);
/* The feeder shall give up waiting for the worker. */
void bulk_stop_feeder(struct bulk *bulk);

#endif
