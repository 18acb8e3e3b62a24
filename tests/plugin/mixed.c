/*
 * mixed.c: a plugin that behaves, and uses every service: objects of many sizes with holes and
 * tokens, records with keys and values of many sizes. Its restore makes the same items again and
 * compares them byte by byte with what it is given.
 *
 * Options: items (how many of each), epoch (changes the tokens of every third object), slow (waits
 * until it is cancelled), secret.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <orchestrate/plugin.h>
#include <orchestrate/support.h>

struct mixed {
    const struct orch_host *host;
    uint64_t items;
    int64_t epoch;
    int slow;
    int quiesced;
};

/* The content of item `i`, made anew whenever it is wanted. */
struct content {
    uint8_t *data;
    uint64_t len;
};

static uint64_t length_of(uint64_t i)
{
    static const uint64_t lengths[] = {0, 1, 13, 255, 4096, 5000, 70000, 17, 3, 1200};
    return i % 50 == 41 ? 3 * 1024 * 1024 + 7 : lengths[i % 10];
}

static int make_content(uint64_t i, struct content *content)
{
    uint64_t state = i * UINT64_C(0x9e3779b97f4a7c15) + 1;
    content->len = length_of(i);
    content->data = malloc(content->len + 1);
    for (uint64_t k = 0; content->data != NULL && k < content->len; k++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content->data[k] = (uint8_t)state;
    }
    return content->data == NULL ? -1 : 0;
}

static uint64_t hole_of(uint64_t i)
{
    return i % 7 == 3 ? 4096 * (i + 1) : 0;
}

/* Most keys are short; one in a hundred spans several blocks. */
static int make_key(uint64_t i, struct content *key)
{
    key->len = i % 100 == 33 ? 2 * 1024 * 1024 + 5 : 10;
    key->data = malloc(key->len + 1);
    if (key->data == NULL) {
        return -1;
    }
    memset(key->data, 'k', key->len);
    char number[16];
    (void)snprintf(number, sizeof(number), "%010llu", (unsigned long long)i);
    memcpy(key->data, number, 10);
    return 0;
}

static int32_t no_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory");
}

static int32_t mixed_open(const struct orch_host *host, const struct orch_options *options,
                          void **instance, struct orch_error *err)
{
    struct mixed *mixed = calloc(1, sizeof(*mixed));
    if (mixed == NULL) {
        return no_memory(err);
    }
    const struct orch_value *list = orch_option(options, "list");
    if (strcmp(orch_option_string(options, "secret", "hunter2"), "hunter2") != 0 ||
        (list != NULL && (list->count != 2 || strcmp(list->strings[1], "b\xff") != 0))) {
        free(mixed);
        return orch_fail(err, ORCH_E_CONFIG, "the options did not arrive as they were sent");
    }
    mixed->host = host;
    mixed->items = (uint64_t)orch_option_integer(options, "items", 200);
    mixed->epoch = orch_option_integer(options, "epoch", 0);
    mixed->slow = orch_option_integer(options, "slow", 0) != 0;
    *instance = mixed;
    return ORCH_OK;
}

static void mixed_close(void *instance)
{
    free(instance);
}

static int open_descriptors(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir != NULL && readdir(dir) != NULL) {
        count++;
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return count - 3; /* ".", ".." and the folder itself */
}

static int32_t mixed_probe(void *instance, struct orch_probe *probe, struct orch_error *err)
{
    const struct mixed *mixed = instance;
    probe->items = 2 * mixed->items;
    strcpy(probe->version, "mixed 1");
    strcpy(probe->identity, "id\xe9ntity"); /* not UTF-8 */
    int32_t rc = orch_fact_integer(mixed->host, "descriptors", open_descriptors(), err);
    if (rc == ORCH_OK) {
        rc = orch_fact_integer(mixed->host, "own_group", getpgrp() == getpid(), err);
    }
    if (rc == ORCH_OK) {
        rc = orch_fact_integer(mixed->host, "pid", getpid(), err);
    }
    if (rc == ORCH_OK) {
        const char *leak = getenv("AWS_SECRET_ACCESS_KEY");
        rc = orch_fact_string(mixed->host, "environment", leak == NULL ? "clean" : leak, err);
    }
    return rc == ORCH_OK ? orch_fact_string(mixed->host, "text", "gr\xc3\xbc\xc3\x9f \"dich\"", err)
                         : rc;
}

static int32_t mixed_freeze(void *instance, struct orch_freeze *freeze, struct orch_error *err)
{
    (void)instance;
    (void)err;
    freeze->consistency = ORCH_CONSISTENCY_SNAPSHOT;
    freeze->flags = ORCH_FREEZE_COSTLY;
    strcpy(freeze->cost, "a fork");
    return ORCH_OK;
}

static int32_t mixed_thaw(void *instance, struct orch_error *err)
{
    (void)err;
    const struct mixed *mixed = instance;
    orch_log(mixed->host, ORCH_LOG_INFO, "thawed");
    return ORCH_OK;
}

/* In turns by write() and by reserve() and commit(), with the hole in the middle. */
static int32_t send_object(const struct mixed *mixed, uint64_t i, struct orch_error *err)
{
    const struct orch_host *host = mixed->host;
    char name[32];
    (void)snprintf(name, sizeof(name), "object-%08llu", (unsigned long long)i);
    struct content content;
    if (make_content(i, &content) != 0) {
        return no_memory(err);
    }
    struct orch_object object = {
        .struct_size = sizeof(object),
        .flags = i % 4 == 1 ? 0 : ORCH_OBJECT_HAS_TOKEN,
        .name = (const uint8_t *)name,
        .name_len = (uint32_t)strlen(name),
        .kind = 'f',
        .meta = (const uint8_t *)&i,
        .meta_len = i % 2 == 0 ? 8 : 0,
        .profile = i % 3 == 0 ? ORCH_PROFILE_ROWS : ORCH_PROFILE_CONTENT,
        .row_bytes = 3072,
        .size_bytes = content.len + hole_of(i),
        .token = {content.len, (int64_t)i + (i % 3 == 0 ? mixed->epoch : 0), -5, i + 1},
    };
    const uint8_t *meta = NULL;
    uint32_t meta_len = 0;
    uint64_t number = 0;
    int32_t rc = host->earlier(host->ctx, &object, &meta, &meta_len, err);
    if (rc == ORCH_OK && meta != NULL) {
        memcpy(&number, meta, meta_len == sizeof(number) ? sizeof(number) : 0);
    }
    uint32_t unchanged = 0;
    rc = rc == ORCH_OK ? host->object(host->ctx, &object, &unchanged, err) : rc;
    int had = unchanged != 0 && object.meta_len > 0;
    if (rc == ORCH_OK && (had != (meta != NULL) || number != (had ? i : 0))) {
        rc = orch_fail(err, ORCH_E_FAILED, "earlier() said another thing than object()");
    }
    uint64_t pos = 0;
    while (rc == ORCH_OK && unchanged == 0 && pos < content.len) {
        void *space = NULL;
        uint64_t len = 0;
        rc = host->reserve(host->ctx, i % 2 == 0 ? content.len - pos : 0, &space, &len, err);
        if (rc == ORCH_OK) {
            len = len < content.len - pos ? len : content.len - pos;
            memcpy(space, content.data + pos, len);
            rc = host->commit(host->ctx, len, err);
            pos += len;
        }
    }
    if (rc == ORCH_OK && unchanged == 0 && hole_of(i) > 0) {
        rc = host->hole(host->ctx, hole_of(i), err);
    }
    if (rc == ORCH_OK && unchanged == 0) {
        rc = host->end_item(host->ctx, err);
    }
    free(content.data);
    return rc;
}

static int32_t send_record(const struct mixed *mixed, uint64_t i, struct orch_error *err)
{
    struct content key;
    struct content value;
    if (make_key(i, &key) != 0 || make_content(i + 5, &value) != 0) {
        return no_memory(err);
    }
    struct orch_record record = {
        .struct_size = sizeof(record),
        .type = (uint32_t)(i % 5),
        .space = (uint32_t)(i % 3),
        .key = key.data,
        .key_len = (uint32_t)key.len,
        .value_len = value.len,
        .expires_ms = i % 2 == 0 ? ORCH_NO_EXPIRY : (int64_t)(1700000000000 + i),
        .extra = (const uint8_t *)"extra",
        .extra_len = i % 4 == 0 ? 5 : 0,
    };
    int32_t rc = orch_send_record(mixed->host, &record, value.data, err);
    free(key.data);
    free(value.data);
    return rc;
}

static int32_t wait_for_cancel(const struct mixed *mixed, struct orch_error *err)
{
    while (mixed->host->cancelled(mixed->host->ctx) == 0) {
        (void)usleep(1000);
    }
    return orch_fail(err, ORCH_E_CANCELLED, "stopped as I was told");
}

static int32_t mixed_backup(void *instance, struct orch_error *err)
{
    const struct mixed *mixed = instance;
    int32_t rc = ORCH_OK;
    for (uint64_t i = 0; rc == ORCH_OK && i < mixed->items; i++) {
        rc = send_object(mixed, i, err);
        if (rc == ORCH_OK) {
            rc = send_record(mixed, i, err);
        }
    }
    if (rc == ORCH_OK && mixed->slow) {
        rc = wait_for_cancel(mixed, err);
    }
    return rc == ORCH_OK ? orch_fact_integer(mixed->host, "sent", (int64_t)mixed->items, err) : rc;
}

static int32_t mixed_check(void *instance, const struct orch_restore *restore,
                           struct orch_error *err)
{
    const struct mixed *mixed = instance;
    char file[64] = "";
    uint64_t len = 0;
    int32_t rc = mixed->host->future_file(mixed->host->ctx, "/etc/app.conf", file, sizeof(file) - 1,
                                          &len, err);
    if (rc == ORCH_E_NOT_FOUND) {
        return orch_judge(mixed->host, ORCH_VERDICT_WARN, 0, "no-file", NULL, err, "not brought");
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    file[len < sizeof(file) ? len : sizeof(file) - 1] = 0;
    rc = orch_judge(mixed->host, ORCH_VERDICT_GO, ORCH_VERDICT_AUDIT, "file", "/etc/app.conf", err,
                    "it will say %s", file);
    if (rc == ORCH_OK && strstr(restore->facts_json, "\"sent\"") == NULL) {
        rc = orch_judge(mixed->host, ORCH_VERDICT_REFUSE, ORCH_VERDICT_OVERRIDABLE, "facts", NULL,
                        err, "no facts: %s", restore->facts_json);
    }
    return rc;
}

/* The DATA and HOLE events of one item must be this content, and then this hole. */
static int32_t expect_content(const struct mixed *mixed, const struct content *content,
                              uint64_t hole, struct orch_error *err)
{
    uint64_t pos = 0;
    uint64_t zeros = 0;
    for (;;) {
        struct orch_event event = {.struct_size = sizeof(event)};
        int32_t rc = mixed->host->next(mixed->host->ctx, &event, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        if (event.type == ORCH_EVENT_DATA && event.data_len <= content->len - pos &&
            memcmp(content->data + pos, event.data, event.data_len) == 0) {
            pos += event.data_len;
        } else if (event.type == ORCH_EVENT_HOLE) {
            zeros += event.data_len;
        } else if (event.type == ORCH_EVENT_ITEM_END && pos == content->len && zeros == hole) {
            return ORCH_OK;
        } else {
            return orch_fail(err, ORCH_E_CORRUPT, "content differs at byte %llu",
                             (unsigned long long)pos);
        }
    }
}

static int32_t expect_object(const struct mixed *mixed, uint64_t i, struct orch_error *err)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "object-%08llu", (unsigned long long)i);
    struct orch_event event = {.struct_size = sizeof(event)};
    int32_t rc = mixed->host->next(mixed->host->ctx, &event, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    const struct orch_object *o = &event.object;
    if (event.type != ORCH_EVENT_OBJECT || o->name_len != strlen(name) ||
        memcmp(o->name, name, o->name_len) != 0 || o->meta_len != (i % 2 == 0 ? 8u : 0u) ||
        (o->meta_len > 0 && memcmp(o->meta, &i, 8) != 0) || o->token.inode != i + 1 ||
        o->token.ctime_ns != -5 || o->size_bytes != length_of(i) + hole_of(i)) {
        return orch_fail(err, ORCH_E_CORRUPT, "object %s is not what was sent", name);
    }
    struct content content;
    if (make_content(i, &content) != 0) {
        return no_memory(err);
    }
    rc = expect_content(mixed, &content, hole_of(i), err);
    free(content.data);
    return rc == ORCH_OK ? ORCH_OK : orch_wrap(err, "%s", name);
}

static int32_t expect_record(const struct mixed *mixed, uint64_t i, struct orch_error *err)
{
    struct content key;
    struct content value;
    struct orch_event event = {.struct_size = sizeof(event)};
    if (make_key(i, &key) != 0 || make_content(i + 5, &value) != 0) {
        return no_memory(err);
    }
    int32_t rc = mixed->host->next(mixed->host->ctx, &event, err);
    const struct orch_record *r = &event.record;
    if (rc == ORCH_OK &&
        (event.type != ORCH_EVENT_RECORD || r->key_len != key.len ||
         memcmp(r->key, key.data, key.len) != 0 || r->value_len != value.len || r->type != i % 5 ||
         r->space != i % 3 || r->extra_len != (i % 4 == 0 ? 5u : 0u) ||
         r->expires_ms != (i % 2 == 0 ? ORCH_NO_EXPIRY : (int64_t)(1700000000000 + i)))) {
        rc = orch_fail(err, ORCH_E_CORRUPT, "record %llu is not what was sent",
                       (unsigned long long)i);
    }
    if (rc == ORCH_OK) {
        rc = expect_content(mixed, &value, 0, err);
    }
    free(key.data);
    free(value.data);
    return rc;
}

static int32_t mixed_restore(void *instance, const struct orch_restore *restore,
                             struct orch_error *err)
{
    const struct mixed *mixed = instance;
    const struct orch_host *host = mixed->host;
    if (mixed->slow) {
        return wait_for_cancel(mixed, err);
    }
    int32_t rc = host->intent(host->ctx, "swap", "/live", "/aside\xff", err);
    for (uint64_t i = 0; rc == ORCH_OK && i < mixed->items; i++) {
        rc = expect_object(mixed, i, err);
        if (rc == ORCH_OK) {
            rc = expect_record(mixed, i, err);
        }
    }
    struct orch_event event = {.struct_size = sizeof(event)};
    if (rc == ORCH_OK) {
        rc = host->next(host->ctx, &event, err);
    }
    if (rc == ORCH_OK && event.type != ORCH_EVENT_END) {
        rc = orch_fail(err, ORCH_E_CORRUPT, "more came than was sent");
    }
    if (rc == ORCH_OK && (restore->attempt != 2 || strcmp(restore->run_id, "abc123") != 0)) {
        rc = orch_fail(err, ORCH_E_CORRUPT, "the arguments of the restore are not right");
    }
    return rc == ORCH_OK ? host->done(host->ctx, "swap", "/live", err) : rc;
}

static int32_t mixed_verify(void *instance, const struct orch_restore *restore,
                            struct orch_error *err)
{
    const struct mixed *mixed = instance;
    for (int i = 0; mixed->slow && i < 500; i++) { /* five seconds' work */
        if (mixed->host->cancelled(mixed->host->ctx)) {
            return orch_fail(err, ORCH_E_CANCELLED, "stopped as I was told");
        }
        (void)usleep(10000);
    }
    return orch_judge(mixed->host, ORCH_VERDICT_GO, 0, "count", NULL, err, "%llu items",
                      (unsigned long long)restore->items);
}

static int32_t mixed_quiesce(void *instance, struct orch_error *err)
{
    struct mixed *mixed = instance;
    (void)err;
    mixed->quiesced = 1;
    return ORCH_OK;
}

static int32_t mixed_resume(void *instance, struct orch_error *err)
{
    struct mixed *mixed = instance;
    if (mixed->quiesced == 0) {
        return orch_fail(err, ORCH_E_FAILED, "resume without quiesce");
    }
    mixed->quiesced = 0;
    return ORCH_OK;
}

static int32_t mixed_settle(void *instance, const struct orch_restore *restore, uint32_t outcome,
                            struct orch_error *err)
{
    (void)instance;
    (void)restore;
    return outcome == ORCH_SETTLE_VERIFIED ? ORCH_OK
                                           : orch_fail(err, ORCH_E_BUSY, "outcome %u", outcome);
}

static const struct orch_option options[] = {
    {"items", ORCH_OPTION_INTEGER, 0, "200", "How many objects and how many records."},
    {"epoch", ORCH_OPTION_INTEGER, 0, "0", "Changes tokens."},
    {"slow", ORCH_OPTION_BOOLEAN, 0, "false", "Waits until it is cancelled; verify, five seconds."},
    {"secret", ORCH_OPTION_STRING, ORCH_OPTION_SECRET, NULL, "Must be hunter2."},
    {"list", ORCH_OPTION_STRING_LIST, 0, NULL, "Two texts, the second \"b\\xff\"."},
};

ORCH_EXPORT const struct orch_plugin orch_plugin = {
    ORCH_PLUGIN_HEADER,
    .capabilities = ORCH_CAP_OBJECTS | ORCH_CAP_RECORDS | ORCH_CAP_TOKENS,
    .name = "mixed",
    .version = "1.2.3",
    .summary = "Objects and records, for tests",
    .data_format = 3,
    .data_format_oldest = 2,
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .open = mixed_open,
    .close = mixed_close,
    .probe = mixed_probe,
    .freeze = mixed_freeze,
    .thaw = mixed_thaw,
    .backup = mixed_backup,
    .check = mixed_check,
    .restore = mixed_restore,
    .verify = mixed_verify,
    .quiesce = mixed_quiesce,
    .resume = mixed_resume,
    .settle = mixed_settle,
};
