/* name.c: see name.h. */
#include "name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int is_dots(const uint8_t *element, size_t len)
{
    return (len == 1 && element[0] == '.') || (len == 2 && element[0] == '.' && element[1] == '.');
}

int32_t name_normalise(const char *path, char **out, struct orch_error *err)
{
    if (path[0] != '/') {
        return orch_fail(err, ORCH_E_CONFIG, "the path \"%s\" is not absolute", path);
    }
    size_t len = strlen(path);
    if (len >= NAME_LEN_MAX) {
        return orch_fail(err, ORCH_E_CONFIG, "a path of %zu bytes is too long", len);
    }
    char *clean = malloc(len + 2);
    if (clean == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a path");
    }
    size_t n = 0;
    for (const char *p = path; *p != 0;) {
        p += strspn(p, "/");
        size_t part = strcspn(p, "/");
        if (part == 0) {
            break;
        }
        if (is_dots((const uint8_t *)p, part)) {
            free(clean);
            return orch_fail(err, ORCH_E_CONFIG,
                             "the path \"%s\" has an element \".\" or \"..\": write it out", path);
        }
        clean[n++] = '/';
        memcpy(clean + n, p, part);
        n += part;
        p += part;
    }
    if (n == 0) {
        clean[n++] = '/';
    }
    clean[n] = 0;
    *out = clean;
    return ORCH_OK;
}

int name_is_valid(const uint8_t *name, size_t len)
{
    if (len == 0 || len > NAME_LEN_MAX || name[0] != '/' || memchr(name, 0, len) != NULL) {
        return 0;
    }
    if (len == 1) {
        return 1;
    }
    size_t at = 1;
    for (;;) {
        const uint8_t *slash = memchr(name + at, '/', len - at);
        size_t part = slash == NULL ? len - at : (size_t)(slash - (name + at));
        if (part == 0 || part > 255 || is_dots(name + at, part)) {
            return 0;
        }
        if (slash == NULL) {
            return 1;
        }
        at += part + 1;
        if (at == len) {
            return 0; /* a slash at the end */
        }
    }
}

int name_is_within(const uint8_t *name, size_t len, const char *root, size_t root_len)
{
    if (len < root_len || memcmp(name, root, root_len) != 0) {
        return 0;
    }
    return root_len == 1 || len == root_len || name[root_len] == '/';
}

int name_compare(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
    if (order != 0) {
        return order;
    }
    return a_len < b_len ? -1 : a_len > b_len;
}

/* The length of the UTF-8 sequence at `p`, or 0 when there is none. */
static size_t utf8_length(const uint8_t *p, size_t left)
{
    if (p[0] < 0x80) {
        return 1;
    }
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    int bad = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
              (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f);
    return bad ? 0 : len;
}

const char *name_shown(char out[NAME_SHOWN_MAX], const void *name, size_t len)
{
    const uint8_t *p = name;
    size_t n = 0;
    for (size_t i = 0; i < len;) {
        if (n + 8 > NAME_SHOWN_MAX) {
            memcpy(out + n, "...", 3);
            n += 3;
            break;
        }
        size_t part = utf8_length(p + i, len - i);
        if (part == 0 || p[i] < 0x20 || p[i] == 0x7f) {
            n += (size_t)snprintf(out + n, NAME_SHOWN_MAX - n, "\\x%02x", p[i]);
            i++;
        } else {
            memcpy(out + n, p + i, part);
            n += part;
            i += part;
        }
    }
    out[n] = 0;
    return out;
}

int name_add_json(struct bytes *out, const void *name, size_t len)
{
    const uint8_t *p = name;
    if (bytes_add_text(out, "\"") != 0) {
        return -1;
    }
    for (size_t i = 0; i < len;) {
        char text[16];
        size_t part = utf8_length(p + i, len - i);
        size_t n = 0;
        if (part == 0) {
            n = (size_t)snprintf(text, sizeof(text), "\\\\x%02x", p[i]);
        } else if (p[i] < 0x20 || p[i] == 0x7f) {
            n = (size_t)snprintf(text, sizeof(text), "\\u%04x", p[i]);
        } else if (p[i] == '"' || p[i] == '\\') {
            n = (size_t)snprintf(text, sizeof(text), "\\%c", p[i]);
        } else {
            n = part;
            memcpy(text, p + i, part);
        }
        if (bytes_add(out, text, n) != 0) {
            return -1;
        }
        i += part == 0 ? 1 : part;
    }
    return bytes_add_text(out, "\"");
}

static int is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

int32_t name_run(char out[NAME_RUN_LEN + 1], const char *run_id, struct orch_error *err)
{
    for (size_t i = 0; i < NAME_RUN_LEN; i++) {
        if (!is_hex(run_id[i])) {
            return orch_fail(err, ORCH_E_INVALID, "the run's id does not begin with %u hex digits",
                             NAME_RUN_LEN);
        }
        out[i] = run_id[i];
    }
    out[NAME_RUN_LEN] = 0;
    return ORCH_OK;
}

void name_temporary(char out[256], const char *base, const char *what, const char *run)
{
    if (base[0] == 0) {
        (void)snprintf(out, 256, ".orch-%s-%s", what, run);
        return;
    }
    if (strlen(base) <= 200) {
        (void)snprintf(out, 256, ".%.200s.orch-%s-%s", base, what, run);
        return;
    }
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a: it only has to tell siblings apart */
    for (const char *p = base; *p != 0; p++) {
        hash = (hash ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
    }
    (void)snprintf(out, 256, ".%.180s~%016llx.orch-%s-%s", base, (unsigned long long)hash, what,
                   run);
}

int name_is_temporary(const char *element, int bare)
{
    static const char *const words[] = {"new", "aside", "mark", "moved"};
    size_t len = strlen(element);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        char tail[32];
        size_t n = (size_t)snprintf(tail, sizeof(tail), ".orch-%s-", words[i]);
        if (element[0] != '.' || len < n + NAME_RUN_LEN) {
            continue;
        }
        size_t start = len - n - NAME_RUN_LEN;
        if ((bare && start != 0) || memcmp(element + start, tail, n) != 0) {
            continue;
        }
        size_t digits = 0;
        while (digits < NAME_RUN_LEN && is_hex(element[start + n + digits])) {
            digits++;
        }
        if (digits == NAME_RUN_LEN) {
            return 1;
        }
    }
    return 0;
}
