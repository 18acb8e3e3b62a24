/* document.c: see document.h. */
#include "plan/document.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "plan/config.h"
#include "plan/scan.h"
#include "plan/suggest.h"

/* ---- reading ------------------------------------------------------------------------------ */

/* Non-blocking, so that a fifo in the folder cannot make us wait. */
static int32_t read_regular(const char *path, struct buffer *out, struct orch_error *err)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        return orch_fail(err, ORCH_E_CONFIG, "%s: cannot be read: %s", path, strerror(errno));
    }
    if (!S_ISREG(st.st_mode)) {
        return orch_fail(err, ORCH_E_CONFIG, "%s: is not a regular file", path);
    }
    for (;;) {
        uint8_t *space = buffer_reserve(out, 65536);
        if (space == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory to read %s", path);
        }
        ssize_t n = read(fd, space, 65536);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return orch_fail(err, ORCH_E_CONFIG, "%s: cannot be read: %s", path, strerror(errno));
        }
        out->len += (size_t)n;
        /* scan_check() says that it is too large; there is no need to read on. */
        if (n == 0 || out->len > SCAN_FILE_MAX) {
            return ORCH_OK;
        }
    }
}

/* libconfig's parser wants a zero at the end, and a line break after a comment on the last line. */
static int32_t parse(struct document *document, struct orch_error *err)
{
    int32_t rc =
        scan_check(document->path, (const char *)document->bytes.data, document->bytes.len, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    buffer_append(&text, document->bytes.data, document->bytes.len);
    buffer_append(&text, "\n", 1);
    const char *string = buffer_string(&text);
    if (string == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to read %s", document->path);
    }
    if (config_read_string(&document->config, string) != CONFIG_TRUE) {
        const char *why = config_error_text(&document->config);
        bool syntax = why == NULL || strcmp(why, "syntax error") == 0;
        return orch_fail(err, ORCH_E_CONFIG, "%s:%d: %s%s", document->path,
                         config_error_line(&document->config), why == NULL ? "syntax error" : why,
                         syntax
                             ? " at or just before this line; settings look like  name = \"text\";"
                               "  or  name: { … };  and lists like  [ \"a\", \"b\" ]"
                             : "");
    }
    config_setting_set_hook(config_root_setting(&document->config), document);
    return ORCH_OK;
}

static int32_t new_document(const char *path, struct document **out, struct orch_error *err)
{
    struct document *document = calloc(1, sizeof(*document));
    if (document == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to read %s", path);
    }
    config_init(&document->config);
    document->path = strdup(path);
    if (document->path == NULL) {
        document_free(document);
        return orch_fail(err, ORCH_E_NOMEM, "no memory to read %s", path);
    }
    *out = document;
    return ORCH_OK;
}

int32_t document_load(const char *path, struct document **out, struct orch_error *err)
{
    CLEANUP(document_cleanup) struct document *document = NULL;
    int32_t rc = new_document(path, &document, err);
    if (rc == ORCH_OK) {
        rc = read_regular(path, &document->bytes, err);
    }
    if (rc == ORCH_OK) {
        rc = parse(document, err);
    }
    if (rc == ORCH_OK) {
        *out = steal_ptr(&document);
    }
    return rc;
}

int32_t document_parse(const char *path, const void *data, size_t len, struct document **out,
                       struct orch_error *err)
{
    CLEANUP(document_cleanup) struct document *document = NULL;
    int32_t rc = new_document(path, &document, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    buffer_append(&document->bytes, data, len);
    if (document->bytes.failed) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to read %s", path);
    }
    rc = parse(document, err);
    if (rc == ORCH_OK) {
        *out = steal_ptr(&document);
    }
    return rc;
}

void document_free(struct document *document)
{
    if (document == NULL) {
        return;
    }
    config_destroy(&document->config);
    buffer_free(&document->bytes);
    free(document->path);
    free(document);
}

void document_cleanup(struct document **slot)
{
    document_free(*slot);
}

config_setting_t *document_root(const struct document *document)
{
    return config_root_setting(&document->config);
}

/* ---- places ------------------------------------------------------------------------------- */

const char *document_path(const config_setting_t *setting)
{
    const struct document *document = config_setting_get_hook(config_root_setting(setting->config));
    return document->path;
}

int document_line(const config_setting_t *setting)
{
    /* An empty file's root has line 0. */
    unsigned int line = config_setting_source_line(setting);
    return line == 0 ? 1 : (int)line;
}

int32_t document_fail(const config_setting_t *at, struct orch_error *err, const char *format, ...)
{
    char text[ORCH_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return orch_fail(err, ORCH_E_CONFIG, "%s:%d: %s", document_path(at), document_line(at), text);
}

int32_t document_wrap(const config_setting_t *at, struct orch_error *err)
{
    if (err == NULL || err->code == ORCH_E_NOMEM) {
        return err == NULL ? ORCH_E_CONFIG : ORCH_E_NOMEM;
    }
    (void)orch_wrap(err, "%s:%d", document_path(at), document_line(at));
    err->code = ORCH_E_CONFIG;
    return ORCH_E_CONFIG;
}

const char *document_found(const config_setting_t *setting, char text[64])
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_GROUP:
        return "a group { … }";
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        (void)snprintf(text, 64, "the integer %lld", config_setting_get_int64(setting));
        return text;
    case CONFIG_TYPE_FLOAT:
        (void)snprintf(text, 64, "the number %g", config_setting_get_float(setting));
        return text;
    case CONFIG_TYPE_STRING:
        return "a text in quotes";
    case CONFIG_TYPE_BOOL:
        return config_setting_get_bool(setting) ? "the word true" : "the word false";
    case CONFIG_TYPE_ARRAY:
        return "a list [ … ]";
    case CONFIG_TYPE_LIST:
        return "a list ( … )";
    default:
        return "nothing";
    }
}

/* The name that a message uses: an element of a list is called by the list's name. */
static const char *name_of(const config_setting_t *setting)
{
    while (setting != NULL && config_setting_name(setting) == NULL) {
        setting = config_setting_parent(setting);
    }
    return setting == NULL ? "this" : config_setting_name(setting);
}

static int32_t fail_type(const config_setting_t *setting, const char *expected,
                         struct orch_error *err)
{
    char text[64];
    return document_fail(setting, err, "%.80s: expected %s, found %s", name_of(setting), expected,
                         document_found(setting, text));
}

/* ---- getters ------------------------------------------------------------------------------ */

int32_t document_only(const config_setting_t *group, const char *what, const char *const *keys,
                      size_t count, struct orch_error *err)
{
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *member = config_setting_get_elem(group, (unsigned int)i);
        const char *name = config_setting_name(member);
        bool known = false;
        for (size_t k = 0; k < count && !known; k++) {
            known = strcmp(name, keys[k]) == 0;
        }
        if (!known) {
            CLEANUP_BUFFER struct buffer hint = BUFFER_INIT;
            suggest_append(&hint, name, keys, count);
            const char *text = buffer_string(&hint);
            return document_fail(member, err, "unknown key '%.80s' in %s%s", name, what,
                                 text == NULL ? "" : text);
        }
    }
    return ORCH_OK;
}

int32_t document_group(const config_setting_t *setting, struct orch_error *err)
{
    return config_setting_is_group(setting) ? ORCH_OK : fail_type(setting, "a group { … }", err);
}

/* The text of a setting in place, checked. */
static int32_t peek_text(const config_setting_t *setting, const char *expected, const char **out,
                         struct orch_error *err)
{
    if (config_setting_type(setting) != CONFIG_TYPE_STRING) {
        return fail_type(setting, expected, err);
    }
    const char *text = config_setting_get_string(setting);
    text = text == NULL ? "" : text;
    /* The file is UTF-8, but \xHH can make anything. */
    if (!scan_utf8(text, strlen(text))) {
        return document_fail(setting, err, "%.80s: \\xHH makes a text that is not UTF-8",
                             name_of(setting));
    }
    *out = text;
    return ORCH_OK;
}

int32_t document_text(const config_setting_t *setting, char **out, struct orch_error *err)
{
    const char *text = NULL;
    int32_t rc = peek_text(setting, "a text in quotes", &text, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    *out = strdup(text);
    return *out == NULL ? orch_fail(err, ORCH_E_NOMEM, "no memory for the configuration") : ORCH_OK;
}

int32_t document_texts(const config_setting_t *setting, char ***out, size_t *count,
                       struct orch_error *err)
{
    if (!config_setting_is_array(setting) && !config_setting_is_list(setting)) {
        return fail_type(setting, "a list of texts such as [ \"a\", \"b\" ]", err);
    }
    size_t n = (size_t)config_setting_length(setting);
    CLEANUP(document_texts_cleanup) char **texts = calloc(n + 1, sizeof(*texts));
    if (texts == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the configuration");
    }
    for (size_t i = 0; i < n; i++) {
        int32_t rc =
            document_text(config_setting_get_elem(setting, (unsigned int)i), &texts[i], err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    *count = n;
    *out = steal_ptr(&texts);
    return ORCH_OK;
}

int32_t document_integer(const config_setting_t *setting, int64_t min, int64_t max, int64_t *out,
                         struct orch_error *err)
{
    int type = config_setting_type(setting);
    if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64) {
        return fail_type(setting, "an integer", err);
    }
    int64_t value = config_setting_get_int64(setting);
    if (value < min || value > max) {
        return document_fail(setting, err, "%.80s: %lld is not between %lld and %lld",
                             name_of(setting), (long long)value, (long long)min, (long long)max);
    }
    *out = value;
    return ORCH_OK;
}

/* A size or duration; `examples` for an integer without a unit. */
static int32_t take_units(const config_setting_t *setting, const char *kind, const char *unit,
                          int32_t (*convert)(const char *, int64_t *, struct orch_error *),
                          int64_t *out, struct orch_error *err)
{
    int type = config_setting_type(setting);
    if (type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64) {
        long long value = config_setting_get_int64(setting);
        return document_fail(setting, err,
                             "%.80s: expected a %s in quotes with its unit, such as \"%lld%s\", "
                             "found the integer %lld",
                             name_of(setting), kind, value < 0 ? -value : value, unit, value);
    }
    char expected[64];
    const char *text = NULL;
    (void)snprintf(expected, sizeof(expected), "a %s in quotes such as \"10%s\"", kind, unit);
    int32_t rc = peek_text(setting, expected, &text, err);
    if (rc == ORCH_OK) {
        rc = convert(text, out, err);
        if (rc != ORCH_OK) {
            (void)orch_wrap(err, "%.80s", name_of(setting));
            rc = document_wrap(setting, err);
        }
    }
    return rc;
}

int32_t document_duration(const config_setting_t *setting, int64_t *ms, struct orch_error *err)
{
    return take_units(setting, "duration", "m", config_parse_duration, ms, err);
}

int32_t document_size(const config_setting_t *setting, int64_t *bytes, struct orch_error *err)
{
    return take_units(setting, "size", "MB", config_parse_size, bytes, err);
}

int32_t document_rate(const config_setting_t *setting, int64_t *bytes_per_second,
                      struct orch_error *err)
{
    return take_units(setting, "rate", "MB/s", config_parse_rate, bytes_per_second, err);
}

void document_texts_free(char **texts)
{
    for (char **t = texts; t != NULL && *t != NULL; t++) {
        free(*t);
    }
    free(texts);
}

bool document_name_ok(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return len >= 1 && len <= 63 && name[len] == 0 && name[0] >= 'a' && name[0] <= 'z';
}
