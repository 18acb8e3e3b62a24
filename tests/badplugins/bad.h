/*
 * bad.h: what every plugin here has in common, so that each file shows only what is bad about it.
 *
 * Two options: "how" chooses the variant, "path" names something that the test watches.
 */
#ifndef BAD_H
#define BAD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <orchestrate/plugin.h>
#include <orchestrate/support.h>

struct bad {
    const struct orch_host *host;
    char how[64];
    char path[256];
};

static inline int32_t bad_open(const struct orch_host *host, const struct orch_options *options,
                               void **instance, struct orch_error *err)
{
    struct bad *bad = calloc(1, sizeof(*bad));
    if (bad == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory");
    }
    bad->host = host;
    (void)snprintf(bad->how, sizeof(bad->how), "%s", orch_option_string(options, "how", ""));
    (void)snprintf(bad->path, sizeof(bad->path), "%s", orch_option_string(options, "path", ""));
    *instance = bad;
    return ORCH_OK;
}

static inline void bad_close(void *instance)
{
    free(instance);
}

static inline int32_t bad_probe(void *instance, struct orch_probe *probe, struct orch_error *err)
{
    (void)instance;
    (void)err;
    probe->items = 1;
    probe->size_bytes = 100;
    return ORCH_OK;
}

static inline int32_t bad_begin(const struct orch_host *host, const char *name,
                                struct orch_error *err)
{
    struct orch_object object = {.struct_size = sizeof(object),
                                 .name = (const uint8_t *)name,
                                 .name_len = (uint32_t)strlen(name),
                                 .kind = 'f',
                                 .size_bytes = ORCH_SIZE_UNKNOWN};
    return host->object(host->ctx, &object, NULL, err);
}

/* One whole object with this text. */
static inline int32_t bad_send(const struct orch_host *host, const char *name, const char *text,
                               struct orch_error *err)
{
    int32_t rc = bad_begin(host, name, err);
    if (rc == ORCH_OK) {
        rc = host->write(host->ctx, text, strlen(text), err);
    }
    return rc == ORCH_OK ? host->end_item(host->ctx, err) : rc;
}

static inline int32_t bad_backup(void *instance, struct orch_error *err)
{
    const struct bad *bad = instance;
    return bad_send(bad->host, "only", "content", err);
}

/* Takes everything and keeps nothing. */
static inline int32_t bad_restore(void *instance, const struct orch_restore *restore,
                                  struct orch_error *err)
{
    const struct bad *bad = instance;
    struct orch_event event = {.struct_size = sizeof(event)};
    (void)restore;
    do {
        int32_t rc = bad->host->next(bad->host->ctx, &event, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    } while (event.type != ORCH_EVENT_END);
    return ORCH_OK;
}

static inline int32_t bad_check(void *instance, const struct orch_restore *restore,
                                struct orch_error *err)
{
    (void)instance;
    (void)restore;
    (void)err;
    return ORCH_OK;
}

static const struct orch_option bad_options[] = {
    {"how", ORCH_OPTION_STRING, 0, NULL, "Which variant."},
    {"path", ORCH_OPTION_PATH, 0, NULL, "What the test watches."},
};

/* The fields that most of them share; .name and callbacks that differ are written beside it. */
#define BAD_COMMON                                                                                 \
    .version = "0", .summary = "a plugin that misbehaves, for tests",                              \
    .capabilities = ORCH_CAP_OBJECTS | ORCH_CAP_RECORDS, .data_format = 1,                         \
    .data_format_oldest = 1, .options = bad_options, .option_count = 2, .open = bad_open,          \
    .close = bad_close, .check = bad_check, .verify = bad_check

#endif
