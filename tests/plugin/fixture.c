/* fixture.c: see fixture.h. */
#include "fixture.h"

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *folders;

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static struct buffer logged = BUFFER_INIT;
static size_t log_lines;

static void keep_line(void *ctx, uint32_t level, const char *text)
{
    (void)ctx;
    (void)level;
    (void)pthread_mutex_lock(&log_lock);
    log_lines++;
    buffer_append(&logged, text, strlen(text));
    buffer_append(&logged, "\n", 1);
    (void)pthread_mutex_unlock(&log_lock);
}

size_t fixture_log_lines(void)
{
    return log_lines;
}

bool fixture_logged(const char *text)
{
    (void)pthread_mutex_lock(&log_lock);
    const char *all = buffer_string(&logged);
    bool found = all != NULL && strstr(all, text) != NULL;
    (void)pthread_mutex_unlock(&log_lock);
    return found;
}

/* Looks itself: the search refuses folders that a lax umask made writable for a group. */
const char *fixture_path(const char *plugin)
{
    static char path[1024];
    for (const char *at = folders; at != NULL && *at != 0;) {
        size_t len = strcspn(at, ":");
        (void)snprintf(path, sizeof(path), "%.*s/%s.so", (int)len, at, plugin);
        if (access(path, R_OK) == 0) {
            return path;
        }
        at += len + (at[len] == ':' ? 1 : 0);
    }
    ck_abort_msg("there is no %s.so in %s", plugin, folders == NULL ? "(no folders)" : folders);
    return NULL;
}

struct worker_options fixture_options(const char *plugin, int mode)
{
    return (struct worker_options){.component = "part-one",
                                   .plugin_path = fixture_path(plugin),
                                   .in_process = mode == MODE_IN_PROCESS,
                                   .inline_data = mode == MODE_INLINE,
                                   .call_timeout_ms = 60000,
                                   .stall_timeout_ms = 60000,
                                   .grace_ms = 2000,
                                   .log = keep_line};
}

struct worker *fixture_start(const char *plugin, int mode)
{
    struct worker *worker = NULL;
    struct worker_options options = fixture_options(plugin, mode);
    ASSERT_OK(worker_start(&options, &worker, &ok));
    return worker;
}

void fixture_text(struct fixture_values *values, const char *name, const char *text)
{
    values->values[values->options.count++] =
        (struct orch_value){.name = name, .type = ORCH_OPTION_STRING, .string = text};
}

void fixture_number(struct fixture_values *values, const char *name, int64_t number)
{
    values->values[values->options.count++] =
        (struct orch_value){.name = name, .type = ORCH_OPTION_INTEGER, .integer = number};
}

void fixture_finish(struct fixture_values *values)
{
    values->options.struct_size = (uint32_t)sizeof(values->options);
    values->options.value_size = (uint32_t)sizeof(struct orch_value);
    values->options.values = values->values;
    values->options.component = "part-one";
    values->options.work_dir = "/nonexistent/work";
}

struct worker *fixture_open(const char *plugin, int mode, const char *how, const char *path)
{
    struct worker *worker = fixture_start(plugin, mode);
    struct fixture_values values = {0};
    if (how != NULL) {
        fixture_text(&values, "how", how);
    }
    if (path != NULL) {
        fixture_text(&values, "path", path);
    }
    fixture_finish(&values);
    ASSERT_OK(worker_open(worker, &values.options, &ok));
    return worker;
}

void fixture_fifo(char path[64], int *fd)
{
    (void)snprintf(path, 64, "/tmp/orchestrate-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(path));
    (void)strcat(path, "/fifo");
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    *fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ck_assert_int_ge(*fd, 0);
}

void fixture_fifo_started(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char byte = 0;
    ck_assert_int_eq(poll(&p, 1, 10000), 1);
    ck_assert_int_eq(read(fd, &byte, 1), 1);
}

bool fixture_fifo_ended(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char byte = 0;
    while (poll(&p, 1, 10000) == 1) {
        if (read(fd, &byte, 1) == 0) {
            return true;
        }
    }
    return false;
}

void fixture_fifo_remove(const char *path)
{
    char folder[64];
    (void)snprintf(folder, sizeof(folder), "%s", path);
    *strrchr(folder, '/') = 0;
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rmdir(folder), 0);
}

struct orch_restore fixture_restore(const struct recorder *recorder, const char *facts)
{
    return (struct orch_restore){.struct_size = (uint32_t)sizeof(struct orch_restore),
                                 .strategy = ORCH_STRATEGY_REPLACE,
                                 .attempt = 2,
                                 .data_format = 3,
                                 .run_id = "abc123",
                                 .facts_json = facts,
                                 .items = recorder->objects + recorder->records,
                                 .size_bytes = recorder->bytes};
}

int fixture_main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "--worker") == 0) {
        return worker_main(atoi(argv[2]));
    }
    folders = argc > 1 ? argv[1] : NULL;
    /* libcheck's own timeout is for tests that hang; a pipe that closes is not one. */
    return -1;
}
