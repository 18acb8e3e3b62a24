/* process.c: see process.h. */
#include "engine/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

static void read_boot_id(char out[40])
{
    out[0] = '\0';
    CLEANUP_FILE FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file != NULL && fgets(out, 40, file) != NULL) {
        out[strcspn(out, "\n")] = '\0';
    }
}

static void read_namespace(char out[40])
{
    ssize_t len = readlink("/proc/self/ns/pid", out, 39);
    out[len < 0 ? 0 : len] = '\0';
}

struct stat_line {
    char state;
    uint64_t threads;
    uint64_t start_ticks;
};

/* From /proc/PID/stat; false when it cannot be had. */
static bool read_stat(int64_t pid, struct stat_line *out)
{
    char path[48];
    char line[1024];
    (void)snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    CLEANUP_FILE FILE *file = fopen(path, "re");
    if (file == NULL || fgets(line, sizeof line, file) == NULL) {
        return false;
    }
    /* The command's name is in parentheses and may hold anything: go by the last one. */
    char *field = strrchr(line, ')');
    if (field == NULL || field[1] != ' ' || field[2] == '\0') {
        return false;
    }
    field += 2; /* field 3, the state */
    out->state = *field;
    for (int number = 3; number < 22; number++) {
        if (number == 20) {
            out->threads = strtoull(field, NULL, 10);
        }
        field = strchr(field, ' ');
        if (field == NULL) {
            return false;
        }
        field++;
    }
    out->start_ticks = strtoull(field, NULL, 10);
    return true;
}

void process_self(struct process_identity *out)
{
    struct stat_line line;
    *out = (struct process_identity){.pid = getpid()};
    read_boot_id(out->boot_id);
    read_namespace(out->namespace_id);
    if (read_stat(out->pid, &line)) {
        out->start_ticks = line.start_ticks;
    } else {
        out->boot_id[0] = '\0'; /* half an identity is none */
    }
}

bool process_gone(const struct process_identity *identity)
{
    struct process_identity self;
    process_self(&self);
    if (identity->boot_id[0] == '\0' || identity->namespace_id[0] == '\0' || identity->pid <= 0 ||
        strcmp(identity->boot_id, self.boot_id) != 0 ||
        strcmp(identity->namespace_id, self.namespace_id) != 0) {
        return false;
    }
    struct stat_line line;
    if (!read_stat(identity->pid, &line)) {
        /* hidepid can hide a living process from us, but not from kill(2). */
        return kill((pid_t)identity->pid, 0) != 0 && errno == ESRCH;
    }
    /* The first thread may be dead while others still end a system call. */
    return line.start_ticks != identity->start_ticks ||
           ((line.state == 'Z' || line.state == 'X') && line.threads <= 1);
}
