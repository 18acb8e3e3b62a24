/*
 * process.h: what tells one process from all others, so that another process on the same machine
 * can see that it is gone.
 */
#ifndef CORE_ENGINE_PROCESS_H
#define CORE_ENGINE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

struct process_identity {
    int64_t pid;
    uint64_t start_ticks;  /* since boot; a later process under the same pid has another */
    char boot_id[40];      /* of the running kernel; "" when unknown */
    char namespace_id[40]; /* of the pid namespace: pids of another one mean nothing here */
};

/* This process. */
void process_self(struct process_identity *out);
/* True only if that process ran under this kernel and namespace, and is gone. */
bool process_gone(const struct process_identity *identity);

#endif
