/* check.c: before anything is touched: does this part fit the live target? Only verdicts. */
#include "instance.h"

#include "cleanup.h"
#include "embedding.h"
#include "facts.h"
#include "index.h"
#include "names.h"

#include <orchestrate/support.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

static int32_t refuse(struct vectorstore *self, const char *code, struct orch_error *err,
                      const char *text)
{
    return orch_judge(self->host, ORCH_VERDICT_REFUSE, 0, code, self->settings.component, err, "%s",
                      text);
}

/* ---- the folder ------------------------------------------------------------------------- */

/* The nearest folder on the way to the target that is there; "/" at worst. */
static void nearest(const char *path, char *out, size_t size)
{
    struct stat st;
    (void)snprintf(out, size, "%s", path);
    while (stat(out, &st) != 0 && errno == ENOENT) {
        char *slash = strrchr(out, '/');
        if (slash == NULL || slash == out) {
            (void)snprintf(out, size, "/");
            return;
        }
        *slash = 0;
    }
}

static int32_t check_folder(struct vectorstore *self, const struct orch_restore *restore,
                            struct orch_error *err)
{
    char there[NAMES_PATH_MAX], text[600];
    struct stat st;
    struct statvfs fs;
    nearest(self->settings.path, there, sizeof(there));
    if (stat(there, &st) != 0 || !S_ISDIR(st.st_mode)) {
        (void)snprintf(text, sizeof(text),
                       "%.300s is no folder; move it away, or restore to another path", there);
        return refuse(self, "target-folder", err, text);
    }
    if (access(there, W_OK | X_OK) != 0) {
        (void)snprintf(text, sizeof(text), "cannot write into %.300s: %s; run as a user who may",
                       there, strerror(errno));
        return refuse(self, "target-folder", err, text);
    }
    if (statvfs(there, &fs) == 0) {
        uint64_t space = (uint64_t)fs.f_bavail * fs.f_frsize;
        if (space < restore->size_bytes) {
            (void)snprintf(text, sizeof(text),
                           "%.300s has %" PRIu64 " bytes of free space, and %" PRIu64
                           " are needed beside what is there now; make room",
                           there, space, restore->size_bytes);
            return refuse(self, "no-space", err, text);
        }
    }
    return ORCH_OK;
}

/* What a file of the part has to be put into must be a folder, and is never followed elsewhere. */
static int32_t check_shape(struct vectorstore *self, const struct orch_restore *restore,
                           const json_t *facts, struct orch_error *err)
{
    CLEANUP_FD int root = open(self->settings.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *name = NULL;
    json_t *about = NULL;
    json_object_foreach(json_object_get(facts, "files"), name, about)
    {
        struct orch_error why = ORCH_ERROR_INIT;
        CLEANUP_FD int parent = -1;
        char text[600];
        if (root < 0 || strchr(name, '%') != NULL) {
            continue; /* nothing there yet; an escaped name is met when its turn comes */
        }
        if (!facts_file_selected(restore, facts, name) ||
            names_open_parent(root, name, 0, &parent, &why) != ORCH_E_EXISTS) {
            continue;
        }
        (void)snprintf(text, sizeof(text),
                       "%.400s in %.120s; move it away, since the backup has a folder there",
                       why.message, self->settings.path);
        names_clean(text);
        return refuse(self, "target-shape", err, text);
    }
    return ORCH_OK;
}

/* ---- the part --------------------------------------------------------------------------- */

static int32_t check_selection(struct vectorstore *self, const struct orch_restore *restore,
                               const json_t *facts, struct orch_error *err)
{
    char known[400] = "", text[700];
    const char *name = NULL;
    json_t *about = NULL;
    if (restore->select_count == 0) {
        return ORCH_OK;
    }
    json_object_foreach(json_object_get(facts, "files"), name, about)
    {
        if (facts_file_selected(restore, facts, name)) {
            return ORCH_OK;
        }
    }
    json_object_foreach(json_object_get(facts, "stores"), name, about)
    {
        size_t used = strlen(known);
        (void)snprintf(known + used, sizeof(known) - used, "%s%s", used == 0 ? "" : ", ", name);
    }
    (void)snprintf(text, sizeof(text), "nothing in the part matches '%.100s'; its stores are: %s",
                   restore->selects[0], known);
    names_clean(text);
    return refuse(self, "selection-empty", err, text);
}

/* 1.7.3 as 10703; 0 when it cannot be told. */
static int version_number(const char *text)
{
    int major = 0, minor = 0, patch = 0;
    return sscanf(text, "%d.%d.%d", &major, &minor, &patch) == 3 && major < 100 && minor < 100 &&
                   patch < 100
               ? major * 10000 + minor * 100 + patch
               : 0;
}

static int32_t check_faiss(struct vectorstore *self, const json_t *facts, struct orch_error *err)
{
    const char *then = facts_text(facts, "faiss_version");
    int written = version_number(then), here = version_number(index_faiss_version());
    if (written == 0 || here == 0 || written / 100 <= here / 100) {
        return ORCH_OK;
    }
    return orch_judge(self->host, ORCH_VERDICT_WARN, 0, "faiss-version", self->settings.component,
                      err,
                      "the backup was read with FAISS %.32s, and here is %s; newer index types may "
                      "not load",
                      then, index_faiss_version());
}

int32_t check_run(struct vectorstore *self, const struct orch_restore *restore,
                  struct orch_error *err)
{
    CLEANUP_JSON json_t *facts = NULL;
    struct orch_error why = ORCH_ERROR_INIT;
    if (restore->strategy != ORCH_STRATEGY_REPLACE) {
        return refuse(self, "strategy", err,
                      "vector stores can be replaced only; use --strategy replace, with --select "
                      "for single stores");
    }
    if (restore->data_format != 1) {
        return refuse(self, "data-format", err,
                      "the part has a data format that this version of the plugin does not read");
    }
    int32_t rc = facts_parse(restore, &facts, &why);
    if (rc != ORCH_OK) {
        return refuse(self, "facts-invalid", err, why.message);
    }
    rc = check_folder(self, restore, err);
    if (rc == ORCH_OK) {
        rc = check_shape(self, restore, facts, err);
    }
    if (rc == ORCH_OK) {
        rc = check_selection(self, restore, facts, err);
    }
    if (rc == ORCH_OK) {
        rc = check_faiss(self, facts, err);
    }
    return rc != ORCH_OK ? rc : embedding_check(self, restore, facts, err);
}
