/* handles.c: see handles.h. */
#include "storage/handles.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define HANDLES_MAX 32

struct handle {
    char *name; /* NULL: a free slot */
    int fd;
    unsigned lent;
    bool stale; /* not to be lent again; closed when it comes back */
    uint64_t used;
};

struct handles {
    int root_fd;
    struct fault *fault;
    pthread_mutex_t lock;
    uint64_t tick;
    struct handle slots[HANDLES_MAX];
};

struct handles *handles_new(int root_fd, struct fault *fault)
{
    struct handles *handles = calloc(1, sizeof *handles);
    if (handles != NULL) {
        handles->root_fd = root_fd;
        handles->fault = fault;
        (void)pthread_mutex_init(&handles->lock, NULL);
    }
    return handles;
}

static void handle_close(struct handle *slot)
{
    (void)close(slot->fd);
    free(slot->name);
    *slot = (struct handle){.name = NULL};
}

static void handle_retire(struct handle *slot)
{
    slot->stale = true;
    if (slot->lent == 0) {
        handle_close(slot);
    }
}

void handles_free(struct handles *handles)
{
    if (handles == NULL) {
        return;
    }
    for (int i = 0; i < HANDLES_MAX; i++) {
        if (handles->slots[i].name != NULL) {
            handle_close(&handles->slots[i]);
        }
    }
    (void)pthread_mutex_destroy(&handles->lock);
    free(handles);
}

/* Another process may have replaced or removed the file: then no name leads to it any more. */
static bool handle_current(const struct handle *slot)
{
    struct stat st;
    return fstat(slot->fd, &st) == 0 && st.st_nlink > 0;
}

/* Finds a live slot and lends it; -1 when there is none. Under the lock. */
static int handles_lend(struct handles *handles, const char *name)
{
    for (int i = 0; i < HANDLES_MAX; i++) {
        struct handle *slot = &handles->slots[i];
        if (slot->name == NULL || slot->stale || strcmp(slot->name, name) != 0) {
            continue;
        }
        if (!handle_current(slot)) {
            handle_retire(slot);
            continue;
        }
        slot->lent++;
        slot->used = ++handles->tick;
        return slot->fd;
    }
    return -1;
}

/* Keeps a newly opened descriptor, lent once, if a slot can be had. Under the lock. */
static void handles_keep(struct handles *handles, const char *name, int fd)
{
    struct handle *victim = NULL;
    for (int i = 0; i < HANDLES_MAX; i++) {
        struct handle *slot = &handles->slots[i];
        if (slot->name == NULL) {
            victim = slot;
            break;
        }
        if (slot->lent == 0 && (victim == NULL || slot->used < victim->used)) {
            victim = slot;
        }
    }
    char *copy = victim == NULL ? NULL : strdup(name);
    if (copy == NULL) {
        return;
    }
    if (victim->name != NULL) {
        handle_close(victim);
    }
    *victim = (struct handle){.name = copy, .fd = fd, .lent = 1, .used = ++handles->tick};
}

int handles_take(struct handles *handles, const char *name, int *fd)
{
    (void)pthread_mutex_lock(&handles->lock);
    *fd = handles_lend(handles, name);
    (void)pthread_mutex_unlock(&handles->lock);
    if (*fd >= 0) {
        return 0;
    }
    *fd = fault_open_file(handles->fault, name, handles->root_fd, name,
                          O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (*fd < 0) {
        return errno;
    }
    (void)pthread_mutex_lock(&handles->lock);
    handles_keep(handles, name, *fd);
    (void)pthread_mutex_unlock(&handles->lock);
    return 0;
}

void handles_give(struct handles *handles, int fd)
{
    bool kept = false;
    (void)pthread_mutex_lock(&handles->lock);
    for (int i = 0; i < HANDLES_MAX && !kept; i++) {
        struct handle *slot = &handles->slots[i];
        if (slot->name != NULL && slot->fd == fd) {
            kept = true;
            slot->lent--;
            if (slot->stale && slot->lent == 0) {
                handle_close(slot);
            }
        }
    }
    (void)pthread_mutex_unlock(&handles->lock);
    if (!kept) {
        (void)close(fd);
    }
}

void handles_forget(struct handles *handles, const char *name)
{
    (void)pthread_mutex_lock(&handles->lock);
    for (int i = 0; i < HANDLES_MAX; i++) {
        struct handle *slot = &handles->slots[i];
        if (slot->name != NULL && !slot->stale && strcmp(slot->name, name) == 0) {
            handle_retire(slot);
        }
    }
    (void)pthread_mutex_unlock(&handles->lock);
}
