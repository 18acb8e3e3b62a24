/* render.c: see render.h. */
#include "cli/render.h"

#include <stdio.h>

#include "base/text.h"

const char *render_size(uint64_t bytes, char text[RENDER_TEXT])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.5 && unit < 6) {
        value /= 1000;
        unit++;
    }
    (void)snprintf(text, RENDER_TEXT, unit == 0 || value >= 99.95 ? "%.0f %s" : "%.1f %s", value,
                   units[unit]);
    return text;
}

const char *render_count(uint64_t count, char text[RENDER_TEXT])
{
    char plain[24];
    int len = snprintf(plain, sizeof(plain), "%llu", (unsigned long long)count);
    int at = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) {
            text[at++] = ',';
        }
        text[at++] = plain[i];
    }
    text[at] = 0;
    return text;
}

const char *render_duration(int64_t ms, char text[RENDER_TEXT])
{
    long long s = (long long)(ms / 1000);
    if (ms < 1000) {
        (void)snprintf(text, RENDER_TEXT, "%lld ms", (long long)ms);
    } else if (s < 60) {
        (void)snprintf(text, RENDER_TEXT, "%lld.%lld s", s, (long long)(ms / 100 % 10));
    } else if (s < 3600) {
        (void)snprintf(text, RENDER_TEXT, "%lld min %lld s", s / 60, s % 60);
    } else {
        (void)snprintf(text, RENDER_TEXT, "%lld h %lld min", s / 3600, s % 3600 / 60);
    }
    return text;
}

const char *render_age(int64_t then_ns, int64_t now_ns, char text[RENDER_TEXT])
{
    static const struct {
        long long seconds;
        const char *word;
    } units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
    long long s = (long long)((now_ns - then_ns) / 1000000000);
    for (size_t i = 0; i < 4; i++) {
        long long n = s / units[i].seconds;
        if (n > 0 && (n > 1 || i == 3)) {
            (void)snprintf(text, RENDER_TEXT, "%lld %s%s ago", n, units[i].word, n == 1 ? "" : "s");
            return text;
        }
    }
    (void)snprintf(text, RENDER_TEXT, "just now");
    return text;
}

const char *render_bytes(const void *bytes, size_t len, char *text, size_t size)
{
    const uint8_t *p = bytes;
    size_t out = 0;
    for (size_t i = 0; i < len && out + 8 < size;) {
        size_t n = text_printable(p + i, len - i);
        if (n == 0 || p[i] == '\\') {
            out += (size_t)snprintf(text + out, size - out, "\\x%02x", p[i]);
            i++;
            continue;
        }
        for (size_t k = 0; k < n; k++) {
            text[out++] = (char)p[i + k];
        }
        i += n;
    }
    text[out] = 0;
    return text;
}
