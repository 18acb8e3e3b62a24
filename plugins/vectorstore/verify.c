/*
 * verify.c: after a restore: every store loaded, measured and searched again, every digest taken
 * again, and all of it compared with the part's facts.
 */
#include "instance.h"

#include "cleanup.h"
#include "digest.h"
#include "examine.h"
#include "facts.h"
#include "index.h"
#include "names.h"
#include "shape.h"

#include <orchestrate/support.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* One verification under way. */
struct job {
    struct vectorstore *self;
    const json_t *facts;
    int root;
    int64_t files, stores, vectors, unloaded;
};

/* A mismatch: a refusal, not an error. */
static int32_t mismatch(struct job *job, const char *code, const char *name, const char *why,
                        struct orch_error *err)
{
    char subject[320], text[900];
    (void)snprintf(subject, sizeof(subject), "%.63s/%.250s", job->self->settings.component, name);
    (void)snprintf(text, sizeof(text), "%.880s", why);
    names_clean(subject);
    names_clean(text);
    return orch_judge(job->self->host, ORCH_VERDICT_REFUSE, 0, code, subject, err, "%s", text);
}

/* Facts have escaped names; this is the plain one. */
static void unescape(const char *shown, char *out, size_t size)
{
    size_t n = 0;
    for (const char *p = shown; *p != 0 && n + 1 < size; p++) {
        unsigned byte = 0;
        if (*p == '%' && p[1] != 0 && p[2] != 0 && sscanf(p + 1, "%2x", &byte) == 1 && byte != 0) {
            out[n++] = (char)byte;
            p += 2;
        } else {
            out[n++] = *p;
        }
    }
    out[n] = 0;
}

/* Opens a file of the facts. *fd stays -1 when it is missing, which is judged here. */
static int32_t open_file(struct job *job, const char *shown, int *fd, struct orch_error *err)
{
    struct orch_error why = ORCH_ERROR_INIT;
    char name[NAMES_PATH_MAX];
    unescape(shown, name, sizeof(name));
    int32_t rc = names_open(job->root, name, fd, &why);
    return rc == ORCH_OK ? ORCH_OK : mismatch(job, "file-missing", shown, why.message, err);
}

/* ---- files ------------------------------------------------------------------------------ */

static int32_t verify_file(struct job *job, const char *shown, const json_t *about,
                           struct orch_error *err)
{
    const struct orch_host *host = job->self->host;
    CLEANUP_FD int fd = -1;
    char digest[DIGEST_TEXT], text[400];
    uint64_t size = 0;
    int32_t rc = open_file(job, shown, &fd, err);
    if (rc != ORCH_OK || fd < 0) {
        return rc;
    }
    rc = digest_fd(fd, host->cancelled, host->ctx, digest, &size, err);
    if (rc != ORCH_OK) {
        return orch_wrap(err, "%s/%s", job->self->settings.path, shown);
    }
    job->files++;
    if (strcmp(digest, facts_text(about, "sha256")) == 0) {
        return ORCH_OK;
    }
    (void)snprintf(text, sizeof(text),
                   "it holds other bytes than were backed up: SHA-256 %s over %" PRIu64
                   " bytes, and it was %.64s over %" PRId64,
                   digest, size, facts_text(about, "sha256"),
                   facts_integer(about, "size_bytes", -1));
    return mismatch(job, "file-differs", shown, text, err);
}

/* ---- stores ----------------------------------------------------------------------------- */

struct beside {
    struct job *job;
    const json_t *about;
};

static int32_t open_target_lists(void *ctx, const char *named, int *lists, struct orch_error *err)
{
    struct beside *beside = ctx;
    char name[NAMES_PATH_MAX];
    const char *shown = facts_text(beside->about, "ondisk");
    if (shown[0] == 0) {
        return orch_fail(err, ORCH_E_CORRUPT, "it names a list file %s that the part does not",
                         named);
    }
    unescape(shown, name, sizeof(name));
    return names_open(beside->job->root, name, lists, err);
}

static int compare_shape(const json_t *about, const struct shape *shape, char *text, size_t size)
{
    if (strcmp(facts_text(about, "type"), shape->type) == 0 &&
        facts_integer(about, "dimension", -1) == shape->dimension &&
        strcmp(facts_text(about, "metric"), shape_metric_name(shape->metric)) == 0 &&
        facts_integer(about, "ntotal", -1) == shape->ntotal &&
        json_is_true(json_object_get(about, "is_trained")) == (shape->is_trained != 0)) {
        return 1;
    }
    (void)snprintf(text, size,
                   "it is %s of dimension %d, metric %s, with %" PRId64
                   " vectors, and was %.40s of dimension %" PRId64 ", metric %.20s, with %" PRId64,
                   shape->type, shape->dimension, shape_metric_name(shape->metric), shape->ntotal,
                   facts_text(about, "type"), facts_integer(about, "dimension", -1),
                   facts_text(about, "metric"), facts_integer(about, "ntotal", -1));
    return 0;
}

static int32_t judge_store(struct job *job, const char *name, const json_t *about, int fd,
                           struct shape *shape, struct orch_error *err)
{
    struct beside beside = {.job = job, .about = about};
    struct orch_error why = ORCH_ERROR_INIT;
    struct index *index = NULL;
    char text[500];
    int32_t rc = examine_load(job->self, fd, open_target_lists, &beside, shape, &index, &why);
    if (rc == ORCH_E_NOMEM) {
        *err = why;
        return rc;
    }
    if (rc != ORCH_OK) {
        return mismatch(job, "store-unreadable", name, why.message, err);
    }
    const json_t *samples = json_object_get(about, "samples");
    rc = ORCH_OK;
    if (!compare_shape(about, shape, text, sizeof(text))) {
        rc = mismatch(job, "store-differs", name, text, err);
    } else if (index == NULL) {
        job->unloaded++; /* too large to load; its digest and its structure are right */
    } else if (samples != NULL && index_compare(index, samples, &why) != ORCH_OK) {
        rc = mismatch(job, "store-searches-differ", name, why.message, err);
    }
    index_free(index);
    job->stores++;
    job->vectors += shape->ntotal;
    return rc;
}

static int32_t verify_store(struct job *job, const char *name, const json_t *about,
                            struct orch_error *err)
{
    CLEANUP_FD int fd = -1;
    if (strcmp(facts_text(about, "type"), "opaque") == 0) {
        return ORCH_OK; /* plain bytes: its digest says all there is to say */
    }
    int32_t rc = open_file(job, facts_text(about, "index"), &fd, err);
    if (rc != ORCH_OK || fd < 0) {
        return rc;
    }
    struct shape *shape = calloc(1, sizeof(*shape));
    if (shape == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to verify a store");
    }
    rc = judge_store(job, name, about, fd, shape, err);
    free(shape);
    return rc;
}

/* ---- all of it -------------------------------------------------------------------------- */

static int32_t verify_all(struct job *job, const struct orch_restore *restore,
                          struct orch_error *err)
{
    const char *name = NULL;
    json_t *about = NULL;
    json_object_foreach(json_object_get(job->facts, "files"), name, about)
    {
        char plain[NAMES_PATH_MAX];
        unescape(name, plain, sizeof(plain));
        if (facts_file_selected(restore, job->facts, plain)) {
            int32_t rc = verify_file(job, name, about, err);
            if (rc != ORCH_OK) {
                return rc;
            }
        }
    }
    json_object_foreach(json_object_get(job->facts, "stores"), name, about)
    {
        if (facts_store_selected(restore, name, about)) {
            int32_t rc = verify_store(job, name, about, err);
            if (rc != ORCH_OK) {
                return rc;
            }
        }
    }
    return ORCH_OK;
}

int32_t verify_run(struct vectorstore *self, const struct orch_restore *restore,
                   struct orch_error *err)
{
    CLEANUP_JSON json_t *facts = NULL;
    int32_t rc = facts_parse(restore, &facts, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    CLEANUP_FD int root = open(self->settings.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        return orch_fail_errno(err, errno, "cannot open the folder of stores %s",
                               self->settings.path);
    }
    struct job job = {.self = self, .facts = facts, .root = root};
    rc = verify_all(&job, restore, err);
    if (rc == ORCH_OK) {
        orch_log(self->host, ORCH_LOG_INFO,
                 "%" PRId64 " files compared by digest; %" PRId64 " stores with %" PRId64
                 " vectors measured, %" PRId64 " of them too large to search",
                 job.files, job.stores, job.vectors, job.unloaded);
    }
    return rc;
}
