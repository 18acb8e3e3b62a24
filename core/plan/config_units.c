/* config_units.c: sizes, rates and durations, from text with units. See config.h. */
#include "plan/config.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit sizes[] = {
    {"B", 1},
    {"KB", 1000},
    {"MB", 1000000},
    {"GB", 1000000000},
    {"TB", INT64_C(1000000000000)},
    {"PB", INT64_C(1000000000000000)},
    {"KiB", INT64_C(1) << 10},
    {"MiB", INT64_C(1) << 20},
    {"GiB", INT64_C(1) << 30},
    {"TiB", INT64_C(1) << 40},
    {"PiB", INT64_C(1) << 50},
};

/* From large to small: a text goes down this list. */
static const struct unit durations[] = {
    {"w", INT64_C(7) * 24 * 3600 * 1000},
    {"d", INT64_C(24) * 3600 * 1000},
    {"h", 3600 * 1000},
    {"m", 60 * 1000},
    {"s", 1000},
    {"ms", 1},
};

#define FRACTION_MAX 9 /* digits after the point */

/* A decimal number with an optional fraction: value = whole + part / scale. */
struct decimal {
    int64_t whole;
    int64_t part;
    int64_t scale;
};

/* Takes digits from *text; false when there are none or too many. */
static bool take_decimal(const char **text, struct decimal *out)
{
    const char *p = *text;
    *out = (struct decimal){0, 0, 1};
    if (!isdigit((unsigned char)*p)) {
        return false;
    }
    for (; isdigit((unsigned char)*p); p++) {
        if (__builtin_mul_overflow(out->whole, 10, &out->whole) ||
            __builtin_add_overflow(out->whole, *p - '0', &out->whole)) {
            return false;
        }
    }
    if (*p == '.') {
        int digits = 0;
        for (p++; isdigit((unsigned char)*p); p++) {
            if (++digits > FRACTION_MAX) {
                return false;
            }
            out->part = out->part * 10 + (*p - '0');
            out->scale *= 10;
        }
        if (digits == 0) {
            return false;
        }
    }
    *text = p;
    return true;
}

/* number * factor; false when it is not whole or does not fit. */
static bool scale_decimal(const struct decimal *number, int64_t factor, int64_t *out)
{
    __int128 value = (__int128)number->whole * factor;
    __int128 part = (__int128)number->part * factor;
    if (part % number->scale != 0) {
        return false;
    }
    value += part / number->scale;
    if (value > INT64_MAX) {
        return false;
    }
    *out = (int64_t)value;
    return true;
}

int32_t config_parse_size(const char *text, int64_t *bytes, struct orch_error *err)
{
    const char *p = text;
    struct decimal number;
    if (!take_decimal(&p, &number)) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "\"%.40s\" is not a size; write a number and a unit, such as \"10GB\" or "
                         "\"512KiB\"",
                         text);
    }
    if (strcmp(text, "0") == 0) {
        *bytes = 0;
        return ORCH_OK;
    }
    while (*p == ' ') {
        p++;
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        if (strcasecmp(p, sizes[i].name) != 0) {
            continue;
        }
        int64_t value = 0;
        if (!scale_decimal(&number, sizes[i].factor, &value)) {
            return orch_fail(err, ORCH_E_CONFIG,
                             "the size \"%.40s\" is no whole number of bytes below 8 EiB", text);
        }
        *bytes = value;
        return ORCH_OK;
    }
    return orch_fail(err, ORCH_E_CONFIG,
                     "the size \"%.40s\" has %s unit; units are B, KB, MB, GB, TB, PB (powers of "
                     "1000) and KiB, MiB, GiB, TiB, PiB (powers of 1024)",
                     text, *p == 0 ? "no" : "an unknown");
}

int32_t config_parse_rate(const char *text, int64_t *bytes, struct orch_error *err)
{
    int64_t value = 0;
    char size[64];
    size_t len = strlen(text);
    bool per_second = len >= 2 && strcmp(text + len - 2, "/s") == 0;
    if (per_second) {
        len -= 2;
    }
    if (len >= sizeof(size)) {
        return orch_fail(err, ORCH_E_CONFIG, "\"%.40s…\" is not a rate", text);
    }
    memcpy(size, text, len);
    size[len] = 0;
    if (config_parse_size(size, &value, err) != ORCH_OK) {
        return orch_wrap(err, "\"%.40s\" is not a rate such as \"50MB/s\"", text);
    }
    if (value == 0) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "a rate of 0 would never end; leave it out to have no limit");
    }
    if (!per_second) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "\"%.40s\" is not a rate such as \"50MB/s\": \"/s\" is missing; write "
                         "\"%.40s/s\"",
                         text, text);
    }
    *bytes = value;
    return ORCH_OK;
}

/* The index of the unit that the letters at *text name, or the count of units. */
static size_t take_duration_unit(const char **text)
{
    size_t len = 0;
    size_t count = sizeof(durations) / sizeof(durations[0]);
    while (isalpha((unsigned char)(*text)[len])) {
        len++;
    }
    for (size_t i = 0; i < count; i++) {
        if (strlen(durations[i].name) == len && strncmp(*text, durations[i].name, len) == 0) {
            *text += len;
            return i;
        }
    }
    return count;
}

int32_t config_parse_duration(const char *text, int64_t *ms, struct orch_error *err)
{
    const char *p = text;
    int64_t total = 0;
    size_t next = 0; /* units before this one were used or passed over */
    if (strcmp(text, "0") == 0) {
        *ms = 0;
        return ORCH_OK;
    }
    do {
        struct decimal number;
        if (!take_decimal(&p, &number)) {
            return orch_fail(err, ORCH_E_CONFIG,
                             "\"%.40s\" is not a duration; write numbers with units, such as "
                             "\"30m\" or \"1h30m\"",
                             text);
        }
        size_t unit = take_duration_unit(&p);
        if (unit >= sizeof(durations) / sizeof(durations[0])) {
            return orch_fail(err, ORCH_E_CONFIG,
                             "the duration \"%.40s\" %s; units are w, d, h, m, s and ms", text,
                             isalpha((unsigned char)*p) ? "has an unknown unit"
                                                        : "has a number without unit");
        }
        if (unit < next) {
            return orch_fail(err, ORCH_E_CONFIG,
                             "the duration \"%.40s\" is out of order; units go from large to "
                             "small, each once",
                             text);
        }
        next = unit + 1;
        int64_t value = 0;
        if (!scale_decimal(&number, durations[unit].factor, &value) ||
            __builtin_add_overflow(total, value, &total)) {
            return orch_fail(err, ORCH_E_CONFIG,
                             "the duration \"%.40s\" is no whole number of milliseconds, or too "
                             "long",
                             text);
        }
    } while (*p != 0);
    *ms = total;
    return ORCH_OK;
}
