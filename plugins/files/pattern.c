/* pattern.c: see pattern.h. */
#include "pattern.h"

#include <stdlib.h>
#include <string.h>

struct pattern {
    char *text;     /* as configured */
    const char *at; /* without the anchoring slash */
    size_t len;     /* without the slash at the end */
    int anchored;
    int folders_only;
};

struct patterns {
    struct pattern *items;
    size_t count;
};

/* Matches one byte against the class at pattern[*at] (a '['); moves *at behind it. An unclosed
 * class is a plain '['. */
static int match_class(const char *pattern, size_t len, size_t *at, uint8_t byte)
{
    size_t i = *at + 1;
    int negated = i < len && (pattern[i] == '!' || pattern[i] == '^');
    i += (size_t)negated;
    size_t first = i;
    int hit = 0;
    for (; i < len && (pattern[i] != ']' || i == first); i++) {
        uint8_t low = (uint8_t)pattern[i];
        uint8_t high = low;
        if (i + 2 < len && pattern[i + 1] == '-' && pattern[i + 2] != ']') {
            high = (uint8_t)pattern[i + 2];
            i += 2;
        }
        hit |= byte >= low && byte <= high;
    }
    if (i >= len) {
        *at += 1;
        return byte == '[';
    }
    *at = i + 1;
    return byte != '/' && hit != negated;
}

/* Matches the one byte that pattern[*at] stands for; moves *at behind it when it matches. */
static int match_one(const char *pattern, size_t len, size_t *at, uint8_t byte)
{
    size_t next = *at + 1;
    int hit = 0;
    if (pattern[*at] == '?') {
        hit = byte != '/';
    } else if (pattern[*at] == '[') {
        next = *at;
        hit = match_class(pattern, len, &next, byte);
    } else if (pattern[*at] == '\\' && next < len) {
        hit = (uint8_t)pattern[next] == byte;
        next++;
    } else {
        hit = (uint8_t)pattern[*at] == byte;
    }
    if (hit) {
        *at = next;
    }
    return hit;
}

/* Where to go back to: `pattern` behind the star, `text` where it was tried last. */
struct retry {
    size_t pattern;
    size_t text;
    int set;
    int whole; /* "**" followed by '/': only at the start of an element */
};

/*
 * The usual walk with one step back. Only the last '*' and the last '**' need remembering: whatever
 * an earlier star could take instead, the later one can take as well, and a '*' ends at a slash.
 */
static int match(const char *pattern, size_t len, const uint8_t *text, size_t text_len)
{
    struct retry star = {0};
    struct retry both = {0};
    size_t p = 0;
    size_t t = 0;
    for (;;) {
        if (p + 1 < len && pattern[p] == '*' && pattern[p + 1] == '*') {
            while (p < len && pattern[p] == '*') {
                p++;
            }
            int whole = p < len && pattern[p] == '/';
            p += (size_t)whole;
            both = (struct retry){.pattern = p, .text = t, .set = 1, .whole = whole};
            star.set = 0;
        } else if (p < len && pattern[p] == '*') {
            p++;
            star = (struct retry){.pattern = p, .text = t, .set = 1};
        } else if (t == text_len && p == len) {
            return 1;
        } else if (t < text_len && p < len && match_one(pattern, len, &p, text[t])) {
            t++;
        } else if (star.set && star.text < text_len && text[star.text] != '/') {
            t = ++star.text;
            p = star.pattern;
        } else if (both.set && both.text < text_len) {
            do {
                both.text++;
            } while (both.whole && both.text < text_len && text[both.text - 1] != '/');
            if (both.whole && text[both.text - 1] != '/') {
                return 0;
            }
            t = both.text;
            p = both.pattern;
            star.set = 0;
        } else {
            return 0;
        }
    }
}

int32_t patterns_new(const char *const *strings, uint64_t count, struct patterns **out,
                     struct orch_error *err)
{
    struct patterns *patterns = calloc(1, sizeof(*patterns));
    if (patterns == NULL || count > 100000 ||
        (patterns->items = calloc((size_t)count + 1, sizeof(*patterns->items))) == NULL) {
        free(patterns);
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the exclude patterns");
    }
    for (uint64_t i = 0; i < count; i++) {
        struct pattern *item = &patterns->items[i];
        item->text = strdup(strings[i]);
        if (item->text == NULL) {
            patterns_free(patterns);
            return orch_fail(err, ORCH_E_NOMEM, "no memory for the exclude patterns");
        }
        patterns->count++;
        item->anchored = item->text[0] == '/';
        item->at = item->text + item->anchored;
        item->len = strlen(item->at);
        if (item->len > 0 && item->at[item->len - 1] == '/') {
            item->folders_only = 1;
            item->len--;
        }
        if (item->len == 0) {
            int32_t rc =
                orch_fail(err, ORCH_E_CONFIG, "the exclude pattern \"%s\" is empty", strings[i]);
            patterns_free(patterns);
            return rc;
        }
    }
    *out = patterns;
    return ORCH_OK;
}

void patterns_free(struct patterns *patterns)
{
    if (patterns == NULL) {
        return;
    }
    for (size_t i = 0; i < patterns->count; i++) {
        free(patterns->items[i].text);
    }
    free(patterns->items);
    free(patterns);
}

size_t patterns_count(const struct patterns *patterns)
{
    return patterns == NULL ? 0 : patterns->count;
}

const char *patterns_text(const struct patterns *patterns, size_t index)
{
    return patterns->items[index].text;
}

static int pattern_match(const struct pattern *item, const uint8_t *path, size_t len)
{
    if (match(item->at, item->len, path, len)) {
        return 1;
    }
    for (size_t i = 0; !item->anchored && i < len; i++) {
        if (path[i] == '/' && match(item->at, item->len, path + i + 1, len - i - 1)) {
            return 1;
        }
    }
    return 0;
}

int patterns_match(const struct patterns *patterns, const uint8_t *path, size_t len, int is_folder)
{
    for (size_t i = 0; i < patterns_count(patterns); i++) {
        const struct pattern *item = &patterns->items[i];
        if ((is_folder || !item->folders_only) && pattern_match(item, path, len)) {
            return 1;
        }
    }
    return 0;
}
