/* journal.c: see journal.h. */
#include "run/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "run/context.h"

#define JOURNAL_MAX (64u << 20)
#define JOURNAL_FOLDER "journals"
#define FINISHED_FOLDER "finished" /* below it */

struct journal {
    pthread_mutex_t mutex;
    int fd;
    char *path;
    char run_id[ID_TEXT];
    json_t *lines; /* all so far */
};

static int32_t journal_new(const char *path, const char *run_id, int flags, struct journal **out,
                           struct orch_error *err)
{
    struct journal *j = calloc(1, sizeof(*j));
    if (j == NULL || (j->path = strdup(path)) == NULL) {
        free(j);
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a journal");
    }
    (void)pthread_mutex_init(&j->mutex, NULL);
    (void)snprintf(j->run_id, sizeof(j->run_id), "%s", run_id);
    j->lines = json_array();
    j->fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC | flags, 0600);
    if (j->fd < 0) {
        int32_t rc = orch_fail_errno(err, errno, "cannot open journal %s", path);
        journal_close(j);
        return rc;
    }
    if (flock(j->fd, LOCK_EX | LOCK_NB) != 0) {
        int32_t rc = orch_fail(err, ORCH_E_BUSY, "run %s is at work in another process", run_id);
        journal_close(j);
        return rc;
    }
    *out = j;
    return ORCH_OK;
}

static bool has_event(const json_t *lines, const char *event)
{
    size_t i;
    json_t *line;
    json_array_foreach(lines, i, line)
    {
        const char *found = json_string_value(json_object_get(line, "event"));
        if (found != NULL && strcmp(found, event) == 0) {
            return true;
        }
    }
    return false;
}

/* A finished journal has nothing left to tell a later run: out of the folder that is read, into one
 * that is kept for people. What cannot be moved stays and is passed over. */
static void put_away(const char *path)
{
    CLEANUP_FREE char *folder = NULL;
    CLEANUP_FREE char *kept = NULL;
    const char *slash = strrchr(path, '/');
    struct orch_error ignored = ORCH_ERROR_INIT;
    if (slash == NULL ||
        asprintf(&folder, "%.*s/" FINISHED_FOLDER, (int)(slash - path), path) < 0) {
        folder = NULL;
        return;
    }
    if (file_make_dirs(folder, 0700, &ignored) == ORCH_OK &&
        (kept = file_join(folder, slash + 1)) != NULL) {
        (void)rename(path, kept);
    }
}

void journal_close(struct journal *journal)
{
    if (journal == NULL) {
        return;
    }
    if (journal->fd >= 0) {
        if (has_event(journal->lines, "finished")) {
            put_away(journal->path); /* while it is locked */
        }
        (void)close(journal->fd);
    }
    (void)pthread_mutex_destroy(&journal->mutex);
    json_decref(journal->lines);
    free(journal->path);
    free(journal);
}

/* Each line of the file as JSON. A last line without its newline never counted; any other line that
 * does not parse is damage. */
static int32_t read_lines(const char *path, json_t *lines, size_t *whole, struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    int32_t rc = file_read(path, JOURNAL_MAX, &text, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    size_t at = 0;
    *whole = 0;
    while (at < text.len) {
        const uint8_t *stop = memchr(text.data + at, '\n', text.len - at);
        if (stop == NULL) {
            break;
        }
        size_t len = (size_t)(stop - (text.data + at));
        json_t *line = json_loadb((const char *)text.data + at, len, 0, NULL);
        if (!json_is_object(line)) {
            json_decref(line);
            return orch_fail(
                err, ORCH_E_CORRUPT,
                "journal %s is damaged at byte %zu, so that it cannot be told what its "
                "restore did; look at it, and move it away to go on without it",
                path, at);
        }
        (void)json_array_append_new(lines, line);
        at += len + 1;
        *whole = at;
    }
    return ORCH_OK;
}

int32_t journal_append(struct journal *journal, const char *event, const char *component,
                       json_t *details, struct orch_error *err)
{
    json_t *line = details == NULL ? json_object() : details;
    char now[21];
    clock_iso(clock_wall_ns(), now);
    (void)json_object_set_new(line, "event", json_string(event));
    (void)json_object_set_new(line, "time", json_string(now));
    if (component != NULL) {
        (void)json_object_set_new(line, "component", json_string(component));
    }
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    CLEANUP_FREE char *dump = json_dumps(line, JSON_COMPACT);
    if (dump != NULL) {
        buffer_printf(&text, "%s\n", dump);
    }
    if (dump == NULL || text.failed) {
        json_decref(line);
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a line of the journal");
    }
    (void)pthread_mutex_lock(&journal->mutex);
    off_t end = lseek(journal->fd, 0, SEEK_END);
    int32_t rc = file_write_all(journal->fd, text.data, text.len, journal->path, err);
    if (rc == ORCH_OK && fdatasync(journal->fd) != 0) {
        rc = orch_fail_errno(err, errno, "cannot sync journal %s", journal->path);
    }
    if (rc == ORCH_OK) {
        (void)json_array_append(journal->lines, line);
    } else if (end >= 0 && ftruncate(journal->fd, end) != 0) {
        /* Half a line (a full disk) with another behind it would be damage. */
        log_warning("journal", "%s may end in half a line: %s", journal->path, strerror(errno));
    }
    (void)pthread_mutex_unlock(&journal->mutex);
    json_decref(line);
    return rc;
}

int32_t journal_create(const struct config *config, const char *run_id, const json_t *request,
                       const json_t *resolved, struct journal **out, struct orch_error *err)
{
    char name[ID_TEXT + 8];
    (void)snprintf(name, sizeof(name), "%s.jsonl", run_id);
    CLEANUP_FREE char *path = NULL;
    int32_t rc = context_state_path(config, JOURNAL_FOLDER, name, &path, err);
    if (rc == ORCH_OK) {
        rc = journal_new(path, run_id, O_CREAT | O_EXCL, out, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    json_t *first =
        json_pack("{s:s, s:I, s:O, s:O}", "run", run_id, "started_ns", (json_int_t)clock_wall_ns(),
                  "request", request, "resolved", resolved);
    rc = journal_append(*out, "planned", NULL, first, err);
    CLEANUP_FREE char *dir = file_join(config->state_dir, JOURNAL_FOLDER);
    if (rc == ORCH_OK) {
        rc = file_sync_dir(dir == NULL ? "." : dir, err);
    }
    if (rc != ORCH_OK) {
        journal_close(*out);
        *out = NULL;
    }
    return rc;
}

/* An unfinished journal, as found in the folder. */
struct found {
    char path[4096];
    char run_id[ID_TEXT];
    json_t *lines;
    int64_t started_ns;
};

/* Calls `each` for every unfinished journal; it may stop the walk by a result other than 0. */
static int32_t walk(const struct config *config,
                    int32_t (*each)(void *ctx, const struct found *found, struct orch_error *err),
                    void *ctx, struct orch_error *err)
{
    CLEANUP_FREE char *folder = file_join(config->state_dir, JOURNAL_FOLDER);
    if (folder == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for journals");
    }
    CLEANUP_DIR DIR *dir = opendir(folder);
    if (dir == NULL) {
        return errno == ENOENT ? ORCH_OK : orch_fail_errno(err, errno, "cannot open %s", folder);
    }
    int32_t rc = ORCH_OK;
    for (const struct dirent *entry = readdir(dir); rc == ORCH_OK && entry != NULL;
         entry = readdir(dir)) {
        struct found found = {0};
        size_t len = strlen(entry->d_name);
        if (len != ID_TEXT - 1 + 6 || strcmp(entry->d_name + len - 6, ".jsonl") != 0) {
            continue;
        }
        memcpy(found.run_id, entry->d_name, ID_TEXT - 1);
        (void)snprintf(found.path, sizeof(found.path), "%s/%s", folder, entry->d_name);
        found.lines = json_array();
        size_t whole = 0;
        rc = read_lines(found.path, found.lines, &whole, err);
        found.started_ns =
            json_integer_value(json_object_get(json_array_get(found.lines, 0), "started_ns"));
        if (rc == ORCH_OK && has_event(found.lines, "finished")) {
            put_away(found.path); /* its run was killed behind that line */
        } else if (rc == ORCH_OK && json_array_size(found.lines) > 0) {
            rc = each(ctx, &found, err);
        }
        json_decref(found.lines);
    }
    return rc;
}

/* Opens a journal to go on with it, and reads what it has. Half a line at the end never counted: it
 * is cut off, so that the next one stands alone. */
static int32_t journal_reopen(const char *path, const char *run_id, struct journal **out,
                              struct orch_error *err)
{
    int32_t rc = journal_new(path, run_id, 0, out, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    size_t whole = 0;
    rc = read_lines(path, (*out)->lines, &whole, err);
    if (rc == ORCH_OK && ftruncate((*out)->fd, (off_t)whole) != 0) {
        rc = orch_fail_errno(err, errno, "cannot cut journal %s", path);
    }
    if (rc != ORCH_OK) {
        journal_close(*out);
        *out = NULL;
    }
    return rc;
}

/* ---- resuming ---- */

struct newest {
    const json_t *request;
    char path[4096];
    char run_id[ID_TEXT];
    int64_t started_ns;
};

static int32_t keep_newest(void *ctx, const struct found *found, struct orch_error *err)
{
    struct newest *newest = ctx;
    (void)err;
    const json_t *request = json_object_get(json_array_get(found->lines, 0), "request");
    if (found->started_ns > newest->started_ns && json_equal(request, newest->request)) {
        newest->started_ns = found->started_ns;
        memcpy(newest->path, found->path, sizeof(newest->path));
        memcpy(newest->run_id, found->run_id, sizeof(newest->run_id));
    }
    return ORCH_OK;
}

int32_t journal_resume(const struct config *config, const json_t *request, struct journal **out,
                       struct orch_error *err)
{
    struct newest newest = {.request = request};
    int32_t rc = walk(config, keep_newest, &newest, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (newest.run_id[0] == 0) {
        return orch_fail(err, ORCH_E_NOT_FOUND,
                         "there is no unfinished restore with the same set, components and targets "
                         "to resume; one that never began to change anything has left none: run it "
                         "without --resume");
    }
    return journal_reopen(newest.path, newest.run_id, out, err);
}

/* ---- unfinished runs on the same components ---- */

struct touching {
    const char *const *components;
    size_t count;
    const struct config *config;
    struct buffer *text; /* NULL: abandon them */
};

static bool touches(const struct touching *t, const struct found *found)
{
    const json_t *resolved = json_object_get(json_array_get(found->lines, 0), "resolved");
    const json_t *names = json_object_get(resolved, "components");
    for (size_t i = 0; i < t->count; i++) {
        if (json_object_get(names, t->components[i]) != NULL && has_event(found->lines, "begun")) {
            return true;
        }
    }
    return false;
}

static int32_t on_touching(void *ctx, const struct found *found, struct orch_error *err)
{
    const struct touching *t = ctx;
    if (!touches(t, found)) {
        return ORCH_OK;
    }
    if (t->text != NULL) {
        buffer_printf(t->text, "%s%s", t->text->len == 0 ? "" : ", ", found->run_id);
        return ORCH_OK;
    }
    struct journal *journal = NULL;
    int32_t rc = journal_reopen(found->path, found->run_id, &journal, err);
    if (rc == ORCH_OK) {
        rc = journal_append(journal, "finished", NULL, json_pack("{s:s}", "state", "abandoned"),
                            err);
    }
    journal_close(journal);
    return rc;
}

int32_t journal_unfinished(const struct config *config, const char *const *components, size_t count,
                           char **text, struct orch_error *err)
{
    struct buffer found = BUFFER_INIT;
    struct touching t = {.components = components, .count = count, .text = &found};
    int32_t rc = walk(config, on_touching, &t, err);
    *text = rc == ORCH_OK ? buffer_string(&found) : NULL;
    if (*text == NULL) {
        buffer_free(&found);
        return rc == ORCH_OK ? orch_fail(err, ORCH_E_NOMEM, "no memory for journals") : rc;
    }
    return ORCH_OK;
}

int32_t journal_abandon(const struct config *config, const char *const *components, size_t count,
                        struct orch_error *err)
{
    struct touching t = {.components = components, .count = count, .config = config};
    return walk(config, on_touching, &t, err);
}

/* ---- questions ---- */

const char *journal_run_id(const struct journal *journal)
{
    return journal->run_id;
}

const json_t *journal_resolved(const struct journal *journal)
{
    return json_object_get(json_array_get(journal->lines, 0), "resolved");
}

struct journal_component journal_component(struct journal *journal, const char *name)
{
    struct journal_component state = {0};
    (void)snprintf(state.name, sizeof(state.name), "%s", name);
    (void)pthread_mutex_lock(&journal->mutex);
    size_t i;
    json_t *line;
    json_array_foreach(journal->lines, i, line)
    {
        const char *component = json_string_value(json_object_get(line, "component"));
        const char *event = json_string_value(json_object_get(line, "event"));
        if (component == NULL || event == NULL || strcmp(component, name) != 0) {
            continue;
        }
        state.attempts += strcmp(event, "begun") == 0;
        state.verified |= strcmp(event, "verified") == 0;
        state.settled |= strcmp(event, "settled") == 0;
    }
    (void)pthread_mutex_unlock(&journal->mutex);
    return state;
}

bool journal_step_passed(struct journal *journal, size_t step)
{
    bool passed = false;
    (void)pthread_mutex_lock(&journal->mutex);
    size_t i;
    json_t *line;
    json_array_foreach(journal->lines, i, line)
    {
        const char *event = json_string_value(json_object_get(line, "event"));
        passed |= event != NULL && strcmp(event, "step-passed") == 0 &&
                  json_integer_value(json_object_get(line, "step")) == (json_int_t)step;
    }
    (void)pthread_mutex_unlock(&journal->mutex);
    return passed;
}
