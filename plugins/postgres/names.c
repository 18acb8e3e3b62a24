/* names.c: see names.h. */
#include "names.h"

#include <stdio.h>
#include <string.h>

#define RUN_CHARS 8
/* "_orch_aside_", "_orch_spent_": the longest. */
#define SUFFIX_CHARS (12 + RUN_CHARS)
#define HASH_CHARS 9 /* "_" and 8 hexadecimal digits */

static uint32_t hash(const char *text)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (const char *p = text; *p != 0; p++) {
        h = (h ^ (uint8_t)*p) * 16777619u;
    }
    return h;
}

/* The longest start of `text` of at most `max` bytes that cuts no UTF-8 character. */
static size_t prefix_len(const char *text, size_t max)
{
    size_t len = strlen(text);
    if (len <= max) {
        return len;
    }
    len = max;
    while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80) {
        len--;
    }
    return len;
}

int32_t names_make(const char *database, const char *run_id, struct names *out,
                   struct orch_error *err)
{
    size_t run_len = run_id == NULL ? 0 : strlen(run_id);
    if (run_len < RUN_CHARS || strspn(run_id, "0123456789abcdefABCDEF") < run_len) {
        return orch_fail(err, ORCH_E_INVALID, "the run's id is not %d or more hexadecimal digits",
                         RUN_CHARS);
    }
    char stem[NAMES_MAX];
    size_t max = NAMES_MAX - 1 - SUFFIX_CHARS;
    if (strlen(database) <= max) {
        (void)snprintf(stem, sizeof(stem), "%s", database);
    } else {
        /* Two long names that begin alike must not meet in one run. */
        size_t len = prefix_len(database, max - HASH_CHARS);
        (void)snprintf(stem, sizeof(stem), "%.*s_%08x", (int)len, database, hash(database));
    }
    (void)snprintf(out->live, sizeof(out->live), "%s", database);
    (void)snprintf(out->fresh, sizeof(out->fresh), "%.43s_orch_new_%.8s", stem, run_id);
    (void)snprintf(out->aside, sizeof(out->aside), "%.43s_orch_aside_%.8s", stem, run_id);
    (void)snprintf(out->spent, sizeof(out->spent), "%.43s_orch_spent_%.8s", stem, run_id);
    return ORCH_OK;
}
