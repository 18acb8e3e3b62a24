/* rules.c: breaks one rule of plugin.h, chosen by `how`, and overlooks that it was told so. */
#include "bad.h"

static int32_t record(const struct bad *bad, uint64_t announced, const char *value,
                      struct orch_error *err)
{
    struct orch_record r = {.struct_size = sizeof(r),
                            .key = (const uint8_t *)"k",
                            .key_len = 1,
                            .value_len = announced,
                            .expires_ms = ORCH_NO_EXPIRY};
    int32_t rc = bad->host->record(bad->host->ctx, &r, err);
    if (rc == ORCH_OK) {
        rc = bad->host->write(bad->host->ctx, value, strlen(value), err);
    }
    return rc == ORCH_OK ? bad->host->end_item(bad->host->ctx, err) : rc;
}

static void long_name(const struct bad *bad, struct orch_error *err)
{
    char *name = malloc(65537);
    if (name != NULL) {
        memset(name, 'n', 65536);
        name[65536] = 0;
        (void)bad_begin(bad->host, name, err);
        free(name);
    }
}

static int32_t backup(void *instance, struct orch_error *err)
{
    const struct bad *bad = instance;
    const struct orch_host *host = bad->host;
    struct orch_error told = ORCH_ERROR_INIT;
    void *space = NULL;
    uint64_t len = 0;
    (void)err;
    (void)bad_send(host, "b", "content", &told);
    if (strcmp(bad->how, "order") == 0) {
        (void)bad_send(host, "a", "content", &told);
    } else if (strcmp(bad->how, "twice") == 0) {
        (void)bad_send(host, "b", "content", &told);
    } else if (strcmp(bad->how, "long-name") == 0) {
        long_name(bad, &told);
    } else if (strcmp(bad->how, "no-name") == 0) {
        (void)bad_begin(host, "", &told);
    } else if (strcmp(bad->how, "outside") == 0) {
        (void)host->write(host->ctx, "x", 1, &told);
    } else if (strcmp(bad->how, "nested") == 0) {
        (void)bad_begin(host, "c", &told);
        (void)bad_begin(host, "d", &told);
    } else if (strcmp(bad->how, "record-long") == 0) {
        (void)record(bad, 3, "four", &told);
    } else if (strcmp(bad->how, "record-short") == 0) {
        (void)record(bad, 5, "four", &told);
    } else if (strcmp(bad->how, "commit") == 0) {
        (void)bad_begin(host, "c", &told);
        (void)host->reserve(host->ctx, 10, &space, &len, &told);
        (void)host->commit(host->ctx, len + 1, &told);
    } else if (strcmp(bad->how, "next") == 0) {
        struct orch_event event = {.struct_size = sizeof(event)};
        return host->next(host->ctx, &event, err);
    } else if (strcmp(bad->how, "earlier") == 0) {
        struct orch_object object = {.struct_size = sizeof(object)};
        const uint8_t *meta = NULL;
        uint32_t meta_len = 0;
        (void)host->earlier(host->ctx, &object, &meta, &meta_len, &told);
    } else if (strcmp(bad->how, "fact") == 0) {
        return host->fact(host->ctx, "broken", "{", err);
    } else if (strcmp(bad->how, "positive") == 0) {
        return 17; /* neither 0 nor an error code */
    } else if (strcmp(bad->how, "silent") == 0) {
        return ORCH_E_IO; /* without a word */
    }
    return ORCH_OK;
}

ORCH_EXPORT const struct orch_plugin orch_plugin = {ORCH_PLUGIN_HEADER, BAD_COMMON,
                                                    .name = "rules",    .probe = bad_probe,
                                                    .backup = backup,   .restore = bad_restore};
