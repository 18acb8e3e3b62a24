/* fault.c: see fault.h. Empty in builds without test hooks. */
#include "storage/fault.h"

#ifdef ORCHESTRATE_TEST_HOOKS

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "storage/fault_rule.h"

#define RULES_MAX 16
#define BROKEN_MAX 64 /* folders whose sync failed */
#define BLOCK 4096u   /* O_DIRECT works in these */

struct fault {
    struct fault_rule rules[RULES_MAX];
    size_t count;
    int trace_fd;
    pthread_mutex_t lock;
    char *broken[BROKEN_MAX];
    size_t broken_count;
};

int32_t fault_open(struct fault **out, struct orch_error *err)
{
    const char *text = getenv("ORCHESTRATE_STORAGE_FAULT");
    const char *trace = getenv("ORCHESTRATE_STORAGE_TRACE");
    *out = NULL;
    if (text == NULL && trace == NULL) {
        return ORCH_OK;
    }
    struct fault *fault = calloc(1, sizeof *fault);
    if (fault == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for faults");
    }
    (void)pthread_mutex_init(&fault->lock, NULL);
    fault->trace_fd = -1;
    int32_t rc = ORCH_OK;
    for (text = text == NULL ? "" : text; rc == ORCH_OK && *(text += strspn(text, " \t\n")) != '\0';
         text += strcspn(text, " \t\n")) {
        rc = fault->count < RULES_MAX
                 ? fault_rule_parse(text, &fault->rules[fault->count++], err)
                 : orch_fail(err, ORCH_E_INVALID, "ORCHESTRATE_STORAGE_FAULT has too many rules");
    }
    if (rc == ORCH_OK && trace != NULL) {
        fault->trace_fd = open(trace, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (fault->trace_fd < 0) {
            rc = orch_fail_errno(err, errno, "cannot write the trace %s", trace);
        }
    }
    if (rc != ORCH_OK) {
        fault_close(fault);
        return rc;
    }
    *out = fault;
    return ORCH_OK;
}

void fault_close(struct fault *fault)
{
    if (fault == NULL) {
        return;
    }
    if (fault->trace_fd >= 0) {
        (void)close(fault->trace_fd);
    }
    while (fault->broken_count > 0) {
        free(fault->broken[--fault->broken_count]);
    }
    (void)pthread_mutex_destroy(&fault->lock);
    free(fault);
}

static void fault_trace(const struct fault *fault, enum fault_op op, const char *name,
                        const char *kind)
{
    char line[512];
    int len = snprintf(line, sizeof line, "%s %s%s%s\n", fault_rule_op(op), name,
                       kind == NULL ? "" : " ", kind == NULL ? "" : kind);
    if (fault->trace_fd >= 0 && len > 0 && (size_t)len < sizeof line) {
        ssize_t ignored = write(fault->trace_fd, line, (size_t)len);
        (void)ignored;
    }
}

/* The rule that hits this call; NULL: none does. Every rule that fits counts it. */
static const struct fault_rule *fault_hit(struct fault *fault, enum fault_op op, const char *name)
{
    const struct fault_rule *hit = NULL;
    for (size_t i = 0; fault != NULL && i < fault->count; i++) {
        bool hits = fault_rule_hits(&fault->rules[i], op, name);
        hit = hits && hit == NULL ? &fault->rules[i] : hit;
    }
    if (fault != NULL) {
        fault_trace(fault, op, name, hit == NULL ? NULL : fault_rule_kind(hit->kind));
    }
    return hit;
}

static void die(void)
{
    (void)kill(getpid(), SIGKILL);
    for (;;) {
        (void)pause();
    }
}

/* Whether the call fails without being made. */
static bool fails_before(const struct fault_rule *hit)
{
    if (hit != NULL && hit->kind == FAULT_KILL && !hit->done) {
        die();
    }
    if (hit == NULL || hit->done || (hit->kind != FAULT_EIO && hit->kind != FAULT_ENOSPC)) {
        return false;
    }
    errno = hit->kind == FAULT_EIO ? EIO : ENOSPC;
    return true;
}

/* The outcome of a call that was made. */
static int after(const struct fault_rule *hit, int rc)
{
    if (hit != NULL && hit->kind == FAULT_KILL && hit->done) {
        die();
    }
    if (hit != NULL && hit->done && rc >= 0) {
        errno = EIO;
        return -1;
    }
    return rc;
}

int fault_create(struct fault *fault, const char *name, int folder_fd, const char *path, int flags)
{
    const struct fault_rule *hit = fault_hit(fault, FAULT_CREATE, name);
    if (fails_before(hit)) {
        return -1;
    }
    int fd = openat(folder_fd, path, flags, 0600);
    int rc = after(hit, fd);
    if (rc < 0 && fd >= 0) {
        (void)close(fd);
        errno = EIO;
    }
    return rc;
}

int fault_mkdir(struct fault *fault, const char *name, int folder_fd, const char *path)
{
    char known[FAULT_NAME_MAX + 2];
    (void)snprintf(known, sizeof known, "%s/", name);
    const struct fault_rule *hit = fault_hit(fault, FAULT_MKDIR, known);
    return fails_before(hit) ? -1 : after(hit, mkdirat(folder_fd, path, 0700));
}

/* A part of `len`, in whole blocks where there are several. */
static size_t some_of(size_t len, uint64_t at_most)
{
    if (at_most >= len) {
        return len;
    }
    return len >= BLOCK ? (size_t)at_most / BLOCK * BLOCK : (size_t)at_most;
}

/* How much of a write still fits on the disk. */
static size_t room(struct fault *fault, const char *name, size_t len)
{
    uint64_t room = len;
    for (size_t i = 0; fault != NULL && i < fault->count; i++) {
        uint64_t this = fault_rule_room(&fault->rules[i], name, len);
        room = this < room ? this : room;
    }
    return some_of(len, room);
}

ssize_t fault_write(struct fault *fault, const char *name, int fd, const void *data, size_t len)
{
    size_t fits = room(fault, name, len);
    const struct fault_rule *hit = fault_hit(fault, FAULT_WRITE, name);
    if (fails_before(hit)) {
        return -1;
    }
    if (fits < len) {
        fault_trace(fault, FAULT_WRITE, name, "enospc");
    }
    if (fits == 0 && len > 0) {
        errno = ENOSPC;
        return -1;
    }
    if (hit != NULL && hit->kind == FAULT_SHORT && len > 1) {
        size_t half = some_of(len, len / 2);
        fits = half == 0 ? len / 2 : half;
    }
    ssize_t n = write(fd, data, fits);
    return after(hit, n < 0 ? -1 : 0) < 0 ? -1 : n;
}

int fault_sync(struct fault *fault, const char *name, int fd)
{
    const struct fault_rule *hit = fault_hit(fault, FAULT_SYNC, name);
    if (hit != NULL && hit->kind == FAULT_LOST) {
        return FAULT_SYNC_LOST;
    }
    return fails_before(hit) ? -1 : after(hit, fsync(fd));
}

/* Whether a sync of the folder has failed before; `now`: it does so now. */
static bool fault_broken(struct fault *fault, const char *name, bool now)
{
    bool broken = false;
    if (fault == NULL) {
        return false;
    }
    (void)pthread_mutex_lock(&fault->lock);
    for (size_t i = 0; i < fault->broken_count; i++) {
        broken = broken || strcmp(fault->broken[i], name) == 0;
    }
    char *copy = now && !broken && fault->broken_count < BROKEN_MAX ? strdup(name) : NULL;
    if (copy != NULL) {
        fault->broken[fault->broken_count++] = copy;
    }
    (void)pthread_mutex_unlock(&fault->lock);
    return broken;
}

int fault_syncdir(struct fault *fault, const char *name, int fd)
{
    char known[FAULT_NAME_MAX + 2];
    (void)snprintf(known, sizeof known, "%s/", name);
    const struct fault_rule *hit = fault_hit(fault, FAULT_SYNCDIR, known);
    if (hit != NULL && hit->kind == FAULT_LOST) {
        return FAULT_SYNC_LOST;
    }
    bool fails = fails_before(hit);
    if (fault_broken(fault, known, fails) && !fails) {
        return FAULT_SYNC_LOST;
    }
    return fails ? -1 : after(hit, fsync(fd));
}

int fault_rename(struct fault *fault, const char *name, int folder_fd, const char *from,
                 const char *to, unsigned flags)
{
    const struct fault_rule *hit = fault_hit(fault, FAULT_RENAME, name);
    return fails_before(hit) ? -1 : after(hit, renameat2(folder_fd, from, folder_fd, to, flags));
}

int fault_open_file(struct fault *fault, const char *name, int folder_fd, const char *path,
                    int flags)
{
    const struct fault_rule *hit = fault_hit(fault, FAULT_OPEN, name);
    return fails_before(hit) ? -1 : openat(folder_fd, path, flags);
}

ssize_t fault_read(struct fault *fault, const char *name, int fd, void *data, size_t len,
                   off_t offset)
{
    const struct fault_rule *hit = fault_hit(fault, FAULT_READ, name);
    if (fails_before(hit)) {
        return -1;
    }
    if (hit != NULL && hit->kind == FAULT_CUT) {
        return 0;
    }
    bool half = hit != NULL && hit->kind == FAULT_SHORT && len > 1;
    return pread(fd, data, half ? len / 2 : len, offset);
}

int fault_stat(struct fault *fault, const char *name, int folder_fd, const char *path,
               struct stat *out)
{
    const struct fault_rule *hit = fault_hit(fault, FAULT_STAT, name);
    return fails_before(hit) ? -1 : fstatat(folder_fd, path, out, 0);
}

struct dirent *fault_list(struct fault *fault, const char *name, DIR *dir)
{
    char known[FAULT_NAME_MAX + 2];
    (void)snprintf(known, sizeof known, "%s/", name);
    return fails_before(fault_hit(fault, FAULT_LIST, known)) ? NULL : readdir(dir);
}

int fault_remove(struct fault *fault, const char *name, int folder_fd, const char *path)
{
    const struct fault_rule *hit = fault_hit(fault, FAULT_REMOVE, name);
    return fails_before(hit) ? -1 : after(hit, unlinkat(folder_fd, path, 0));
}

#else
/* ISO C wants at least one declaration in a file. */
typedef int fault_not_built;
#endif
