/* worker.c: see worker.h. Start and close, and the calls that are no bulk. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "plugin/arguments.h"
#include "plugin/message.h"
#include "plugin/server.h"
#include "plugin/worker_internal.h"

#define DEFAULT_TIMEOUT_MS (10 * 60 * 1000)
#define DEFAULT_GRACE_MS 5000
/* A worker whose socket buffer stays full so long is not alive: its reader never waits. */
#define SEND_LIMIT_MS 60000
/* After close: libraries and leak checkers may have something to do at exit. */
#define EXIT_MS 15000

void worker_verdicts_free(struct worker_verdicts *verdicts)
{
    for (size_t i = 0; i < verdicts->count; i++) {
        free(verdicts->items[i].code);
        free(verdicts->items[i].subject);
        free(verdicts->items[i].message);
    }
    free(verdicts->items);
    *verdicts = (struct worker_verdicts){0};
}

/* ---- start ---- */

/* The file's name without folder and ".so", new memory. */
static char *name_of_path(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    size_t len = strlen(name);
    if (len > 3 && strcmp(name + len - 3, ".so") == 0) {
        len -= 3;
    }
    return strndup(name, len);
}

static int64_t or_default(int64_t value, int64_t fallback)
{
    return value > 0 ? value : fallback;
}

static int32_t worker_new(const struct worker_options *options, struct worker **out,
                          struct orch_error *err)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a worker");
    }
    *out = worker;
    worker->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    worker->ring = (struct ring)RING_INIT;
    worker->thread_socket = -1;
    worker->in_process = options->in_process;
    worker->inline_data = options->inline_data;
    worker->read_ahead = options->read_ahead == 0 || options->read_ahead > WORKER_BLOCKS
                             ? WORKER_BLOCKS
                             : options->read_ahead;
    worker->stall_timeout_ms = or_default(options->stall_timeout_ms, DEFAULT_TIMEOUT_MS);
    worker->call_timeout_ms =
        or_default(options->call_timeout_ms, worker->stall_timeout_ms > DEFAULT_TIMEOUT_MS
                                                 ? worker->stall_timeout_ms
                                                 : DEFAULT_TIMEOUT_MS);
    worker->job_timeout_ms = options->job_timeout_ms;
    worker->grace_ms = or_default(options->grace_ms, DEFAULT_GRACE_MS);
    worker->cancel = options->cancel;
    worker->log = options->log;
    worker->log_ctx = options->log_ctx;
    worker->component = options->component == NULL ? NULL : strdup(options->component);
    worker->plugin_path = strdup(options->plugin_path);
    worker->plugin_name = name_of_path(options->plugin_path);
    worker->facts = json_object();
    if (worker->plugin_path == NULL || worker->plugin_name == NULL || worker->facts == NULL ||
        (options->component != NULL && worker->component == NULL)) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a worker");
    }
    return worker->wake < 0 ? orch_fail_errno(err, errno, "cannot make an eventfd") : ORCH_OK;
}

static void log_captured(void *ctx, const char *text)
{
    worker_log(ctx, ORCH_LOG_INFO, text);
}

static void *thread_main(void *arg)
{
    struct worker *worker = arg;
    worker->thread_status = server_run(worker->thread_socket, false);
    return NULL;
}

static int32_t launch(struct worker *worker, const char *exe, int socket, struct orch_error *err)
{
    if (!worker->in_process) {
        return process_start(exe, socket, log_captured, worker, &worker->process, err);
    }
    worker->thread_socket = fcntl(socket, F_DUPFD_CLOEXEC, 0);
    int failed = worker->thread_socket < 0
                     ? errno
                     : pthread_create(&worker->thread, NULL, thread_main, worker);
    if (failed != 0) {
        cleanup_fd(&worker->thread_socket);
        return orch_fail_errno(err, failed, "cannot start a thread for the plugin");
    }
    worker->have_thread = true;
    return ORCH_OK;
}

static int32_t connect_worker(struct worker *worker, const char *exe, struct orch_error *err)
{
    int ends[2] = {-1, -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return orch_fail_errno(err, errno, "cannot make a pair of sockets");
    }
    CLEANUP_FD int theirs = ends[1];
    int32_t rc = wire_new(ends[0], "worker", &worker->wire, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    wire_set_send_limit(worker->wire, SEND_LIMIT_MS);
    return launch(worker, exe, theirs, err);
}

static bool offers(const json_t *hello, const char *list, const char *feature)
{
    size_t i = 0;
    json_t *value = NULL;
    json_array_foreach(json_object_get(hello, list), i, value)
    {
        const char *text = json_string_value(value);
        if (text != NULL && strcmp(text, feature) == 0) {
            return true;
        }
    }
    return false;
}

static int32_t answer_hello(struct worker *worker, const json_t *hello, struct orch_error *err)
{
    uint64_t low = message_u64(hello, "protocol_min");
    uint64_t high = message_u64(hello, "protocol_max");
    if (high < WIRE_PROTOCOL_MIN || low > WIRE_PROTOCOL_MAX || low > high) {
        return orch_fail(err, ORCH_E_VERSION,
                         "the worker speaks protocol %llu to %llu, but this program %d to %d",
                         (unsigned long long)low, (unsigned long long)high, WIRE_PROTOCOL_MIN,
                         WIRE_PROTOCOL_MAX);
    }
    if (!offers(hello, "digests", "xxh3-64")) {
        return orch_fail(err, ORCH_E_VERSION, "the worker knows no digest that we know");
    }
    bool ring = !worker->inline_data && offers(hello, "bulk", "ring");
    if (!ring && !offers(hello, "bulk", "inline")) {
        return orch_fail(err, ORCH_E_VERSION, "the worker knows no way of bulk data that we know");
    }
    if (ring) {
        int32_t rc = ring_create(WORKER_BLOCKS + WORKER_EARLIER_BLOCKS, &worker->ring, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    int chosen = high < WIRE_PROTOCOL_MAX ? (int)high : WIRE_PROTOCOL_MAX;
    CLEANUP_JSON json_t *answer = json_pack(
        "{s:i, s:s, s:i, s:i, s:s}", "protocol", chosen, "bulk", ring ? "ring" : "inline", "blocks",
        (int)worker->read_ahead, "ring_blocks", (int)worker->ring.blocks, "digest", "xxh3-64");
    CLEANUP_FREE char *text = answer == NULL ? NULL : json_dumps(answer, JSON_COMPACT);
    if (text == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a message");
    }
    return wire_send(worker->wire, (struct wire_frame){.type = WIRE_HELLO}, text, strlen(text),
                     ring ? worker->ring.fd : -1, err);
}

static int32_t load_plugin(struct worker *worker, struct orch_error *err)
{
    struct worker_call call = {.name = "load"};
    CLEANUP_JSON json_t *reply = NULL;
    json_t *args = json_object();
    message_set_text(args, "path", worker->plugin_path);
    int32_t rc = worker_call_run(worker, &call, args, &reply, err);
    return rc == ORCH_OK
               ? plugin_info_from_json(json_object_get(reply, "plugin"), &worker->info, err)
               : rc;
}

const char *worker_program(void)
{
    const char *exe = getenv("ORCHESTRATE_WORKER_EXE");
    return exe == NULL || exe[0] == 0 ? "/proc/self/exe" : exe;
}

static int32_t start(struct worker *worker, struct orch_error *err)
{
    int32_t rc = connect_worker(worker, worker_program(), err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct worker_call call = {.name = "start", .expect = WIRE_HELLO};
    CLEANUP_JSON json_t *hello = NULL;
    rc = worker_call_run(worker, &call, NULL, &hello, err);
    if (rc == ORCH_OK) {
        rc = answer_hello(worker, hello, err);
        rc = rc == ORCH_E_CRASHED ? worker_call_lost(worker, &call, err) : rc;
    }
    return rc == ORCH_OK ? load_plugin(worker, err) : rc;
}

int32_t worker_start(const struct worker_options *options, struct worker **out,
                     struct orch_error *err)
{
    struct worker *worker = NULL;
    int32_t rc = worker_new(options, &worker, err);
    if (rc == ORCH_OK) {
        rc = start(worker, err);
    }
    if (rc != ORCH_OK) {
        worker_cleanup(&worker);
        return rc;
    }
    *out = worker;
    return ORCH_OK;
}

const struct plugin_info *worker_info(const struct worker *worker)
{
    return worker->info;
}

/* ---- calls ---- */

int32_t worker_open(struct worker *worker, const struct orch_options *options,
                    struct orch_error *err)
{
    struct worker_call call = {.name = "open", .secret = true};
    json_t *args = json_object();
    (void)json_object_set_new(args, "options", arguments_options_new(options));
    return worker_call_run(worker, &call, args, NULL, err);
}

static int32_t simple_call(struct worker *worker, const char *name, bool cleanup,
                           struct orch_error *err)
{
    struct worker_call call = {.name = name, .cleanup = cleanup};
    return worker_call_run(worker, &call, json_object(), NULL, err);
}

int32_t worker_probe(struct worker *worker, struct orch_probe *probe, struct orch_error *err)
{
    struct worker_call call = {.name = "probe"};
    CLEANUP_JSON json_t *reply = NULL;
    int32_t rc = worker_call_run(worker, &call, json_object(), &reply, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    *probe = (struct orch_probe){
        .struct_size = (uint32_t)sizeof(*probe),
        .flags = message_u32(reply, "flags"),
        .items = message_u64(reply, "items"),
        .size_bytes = message_u64(reply, "size_bytes"),
    };
    message_copy_text(reply, "version", probe->version, sizeof(probe->version));
    message_copy_text(reply, "identity", probe->identity, sizeof(probe->identity));
    return ORCH_OK;
}

int32_t worker_freeze(struct worker *worker, struct orch_freeze *freeze, struct orch_error *err)
{
    struct worker_call call = {.name = "freeze"};
    CLEANUP_JSON json_t *reply = NULL;
    int32_t rc = worker_call_run(worker, &call, json_object(), &reply, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    *freeze = (struct orch_freeze){
        .struct_size = (uint32_t)sizeof(*freeze),
        .consistency = message_u32(reply, "consistency"),
        .flags = message_u32(reply, "flags"),
    };
    message_copy_text(reply, "cost", freeze->cost, sizeof(freeze->cost));
    if (freeze->consistency > ORCH_CONSISTENCY_QUIESCED) {
        freeze->consistency = ORCH_CONSISTENCY_FUZZY; /* what we do not know is no promise */
    }
    return ORCH_OK;
}

int32_t worker_thaw(struct worker *worker, struct orch_error *err)
{
    return simple_call(worker, "thaw", true, err);
}

int32_t worker_quiesce(struct worker *worker, struct orch_error *err)
{
    return simple_call(worker, "quiesce", false, err);
}

int32_t worker_resume(struct worker *worker, struct orch_error *err)
{
    return simple_call(worker, "resume", true, err);
}

static int32_t restore_call(struct worker *worker, struct worker_call *call,
                            const struct orch_restore *restore, uint32_t outcome,
                            struct orch_error *err)
{
    json_t *json = arguments_restore_new(restore, err);
    if (json == NULL) {
        return err->code;
    }
    json_t *args = json_object();
    (void)json_object_set_new(args, "restore", json);
    message_set_u64(args, "outcome", outcome);
    return worker_call_run(worker, call, args, NULL, err);
}

int32_t worker_check(struct worker *worker, const struct orch_restore *restore,
                     const struct worker_services *services, struct worker_verdicts *verdicts,
                     struct orch_error *err)
{
    struct worker_call call = {
        .name = "check", .patient = true, .services = services, .verdicts = verdicts};
    *verdicts = (struct worker_verdicts){0};
    int32_t rc = restore_call(worker, &call, restore, 0, err);
    if (rc != ORCH_OK) {
        worker_verdicts_free(verdicts);
    }
    return rc;
}

int32_t worker_verify(struct worker *worker, const struct orch_restore *restore,
                      struct worker_verdicts *verdicts, struct orch_error *err)
{
    struct worker_call call = {.name = "verify", .patient = true, .verdicts = verdicts};
    *verdicts = (struct worker_verdicts){0};
    int32_t rc = restore_call(worker, &call, restore, 0, err);
    if (rc != ORCH_OK) {
        worker_verdicts_free(verdicts);
    }
    return rc;
}

int32_t worker_settle(struct worker *worker, const struct orch_restore *restore, uint32_t outcome,
                      const struct worker_services *services, struct orch_error *err)
{
    struct worker_call call = {
        .name = "settle", .patient = true, .services = services, .cleanup = true};
    return restore_call(worker, &call, restore, outcome, err);
}

int32_t worker_scratch(struct worker *worker, const char *directory, struct orch_error *err)
{
    struct worker_call call = {.name = "scratch"};
    json_t *args = json_object();
    message_set_text(args, "directory", directory);
    return worker_call_run(worker, &call, args, NULL, err);
}

const char *worker_facts(struct worker *worker)
{
    free(worker->facts_text);
    worker->facts_text = json_dumps(worker->facts, JSON_COMPACT | JSON_SORT_KEYS);
    return worker->facts_text == NULL ? "{}" : worker->facts_text;
}

void worker_cancel(struct worker *worker)
{
    uint64_t one = 1;
    (void)atomic_fetch_add(&worker->cancels, 1);
    ssize_t ignored = write(worker->wake, &one, sizeof(one));
    (void)ignored;
}

/* ---- close ---- */

static void worker_free(struct worker *worker)
{
    process_free(worker->process);
    wire_free(worker->wire);
    ring_free(&worker->ring);
    cleanup_fd(&worker->wake);
    plugin_info_free(worker->info);
    json_decref(worker->facts);
    free(worker->facts_text);
    free(worker->component);
    free(worker->plugin_path);
    free(worker->plugin_name);
    free(worker);
}

/* The instance is closed: waits for the process or thread to end. */
static int32_t await_exit(struct worker *worker, struct orch_error *err)
{
    struct process_exit how = {0};
    if (worker->wire != NULL) {
        wire_shutdown(worker->wire);
    }
    if (worker->process != NULL) {
        process_end(worker->process, worker->grace_ms > EXIT_MS ? worker->grace_ms : EXIT_MS,
                    worker->grace_ms, &how);
    }
    if (worker->have_thread) {
        (void)pthread_join(worker->thread, NULL);
        worker->have_thread = false;
        how.status = worker->thread_status;
    }
    if (!how.by_signal && how.status == 0) {
        return ORCH_OK;
    }
    char who[200];
    char end[200];
    worker_who(worker, who, sizeof(who));
    worker_describe_exit(&how, end, sizeof(end));
    return orch_fail(err, ORCH_E_CRASHED, "the worker of %s %s after its close", who, end);
}

int32_t worker_close(struct worker *worker, struct orch_error *err)
{
    if (worker == NULL) {
        return ORCH_OK;
    }
    int32_t rc = ORCH_OK;
    if (worker->dead) {
        rc = orch_fail(err, ORCH_E_CRASHED, "%s", worker->death.message);
    } else if (worker->wire != NULL && (worker->process != NULL || worker->have_thread)) {
        rc = simple_call(worker, "close", true, err);
        if (!worker->dead) {
            int32_t end = await_exit(worker, rc == ORCH_OK ? err : NULL);
            rc = rc == ORCH_OK ? end : rc;
        }
    }
    worker_free(worker);
    return rc;
}

void worker_cleanup(struct worker **slot)
{
    struct orch_error ignored = ORCH_ERROR_INIT;
    if (*slot != NULL && worker_close(*slot, &ignored) != ORCH_OK) {
        *slot = NULL; /* whoever cleans up has another failure to tell of */
    }
    *slot = NULL;
}
