/*
 * backup.c: the stores and all other files as objects, and the facts.
 *
 * Every store is examined before the first byte is sent, so that a backup that must fail fails
 * soon. Digests are taken of the bytes that are sent: the index and its side files are bound by
 * them.
 */
#include "instance.h"

#include "cleanup.h"
#include "digest.h"
#include "embedding.h"
#include "examine.h"
#include "facts.h"
#include "identity.h"
#include "index.h"
#include "memo.h"
#include "meta.h"
#include "names.h"

#include <orchestrate/support.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* One backup under way. */
struct job {
    struct vectorstore *self;
    const struct source *source;
    struct memo *memo;
    json_t *stores;    /* the fact */
    json_t *files;     /* the fact */
    json_t **by_entry; /* per entry of the tree: its store's facts when it is an index; borrowed */
};

static int32_t no_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory for facts");
}

/* ---- stores ----------------------------------------------------------------------------- */

static int32_t examine_one(struct job *job, const struct store *store,
                           const struct contract *contract, struct orch_error *err)
{
    struct orch_token token = source_token(job->source, store->index);
    CLEANUP_FREE char *name = names_escape(store->name);
    CLEANUP_FREE char *file = names_escape(job->source->tree.entries[store->index].name);
    json_t *facts = NULL;
    if (name == NULL || file == NULL) {
        return no_memory(err);
    }
    facts = json_deep_copy(memo_store(job->memo, file, &token));
    if (facts == NULL) {
        int32_t rc = examine_store(job->self, job->source, store, &facts, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    if (json_object_set_new(job->stores, name, facts) != 0) {
        return no_memory(err);
    }
    job->by_entry[store->index] = facts;
    return embedding_fits(contract, name, facts, err);
}

static int32_t examine_all(struct job *job, const struct contract *contract, struct orch_error *err)
{
    const struct stores *stores = &job->source->stores;
    if (stores->count == 0 && !job->self->settings.allow_empty) {
        return orch_fail(
            err, ORCH_E_EMPTY,
            "no file below %s is an index by its name; correct path or pattern, or set "
            "allow_empty",
            job->self->settings.path);
    }
    for (size_t i = 0; i < stores->count; i++) {
        if (job->self->host->cancelled(job->self->host->ctx) != 0) {
            return orch_fail(err, ORCH_E_CANCELLED, "cancelled");
        }
        int32_t rc = examine_one(job, &stores->list[i], contract, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return ORCH_OK;
}

/* ---- sending ---------------------------------------------------------------------------- */

/* Reads `fd` from its start into the current object, straight into the host's space. */
static int32_t send_fd(const struct orch_host *host, int fd, char text[DIGEST_TEXT], uint64_t *sent,
                       struct orch_error *err)
{
    struct digest *digest = NULL;
    int32_t rc = digest_new(&digest, err);
    *sent = 0;
    while (rc == ORCH_OK) {
        void *space = NULL;
        uint64_t len = 0;
        if (host->cancelled(host->ctx) != 0) {
            rc = orch_fail(err, ORCH_E_CANCELLED, "cancelled");
            break;
        }
        rc = host->reserve(host->ctx, 0, &space, &len, err);
        if (rc != ORCH_OK) {
            break;
        }
        ssize_t n = 0;
        do {
            n = pread(fd, space, (size_t)len, (off_t)*sent);
        } while (n < 0 && errno == EINTR);
        if (n < 0) {
            rc = orch_fail_errno(err, errno, "cannot read it");
            break;
        }
        rc = n > 0 ? digest_add(digest, space, (size_t)n, err) : ORCH_OK;
        if (rc == ORCH_OK) {
            rc = host->commit(host->ctx, (uint64_t)n, err);
        }
        if (rc != ORCH_OK || n == 0) {
            break;
        }
        *sent += (uint64_t)n;
    }
    if (rc == ORCH_OK) {
        rc = digest_text(digest, text, err);
    }
    digest_free(digest);
    return rc;
}

/* The bytes are not those of the memo, though size and times are: trust nothing of it. */
static int32_t memo_betrayed(struct job *job, const char *name, struct orch_error *err)
{
    memo_drop(job->self->settings.work_dir);
    return orch_fail(err, ORCH_E_CHANGED,
                     "%s/%s holds other bytes than at the backup before, under the same size and "
                     "times; what was known of it is dropped: take the backup again",
                     job->self->settings.path, name);
}

/* Begins the object; *unchanged as the host says. */
static int32_t begin(struct job *job, size_t at, uint32_t *unchanged, struct orch_error *err)
{
    const struct tree_entry *entry = &job->source->tree.entries[at];
    char meta[META_MAX];
    int32_t rc = meta_write(entry, meta, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct orch_object object = {
        .struct_size = (uint32_t)sizeof(object),
        .name = (const uint8_t *)entry->name,
        .name_len = (uint32_t)strlen(entry->name),
        .kind = (uint32_t)entry->kind,
        .meta = (const uint8_t *)meta,
        .meta_len = (uint32_t)strlen(meta),
        .profile = ORCH_PROFILE_CONTENT,
        .size_bytes = 0,
        .mtime_ns = source_token(job->source, at).mtime_ns,
    };
    if (entry->kind == 'f') {
        object.flags = ORCH_OBJECT_HAS_TOKEN;
        object.token = source_token(job->source, at);
        object.size_bytes = (uint64_t)entry->st.st_size;
        int64_t row = facts_integer(job->by_entry[at], "row_bytes", 0);
        if (row > 0 && row <= UINT32_MAX) {
            object.profile = ORCH_PROFILE_ROWS;
            object.row_bytes = (uint32_t)row;
            object.row_offset = (uint64_t)facts_integer(job->by_entry[at], "row_offset", 0);
        }
    }
    const struct orch_host *host = job->self->host;
    return host->object(host->ctx, &object, entry->kind == 'f' ? unchanged : NULL, err);
}

/* The digest of a file that the host need not be sent: as noted down before, or by reading it. */
static int32_t digest_unsent(struct job *job, int fd, const char *noted, char text[DIGEST_TEXT],
                             uint64_t *size, struct orch_error *err)
{
    const struct orch_host *host = job->self->host;
    if (noted != NULL) {
        (void)snprintf(text, DIGEST_TEXT, "%s", noted);
        return ORCH_OK;
    }
    return digest_fd(fd, host->cancelled, host->ctx, text, size, err);
}

static int32_t note_file(struct job *job, size_t at, const char *shown, const char *digest,
                         uint64_t size, struct orch_error *err)
{
    struct orch_token token = source_token(job->source, at);
    json_t *store = job->by_entry[at];
    if (json_object_set_new(
            job->files, shown,
            json_pack("{s:I, s:s}", "size_bytes", (json_int_t)size, "sha256", digest)) != 0) {
        return no_memory(err);
    }
    if (source_settled(job->source, at)) {
        /* An index with lists elsewhere is known by two files: it is examined each time. */
        int alone = store != NULL && facts_text(store, "ondisk")[0] == 0;
        memo_note(job->memo, shown, &token, digest, alone ? json_deep_copy(store) : NULL);
    }
    return ORCH_OK;
}

static int32_t send_file(struct job *job, size_t at, struct orch_error *err)
{
    const struct orch_host *host = job->self->host;
    const struct tree_entry *entry = &job->source->tree.entries[at];
    struct orch_token token = source_token(job->source, at);
    CLEANUP_FREE char *shown = names_escape(entry->name);
    CLEANUP_FD int own = -1;
    char digest[DIGEST_TEXT];
    uint64_t size = (uint64_t)entry->st.st_size;
    uint32_t unchanged = 0;
    int fd = -1;
    if (shown == NULL) {
        return no_memory(err);
    }
    const char *noted = memo_digest(job->memo, shown, &token);
    int32_t rc = source_fd(job->source, at, &fd, &own, err);
    if (rc == ORCH_OK) {
        rc = source_same(job->source, at, fd, err);
    }
    if (rc == ORCH_OK) {
        rc = begin(job, at, &unchanged, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    rc = unchanged ? digest_unsent(job, fd, noted, digest, &size, err)
                   : send_fd(host, fd, digest, &size, err);
    if (rc == ORCH_OK && !unchanged) {
        rc = host->end_item(host->ctx, err);
    }
    if (rc != ORCH_OK) {
        return orch_wrap(err, "%s/%s", job->self->settings.path, entry->name);
    }
    rc = source_same(job->source, at, fd, err);
    if (rc == ORCH_OK && noted != NULL && strcmp(noted, digest) != 0) {
        rc = memo_betrayed(job, entry->name, err);
    }
    return rc != ORCH_OK ? rc : note_file(job, at, shown, digest, size, err);
}

static int32_t send_all(struct job *job, struct orch_error *err)
{
    const struct orch_host *host = job->self->host;
    for (size_t i = 0; i < job->source->tree.count; i++) {
        int32_t rc = ORCH_OK;
        if (job->source->tree.entries[i].kind == 'f') {
            rc = send_file(job, i, err);
        } else {
            rc = begin(job, i, NULL, err);
            rc = rc != ORCH_OK ? rc : host->end_item(host->ctx, err);
        }
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return ORCH_OK;
}

/* ---- facts ------------------------------------------------------------------------------ */

/* Binds the index and its side files together: each store names all of them with their digests. */
static int32_t bind_digests(struct job *job, struct orch_error *err)
{
    for (size_t i = 0; i < job->source->stores.count; i++) {
        const struct store *store = &job->source->stores.list[i];
        json_t *facts = job->by_entry[store->index];
        CLEANUP_FREE char *index = names_escape(job->source->tree.entries[store->index].name);
        json_t *sides = json_object();
        int failed = index == NULL || sides == NULL;
        if (!failed) {
            failed |= json_object_update(facts, json_object_get(job->files, index));
        }
        for (size_t j = 0; !failed && j < store->side_count; j++) {
            CLEANUP_FREE char *side = names_escape(job->source->tree.entries[store->sides[j]].name);
            failed = side == NULL ||
                     json_object_set(sides, side, json_object_get(job->files, side)) != 0;
        }
        failed |= json_object_set_new(facts, "side_files", sides);
        if (failed) {
            return no_memory(err);
        }
    }
    return ORCH_OK;
}

static int32_t state_all(struct job *job, struct orch_error *err)
{
    const struct orch_host *host = job->self->host;
    int32_t rc = bind_digests(job, err);
    if (rc == ORCH_OK) {
        rc = facts_state(host, "stores", json_incref(job->stores), err);
    }
    if (rc == ORCH_OK) {
        rc = facts_state(host, "files", json_incref(job->files), err);
    }
    if (rc == ORCH_OK) {
        rc = orch_fact_string(host, "faiss_version", index_faiss_version(), err);
    }
    return rc;
}

static int32_t run_job(struct job *job, struct orch_error *err)
{
    struct contract contract;
    int32_t rc = identity_resolve(job->self->host, &job->self->settings, 0, &contract, err);
    if (rc == ORCH_OK) {
        rc = examine_all(job, &contract, err);
    }
    if (rc == ORCH_OK) {
        rc = embedding_record(job->self, &contract, err);
    }
    if (rc == ORCH_OK) {
        rc = send_all(job, err);
    }
    if (rc == ORCH_OK) {
        rc = state_all(job, err);
    }
    if (rc == ORCH_OK) {
        memo_save(job->memo, job->self->host, job->self->settings.work_dir);
    }
    return rc;
}

int32_t backup_run(struct vectorstore *self, struct orch_error *err)
{
    char stamp[64];
    if (self->source == NULL) {
        return orch_fail(err, ORCH_E_INVALID, "backup without freeze");
    }
    (void)snprintf(stamp, sizeof(stamp), "1 faiss %s samples %d limit %llu", index_faiss_version(),
                   self->settings.samples, (unsigned long long)self->settings.load_limit);
    struct job job = {.self = self,
                      .source = self->source,
                      .memo = memo_load(self->settings.work_dir, stamp),
                      .stores = json_object(),
                      .files = json_object(),
                      .by_entry = calloc(self->source->tree.count, sizeof(json_t *))};
    int32_t rc = job.memo == NULL || job.stores == NULL || job.files == NULL || job.by_entry == NULL
                     ? no_memory(err)
                     : run_job(&job, err);
    free(job.by_entry);
    json_decref(job.stores);
    json_decref(job.files);
    memo_free(job.memo);
    return rc;
}
