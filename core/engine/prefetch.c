/* prefetch.c: see prefetch.h. */
#include "engine/prefetch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/chunkid.h"
#include "engine/packreader.h"

#define WANTED_MAX 4096u
#define JOBS_MAX 16u
/* Frames that lie side by side are read in one go, up to this. */
#define BATCH_FRAMES 4u

enum slot_state { SLOT_EMPTY, SLOT_QUEUED, SLOT_LOADING, SLOT_READY, SLOT_FAILED };

struct slot {
    enum slot_state state;
    struct chunk_location place; /* of the frame */
    size_t pins;                 /* wanted chunks in it, and the one handed out */
    uint64_t used;
    struct buffer plain;
    struct orch_error error;
    struct slot *next; /* in the queue */
};

struct wanted {
    struct slot *slot; /* NULL: in no index segment */
    uint32_t offset, len;
    uint8_t id[CHUNK_ID_BYTES];
};

struct prefetch {
    struct repo *repo;
    struct index *index;
    struct chunkid hash;
    struct slot *slots;
    size_t slot_count;
    size_t pinned; /* slots with pins; the consumer's */
    uint64_t clock;
    struct slot *recent;   /* the slot of the last push */
    struct slot *current;  /* the slot of the chunk handed out */
    struct wanted *wanted; /* a ring of WANTED_MAX */
    size_t wanted_first, wanted_count;

    pthread_mutex_t lock; /* over states and the queue */
    pthread_cond_t work, ready;
    struct slot *first, *last;
    bool stop;
    pthread_t jobs[JOBS_MAX];
    size_t job_count;
};

/* ---- threads ------------------------------------------------------------------------------- */

struct job {
    struct prefetch *prefetch;
    struct packreader *reader;
    struct buffer sealed;
};

static struct slot *take_first(struct prefetch *p)
{
    struct slot *slot = p->first;
    p->first = slot->next;
    p->last = p->first == NULL ? NULL : p->last;
    slot->state = SLOT_LOADING;
    return slot;
}

/* Takes the first queued slot and those behind it whose frames follow it in the pack. */
static size_t take_batch(struct prefetch *p, struct slot *batch[BATCH_FRAMES], size_t *bytes)
{
    batch[0] = take_first(p);
    *bytes = batch[0]->place.frame_len;
    size_t count = 1;
    while (count < BATCH_FRAMES && p->first != NULL) {
        const struct chunk_location *before = &batch[count - 1]->place;
        const struct chunk_location *next = &p->first->place;
        if (memcmp(before->pack, next->pack, PACK_ID_BYTES) != 0 ||
            next->frame_offset != before->frame_offset + before->frame_len) {
            break;
        }
        *bytes += next->frame_len;
        batch[count++] = take_first(p);
    }
    return count;
}

static int32_t read_at(struct job *job, const struct chunk_location *place, size_t bytes,
                       struct orch_error *err)
{
    char name[PACK_NAME_BYTES];
    pack_name(place->pack, name);
    buffer_clear(&job->sealed);
    uint8_t *room = buffer_reserve(&job->sealed, bytes);
    if (room == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for reading packs");
    }
    return storage_get(repo_storage(job->prefetch->repo), name, place->frame_offset, room, bytes,
                       err);
}

static int32_t decode(struct job *job, struct slot *slot, uint8_t *sealed, struct orch_error *err)
{
    buffer_clear(&slot->plain);
    uint8_t *plain = buffer_reserve(&slot->plain, slot->place.plain_len);
    if (plain == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for reading packs");
    }
    return packreader_open(job->reader, &slot->place, sealed, plain, err);
}

static void load_batch(struct job *job, struct slot *batch[BATCH_FRAMES], size_t count,
                       size_t bytes)
{
    struct prefetch *p = job->prefetch;
    struct orch_error why = ORCH_ERROR_INIT;
    bool whole = count > 1 && read_at(job, &batch[0]->place, bytes, &why) == ORCH_OK;
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        struct slot *slot = batch[i];
        int32_t rc = ORCH_OK;
        if (!whole) { /* one by one: where one frame cannot be read, the others still can */
            rc = read_at(job, &slot->place, slot->place.frame_len, &slot->error);
        }
        if (rc == ORCH_OK) {
            rc = decode(job, slot, job->sealed.data + (whole ? at : 0), &slot->error);
        }
        at += slot->place.frame_len;
        (void)pthread_mutex_lock(&p->lock);
        slot->state = rc == ORCH_OK ? SLOT_READY : SLOT_FAILED;
        (void)pthread_cond_broadcast(&p->ready);
        (void)pthread_mutex_unlock(&p->lock);
    }
}

static void *job_main(void *arg)
{
    struct job job = {.prefetch = arg, .sealed = BUFFER_INIT};
    struct prefetch *p = job.prefetch;
    struct orch_error why = ORCH_ERROR_INIT;
    int32_t started = packreader_new(p->repo, &job.reader, &why);
    (void)pthread_mutex_lock(&p->lock);
    for (;;) {
        while (p->first == NULL && !p->stop) {
            (void)pthread_cond_wait(&p->work, &p->lock);
        }
        if (p->stop) {
            break;
        }
        struct slot *batch[BATCH_FRAMES];
        size_t bytes = 0;
        size_t count = take_batch(p, batch, &bytes);
        if (started != ORCH_OK) {
            for (size_t i = 0; i < count; i++) {
                batch[i]->error = why;
                batch[i]->state = SLOT_FAILED;
            }
            (void)pthread_cond_broadcast(&p->ready);
            continue;
        }
        (void)pthread_mutex_unlock(&p->lock);
        load_batch(&job, batch, count, bytes);
        (void)pthread_mutex_lock(&p->lock);
    }
    (void)pthread_mutex_unlock(&p->lock);
    packreader_free(job.reader);
    buffer_free(&job.sealed);
    return NULL;
}

/* ---- the consumer's side ------------------------------------------------------------------- */

int32_t prefetch_new(struct repo *repo, struct index *index, size_t slots, uint32_t jobs,
                     struct prefetch **out, struct orch_error *err)
{
    struct prefetch *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for reading packs");
    }
    p->repo = repo;
    p->index = index;
    p->slot_count = slots < 4 ? 4 : slots;
    p->slots = calloc(p->slot_count, sizeof(*p->slots));
    p->wanted = calloc(WANTED_MAX, sizeof(*p->wanted));
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->work, NULL);
    (void)pthread_cond_init(&p->ready, NULL);
    if (p->slots == NULL || p->wanted == NULL) {
        prefetch_free(p);
        return orch_fail(err, ORCH_E_NOMEM, "no memory for reading packs");
    }
    chunkid_init(&p->hash, repo_keys(repo));
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t count = jobs != 0 ? jobs : cores < 1 ? 1 : (size_t)cores;
    count = count > JOBS_MAX ? JOBS_MAX : count;
    while (p->job_count < count) {
        int rc = pthread_create(&p->jobs[p->job_count], NULL, job_main, p);
        if (rc != 0) {
            prefetch_free(p);
            return orch_fail_errno(err, rc, "cannot start a thread");
        }
        p->job_count++;
    }
    *out = p;
    return ORCH_OK;
}

void prefetch_free(struct prefetch *p)
{
    if (p == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&p->lock);
    p->stop = true;
    (void)pthread_cond_broadcast(&p->work);
    (void)pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < p->job_count; i++) {
        (void)pthread_join(p->jobs[i], NULL);
    }
    for (size_t i = 0; p->slots != NULL && i < p->slot_count; i++) {
        buffer_free(&p->slots[i].plain);
    }
    (void)pthread_cond_destroy(&p->work);
    (void)pthread_cond_destroy(&p->ready);
    (void)pthread_mutex_destroy(&p->lock);
    free(p->slots);
    free(p->wanted);
    free(p);
}

bool prefetch_room(const struct prefetch *p)
{
    /* One slot is left over for the chunk that is asked for, one for the chunk handed out. */
    return p->wanted_count < WANTED_MAX && p->pinned + 2 <= p->slot_count;
}

bool prefetch_empty(const struct prefetch *p)
{
    return p->wanted_count == 0;
}

static void pin(struct prefetch *p, struct slot *slot)
{
    p->pinned += slot->pins == 0;
    slot->pins++;
    slot->used = ++p->clock;
}

static void unpin(struct prefetch *p, struct slot *slot)
{
    slot->pins--;
    p->pinned -= slot->pins == 0;
}

static bool same_frame(const struct slot *slot, const struct chunk_location *place)
{
    return slot->state != SLOT_EMPTY && slot->place.frame_number == place->frame_number &&
           memcmp(slot->place.pack, place->pack, PACK_ID_BYTES) == 0;
}

/* The slot that has this frame or will have it. A failed one is tried again once it is unpinned. */
static struct slot *slot_for(struct prefetch *p, const struct chunk_location *place, bool *fresh)
{
    struct slot *victim = NULL;
    *fresh = false;
    if (p->recent != NULL && same_frame(p->recent, place)) {
        return p->recent;
    }
    for (size_t i = 0; i < p->slot_count; i++) {
        struct slot *slot = &p->slots[i];
        if (same_frame(slot, place) && (slot->state != SLOT_FAILED || slot->pins > 0)) {
            return slot;
        }
        if (slot->pins == 0 && (victim == NULL || slot->used < victim->used)) {
            victim = slot;
        }
    }
    *fresh = true;
    return victim;
}

void prefetch_push(struct prefetch *p, const uint8_t id[CHUNK_ID_BYTES])
{
    struct chunk_location place;
    struct orch_error why = ORCH_ERROR_INIT;
    struct wanted *wanted = &p->wanted[(p->wanted_first + p->wanted_count++) % WANTED_MAX];
    memset(wanted, 0, sizeof(*wanted));
    memcpy(wanted->id, id, CHUNK_ID_BYTES);
    if (index_find(p->index, id, &place) != ORCH_OK) {
        return;
    }
    wanted->offset = place.offset;
    wanted->len = place.len;
    bool fresh = false;
    bool possible = packreader_check_place(&place, &why) == ORCH_OK;
    (void)pthread_mutex_lock(&p->lock);
    struct slot *slot = slot_for(p, &place, &fresh);
    if (fresh) {
        slot->place = place;
        slot->error = why;
        slot->next = NULL;
        slot->state = possible ? SLOT_QUEUED : SLOT_FAILED;
    }
    if (fresh && possible) {
        if (p->last == NULL) {
            p->first = slot;
        } else {
            p->last->next = slot;
        }
        p->last = slot;
        (void)pthread_cond_signal(&p->work);
    }
    (void)pthread_mutex_unlock(&p->lock);
    pin(p, slot);
    p->recent = slot;
    wanted->slot = slot;
}

static int32_t wait_for(struct prefetch *p, struct slot *slot, struct orch_error *err)
{
    (void)pthread_mutex_lock(&p->lock);
    while (slot->state == SLOT_QUEUED || slot->state == SLOT_LOADING) {
        (void)pthread_cond_wait(&p->ready, &p->lock);
    }
    bool good = slot->state == SLOT_READY;
    (void)pthread_mutex_unlock(&p->lock);
    if (!good) {
        *err = slot->error;
        return slot->error.code;
    }
    return ORCH_OK;
}

int32_t prefetch_pop(struct prefetch *p, uint8_t id[CHUNK_ID_BYTES], const uint8_t **data,
                     size_t *len, struct orch_error *err)
{
    struct wanted wanted = p->wanted[p->wanted_first];
    p->wanted_first = (p->wanted_first + 1) % WANTED_MAX;
    p->wanted_count--;
    if (p->current != NULL) {
        unpin(p, p->current);
    }
    p->current = wanted.slot; /* its pin goes on */
    memcpy(id, wanted.id, CHUNK_ID_BYTES);
    char text[17];
    hex_encode(id, 8, text);
    if (wanted.slot == NULL) {
        return orch_fail(err, ORCH_E_CORRUPT,
                         "chunk %s… is named by no index segment: one is missing or damaged", text);
    }
    int32_t rc = wait_for(p, wanted.slot, err);
    if (rc != ORCH_OK) {
        if (rc == ORCH_E_NOT_FOUND) {
            char name[PACK_NAME_BYTES];
            pack_name(wanted.slot->place.pack, name);
            rc = orch_fail(err, ORCH_E_CORRUPT, "%s is missing from the repository", name);
        }
        return rc;
    }
    uint8_t real[CHUNK_ID_BYTES];
    const struct chunk_location *frame = &wanted.slot->place;
    bool fits = wanted.len <= frame->plain_len && wanted.offset <= frame->plain_len - wanted.len;
    *data = fits ? wanted.slot->plain.data + wanted.offset : NULL;
    *len = wanted.len;
    if (fits) {
        chunkid_of(&p->hash, *data, *len, real);
    }
    if (!fits || memcmp(real, id, CHUNK_ID_BYTES) != 0) {
        char name[PACK_NAME_BYTES];
        pack_name(frame->pack, name);
        return orch_fail(err, ORCH_E_CORRUPT, "%s, frame %u: chunk %s… has other content", name,
                         frame->frame_number, text);
    }
    return ORCH_OK;
}
