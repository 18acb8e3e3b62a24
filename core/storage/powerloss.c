/* powerloss.c: see powerloss.h. Empty in builds without test hooks. */
#include "storage/powerloss.h"

#ifdef ORCHESTRATE_TEST_HOOKS

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"

struct powerloss {
    int fd;
    char *root;
    char *graveyard; /* folder beside the log that keeps what was replaced or removed */
    atomic_uint_fast64_t saved;
};

struct powerloss *powerloss_open(const char *root)
{
    const char *path = getenv("ORCHESTRATE_POWERLOSS_LOG");
    if (path == NULL || path[0] == '\0') {
        return NULL;
    }
    struct powerloss *powerloss = calloc(1, sizeof *powerloss);
    struct buffer graveyard = BUFFER_INIT;
    buffer_printf(&graveyard, "%s.saved", path);
    if (powerloss == NULL || buffer_string(&graveyard) == NULL) {
        buffer_free(&graveyard);
        free(powerloss);
        return NULL;
    }
    powerloss->graveyard = (char *)graveyard.data;
    powerloss->root = strdup(root);
    powerloss->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (powerloss->fd < 0 || powerloss->root == NULL ||
        (mkdir(powerloss->graveyard, 0700) != 0 && errno != EEXIST)) {
        log_error("powerloss", "cannot keep the journal %s: %s", path, strerror(errno));
        powerloss_close(powerloss);
        return NULL;
    }
    return powerloss;
}

void powerloss_close(struct powerloss *powerloss)
{
    if (powerloss != NULL) {
        if (powerloss->fd >= 0) {
            (void)close(powerloss->fd);
        }
        free(powerloss->root);
        free(powerloss->graveyard);
        free(powerloss);
    }
}

static void powerloss_append(const struct powerloss *powerloss, struct buffer *line)
{
    buffer_append(line, "\n", 1);
    if (line->failed || write(powerloss->fd, line->data, line->len) != (ssize_t)line->len) {
        log_error("powerloss", "cannot write the journal");
    }
}

/* "WORD ROOT/NAME": the root itself has the empty name. */
static void powerloss_path(const struct powerloss *powerloss, struct buffer *line, const char *name)
{
    buffer_printf(line, "\t%s%s%s", powerloss->root, name[0] == '\0' ? "" : "/", name);
}

void powerloss_create(struct powerloss *powerloss, const char *name)
{
    if (powerloss != NULL) {
        CLEANUP_BUFFER struct buffer line = BUFFER_INIT;
        buffer_printf(&line, "create");
        powerloss_path(powerloss, &line, name);
        powerloss_append(powerloss, &line);
    }
}

void powerloss_made_folder(struct powerloss *powerloss, const char *name)
{
    if (powerloss != NULL) {
        CLEANUP_BUFFER struct buffer line = BUFFER_INIT;
        buffer_printf(&line, "mkdir");
        powerloss_path(powerloss, &line, name);
        powerloss_append(powerloss, &line);
    }
}

void powerloss_synced(struct powerloss *powerloss, const char *name, uint64_t len)
{
    if (powerloss != NULL) {
        CLEANUP_BUFFER struct buffer line = BUFFER_INIT;
        buffer_printf(&line, "sync");
        powerloss_path(powerloss, &line, name);
        buffer_printf(&line, "\t%llu", (unsigned long long)len);
        powerloss_append(powerloss, &line);
    }
}

void powerloss_synced_folder(struct powerloss *powerloss, const char *name)
{
    if (powerloss != NULL) {
        CLEANUP_BUFFER struct buffer line = BUFFER_INIT;
        buffer_printf(&line, "syncdir");
        powerloss_path(powerloss, &line, name);
        powerloss_append(powerloss, &line);
    }
}

/* Keeps the file at `name` alive by a hard link; appends its path, or "-" when there is no file. */
static void powerloss_save(struct powerloss *powerloss, struct buffer *line, const char *name)
{
    CLEANUP_BUFFER struct buffer from = BUFFER_INIT;
    CLEANUP_BUFFER struct buffer to = BUFFER_INIT;
    buffer_printf(&from, "%s/%s", powerloss->root, name);
    buffer_printf(&to, "%s/%d-%llu-%llx", powerloss->graveyard, (int)getpid(),
                  (unsigned long long)atomic_fetch_add(&powerloss->saved, 1),
                  (unsigned long long)clock_monotonic_ns());
    const char *source = buffer_string(&from);
    const char *saved = buffer_string(&to);
    if (source != NULL && saved != NULL && link(source, saved) == 0) {
        buffer_printf(line, "\t%s", saved);
    } else {
        buffer_printf(line, "\t-");
    }
}

void powerloss_rename(struct powerloss *powerloss, const char *from, const char *to)
{
    if (powerloss != NULL) {
        CLEANUP_BUFFER struct buffer line = BUFFER_INIT;
        buffer_printf(&line, "rename");
        powerloss_path(powerloss, &line, from);
        powerloss_path(powerloss, &line, to);
        powerloss_save(powerloss, &line, to);
        powerloss_append(powerloss, &line);
    }
}

static bool powerloss_exists(const struct powerloss *powerloss, const char *name)
{
    CLEANUP_BUFFER struct buffer path = BUFFER_INIT;
    buffer_printf(&path, "%s/%s", powerloss->root, name);
    const char *text = buffer_string(&path);
    return text != NULL && access(text, F_OK) == 0;
}

void powerloss_rename_refused(struct powerloss *powerloss, const char *from, const char *to)
{
    if (powerloss != NULL && powerloss_exists(powerloss, from)) {
        CLEANUP_BUFFER struct buffer line = BUFFER_INIT;
        buffer_printf(&line, "norename");
        powerloss_path(powerloss, &line, from);
        powerloss_path(powerloss, &line, to);
        powerloss_append(powerloss, &line);
    }
}

void powerloss_remove(struct powerloss *powerloss, const char *name)
{
    if (powerloss != NULL) {
        CLEANUP_BUFFER struct buffer line = BUFFER_INIT;
        buffer_printf(&line, "remove");
        powerloss_path(powerloss, &line, name);
        powerloss_save(powerloss, &line, name);
        powerloss_append(powerloss, &line);
    }
}

void powerloss_remove_refused(struct powerloss *powerloss, const char *name)
{
    if (powerloss != NULL && powerloss_exists(powerloss, name)) {
        CLEANUP_BUFFER struct buffer line = BUFFER_INIT;
        buffer_printf(&line, "noremove");
        powerloss_path(powerloss, &line, name);
        powerloss_append(powerloss, &line);
    }
}

#else
/* ISO C wants at least one declaration in a file. */
typedef int powerloss_not_built;
#endif
