/* load_sequences.c: the values of all sequences. See loader.h. */
#include "loader.h"

#include <stdio.h>

#include "cleanup.h"

#define LIST_BYTES_MAX (64u << 20)

int32_t load_sequences_begin(struct loader *loader, struct orch_error *err)
{
    (void)err;
    loader->sequences.len = 0;
    return ORCH_OK;
}

int32_t load_sequences_data(struct loader *loader, const void *data, size_t len,
                            struct orch_error *err)
{
    if (len > LIST_BYTES_MAX - loader->sequences.len) {
        return orch_fail(err, ORCH_E_CORRUPT, "the list of sequences is too long");
    }
    text_bytes(&loader->sequences, data, len);
    return text_check(&loader->sequences, err);
}

static int32_t set_value(struct loader *loader, const json_t *entry, struct orch_error *err)
{
    const char *schema = json_string_value(json_array_get(entry, 0));
    const char *name = json_string_value(json_array_get(entry, 1));
    const json_t *last = json_array_get(entry, 2);
    const json_t *called = json_array_get(entry, 3);
    if (schema == NULL || name == NULL || !json_is_integer(last) || !json_is_boolean(called)) {
        return orch_fail(err, ORCH_E_CORRUPT, "the list of sequences has an entry that is not one");
    }
    struct text CLEANUP_TEXT qualified = TEXT_INIT;
    char value[32];
    text_qualified(&qualified, schema, name);
    (void)snprintf(value, sizeof(value), "%lld", (long long)json_integer_value(last));
    int32_t rc = text_check(&qualified, err);
    if (rc == ORCH_OK) {
        const char *params[] = {qualified.data, value, json_is_true(called) ? "true" : "false"};
        PGresult *ignored = NULL;
        rc = link_query(loader->link, "SELECT setval($1::regclass, $2::int8, $3::bool)", 3, params,
                        &ignored, err);
        PQclear(ignored);
    }
    return rc == ORCH_OK ? rc : orch_wrap(err, "cannot set sequence %s.%s", schema, name);
}

int32_t load_sequences_end(struct loader *loader, struct orch_error *err)
{
    json_error_t problem;
    CLEANUP_JSON json_t *list =
        loader->sequences.len == 0
            ? NULL
            : json_loadb(loader->sequences.data, loader->sequences.len, 0, &problem);
    if (!json_is_array(list)) {
        return orch_fail(err, ORCH_E_CORRUPT, "the list of sequences is not a JSON array");
    }
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < json_array_size(list); i++) {
        rc = set_value(loader, json_array_get(list, i), err);
    }
    return rc;
}
