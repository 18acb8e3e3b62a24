/* support.c: see orchestrate/support.h. */
#include <orchestrate/support.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct orch_value *orch_option(const struct orch_options *options, const char *name)
{
    const char *base = (const char *)options->values;
    for (uint64_t i = 0; i < options->count; i++) {
        const struct orch_value *value =
            (const struct orch_value *)(const void *)(base + i * options->value_size);
        if (strcmp(value->name, name) == 0) {
            return value;
        }
    }
    return NULL;
}

const char *orch_option_string(const struct orch_options *options, const char *name,
                               const char *fallback)
{
    const struct orch_value *value = orch_option(options, name);
    return value == NULL || value->string == NULL ? fallback : value->string;
}

int64_t orch_option_integer(const struct orch_options *options, const char *name, int64_t fallback)
{
    const struct orch_value *value = orch_option(options, name);
    return value == NULL ? fallback : value->integer;
}

void orch_log(const struct orch_host *host, uint32_t level, const char *format, ...)
{
    char text[1000];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    host->log(host->ctx, level, text);
}

/* Writes `value` as a JSON string; bytes that are not printable ASCII or UTF-8 lead bytes stay. */
static size_t json_escape(const char *value, char *out, size_t size)
{
    size_t n = 0;
    out[n++] = '"';
    for (const char *p = value; *p != 0 && n + 8 < size; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\') {
            out[n++] = '\\';
            out[n++] = (char)c;
        } else if (c < 0x20) {
            n += (size_t)snprintf(out + n, size - n, "\\u%04x", c);
        } else {
            out[n++] = (char)c;
        }
    }
    out[n++] = '"';
    out[n] = 0;
    return n;
}

int32_t orch_fact_string(const struct orch_host *host, const char *name, const char *value,
                         struct orch_error *err)
{
    size_t size = strlen(value) * 6 + 16;
    char *json = malloc(size);
    if (json == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for fact %s", name);
    }
    (void)json_escape(value, json, size);
    int32_t rc = host->fact(host->ctx, name, json, err);
    free(json);
    return rc;
}

int32_t orch_fact_integer(const struct orch_host *host, const char *name, int64_t value,
                          struct orch_error *err)
{
    char json[32];
    (void)snprintf(json, sizeof(json), "%lld", (long long)value);
    return host->fact(host->ctx, name, json, err);
}

int32_t orch_judge(const struct orch_host *host, uint32_t severity, uint32_t flags,
                   const char *code, const char *subject, struct orch_error *err,
                   const char *format, ...)
{
    char text[1000];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    struct orch_verdict verdict = {
        .struct_size = (uint32_t)sizeof(verdict),
        .severity = severity,
        .flags = flags,
        .code = code,
        .subject = subject,
        .message = text,
    };
    return host->verdict(host->ctx, &verdict, err);
}

int32_t orch_send_record(const struct orch_host *host, const struct orch_record *record,
                         const void *value, struct orch_error *err)
{
    int32_t rc = host->record(host->ctx, record, err);
    if (rc == ORCH_OK && record->value_len > 0) {
        rc = host->write(host->ctx, value, record->value_len, err);
    }
    if (rc == ORCH_OK) {
        rc = host->end_item(host->ctx, err);
    }
    return rc;
}

int32_t orch_send_fd(const struct orch_host *host, int fd, uint64_t *sent, struct orch_error *err)
{
    *sent = 0;
    for (;;) {
        void *space = NULL;
        uint64_t len = 0;
        int32_t rc = host->reserve(host->ctx, 0, &space, &len, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        ssize_t n = read(fd, space, (size_t)len);
        if (n < 0) {
            if (errno == EINTR) {
                n = 0;
            } else {
                return orch_fail_errno(err, errno, "cannot read");
            }
            rc = host->commit(host->ctx, 0, err);
            if (rc != ORCH_OK) {
                return rc;
            }
            continue;
        }
        rc = host->commit(host->ctx, (uint64_t)n, err);
        if (rc != ORCH_OK || n == 0) {
            return rc;
        }
        *sent += (uint64_t)n;
    }
}
