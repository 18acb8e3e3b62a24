/* examine.c: see examine.h. */
#include "examine.h"

#include "cleanup.h"
#include "facts.h"
#include "index.h"
#include "names.h"
#include "shape.h"

#include <orchestrate/support.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- loading ---------------------------------------------------------------------------- */

static int32_t check_lists(int lists, const struct shape *shape, struct orch_error *err)
{
    struct stat st;
    if (fstat(lists, &st) != 0) {
        return orch_fail_errno(err, errno, "cannot look at its list file");
    }
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < shape->ondisk_bytes) {
        return orch_fail(err, ORCH_E_CORRUPT,
                         "its list file %s has %" PRId64 " bytes and should have %" PRIu64,
                         names_base(shape->ondisk), (int64_t)st.st_size, shape->ondisk_bytes);
    }
    return ORCH_OK;
}

int32_t examine_load(struct vectorstore *self, int fd,
                     int32_t (*open_lists)(void *ctx, const char *named, int *lists,
                                           struct orch_error *err),
                     void *ctx, struct shape *shape, struct index **out, struct orch_error *err)
{
    struct stat st;
    CLEANUP_FD int lists = -1;
    *out = NULL;
    if (fstat(fd, &st) != 0) {
        return orch_fail_errno(err, errno, "cannot look at it");
    }
    int32_t rc = shape_read(fd, (uint64_t)st.st_size, shape, err);
    if (rc == ORCH_OK && shape->ondisk[0] != 0) {
        rc = open_lists(ctx, shape->ondisk, &lists, err);
        rc = rc != ORCH_OK ? rc : check_lists(lists, shape, err);
    }
    if (rc == ORCH_OK) {
        rc = index_load(fd, lists, shape, (uint64_t)st.st_size, self->settings.load_limit,
                        self->settings.work_dir, out, err);
    }
    return rc;
}

/* ---- the source's list files ------------------------------------------------------------ */

struct beside {
    struct vectorstore *self;
    const struct source *source;
    const char *index;         /* name of the index file */
    char name[NAMES_PATH_MAX]; /* of the list file, once found */
};

/* Looks beside the index, as FAISS may be told to, and then where the index says. */
static const struct tree_entry *find_lists(struct beside *beside, const char *named)
{
    const struct tree *tree = &beside->source->tree;
    size_t root = strlen(beside->self->settings.path);
    (void)snprintf(beside->name, sizeof(beside->name), "%.*s%s",
                   (int)(names_base(beside->index) - beside->index), beside->index,
                   names_base(named));
    const struct tree_entry *entry = tree_find(tree, beside->name);
    if (entry == NULL && strncmp(named, beside->self->settings.path, root) == 0 &&
        named[root] == '/') {
        (void)snprintf(beside->name, sizeof(beside->name), "%s", named + root + 1);
        entry = tree_find(tree, beside->name);
    }
    return entry != NULL && entry->kind == 'f' ? entry : NULL;
}

static int32_t open_source_lists(void *ctx, const char *named, int *lists, struct orch_error *err)
{
    struct beside *beside = ctx;
    const struct tree_entry *entry = find_lists(beside, named);
    int fd = -1, own = -1;
    if (entry == NULL) {
        return orch_fail(err, ORCH_E_CORRUPT,
                         "its lists are in %s, which is not below %s and would be missing from the "
                         "backup; move that file beside the index",
                         named, beside->self->settings.path);
    }
    int32_t rc =
        source_fd(beside->source, (size_t)(entry - beside->source->tree.entries), &fd, &own, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    *lists = own >= 0 ? own : dup(fd);
    return *lists >= 0 ? ORCH_OK : orch_fail_errno(err, errno, "cannot open its list file");
}

/* ---- facts ------------------------------------------------------------------------------ */

static json_t *shape_facts(const char *index, const struct shape *shape)
{
    return json_pack("{s:s, s:s, s:s, s:i, s:s, s:I, s:b, s:I, s:I}", "index", index, "type",
                     shape->type, "fourcc", shape->fourcc, "dimension", (int)shape->dimension,
                     "metric", shape_metric_name(shape->metric), "ntotal",
                     (json_int_t)shape->ntotal, "is_trained", (int)shape->is_trained, "row_offset",
                     (json_int_t)shape->row_offset, "row_bytes", (json_int_t)shape->row_bytes);
}

/* Adds what only a loaded index tells. */
static int32_t add_samples(struct vectorstore *self, struct index *index, json_t *facts,
                           struct orch_error *err)
{
    double off = -1;
    int loaded = index != NULL;
    int failed = json_object_set_new(facts, "loaded", json_boolean(loaded));
    if (!loaded) {
        orch_log(
            self->host, ORCH_LOG_WARNING,
            "index %s is larger than may be loaded here: its structure was checked, but it was "
            "not searched (load_limit)",
            facts_text(facts, "index"));
        return failed ? orch_fail(err, ORCH_E_NOMEM, "no memory for facts") : ORCH_OK;
    }
    json_t *samples = index_sample(index, self->settings.samples, &off, err);
    if (samples == NULL) {
        return err->code != ORCH_OK ? err->code
                                    : orch_fail(err, ORCH_E_NOMEM, "no memory for facts");
    }
    failed |= json_object_set_new(facts, "samples", samples);
    if (off >= 0) {
        failed |= json_object_set_new(facts, "norm_deviation", json_real(off));
    } else if (off != -1) {
        failed |= json_object_set_new(facts, "norm_deviation", json_real(1e30)); /* not a number */
    }
    return failed ? orch_fail(err, ORCH_E_NOMEM, "no memory for facts") : ORCH_OK;
}

static int32_t examine_index(struct vectorstore *self, struct beside *beside, int fd,
                             const char *shown, json_t **facts, struct orch_error *err)
{
    struct shape *shape = calloc(1, sizeof(*shape));
    struct index *index = NULL;
    int32_t rc = shape == NULL
                     ? orch_fail(err, ORCH_E_NOMEM, "no memory for facts")
                     : examine_load(self, fd, open_source_lists, beside, shape, &index, err);
    if (rc == ORCH_OK) {
        *facts = shape_facts(shown, shape);
        rc = *facts == NULL ? orch_fail(err, ORCH_E_NOMEM, "no memory for facts")
                            : add_samples(self, index, *facts, err);
    }
    if (rc == ORCH_OK && shape->ondisk[0] != 0) {
        CLEANUP_FREE char *lists = names_escape(beside->name);
        (void)json_object_set_new(*facts, "ondisk", json_string(lists));
    }
    index_free(index);
    free(shape);
    if (rc != ORCH_OK) {
        json_decref(*facts);
        *facts = NULL;
    }
    return rc;
}

int32_t examine_store(struct vectorstore *self, const struct source *source,
                      const struct store *store, json_t **facts, struct orch_error *err)
{
    const char *name = source->tree.entries[store->index].name;
    struct beside *beside = calloc(1, sizeof(*beside));
    CLEANUP_FREE char *shown = names_escape(name);
    CLEANUP_FD int own = -1;
    int fd = -1;
    *facts = NULL;
    if (beside == NULL || shown == NULL) {
        free(beside);
        return orch_fail(err, ORCH_E_NOMEM, "no memory for facts");
    }
    beside->self = self;
    beside->source = source;
    beside->index = name;
    int32_t rc = source_fd(source, store->index, &fd, &own, err);
    int opened = rc == ORCH_OK;
    if (opened) {
        rc = examine_index(self, beside, fd, shown, facts, err);
    }
    free(beside);
    if (rc == ORCH_OK) {
        return ORCH_OK;
    }
    if (opened && source_same(source, store->index, fd, err) != ORCH_OK) {
        return err->code; /* half-written is no damage */
    }
    if (self->settings.allow_opaque && (rc == ORCH_E_CORRUPT || rc == ORCH_E_UNSUPPORTED)) {
        orch_log(self->host, ORCH_LOG_WARNING, "store %s: %s; carried as plain bytes", store->name,
                 err->message);
        names_clean(err->message);
        *facts =
            json_pack("{s:s, s:s, s:s}", "index", shown, "type", "opaque", "reason", err->message);
        return *facts != NULL ? ORCH_OK : orch_fail(err, ORCH_E_NOMEM, "no memory for facts");
    }
    return orch_wrap(err, "store %s (%s/%s)", store->name, source->path, name);
}
