/* worker_call.c: one call to a worker: frames, time limits, cancel and escalation, death. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "plugin/message.h"
#include "plugin/worker_internal.h"

/* How often to look at a flag that nobody wakes us for. */
#define FLAG_POLL_MS 50
/* A worker that closed its socket gets this long to end by itself, so that its status tells why. */
#define LINGER_MS 2000

void worker_who(const struct worker *worker, char *text, size_t size)
{
    const char *name = worker->info != NULL ? worker->info->name : worker->plugin_name;
    if (worker->component == NULL) {
        (void)snprintf(text, size, "plugin %s", name);
    } else {
        (void)snprintf(text, size, "plugin %s of component %s", name, worker->component);
    }
}

void worker_log(struct worker *worker, uint32_t level, const char *text)
{
    if (worker->log != NULL) {
        worker->log(worker->log_ctx, level, text);
    } else {
        log_line(level, worker->component != NULL ? worker->component : worker->plugin_name, "%s",
                 text);
    }
}

void worker_call_stop(struct worker_call *call, const struct orch_error *reason)
{
    if (call->reason.code == ORCH_OK) {
        call->reason = *reason;
    }
}

/* ---- death ---- */

void worker_describe_exit(const struct process_exit *how, char *text, size_t size)
{
    if (how->by_signal) {
        const char *name = sigabbrev_np(how->status);
        (void)snprintf(text, size, "died of signal %d (SIG%s: %s)", how->status,
                       name == NULL ? "?" : name, strsignal(how->status));
    } else {
        (void)snprintf(text, size, "ended with exit status %d", how->status);
    }
}

/* Appends what the worker last wrote, cut to what fits. */
static void append_last_words(struct worker *worker, struct orch_error *err)
{
    char words[512] = "";
    if (worker->process != NULL) {
        process_last_words(worker->process, words, sizeof(words));
    }
    size_t len = strlen(err->message);
    if (words[0] != 0 && len + 32 < sizeof(err->message)) {
        (void)snprintf(err->message + len, sizeof(err->message) - len, "; it last wrote: %.480s",
                       words);
    }
}

static void describe_death(struct worker *worker, const struct worker_call *call,
                           const struct process_exit *how, const struct orch_error *breach,
                           struct orch_error *err)
{
    char who[200];
    char end[200];
    worker_who(worker, who, sizeof(who));
    worker_describe_exit(how, end, sizeof(end));
    if (breach != NULL) {
        (void)orch_fail(err, ORCH_E_PROTOCOL,
                        "the %s broke the rules of the wire in %s and was killed: %.600s", who,
                        call->name, breach->message);
    } else if (call->reason.code != ORCH_OK) {
        *err = call->reason;
        size_t len = strlen(err->message);
        (void)snprintf(err->message + len, sizeof(err->message) - len, "%s",
                       call->stage >= 3   ? "; it did not stop when asked and was killed"
                       : call->stage == 2 ? "; it did not stop when asked and was terminated"
                                          : "; its process ended before it had stopped");
    } else if (!how->by_signal && how->status == 0) {
        (void)orch_fail(err, ORCH_E_CRASHED,
                        "the worker of %s ended with exit status 0 in the middle of %s, without "
                        "DONE: what it sent is not complete",
                        who, call->name);
    } else {
        (void)orch_fail(err, ORCH_E_CRASHED, "the worker of %s %s in %s", who, end, call->name);
    }
}

/* Ends the process, if it has not ended, and writes down how. `breach` may be NULL. */
static int32_t die(struct worker *worker, struct worker_call *call, const struct orch_error *breach,
                   struct orch_error *err)
{
    struct process_exit how = {0};
    struct orch_error closed = ORCH_ERROR_INIT;
    if (call->bulk != NULL) {
        bulk_stop_feeder(call->bulk);
    }
    if (worker->process != NULL) {
        if (breach == NULL && call->stage == 0 && !process_wait(worker->process, LINGER_MS)) {
            (void)orch_fail(&closed, ORCH_E_PROTOCOL, "it closed its connection, but lives on");
            breach = &closed;
        }
        if (breach != NULL) {
            process_signal(worker->process, SIGKILL);
        }
        process_end(worker->process, LINGER_MS, worker->grace_ms, &how);
    }
    wire_shutdown(worker->wire);
    if (worker->have_thread) {
        (void)pthread_join(worker->thread, NULL);
        worker->have_thread = false;
        how.status = worker->thread_status;
    }
    worker->dead = true;
    describe_death(worker, call, &how, breach, &worker->death);
    append_last_words(worker, &worker->death);
    *err = worker->death;
    return err->code;
}

/* ---- limits and escalation ---- */

/* A signal handler or another thread sets it. */
static int flag_of(const struct worker *worker)
{
    return worker->cancel != NULL ? __atomic_load_n(worker->cancel, __ATOMIC_RELAXED) : 0;
}

static bool was_cancelled(struct worker *worker, const struct worker_call *call)
{
    unsigned count = atomic_load(&worker->cancels);
    int flag = flag_of(worker);
    if (call->cleanup) { /* what was cancelled before is being cleaned up now */
        return count != call->cancels_before || (flag != 0 && call->cancel_before == 0);
    }
    return count != 0 || flag != 0;
}

/* How long it may go without a sign of life, in ms; 0: it need not show any. */
static int64_t stall_limit(const struct worker *worker, const struct worker_call *call)
{
    if (call->bulk != NULL) {
        return worker->stall_timeout_ms;
    }
    return call->patient ? worker->call_timeout_ms : 0;
}

/* How long it may take in all, in ms; 0: as long as it likes. */
static int64_t whole_limit(const struct worker *worker, const struct worker_call *call)
{
    return call->bulk != NULL || call->patient ? worker->job_timeout_ms : worker->call_timeout_ms;
}

/* When the next limit passes, monotonic ms. A debugger stops threads for as long as it likes. */
static int64_t next_limit(const struct worker *worker, const struct worker_call *call)
{
    if (worker->in_process) {
        return INT64_MAX;
    }
    if (call->stage > 0) {
        return call->stage_ms;
    }
    int64_t limit = call->deadline_ms;
    int64_t silent = stall_limit(worker, call);
    return silent > 0 && silent < limit - call->life_ms ? call->life_ms + silent : limit;
}

static void find_reason(struct worker *worker, struct worker_call *call, int64_t now)
{
    struct orch_error why = ORCH_ERROR_INIT;
    char who[200];
    worker_who(worker, who, sizeof(who));
    if (was_cancelled(worker, call)) {
        (void)orch_fail(&why, ORCH_E_CANCELLED, "%s of %s was cancelled", call->name, who);
    } else if (call->bulk != NULL && bulk_feeder_failed(call->bulk, &why)) {
        /* `why` says it */
    } else if (now >= next_limit(worker, call)) {
        bool stalled = now < call->deadline_ms;
        int64_t limit = stalled ? stall_limit(worker, call) : whole_limit(worker, call);
        (void)orch_fail(&why, ORCH_E_TIMEOUT,
                        stalled ? "the %s gave no sign of life in %s for %" PRId64 ".%03d s"
                                : "the %s was not done with %s after %" PRId64 ".%03d s",
                        who, call->name, limit / 1000, (int)(limit % 1000));
    }
    if (why.code != ORCH_OK) {
        worker_call_stop(call, &why);
    }
}

static void escalate(struct worker *worker, struct worker_call *call, int64_t now)
{
    if (call->stage == 0) {
        call->stage = 1;
        call->stage_ms = now + worker->grace_ms;
        if (call->bulk != NULL) {
            bulk_stop_feeder(call->bulk);
        }
    }
    if (!call->cancel_sent) {
        struct orch_error ignored = ORCH_ERROR_INIT;
        struct wire_frame frame = {.type = WIRE_CANCEL, .id = call->id};
        call->cancel_sent = wire_try_send(worker->wire, frame, &ignored) != ORCH_E_BUSY;
    }
    if (worker->process == NULL || now < call->stage_ms) {
        return;
    }
    if (call->stage == 1) {
        call->stage = 2;
        process_signal(worker->process, SIGTERM);
    } else {
        call->stage = 3;
        process_signal(worker->process, SIGKILL);
    }
    call->stage_ms = now + worker->grace_ms;
}

/* Looks after cancel, limits and stages; returns how long to wait for frames, in ms. */
static int attend(struct worker *worker, struct worker_call *call)
{
    int64_t now = clock_monotonic_ms();
    if (call->bulk != NULL && bulk_host_is_slow(call->bulk)) {
        call->life_ms = now;
    }
    if (call->reason.code == ORCH_OK) {
        find_reason(worker, call, now);
    }
    if (call->reason.code != ORCH_OK) {
        escalate(worker, call, now);
    }
    int64_t wait = next_limit(worker, call) - now;
    bool look =
        (worker->cancel != NULL && call->stage == 0) || (call->stage > 0 && !call->cancel_sent);
    if (look && wait > FLAG_POLL_MS) {
        wait = FLAG_POLL_MS;
    }
    if (call->bulk != NULL && wait > 1000) {
        wait = 1000; /* the feeder may have become the slow side meanwhile */
    }
    return wait < 0 ? 0 : wait > 60000 ? 60000 : (int)wait;
}

/* ---- the loop ---- */

/* True when there may be something to read; false when the process is dead and all is read. */
static bool wait_frames(struct worker *worker, int timeout_ms)
{
    struct pollfd fds[3] = {
        {.fd = wire_fd(worker->wire), .events = POLLIN},
        {.fd = worker->wake, .events = POLLIN},
        {.fd = worker->process == NULL ? -1 : process_pidfd(worker->process), .events = POLLIN},
    };
    if (poll(fds, 3, timeout_ms) <= 0) {
        return true;
    }
    if (fds[1].revents != 0) {
        uint64_t count = 0;
        ssize_t ignored = read(worker->wake, &count, sizeof(count));
        (void)ignored;
    }
    return fds[0].revents != 0 || fds[2].revents == 0;
}

static int32_t pump(struct worker *worker, struct worker_call *call, struct orch_error *err)
{
    struct wire_frame frame;
    const uint8_t *payload = NULL;
    struct orch_error why = ORCH_ERROR_INIT;
    while (!call->replied) {
        int timeout_ms = attend(worker, call);
        int32_t rc = wire_next(worker->wire, &frame, &payload, &why);
        if (rc == 1) {
            rc = worker_take_frame(worker, call, &frame, payload, &why);
            call->life_ms = clock_monotonic_ms();
            if (rc != ORCH_OK) {
                return die(worker, call, &why, err);
            }
            continue;
        }
        if (rc == 0) {
            rc = wire_fill(worker->wire, &why);
        }
        if (rc == WIRE_FILLED) {
            continue;
        }
        if (rc == WIRE_EOF || (rc == WIRE_AGAIN && !wait_frames(worker, timeout_ms))) {
            return die(worker, call, NULL, err);
        }
        if (rc < 0) {
            return die(worker, call, &why, err);
        }
    }
    return ORCH_OK;
}

static int32_t send_call(struct worker *worker, struct worker_call *call, json_t *args,
                         struct orch_error *err)
{
    struct wire_frame frame = {.type = WIRE_CALL, .id = call->id};
    if (call->secret) {
        frame.flags = WIRE_FLAG_SECRET;
    }
    (void)json_object_set_new(args, "call", json_string(call->name));
    int32_t rc = message_send(worker->wire, frame, args, err);
    if (rc == ORCH_E_CRASHED) {
        return die(worker, call, NULL, err);
    }
    return rc;
}

int32_t worker_call_lost(struct worker *worker, struct worker_call *call, struct orch_error *err)
{
    return die(worker, call, NULL, err);
}

static int32_t finish(struct worker_call *call, json_t **reply, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    if (call->expect == WIRE_REPLY) {
        rc = message_get_error(call->reply, err);
    }
    /* Asked to stop, and it did: the reason counts, not the words for it. */
    if (rc != ORCH_OK && call->reason.code != ORCH_OK) {
        *err = call->reason;
        rc = err->code;
    }
    if (rc == ORCH_OK && reply != NULL) {
        *reply = json_incref(call->reply);
    }
    return rc;
}

int32_t worker_call_run(struct worker *worker, struct worker_call *call, json_t *args_taken,
                        json_t **reply, struct orch_error *err)
{
    CLEANUP_JSON json_t *args = args_taken;
    if (worker->dead) {
        char who[200];
        worker_who(worker, who, sizeof(who));
        return orch_fail(err, ORCH_E_CRASHED,
                         "%s of %s is not possible: its worker is gone (%.700s)", call->name, who,
                         worker->death.message);
    }
    call->cancels_before = call->cleanup ? atomic_load(&worker->cancels) : 0;
    call->cancel_before = flag_of(worker);
    if (was_cancelled(worker, call)) {
        return orch_fail(err, ORCH_E_CANCELLED, "cancelled before %s", call->name);
    }
    if (call->expect == 0) {
        call->expect = WIRE_REPLY;
    }
    int64_t limit = whole_limit(worker, call);
    call->life_ms = clock_monotonic_ms();
    call->deadline_ms = limit > 0 ? call->life_ms + limit : INT64_MAX;
    int32_t rc = ORCH_OK;
    if (call->expect == WIRE_REPLY) {
        call->id = call->id == 0 ? ++worker->next_id : call->id;
        rc = send_call(worker, call, args, err);
        if (call->secret) {
            message_wipe(args);
        }
    }
    if (rc == ORCH_OK && call->bulk != NULL) {
        struct orch_error why = ORCH_ERROR_INIT;
        if (bulk_run_feeder(call->bulk, &why) != ORCH_OK) {
            worker_call_stop(call, &why);
        }
    }
    if (rc == ORCH_OK) {
        rc = pump(worker, call, err);
    }
    if (rc == ORCH_OK) {
        rc = finish(call, reply, err);
    }
    json_decref(steal_ptr(&call->reply));
    return rc;
}
