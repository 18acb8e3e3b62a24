/*
 * ahead.c: a walk by two threads: one lists folders, the caller's tells the visitor. Between them
 * goes a ring of batches, told in the order in which they were filled. What takes longest is to
 * look at the entries found: whoever would have to wait does that meanwhile.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bytes.h"
#include "dirs.h"
#include "look.h"
#include "walk.h"

#define BATCHES 8u
#define BATCH_ITEMS 32u
#define BATCH_BYTES (256u * 1024u) /* of names; what has more is full */
#define BATCH_FOLDERS 12u          /* likewise: each is an open descriptor */
#define FRESH_MS 1000              /* what was looked at longer ago is looked at again */

/* An entry or a note. */
struct item {
    const struct root *root;
    struct dir_ref *dir; /* held; NULL: a note */
    struct stat st;
    uint32_t what; /* of a note */
    int error;     /* of a note, or of the look */
    size_t at;     /* in the bytes: the name, and the base with its zero */
    size_t name_len;
    size_t xattrs_at;
    size_t xattrs_len;
    int xattrs_missing;
};

struct batch {
    struct item items[BATCH_ITEMS];
    size_t count;
    size_t folders; /* how often the folder changes from item to item */
    int looked;
    int64_t looked_ms;
    struct bytes bytes;
    struct bytes xattrs;
};

struct ahead {
    const struct walk_options *options;
    const struct walk_visitor *visitor;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    struct batch batches[BATCHES];
    /* Batches so far: filled, taken to be looked at, told. */
    size_t filled;
    size_t taken;
    size_t told;
    struct xattr_reader walker; /* of the walking side */
    int stop;                   /* by the visitor's side */
    int ended;                  /* by the walking side, with `rc` and `error` */
    int32_t rc;
    struct orch_error error;
};

/* -- looking, by either side -- */

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void look(const struct ahead *ahead, struct batch *batch, struct item *item,
                 struct xattr_reader *reader)
{
    const char *base = (const char *)batch->bytes.data + item->at + item->name_len;
    item->xattrs_at = batch->xattrs.len;
    item->error = look_at(ahead->options, item->dir->fd, base, reader, &item->st, &batch->xattrs,
                          &item->xattrs_missing);
    item->xattrs_len = batch->xattrs.len - item->xattrs_at;
}

static void look_at_all(const struct ahead *ahead, struct batch *batch, struct xattr_reader *reader)
{
    batch->looked_ms = now_ms();
    batch->xattrs.len = 0;
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->items[i].dir != NULL) {
            look(ahead, batch, &batch->items[i], reader);
        }
    }
}

/* Takes the next batch and looks at it; 0 when there is none. The lock is held, and let go
 * meanwhile. */
static int look_at_next(struct ahead *ahead, struct xattr_reader *reader)
{
    if (ahead->taken == ahead->filled || ahead->stop) {
        return 0;
    }
    struct batch *batch = &ahead->batches[ahead->taken++ % BATCHES];
    (void)pthread_mutex_unlock(&ahead->lock);
    look_at_all(ahead, batch, reader);
    (void)pthread_mutex_lock(&ahead->lock);
    batch->looked = 1;
    (void)pthread_cond_signal(&ahead->moved);
    return 1;
}

/* -- the walking side -- */

/* Waits until the next batch is free and empties it. */
static int32_t next_batch(struct ahead *ahead, struct orch_error *err)
{
    (void)pthread_mutex_lock(&ahead->lock);
    while (!ahead->stop && ahead->filled - ahead->told == BATCHES) {
        if (!look_at_next(ahead, &ahead->walker)) {
            (void)pthread_cond_wait(&ahead->moved, &ahead->lock);
        }
    }
    int stop = ahead->stop;
    (void)pthread_mutex_unlock(&ahead->lock);
    if (stop) {
        return orch_fail(err, ORCH_E_CANCELLED, "the walk is not needed any more");
    }
    struct batch *batch = &ahead->batches[ahead->filled % BATCHES];
    batch->looked = 0;
    batch->folders = 0;
    batch->bytes.len = 0;
    return ORCH_OK;
}

static void hand_over(struct ahead *ahead)
{
    (void)pthread_mutex_lock(&ahead->lock);
    ahead->filled++;
    (void)pthread_cond_signal(&ahead->moved);
    (void)pthread_mutex_unlock(&ahead->lock);
}

/* Adds the item with its name and base; holds its folder. */
static int32_t add(struct ahead *ahead, struct item *item, const uint8_t *name, const char *base,
                   struct orch_error *err)
{
    struct batch *batch = &ahead->batches[ahead->filled % BATCHES];
    item->at = batch->bytes.len;
    if (bytes_add(&batch->bytes, name, item->name_len) != 0 ||
        bytes_add(&batch->bytes, base, strlen(base) + 1) != 0) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a folder's entries");
    }
    if (item->dir != NULL) {
        (void)dir_ref_hold(item->dir);
        batch->folders += batch->count == 0 || batch->items[batch->count - 1].dir != item->dir;
    }
    batch->items[batch->count++] = *item;
    if (batch->count < BATCH_ITEMS && batch->folders < BATCH_FOLDERS &&
        batch->bytes.len < BATCH_BYTES) {
        return ORCH_OK;
    }
    hand_over(ahead);
    return next_batch(ahead, err);
}

static int32_t on_found(void *ctx, const struct walk_entry *entry, struct orch_error *err)
{
    struct item item = {.root = entry->root, .dir = entry->dir, .name_len = entry->name_len};
    return add(ctx, &item, entry->name, entry->base, err);
}

static int32_t on_note(void *ctx, uint32_t what, const uint8_t *name, size_t len, int os_errno,
                       struct orch_error *err)
{
    struct item item = {.what = what, .error = os_errno, .name_len = len};
    return add(ctx, &item, name, "", err);
}

static void *walk_main(void *arg)
{
    struct ahead *ahead = arg;
    struct walk_visitor visitor = {
        .ctx = ahead, .found = on_found, .note = ahead->visitor->note != NULL ? on_note : NULL};
    int32_t rc = walk_roots(ahead->options, &visitor, &ahead->error);
    (void)pthread_mutex_lock(&ahead->lock);
    ahead->rc = rc;
    ahead->ended = 1;
    ahead->filled += !ahead->stop; /* the last, which may be empty */
    (void)pthread_cond_signal(&ahead->moved);
    (void)pthread_mutex_unlock(&ahead->lock);
    return NULL;
}

/* -- the visitor's side -- */

static int32_t tell(const struct walk_visitor *visitor, const struct batch *batch,
                    const struct item *item, struct orch_error *err)
{
    const uint8_t *name = batch->bytes.data + item->at;
    if (item->dir == NULL) {
        return visitor->note(visitor->ctx, item->what, name, item->name_len, item->error, err);
    }
    struct walk_entry entry = {
        .root = item->root,
        .name = name,
        .name_len = item->name_len,
        .dir_fd = item->dir->fd,
        .dir = item->dir,
        .base = (const char *)name + item->name_len,
        .st = &item->st,
        .xattrs = item->xattrs_len == 0 ? NULL : batch->xattrs.data + item->xattrs_at,
        .xattrs_len = item->xattrs_len,
        .xattrs_missing = item->xattrs_missing,
    };
    return walk_tell(visitor, &entry, item->error, err);
}

/* The next batch, when it is looked at; NULL when there is none any more. */
static struct batch *await(struct ahead *ahead, struct xattr_reader *reader)
{
    struct batch *batch = &ahead->batches[ahead->told % BATCHES];
    (void)pthread_mutex_lock(&ahead->lock);
    while (!(ahead->told < ahead->filled && batch->looked) &&
           !(ahead->told == ahead->filled && ahead->ended)) {
        if (!look_at_next(ahead, reader)) {
            (void)pthread_cond_wait(&ahead->moved, &ahead->lock);
        }
    }
    int none = ahead->told == ahead->filled;
    (void)pthread_mutex_unlock(&ahead->lock);
    return none ? NULL : batch;
}

static void let_go(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        dir_ref_drop(batch->items[i].dir);
    }
    batch->count = 0;
}

static int32_t tell_all(struct ahead *ahead, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    struct batch *batch = NULL;
    struct xattr_reader reader = {0};
    while (rc == ORCH_OK && (batch = await(ahead, &reader)) != NULL) {
        for (size_t i = 0; rc == ORCH_OK && i < batch->count; i++) {
            struct item *item = &batch->items[i];
            if (item->dir != NULL && now_ms() - batch->looked_ms > FRESH_MS) {
                look(ahead, batch, item, &reader); /* what came before it took long */
            }
            rc = tell(ahead->visitor, batch, item, err);
        }
        let_go(batch);
        (void)pthread_mutex_lock(&ahead->lock);
        ahead->told++;
        (void)pthread_cond_signal(&ahead->moved);
        (void)pthread_mutex_unlock(&ahead->lock);
    }
    xattr_reader_free(&reader);
    return rc;
}

static void stop(struct ahead *ahead)
{
    (void)pthread_mutex_lock(&ahead->lock);
    ahead->stop = 1;
    (void)pthread_cond_signal(&ahead->moved);
    (void)pthread_mutex_unlock(&ahead->lock);
}

static int32_t run(struct ahead *ahead, struct orch_error *err)
{
    pthread_t walker;
    if (pthread_create(&walker, NULL, walk_main, ahead) != 0) {
        return walk_roots(ahead->options, ahead->visitor, err);
    }
    int32_t rc = tell_all(ahead, err);
    stop(ahead);
    (void)pthread_join(walker, NULL);
    if (rc == ORCH_OK && ahead->rc != ORCH_OK) {
        *err = ahead->error;
        rc = ahead->rc;
    }
    return rc;
}

static void ahead_free(struct ahead *ahead)
{
    for (size_t i = 0; i < BATCHES; i++) {
        let_go(&ahead->batches[i]);
        bytes_free(&ahead->batches[i].bytes);
        bytes_free(&ahead->batches[i].xattrs);
    }
    xattr_reader_free(&ahead->walker);
    (void)pthread_cond_destroy(&ahead->moved);
    (void)pthread_mutex_destroy(&ahead->lock);
    free(ahead);
}

int32_t walk_roots_ahead(const struct walk_options *options, const struct walk_visitor *visitor,
                         struct orch_error *err)
{
    struct ahead *ahead = calloc(1, sizeof(*ahead));
    if (ahead == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a walk");
    }
    ahead->options = options;
    ahead->visitor = visitor;
    ahead->error = (struct orch_error)ORCH_ERROR_INIT;
    (void)pthread_mutex_init(&ahead->lock, NULL);
    (void)pthread_cond_init(&ahead->moved, NULL);
    int32_t rc = run(ahead, err);
    ahead_free(ahead);
    return rc;
}
