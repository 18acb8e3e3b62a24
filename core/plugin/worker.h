/*
 * worker.h: a plugin at work in a process of its own, seen from the host.
 *
 * The calls follow the lifecycle in orchestrate/plugin.h. Each blocks until the worker has
 * answered, its time limit has passed, it died, or worker_cancel() was called from another thread
 * or a signal arrived. After any failure of the transport (crash, hang, protocol) the worker is
 * dead and every later call fails with ORCH_E_CRASHED; a failure that the plugin reports leaves it
 * alive.
 *
 * The process is /proc/self/exe, run as `orchestrate --worker 3`: whoever links this module calls
 * worker_main() first thing for that argument. The environment variable ORCHESTRATE_WORKER_EXE
 * names another program, for tests. Of the environment the worker gets what programs and libraries
 * need (spawn.c), not the runner's secrets.
 *
 * After a cancel (worker_cancel, or the flag in the options) thaw, resume, settle and close still
 * run, so that things can be put in order; a cancel that comes during one of them stops it too.
 */
#ifndef CORE_PLUGIN_WORKER_H
#define CORE_PLUGIN_WORKER_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/event.h"
#include "plugin/info.h"

struct worker;

struct worker_options {
    const char *component;   /* for logs and the plugin; NULL: none yet (describing) */
    const char *plugin_path; /* the shared object */
    bool in_process;         /* a thread instead of a process: debuggers and sanitizers. No time
                                limits, and a plugin that hangs cannot be ended */
    bool inline_data;        /* bulk data through the pipe instead of the ring; for tests */
    uint32_t read_ahead;     /* backup: blocks of 1 MiB that the plugin may be ahead of the host; 0,
                                or more than there are: as many as there are */
    int64_t stall_timeout_ms; /* backup, restore: the longest time without any sign of life from the
                                 worker's side of the data flow; 0: 10 minutes */
    int64_t call_timeout_ms;  /* check, verify, settle: the same; every other call: in all. 0: 10
                                 minutes, or stall_timeout_ms when that is longer */
    int64_t job_timeout_ms;   /* backup, restore, check, verify, settle: in all; 0: none */
    int64_t grace_ms;         /* cancel: between message, SIGTERM and SIGKILL; 0: 5 seconds */
    const volatile int *cancel; /* becomes non-zero when the run is cancelled; NULL is fine */
    /* The plugin's log lines and captured stderr; NULL: to the log of the core. Any thread. */
    void (*log)(void *ctx, uint32_t level, const char *text);
    void *log_ctx;
};

/* What the plugin may ask of the host during check and restore. NULL members: not available. */
struct worker_services {
    void *ctx;
    int32_t (*intent)(void *ctx, const char *action, const char *target, const char *aside,
                      struct orch_error *err);
    int32_t (*done)(void *ctx, const char *action, const char *target, struct orch_error *err);
    /* ORCH_E_NOT_FOUND: this run does not bring the file. */
    int32_t (*future_file)(void *ctx, const char *path, struct buffer *out, struct orch_error *err);
};

struct worker_verdict {
    uint32_t severity; /* ORCH_VERDICT_* */
    uint32_t flags;
    char *code;
    char *subject; /* or NULL */
    char *message;
};

struct worker_verdicts {
    struct worker_verdict *items;
    size_t count;
};
void worker_verdicts_free(struct worker_verdicts *verdicts);

/* What a backup or restore moved, by the worker's own count and ours, which agreed. */
struct worker_done {
    uint64_t items;
    uint64_t unchanged;
    uint64_t bytes;
};

/* The program that workers are. */
const char *worker_program(void);

/* Starts the process, negotiates, loads the plugin, and takes its descriptor. */
int32_t worker_start(const struct worker_options *options, struct worker **out,
                     struct orch_error *err) ORCH_CHECKED;
const struct plugin_info *worker_info(const struct worker *worker);

/* `options` holds checked values; secrets go over the socket and are wiped after. */
int32_t worker_open(struct worker *worker, const struct orch_options *options,
                    struct orch_error *err) ORCH_CHECKED;
int32_t worker_probe(struct worker *worker, struct orch_probe *probe,
                     struct orch_error *err) ORCH_CHECKED;
/* A plugin without freeze: ORCH_OK, fuzzy. */
int32_t worker_freeze(struct worker *worker, struct orch_freeze *freeze,
                      struct orch_error *err) ORCH_CHECKED;
int32_t worker_thaw(struct worker *worker, struct orch_error *err) ORCH_CHECKED;
/* `earlier` gives OBJECT events with tokens, or is NULL. `sink` gets the events, END last, and only
 * after the worker's DONE agreed with what arrived. It is called on the calling thread; `earlier`
 * on another thread of the worker module. */
int32_t worker_backup(struct worker *worker, const struct event_source *earlier,
                      const struct event_sink *sink, struct worker_done *done,
                      struct orch_error *err) ORCH_CHECKED;
int32_t worker_check(struct worker *worker, const struct orch_restore *restore,
                     const struct worker_services *services, struct worker_verdicts *verdicts,
                     struct orch_error *err) ORCH_CHECKED;
/* `source` is called on another thread of the worker module; services on the calling thread. */
int32_t worker_restore(struct worker *worker, const struct orch_restore *restore,
                       const struct event_source *source, const struct worker_services *services,
                       struct worker_done *done, struct orch_error *err) ORCH_CHECKED;
int32_t worker_verify(struct worker *worker, const struct orch_restore *restore,
                      struct worker_verdicts *verdicts, struct orch_error *err) ORCH_CHECKED;
int32_t worker_quiesce(struct worker *worker, struct orch_error *err) ORCH_CHECKED;
int32_t worker_resume(struct worker *worker, struct orch_error *err) ORCH_CHECKED;
/* `services` for intent and done: to let go of what was set aside is destructive too. */
int32_t worker_settle(struct worker *worker, const struct orch_restore *restore, uint32_t outcome,
                      const struct worker_services *services, struct orch_error *err) ORCH_CHECKED;

/* Makes a throw-away target for a drill below `directory`; ORCH_E_UNSUPPORTED without the callback.
 */
int32_t worker_scratch(struct worker *worker, const char *directory,
                       struct orch_error *err) ORCH_CHECKED;

/* All facts stated so far: one JSON object, the worker's. */
const char *worker_facts(struct worker *worker);

/* Asks it to stop; any thread, also a signal handler's thread. The pending call ends within three
 * grace periods. */
void worker_cancel(struct worker *worker);

/* Closes the instance and ends the process. ORCH_E_CRASHED when it did not exit with 0. Frees the
 * worker in any case; nothing of its process group is left. */
int32_t worker_close(struct worker *worker, struct orch_error *err) ORCH_CHECKED;
void worker_cleanup(struct worker **slot);

/* The worker process itself: main() calls it when it was started as `orchestrate --worker FD`.
 * Returns the exit status. */
int worker_main(int socket_fd);

#endif
