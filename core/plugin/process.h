/*
 * process.h: the worker's operating system process: started, listened to, ended with its group.
 *
 * A thread of its own starts the process and stays until it is gone: the parent-death signal
 * follows the thread that forked. That thread also reads what the process writes to stdout and
 * stderr.
 */
#ifndef CORE_PLUGIN_PROCESS_H
#define CORE_PLUGIN_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <orchestrate/error.h>

/* What the worker gets when its parent dies; its handler kills the whole group. */
#define PROCESS_ORPHAN_SIGNAL SIGRTMAX
/* The worker's end of the socket. */
#define PROCESS_SOCKET_FD 3

struct process;

/* How it ended. */
struct process_exit {
    bool by_signal;
    int status; /* exit status, or the signal */
};

/* Runs `exe --worker 3`. `socket` is duplicated, not taken. `line` gets each line of output, on
 * another thread, until process_end. A failed exec is an error here. */
int32_t process_start(const char *exe, int socket, void (*line)(void *ctx, const char *text),
                      void *line_ctx, struct process **out, struct orch_error *err) ORCH_CHECKED;
/* Readable once the process is dead. */
int process_pidfd(const struct process *process);
/* Waits for at most `wait_ms` (0: only looks); true when it is dead. */
bool process_wait(const struct process *process, int64_t wait_ms);
/* To the whole process group. */
void process_signal(const struct process *process, int signal);
/* Waits until it has ended by itself, for at most `wait_ms`, then SIGTERM, for `grace_ms`, then
 * SIGKILL. Whatever is left of its group is killed too. Call once. */
void process_end(struct process *process, int64_t wait_ms, int64_t grace_ms,
                 struct process_exit *how);
/* The last lines it wrote, joined by " | ", at most `size` - 1 bytes; "" when there were none. */
void process_last_words(struct process *process, char *text, size_t size);
/* Call process_end first. NULL is fine. */
void process_free(struct process *process);

#endif
