/* error.c: filling struct orch_error. */
#include <orchestrate/error.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int32_t orch_fail(struct orch_error *err, int32_t code, const char *format, ...)
{
    if (err != NULL) {
        err->code = code;
        err->os_errno = 0;
        va_list args;
        va_start(args, format);
        (void)vsnprintf(err->message, sizeof(err->message), format, args);
        va_end(args);
    }
    return code;
}

static int32_t code_of_errno(int32_t os_errno)
{
    switch (os_errno) {
    case ENOSPC:
    case EDQUOT:
        return ORCH_E_NO_SPACE;
    case EACCES:
    case EPERM:
    case EROFS:
        return ORCH_E_ACCESS;
    case ENOENT:
        return ORCH_E_NOT_FOUND;
    case ENOMEM:
        return ORCH_E_NOMEM;
    case ETIMEDOUT:
        return ORCH_E_TIMEOUT;
    default:
        return ORCH_E_IO;
    }
}

int32_t orch_fail_errno(struct orch_error *err, int32_t os_errno, const char *format, ...)
{
    int32_t code = code_of_errno(os_errno);
    if (err == NULL) {
        return code;
    }
    err->code = code;
    err->os_errno = os_errno;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof(err->message)) {
        (void)snprintf(err->message + n, sizeof(err->message) - (size_t)n, ": %s",
                       strerror(os_errno));
    }
    return code;
}

int32_t orch_wrap(struct orch_error *err, const char *format, ...)
{
    if (err == NULL) {
        return ORCH_E_FAILED;
    }
    char before[ORCH_ERROR_MESSAGE_MAX];
    char old[ORCH_ERROR_MESSAGE_MAX];
    memcpy(old, err->message, sizeof(old));
    old[sizeof(old) - 1] = 0;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(before, sizeof(before), format, args);
    va_end(args);
    int n = snprintf(err->message, sizeof(err->message), "%s: ", before);
    if (n >= 0 && (size_t)n < sizeof(err->message)) {
        (void)snprintf(err->message + n, sizeof(err->message) - (size_t)n, "%s", old);
    }
    return err->code;
}

const char *orch_error_name(int32_t code)
{
    static const char *const names[] = {
        "ok",        "failed",  "no-memory", "invalid",     "configuration", "not-found",
        "exists",    "io",      "no-space",  "access",      "unreachable",   "timeout",
        "cancelled", "corrupt", "version",   "unsupported", "incompatible",  "protocol",
        "empty",     "changed", "busy",      "crashed",     "refused",
    };
    if (code > 0 || code < -(int32_t)(sizeof(names) / sizeof(names[0])) + 1) {
        return "unknown";
    }
    return names[-code];
}
