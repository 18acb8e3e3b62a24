/*
 * fuzz_worker.c: the host's side of a call to a worker that sends any bytes at all.
 *
 * The first byte chooses the call; the rest is what the worker sends, before it closes its end. No
 * process and no thread is behind it. Nothing may hang: the host sees the end of the connection.
 */
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "fuzz.h"
#include "plugin/worker_internal.h"

#define INPUT_MAX 8192u /* the answers to as many frames fit the buffer of a socket */
#define SEND_LIMIT_MS 1000
#define LEVELS_ABOVE 200

static void drop_log(void *ctx, uint32_t level, const char *text)
{
    (void)ctx;
    must(level <= ORCH_LOG_ERROR && text != NULL);
}

static struct worker *make(int socket)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct worker *worker = calloc(1, sizeof(*worker));
    must(worker != NULL);
    worker->ring = (struct ring)RING_INIT;
    worker->thread_socket = -1;
    worker->in_process = true; /* no limits in time: the end of the connection ends it */
    worker->inline_data = true;
    worker->read_ahead = WORKER_BLOCKS;
    worker->log = drop_log;
    worker->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    worker->plugin_path = strdup("/p.so");
    worker->plugin_name = strdup("p");
    worker->facts = json_object();
    must(wire_new(socket, "worker", &worker->wire, &err) == ORCH_OK);
    wire_set_send_limit(worker->wire, SEND_LIMIT_MS);
    return worker;
}

/* Checks the order of what a backup hands on; fails at the end of the third item. */
struct sink {
    bool in_item, ended;
    unsigned items;
};

static int32_t sink_put(void *ctx, const struct orch_event *event, struct orch_error *err)
{
    struct sink *sink = ctx;
    must(!sink->ended);
    switch (event->type) {
    case ORCH_EVENT_OBJECT:
    case ORCH_EVENT_RECORD:
        must(!sink->in_item);
        sink->in_item = true;
        return ORCH_OK;
    case EVENT_UNCHANGED:
        must(!sink->in_item);
        return ORCH_OK;
    case ORCH_EVENT_ITEM_END:
        must(sink->in_item);
        sink->in_item = false;
        return ++sink->items == 3 ? orch_fail(err, ORCH_E_NO_SPACE, "full") : ORCH_OK;
    case ORCH_EVENT_END:
        must(!sink->in_item);
        sink->ended = true;
        return ORCH_OK;
    default:
        must(sink->in_item);
        return ORCH_OK;
    }
}

static int32_t intent(void *ctx, const char *action, const char *target, const char *aside,
                      struct orch_error *err)
{
    (void)ctx;
    (void)aside;
    return action[0] == 'x' ? orch_fail(err, ORCH_E_IO, "%s of %s", action, target) : ORCH_OK;
}

static int32_t done(void *ctx, const char *action, const char *target, struct orch_error *err)
{
    return intent(ctx, action, target, NULL, err);
}

static int32_t future_file(void *ctx, const char *path, struct buffer *out, struct orch_error *err)
{
    (void)ctx;
    (void)err;
    buffer_text(out, path);
    return ORCH_OK;
}

static void run_backup(struct worker *worker)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct sink state = {0};
    const struct event_sink sink = {&state, sink_put};
    struct worker_done totals;
    int32_t rc = worker_backup(worker, NULL, &sink, &totals, &err);
    must((rc == ORCH_OK) == state.ended);
    must(rc == ORCH_OK || err.message[0] != 0);
}

static void run_check(struct worker *worker)
{
    static const struct worker_services services = {NULL, intent, done, future_file};
    struct orch_error err = ORCH_ERROR_INIT;
    struct orch_restore restore = {
        .struct_size = (uint32_t)sizeof(restore), .run_id = "r", .facts_json = "{}"};
    struct worker_verdicts verdicts = {0};
    if (worker_check(worker, &restore, &services, &verdicts, &err) == ORCH_OK) {
        for (size_t i = 0; i < verdicts.count; i++) {
            must(verdicts.items[i].code != NULL && verdicts.items[i].message != NULL &&
                 verdicts.items[i].severity <= ORCH_VERDICT_REFUSE);
        }
    }
    worker_verdicts_free(&verdicts);
}

static void run_states(struct worker *worker)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct orch_probe probe;
    struct orch_freeze freeze;
    if (worker_probe(worker, &probe, &err) == ORCH_OK) {
        must(memchr(probe.version, 0, sizeof(probe.version)) != NULL);
        if (worker_freeze(worker, &freeze, &err) == ORCH_OK) {
            must(freeze.consistency <= ORCH_CONSISTENCY_QUIESCED);
        }
    }
}

/* Facts must be fit to stand inside other documents. */
static void check_facts(struct worker *worker)
{
    json_error_t why;
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    for (int i = 0; i < LEVELS_ABOVE; i++) {
        buffer_u8(&text, '[');
    }
    buffer_text(&text, worker_facts(worker));
    for (int i = 0; i < LEVELS_ABOVE; i++) {
        buffer_u8(&text, ']');
    }
    must(!text.failed);
    json_t *json = json_loadb((const char *)text.data, text.len, JSON_ALLOW_NUL, &why);
    must(json != NULL);
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int ends[2] = {-1, -1};
    if (size < 1 || size > INPUT_MAX) {
        return 0;
    }
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    struct worker *worker = make(ends[0]);
    must(send(ends[1], data + 1, size - 1, MSG_DONTWAIT) == (ssize_t)(size - 1));
    (void)shutdown(ends[1], SHUT_WR);
    switch (data[0] % 3) {
    case 0:
        run_backup(worker);
        break;
    case 1:
        run_check(worker);
        break;
    default:
        run_states(worker);
        break;
    }
    check_facts(worker);
    worker_cleanup(&worker);
    (void)close(ends[1]);
    return 0;
}
