/*
 * scripted.c: a plugin that does what a file tells it, for tests of runs.
 *
 * Option `path` is a folder. Its file `data` is what is protected: each line "name=content" is an
 * object. Its file `how` has a line per wish, "CALLBACK WISH [TIMES]", for all calls of that
 * callback, or for the next TIMES. Each callback writes "COMPONENT CALLBACK" into the file `log` of
 * the folder above, so that a test sees what happened in which order.
 *
 * Wishes: an error (unreachable, io, changed, failed, bytes: a message that is no text); crash;
 * empty (no items are sent or seen); items (the probe sees 7); costly (freeze); refuse,
 * overridable, warn, audit (verdicts of check and verify); future=PATH (check asks for that file);
 * meet=NAME (backup goes on only once component NAME is at its backup too); paced=MIB (backup sends
 * so much more, and writes "NANOSECONDS BYTES" into the file `paced` after each piece).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <orchestrate/plugin.h>
#include <orchestrate/support.h>

#define LINE 4096
#define WISHES 16

struct scripted {
    const struct orch_host *host;
    char path[1024];
    char component[64];
    char wish[256]; /* for the callback at work; "" for none */
};

/* ---- the files ---- */

static void name_of(const struct scripted *s, const char *name, char *path, size_t size)
{
    (void)snprintf(path, size, "%s/%s", s->path, name);
}

static void write_log(const struct scripted *s, const char *what)
{
    char path[1100], line[512];
    name_of(s, "../log", path, sizeof(path));
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int n = snprintf(line, sizeof(line), "%s %s\n", s->component, what);
    if (fd < 0 || write(fd, line, (size_t)n) != n) {
        abort();
    }
    (void)close(fd);
}

/* Whether the line is a wish for this callback; counts it down. */
static int take_line(struct scripted *s, const char *callback, char line[LINE])
{
    char name[64], wish[256];
    int times = -1;
    int n = sscanf(line, "%63s %255s %d", name, wish, &times);
    if (n < 2 || strcmp(name, callback) != 0 || s->wish[0] != 0 || (n == 3 && times == 0)) {
        return 0;
    }
    (void)snprintf(s->wish, sizeof(s->wish), "%s", wish);
    if (n == 3) {
        (void)snprintf(line, LINE, "%s %s %d\n", name, wish, times - 1);
    }
    return 1;
}

/* Finds the wish for `callback` in `how`, and writes the rest back. */
static void read_wish(struct scripted *s, const char *callback)
{
    static char lines[WISHES][LINE];
    char path[1100];
    size_t count = 0;
    int found = 0;
    s->wish[0] = 0;
    name_of(s, "how", path, sizeof(path));
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    while (count < WISHES && fgets(lines[count], LINE, file) != NULL) {
        found |= take_line(s, callback, lines[count]);
        count++;
    }
    (void)fclose(file);
    if (found && (file = fopen(path, "we")) != NULL) {
        for (size_t i = 0; i < count; i++) {
            (void)fputs(lines[i], file);
        }
        (void)fclose(file);
    }
}

static int wishes(const struct scripted *s, const char *wish)
{
    return strcmp(s->wish, wish) == 0;
}

/* Every callback begins here. */
static int32_t begin(struct scripted *s, const char *callback, struct orch_error *err)
{
    static const struct {
        const char *wish;
        int32_t code;
    } errors[] = {
        {"unreachable", ORCH_E_UNREACHABLE},
        {"io", ORCH_E_IO},
        {"changed", ORCH_E_CHANGED},
        {"failed", ORCH_E_FAILED},
    };
    write_log(s, callback);
    read_wish(s, callback);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (wishes(s, errors[i].wish)) {
            return orch_fail(err, errors[i].code, "the script says %s", errors[i].wish);
        }
    }
    if (wishes(s, "bytes")) {
        return orch_fail(err, ORCH_E_FAILED, "cannot read caf\xe9\033[2J");
    }
    if (wishes(s, "crash")) {
        _exit(70);
    }
    return ORCH_OK;
}

/* ---- life ---- */

static int32_t scripted_open(const struct orch_host *host, const struct orch_options *options,
                             void **instance, struct orch_error *err)
{
    struct scripted *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory");
    }
    s->host = host;
    (void)snprintf(s->path, sizeof(s->path), "%s", orch_option_string(options, "path", ""));
    (void)snprintf(s->component, sizeof(s->component), "%s", options->component);
    int32_t rc = begin(s, "open", err);
    if (rc != ORCH_OK) {
        free(s);
        return rc;
    }
    *instance = s;
    return ORCH_OK;
}

static void scripted_close(void *instance)
{
    write_log(instance, "close");
    free(instance);
}

/* The next "name=content" of `data`; 0 at the end. */
static int next_line(FILE *file, char line[LINE], char **content)
{
    if (file == NULL || fgets(line, LINE, file) == NULL) {
        return 0;
    }
    line[strcspn(line, "\n")] = 0;
    *content = strchr(line, '=');
    if (*content == NULL) {
        return 0;
    }
    *(*content)++ = 0;
    return 1;
}

static int32_t measure(const struct scripted *s, uint64_t *items, uint64_t *bytes,
                       struct orch_error *err)
{
    char path[1100], line[LINE], *content = NULL;
    name_of(s, "data", path, sizeof(path));
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return orch_fail_errno(err, errno, "cannot open %s", path);
    }
    *items = *bytes = 0;
    while (next_line(file, line, &content)) {
        (*items)++;
        *bytes += strlen(content);
    }
    (void)fclose(file);
    return ORCH_OK;
}

static int32_t scripted_probe(void *instance, struct orch_probe *probe, struct orch_error *err)
{
    struct scripted *s = instance;
    int32_t rc = begin(s, "probe", err);
    if (rc == ORCH_OK) {
        rc = measure(s, &probe->items, &probe->size_bytes, err);
    }
    if (wishes(s, "items")) {
        probe->items = 7;
    } else if (wishes(s, "empty")) {
        probe->items = 0;
    }
    return rc;
}

static int32_t scripted_freeze(void *instance, struct orch_freeze *freeze, struct orch_error *err)
{
    struct scripted *s = instance;
    int32_t rc = begin(s, "freeze", err);
    freeze->consistency = ORCH_CONSISTENCY_SNAPSHOT;
    freeze->flags = wishes(s, "costly") ? ORCH_FREEZE_COSTLY : 0;
    return rc;
}

static int32_t scripted_thaw(void *instance, struct orch_error *err)
{
    return begin(instance, "thaw", err);
}

/* ---- backup ---- */

static int32_t send(const struct scripted *s, const char *name, const char *content,
                    struct orch_error *err)
{
    const struct orch_host *host = s->host;
    struct orch_object object = {.struct_size = sizeof(object),
                                 .name = (const uint8_t *)name,
                                 .name_len = (uint32_t)strlen(name),
                                 .kind = 'f',
                                 .size_bytes = strlen(content)};
    int32_t rc = host->object(host->ctx, &object, NULL, err);
    if (rc == ORCH_OK && content[0] != 0) {
        rc = host->write(host->ctx, content, strlen(content), err);
    }
    return rc == ORCH_OK ? host->end_item(host->ctx, err) : rc;
}

/* Waits until the other component is at its backup too; but not for ever. */
static int32_t meet(const struct scripted *s, struct orch_error *err)
{
    char mine[1200], other[1400];
    const struct timespec pause = {.tv_nsec = 5000000};
    (void)snprintf(mine, sizeof(mine), "%s/../meet-%s", s->path, s->component);
    (void)snprintf(other, sizeof(other), "%s/../meet-%s", s->path, s->wish + strlen("meet="));
    int fd = open(mine, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return orch_fail_errno(err, errno, "cannot make %s", mine);
    }
    (void)close(fd);
    for (int i = 0; i < 4000; i++) {
        if (access(other, F_OK) == 0) {
            return ORCH_OK;
        }
        (void)nanosleep(&pause, NULL);
    }
    return orch_fail(err, ORCH_E_FAILED, "%s did not come", s->wish + strlen("meet="));
}

/* A large object in pieces, and when each was handed over. */
static int32_t send_paced(const struct scripted *s, struct orch_error *err)
{
    enum { PIECE = 128 * 1024 };
    static char piece[PIECE];
    static const char name[] = "zz-paced";
    char path[1100];
    long pieces = strtol(s->wish + strlen("paced="), NULL, 10) * (1048576 / PIECE);
    struct orch_object object = {.struct_size = sizeof(object),
                                 .name = (const uint8_t *)name,
                                 .name_len = (uint32_t)strlen(name),
                                 .kind = 'f',
                                 .size_bytes = (uint64_t)pieces * PIECE};
    name_of(s, "paced", path, sizeof(path));
    FILE *file = fopen(path, "we");
    int32_t rc = s->host->object(s->host->ctx, &object, NULL, err);
    for (long i = 0; file != NULL && rc == ORCH_OK && i < pieces; i++) {
        struct timespec now;
        memset(piece, (int)(i & 0x7f), sizeof(piece));
        rc = s->host->write(s->host->ctx, piece, sizeof(piece), err);
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        (void)fprintf(file, "%lld %lld\n", (long long)now.tv_sec * 1000000000 + now.tv_nsec,
                      (long long)(i + 1) * PIECE);
    }
    if (file == NULL || fclose(file) != 0) {
        return orch_fail_errno(err, errno, "cannot write %s", path);
    }
    return rc == ORCH_OK ? s->host->end_item(s->host->ctx, err) : rc;
}

static int32_t scripted_backup(void *instance, struct orch_error *err)
{
    struct scripted *s = instance;
    char path[1100], line[LINE], *content = NULL;
    int32_t rc = begin(s, "backup", err);
    if (rc == ORCH_OK && strncmp(s->wish, "meet=", 5) == 0) {
        rc = meet(s, err);
    }
    name_of(s, "data", path, sizeof(path));
    FILE *file = rc == ORCH_OK && !wishes(s, "empty") ? fopen(path, "re") : NULL;
    while (rc == ORCH_OK && next_line(file, line, &content)) {
        rc = send(s, line, content, err);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    if (rc == ORCH_OK && strncmp(s->wish, "paced=", 6) == 0) {
        rc = send_paced(s, err);
    }
    if (rc == ORCH_OK) {
        rc = orch_fact_string(s->host, "script", "done", err);
    }
    write_log(s, "backup-end");
    return rc;
}

/* ---- restore ---- */

/* What the future holds for the file after "future=", into the log. */
static int32_t ask_future(struct scripted *s, struct orch_error *err)
{
    char text[200] = "", line[256];
    uint64_t len = 0;
    int32_t rc = s->host->future_file(s->host->ctx, s->wish + strlen("future="), text,
                                      sizeof(text) - 1, &len, err);
    if (rc != ORCH_OK && rc != ORCH_E_NOT_FOUND) {
        return rc;
    }
    (void)snprintf(line, sizeof(line), "future %s", rc == ORCH_OK ? text : "(none)");
    write_log(s, line);
    return ORCH_OK;
}

static int32_t judge(struct scripted *s, struct orch_error *err)
{
    uint32_t severity =
        wishes(s, "warn") || wishes(s, "audit") ? ORCH_VERDICT_WARN : ORCH_VERDICT_REFUSE;
    uint32_t flags = wishes(s, "overridable") ? ORCH_VERDICT_OVERRIDABLE
                     : wishes(s, "audit")     ? ORCH_VERDICT_AUDIT
                                              : 0;
    if (!wishes(s, "warn") && !wishes(s, "audit") && !wishes(s, "refuse") &&
        !wishes(s, "overridable")) {
        return ORCH_OK;
    }
    return orch_judge(s->host, severity, flags, "scripted", "data", err, "the script says %s",
                      s->wish);
}

static int32_t scripted_check(void *instance, const struct orch_restore *restore,
                              struct orch_error *err)
{
    struct scripted *s = instance;
    (void)restore;
    int32_t rc = begin(s, "check", err);
    if (rc == ORCH_OK && strncmp(s->wish, "future=", 7) == 0) {
        return ask_future(s, err);
    }
    return rc == ORCH_OK ? judge(s, err) : rc;
}

/* Writes every object as a line again. */
static int32_t fill(const struct scripted *s, FILE *file, struct orch_error *err)
{
    struct orch_event event = {.struct_size = sizeof(event)};
    for (;;) {
        int32_t rc = s->host->next(s->host->ctx, &event, err);
        if (rc != ORCH_OK || event.type == ORCH_EVENT_END) {
            return rc;
        }
        if (event.type == ORCH_EVENT_OBJECT) {
            (void)fprintf(file, "%.*s=", (int)event.object.name_len,
                          (const char *)event.object.name);
        } else if (event.type == ORCH_EVENT_DATA) {
            (void)fwrite(event.data, 1, (size_t)event.data_len, file);
        } else if (event.type == ORCH_EVENT_ITEM_END) {
            (void)fputc('\n', file);
        }
    }
}

static int32_t scripted_restore(void *instance, const struct orch_restore *restore,
                                struct orch_error *err)
{
    struct scripted *s = instance;
    const struct orch_host *host = s->host;
    char path[1100], fresh[1100], word[64];
    int32_t rc = begin(s, "restore", err);
    if (rc != ORCH_OK) {
        return rc;
    }
    (void)snprintf(word, sizeof(word), "attempt %u", restore->attempt);
    write_log(s, word);
    name_of(s, "data", path, sizeof(path));
    name_of(s, "data.new", fresh, sizeof(fresh));
    FILE *file = fopen(fresh, "we");
    if (file == NULL) {
        return orch_fail_errno(err, errno, "cannot make %s", fresh);
    }
    rc = fill(s, file, err);
    (void)fclose(file);
    if (rc == ORCH_OK) {
        rc = host->intent(host->ctx, "rename", path, NULL, err);
    }
    if (rc == ORCH_OK && rename(fresh, path) != 0) {
        rc = orch_fail_errno(err, errno, "cannot rename %s", fresh);
    }
    return rc == ORCH_OK ? host->done(host->ctx, "rename", path, err) : rc;
}

static int32_t scripted_verify(void *instance, const struct orch_restore *restore,
                               struct orch_error *err)
{
    struct scripted *s = instance;
    uint64_t items = 0, bytes = 0;
    int32_t rc = begin(s, "verify", err);
    if (rc == ORCH_OK) {
        rc = measure(s, &items, &bytes, err);
    }
    if (rc == ORCH_OK && (items != restore->items || bytes != restore->size_bytes)) {
        return orch_judge(s->host, ORCH_VERDICT_REFUSE, 0, "count", NULL, err, "counts differ");
    }
    return rc == ORCH_OK ? judge(s, err) : rc;
}

static int32_t scripted_quiesce(void *instance, struct orch_error *err)
{
    return begin(instance, "quiesce", err);
}

static int32_t scripted_resume(void *instance, struct orch_error *err)
{
    return begin(instance, "resume", err);
}

static int32_t scripted_settle(void *instance, const struct orch_restore *restore, uint32_t outcome,
                               struct orch_error *err)
{
    (void)restore;
    return begin(instance, outcome == ORCH_SETTLE_VERIFIED ? "settle-verified" : "settle-failed",
                 err);
}

/* ---- the descriptor ---- */

static const struct orch_option options[] = {
    {"path", ORCH_OPTION_PATH, ORCH_OPTION_REQUIRED | ORCH_OPTION_REPLACED, NULL,
     "The folder with data and script."},
};

ORCH_EXPORT const struct orch_plugin orch_plugin = {
    ORCH_PLUGIN_HEADER,
#ifdef SCRIPTED_EMPTY_OK
    .capabilities = ORCH_CAP_OBJECTS | ORCH_CAP_EMPTY_OK,
    .name = "scripted-empty",
#else
    .capabilities = ORCH_CAP_OBJECTS,
    .name = "scripted",
#endif
    .version = "1.0.0",
    .summary = "Does what a file tells it",
    .data_format = 1,
    .data_format_oldest = 1,
    .options = options,
    .option_count = 1,
    .open = scripted_open,
    .close = scripted_close,
    .probe = scripted_probe,
    .freeze = scripted_freeze,
    .thaw = scripted_thaw,
    .backup = scripted_backup,
    .check = scripted_check,
    .restore = scripted_restore,
    .verify = scripted_verify,
    .quiesce = scripted_quiesce,
    .resume = scripted_resume,
    .settle = scripted_settle,
};
