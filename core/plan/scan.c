/* scan.c: see scan.h. */
#include "plan/scan.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

enum token {
    TOKEN_NONE,
    TOKEN_NAME,
    TOKEN_ASSIGN,
    TOKEN_STRING,
    TOKEN_VALUE, /* any other value, also a whole group or list */
    TOKEN_OPEN,
    TOKEN_COMMA,
    TOKEN_SEMICOLON
};

/* A name that was given a value in one of the open groups. */
struct member {
    size_t start, len;
    int line;
};

/* An open bracket. `members` counts from the scanner's `member_count` at the time it was opened. */
struct level {
    char open;
    int line;
    size_t first_member;
};

struct scanner {
    const char *path;
    const char *data;
    size_t len;
    size_t at;
    int line;
    enum token last;
    size_t name_start, name_len; /* of the last name */
    int name_line;
    struct level levels[SCAN_DEPTH_MAX + 1]; /* level 0 is the file itself */
    int depth;
    struct member *members; /* a stack, as the levels are */
    size_t member_count, member_capacity;
    struct orch_error *err;
};

static bool utf8_tail(const unsigned char *p, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return false;
        }
    }
    return true;
}

/* The bytes of the character at `p`, or 0 when it is none. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        return left >= 2 && utf8_tail(p + 1, 1) ? 2 : 0;
    }
    if (p[0] >= 0xe0 && p[0] <= 0xef) {
        bool odd = left < 3 || (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f);
        return !odd && utf8_tail(p + 1, 2) ? 3 : 0;
    }
    if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        bool odd = left < 4 || (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f);
        return !odd && utf8_tail(p + 1, 3) ? 4 : 0;
    }
    return 0;
}

bool scan_utf8(const char *data, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t n = utf8_length((const unsigned char *)data + i, len - i);
        if (n == 0) {
            return false;
        }
        i += n;
    }
    return true;
}

/* The byte at `at + ahead`, or 0 past the end (NUL bytes were refused before). */
static char peek(const struct scanner *s, size_t ahead)
{
    return ahead < s->len - s->at ? s->data[s->at + ahead] : 0;
}

static bool is_name_byte(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '_' || c == '*';
}

static bool in_list(const struct scanner *s)
{
    return s->levels[s->depth].open == '(' || s->levels[s->depth].open == '[';
}

/* A value stands after = or :, or in a list after its bracket or a comma. Texts beside each other
 * become one. (libconfig leaks a text that it meets where none may be.) */
static int32_t before_value(const struct scanner *s, bool is_string)
{
    bool starts = s->last == TOKEN_OPEN || s->last == TOKEN_COMMA;
    if (s->last == TOKEN_ASSIGN || (is_string && s->last == TOKEN_STRING) ||
        (in_list(s) && starts)) {
        return ORCH_OK;
    }
    return orch_fail(s->err, ORCH_E_CONFIG,
                     in_list(s) ? "%s:%d: a comma is missing before this value"
                                : "%s:%d: a value without a name; write  name = …;",
                     s->path, s->line);
}

static int32_t scan_block_comment(struct scanner *s)
{
    int start = s->line;
    s->at += 2;
    while (s->at < s->len) {
        if (peek(s, 0) == '*' && peek(s, 1) == '/') {
            s->at += 2;
            return ORCH_OK;
        }
        s->line += s->data[s->at] == '\n';
        s->at++;
    }
    return orch_fail(s->err, ORCH_E_CONFIG, "%s:%d: this comment is not closed; end it with */",
                     s->path, start);
}

static int32_t scan_string(struct scanner *s)
{
    size_t start = s->at++;
    if (before_value(s, true) != ORCH_OK) {
        return ORCH_E_CONFIG;
    }
    for (;;) {
        char c = peek(s, 0);
        if (c == 0 || c == '\n') {
            return orch_fail(s->err, ORCH_E_CONFIG,
                             "%s:%d: the text that begins here is not closed; end it with \" on "
                             "the same line (\\n stands for a line break)",
                             s->path, s->line);
        }
        if (c == '"') {
            break;
        }
        if (c == '\\') {
            if ((peek(s, 1) == 'x' || peek(s, 1) == 'X') && peek(s, 2) == '0' &&
                peek(s, 3) == '0') {
                return orch_fail(s->err, ORCH_E_CONFIG,
                                 "%s:%d: \\x00 cannot stand in a text: it would end there", s->path,
                                 s->line);
            }
            s->at += peek(s, 1) != 0 && peek(s, 1) != '\n';
        }
        s->at++;
    }
    s->at++;
    if (s->at - start > SCAN_STRING_MAX) {
        return orch_fail(s->err, ORCH_E_CONFIG, "%s:%d: this text is longer than %zu KiB", s->path,
                         s->line, SCAN_STRING_MAX / 1024);
    }
    s->last = TOKEN_STRING;
    return ORCH_OK;
}

/* Judges an integer of `digits` (with sign or 0x, without suffix). */
static int32_t check_integer(struct scanner *s, const char *digits, bool is_hex, bool is_long)
{
    errno = 0;
    bool fits;
    if (is_hex) {
        unsigned long long value = strtoull(digits, NULL, 16);
        fits = errno == 0 && value <= (is_long ? (unsigned long long)INT64_MAX : INT32_MAX);
    } else {
        long long value = strtoll(digits, NULL, 10);
        fits = errno == 0 && (is_long || (value >= INT32_MIN && value <= INT32_MAX));
    }
    if (fits) {
        return ORCH_OK;
    }
    if (is_long) {
        return orch_fail(s->err, ORCH_E_CONFIG,
                         "%s:%d: the integer %s does not fit into 64 bits and would wrap", s->path,
                         s->line, digits);
    }
    return orch_fail(
        s->err, ORCH_E_CONFIG,
        "%s:%d: the integer %s does not fit into 32 bits and would wrap; write %sL for "
        "64 bits, or, for a size or duration, a text with its unit such as \"10GB\"",
        s->path, s->line, digits, digits);
}

/* An end of digits; `text` takes a copy for strtoll, as the data has no zero behind it. */
static int32_t take_integer(struct scanner *s, size_t len, bool is_hex)
{
    char text[64];
    if (len >= sizeof(text)) {
        return orch_fail(s->err, ORCH_E_CONFIG, "%s:%d: an integer of %zu digits would wrap",
                         s->path, s->line, len);
    }
    memcpy(text, s->data + s->at, len);
    text[len] = 0;
    s->at += len;
    bool is_long = peek(s, 0) == 'L';
    s->at += is_long;
    s->at += is_long && peek(s, 0) == 'L'; /* 5LL is the same */
    return check_integer(s, text, is_hex, is_long);
}

/* The length of a floating-point number at the scanner's place, or 0 when it is none. */
static size_t float_length(const struct scanner *s)
{
    size_t n = peek(s, 0) == '-' || peek(s, 0) == '+';
    size_t digits = 0;
    bool is_float = false;
    for (; isdigit((unsigned char)peek(s, n)); n++) {
        digits++;
    }
    if (peek(s, n) == '.') {
        is_float = true;
        for (n++; isdigit((unsigned char)peek(s, n)); n++) {
            digits++;
        }
    }
    if (peek(s, n) == 'e' || peek(s, n) == 'E') {
        size_t e = n + 1 + (peek(s, n + 1) == '-' || peek(s, n + 1) == '+');
        if (isdigit((unsigned char)peek(s, e))) {
            is_float = true;
            for (n = e; isdigit((unsigned char)peek(s, n)); n++) {
            }
        }
    }
    return is_float && digits > 0 ? n : 0;
}

static int32_t take_float(struct scanner *s, size_t len)
{
    char text[128];
    if (len >= sizeof(text)) {
        return orch_fail(s->err, ORCH_E_CONFIG, "%s:%d: a number of %zu digits is too long",
                         s->path, s->line, len);
    }
    memcpy(text, s->data + s->at, len);
    text[len] = 0;
    s->at += len;
    if (!isfinite(strtod(text, NULL))) {
        return orch_fail(s->err, ORCH_E_CONFIG, "%s:%d: the number %s is too large", s->path,
                         s->line, text);
    }
    return ORCH_OK;
}

static int32_t scan_number(struct scanner *s)
{
    size_t start = s->at;
    int32_t rc = before_value(s, false);
    size_t n = float_length(s);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (n > 0) {
        rc = take_float(s, n);
    } else if (peek(s, 0) == '0' && (peek(s, 1) == 'x' || peek(s, 1) == 'X') &&
               isxdigit((unsigned char)peek(s, 2))) {
        for (n = 2; isxdigit((unsigned char)peek(s, n)); n++) {
        }
        rc = take_integer(s, n, true);
    } else {
        n = peek(s, 0) == '-' || peek(s, 0) == '+';
        size_t sign = n;
        while (isdigit((unsigned char)peek(s, n))) {
            n++;
        }
        if (n == sign) {
            return orch_fail(s->err, ORCH_E_CONFIG, "%s:%d: '%c' has no meaning here", s->path,
                             s->line, peek(s, 0));
        }
        rc = take_integer(s, n, false);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    if (is_name_byte(peek(s, 0)) || peek(s, 0) == '.') {
        size_t end = s->at;
        while (end < s->len && (is_name_byte(s->data[end]) || s->data[end] == '.')) {
            end++;
        }
        int len = end - start > 40 ? 40 : (int)(end - start);
        return orch_fail(s->err, ORCH_E_CONFIG,
                         "%s:%d: %.*s is no number; a size or duration stands in quotes: \"%.*s\"",
                         s->path, s->line, len, s->data + start, len, s->data + start);
    }
    s->last = TOKEN_VALUE;
    return ORCH_OK;
}

static int32_t scan_name(struct scanner *s)
{
    size_t start = s->at;
    while (is_name_byte(peek(s, 0))) {
        s->at++;
    }
    size_t len = s->at - start;
    bool is_word = (len == 4 && strncasecmp(s->data + start, "true", 4) == 0) ||
                   (len == 5 && strncasecmp(s->data + start, "false", 5) == 0);
    if (is_word) {
        int32_t rc = before_value(s, false);
        s->last = TOKEN_VALUE;
        return rc;
    }
    if (s->last == TOKEN_ASSIGN || in_list(s)) {
        int shown = len > 40 ? 40 : (int)len;
        return orch_fail(s->err, ORCH_E_CONFIG, "%s:%d: text stands in quotes: \"%.*s\"", s->path,
                         s->line, shown, s->data + start);
    }
    s->last = TOKEN_NAME;
    s->name_start = start;
    s->name_len = len;
    s->name_line = s->line;
    return ORCH_OK;
}

/* The last name got a value: it must be the only one of that name in its group. */
static int32_t add_member(struct scanner *s)
{
    size_t first = s->levels[s->depth].first_member;
    for (size_t i = first; i < s->member_count; i++) {
        if (s->members[i].len == s->name_len &&
            memcmp(s->data + s->members[i].start, s->data + s->name_start, s->name_len) == 0) {
            return orch_fail(s->err, ORCH_E_CONFIG,
                             "%s:%d: %.*s is given twice: here and at line %d; keep one of them",
                             s->path, s->name_line, s->name_len > 80 ? 80 : (int)s->name_len,
                             s->data + s->name_start, s->members[i].line);
        }
    }
    if (s->member_count - first >= SCAN_MEMBERS_MAX) {
        return orch_fail(s->err, ORCH_E_CONFIG,
                         "%s:%d: more than %d names in one group; split it over several files",
                         s->path, s->name_line, SCAN_MEMBERS_MAX);
    }
    if (s->member_count == s->member_capacity) {
        size_t capacity = s->member_capacity == 0 ? 64 : s->member_capacity * 2;
        struct member *grown = realloc(s->members, capacity * sizeof(*grown));
        if (grown == NULL) {
            return orch_fail(s->err, ORCH_E_NOMEM, "no memory to read %s", s->path);
        }
        s->members = grown;
        s->member_capacity = capacity;
    }
    s->members[s->member_count++] = (struct member){s->name_start, s->name_len, s->name_line};
    return ORCH_OK;
}

static int32_t scan_open(struct scanner *s, char c)
{
    if (s->depth == SCAN_DEPTH_MAX) {
        return orch_fail(s->err, ORCH_E_CONFIG, "%s:%d: brackets are nested more than %d deep",
                         s->path, s->line, SCAN_DEPTH_MAX);
    }
    int32_t rc = before_value(s, false);
    if (rc == ORCH_OK && s->levels[s->depth].open == '[') {
        rc = orch_fail(s->err, ORCH_E_CONFIG,
                       "%s:%d: a list in [ ] holds plain values; use ( ) for what has '%c' in it",
                       s->path, s->line, c);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    s->levels[++s->depth] = (struct level){c, s->line, s->member_count};
    s->last = TOKEN_OPEN;
    return ORCH_OK;
}

static int32_t fail_no_value(const struct scanner *s)
{
    return orch_fail(s->err, ORCH_E_CONFIG, "%s:%d: %.*s has no value", s->path, s->name_line,
                     s->name_len > 80 ? 80 : (int)s->name_len, s->data + s->name_start);
}

static int32_t scan_close(struct scanner *s, char c)
{
    char opener = c == '}' ? '{' : c == ')' ? '(' : '[';
    struct level *level = &s->levels[s->depth];
    if (s->depth == 0) {
        return orch_fail(s->err, ORCH_E_CONFIG, "%s:%d: '%c' closes nothing that is open", s->path,
                         s->line, c);
    }
    if (level->open != opener) {
        return orch_fail(s->err, ORCH_E_CONFIG,
                         "%s:%d: '%c' does not close the '%c' that was opened at line %d", s->path,
                         s->line, c, level->open, level->line);
    }
    if (s->last == TOKEN_COMMA && c != '}') {
        return orch_fail(s->err, ORCH_E_CONFIG, "%s:%d: take away the comma before '%c'", s->path,
                         s->line, c);
    }
    if (s->last == TOKEN_ASSIGN) {
        return fail_no_value(s);
    }
    s->member_count = level->first_member;
    s->depth--;
    s->last = TOKEN_VALUE;
    return ORCH_OK;
}

static int32_t scan_assign(struct scanner *s, char c)
{
    if (s->last != TOKEN_NAME) {
        return orch_fail(s->err, ORCH_E_CONFIG, "%s:%d: there is no name before '%c'", s->path,
                         s->line, c);
    }
    s->at++;
    s->last = TOKEN_ASSIGN;
    return add_member(s);
}

static int32_t scan_separator(struct scanner *s, char c)
{
    if (s->last == TOKEN_ASSIGN) {
        return fail_no_value(s);
    }
    if (c == ';' && in_list(s)) {
        return orch_fail(s->err, ORCH_E_CONFIG,
                         "%s:%d: ';' in a list that was opened at line %d; its values are "
                         "separated by commas, and it is closed by '%c'",
                         s->path, s->line, s->levels[s->depth].line,
                         s->levels[s->depth].open == '(' ? ')' : ']');
    }
    if (s->last != TOKEN_VALUE && s->last != TOKEN_STRING) {
        return orch_fail(s->err, ORCH_E_CONFIG, "%s:%d: there is no value before '%c'", s->path,
                         s->line, c);
    }
    s->at++;
    s->last = c == ',' ? TOKEN_COMMA : TOKEN_SEMICOLON;
    return ORCH_OK;
}

static int32_t scan_punctuation(struct scanner *s, char c)
{
    switch (c) {
    case '{':
    case '(':
    case '[':
        s->at++;
        return scan_open(s, c);
    case '}':
    case ')':
    case ']':
        s->at++;
        return scan_close(s, c);
    case '=':
    case ':':
        return scan_assign(s, c);
    case ',':
    case ';':
        return scan_separator(s, c);
    case '@':
        return orch_fail(s->err, ORCH_E_CONFIG,
                         "%s:%d: @include is not supported: each file is read by itself, and all "
                         "*.conf of the folder are merged; put the other file there",
                         s->path, s->line);
    default:
        if ((unsigned char)c > 0x20 && (unsigned char)c < 0x7f) {
            return orch_fail(s->err, ORCH_E_CONFIG,
                             "%s:%d: '%c' has no meaning here; text stands in double quotes",
                             s->path, s->line, c);
        }
        return orch_fail(s->err, ORCH_E_CONFIG,
                         "%s:%d: the byte 0x%02x has no meaning here; text stands in double quotes",
                         s->path, s->line, (unsigned char)c);
    }
}

/* After a name there is nothing but its value. */
static int32_t fail_bare_name(const struct scanner *s)
{
    int len = s->name_len > 80 ? 80 : (int)s->name_len;
    return orch_fail(s->err, ORCH_E_CONFIG,
                     "%s:%d: %.*s has no value; write  %.*s = …;  or  %.*s: { … };", s->path,
                     s->name_line, len, s->data + s->name_start, len, s->data + s->name_start, len,
                     s->data + s->name_start);
}

static int32_t scan_token(struct scanner *s)
{
    char c = s->data[s->at];
    if (c == '\n') {
        s->line++;
        s->at++;
        return ORCH_OK;
    }
    if (c == ' ' || c == '\t' || c == '\r' || c == '\f') {
        s->at++;
        return ORCH_OK;
    }
    if (c == '#' || (c == '/' && peek(s, 1) == '/')) {
        while (s->at < s->len && s->data[s->at] != '\n') {
            s->at++;
        }
        return ORCH_OK;
    }
    if (c == '/' && peek(s, 1) == '*') {
        return scan_block_comment(s);
    }
    if (s->last == TOKEN_NAME && c != '=' && c != ':') {
        return fail_bare_name(s);
    }
    if (c == '"') {
        return scan_string(s);
    }
    if (isdigit((unsigned char)c) || c == '-' || c == '+' || c == '.') {
        return scan_number(s);
    }
    if (isalpha((unsigned char)c) || c == '*') {
        return scan_name(s);
    }
    return scan_punctuation(s, c);
}

/* What must hold for the bytes as a whole. */
static int32_t check_bytes(const char *path, const char *data, size_t len, struct orch_error *err)
{
    if (len > SCAN_FILE_MAX) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "%s:1: the file is larger than 1 MiB; is it a configuration file?", path);
    }
    int line = 1;
    for (size_t i = 0; i < len;) {
        size_t n = utf8_length((const unsigned char *)data + i, len - i);
        if (data[i] == 0) {
            return orch_fail(err, ORCH_E_CONFIG,
                             "%s:%d: the file holds a NUL byte; is it a text file?", path, line);
        }
        if (n == 0) {
            return orch_fail(err, ORCH_E_CONFIG,
                             "%s:%d: the byte 0x%02x is not UTF-8; save the file as UTF-8", path,
                             line, (unsigned char)data[i]);
        }
        line += data[i] == '\n';
        i += n;
    }
    return ORCH_OK;
}

int32_t scan_check(const char *path, const char *data, size_t len, struct orch_error *err)
{
    int32_t rc = check_bytes(path, data, len, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct scanner s = {
        .path = path, .data = data, .len = len, .line = 1, .last = TOKEN_NONE, .err = err};
    while (rc == ORCH_OK && s.at < s.len) {
        rc = scan_token(&s);
    }
    if (rc == ORCH_OK && s.last == TOKEN_NAME) {
        rc = fail_bare_name(&s);
    }
    if (rc == ORCH_OK && s.last == TOKEN_ASSIGN) {
        rc = fail_no_value(&s);
    }
    if (rc == ORCH_OK && s.depth > 0) {
        const struct level *level = &s.levels[s.depth];
        rc = orch_fail(err, ORCH_E_CONFIG, "%s:%d: the '%c' that is opened here is never closed",
                       path, level->line, level->open);
    }
    free(s.members);
    return rc;
}
