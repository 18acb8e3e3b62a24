/*
 * orchestrate/error.h: the one list of error codes, and the structure that carries a message.
 *
 * Every status function of the SDK and of the core returns 0 (ORCH_OK) or one of the negative codes
 * below. On failure it has filled the caller-owned `struct orch_error` that it was given last; on
 * success it leaves that structure alone. A message says what failed, on which thing, why, and what
 * the reader can do about it; it carries no secret.
 */
#ifndef ORCHESTRATE_ERROR_H
#define ORCHESTRATE_ERROR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ORCH_CHECKED __attribute__((warn_unused_result))
#define ORCH_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define ORCH_CHECKED
#define ORCH_PRINTF(fmt, args)
#endif

/* Codes are stable: they cross the plugin boundary and the wire. Only add at the end. */
#define ORCH_OK 0
#define ORCH_E_FAILED (-1)       /* no closer code fits */
#define ORCH_E_NOMEM (-2)        /* memory could not be had */
#define ORCH_E_INVALID (-3)      /* an argument or a value that makes no sense */
#define ORCH_E_CONFIG (-4)       /* a mistake in the configuration, a plan or the command line */
#define ORCH_E_NOT_FOUND (-5)    /* the named thing does not exist */
#define ORCH_E_EXISTS (-6)       /* the named thing exists already */
#define ORCH_E_IO (-7)           /* the operating system refused to read or write */
#define ORCH_E_NO_SPACE (-8)     /* disk or quota full */
#define ORCH_E_ACCESS (-9)       /* permission or authentication refused */
#define ORCH_E_UNREACHABLE (-10) /* a server does not answer */
#define ORCH_E_TIMEOUT (-11)     /* a time limit passed */
#define ORCH_E_CANCELLED (-12)   /* somebody asked to stop */
#define ORCH_E_CORRUPT (-13)     /* bytes are not what was written */
#define ORCH_E_VERSION (-14)     /* a version or format that this program does not handle */
#define ORCH_E_UNSUPPORTED (-15) /* a valid request that is not built */
#define ORCH_E_INCOMPATIBLE (-16) /* source and target do not fit each other */
#define ORCH_E_PROTOCOL (-17)    /* the other side broke the rules of the wire */
#define ORCH_E_EMPTY (-18)       /* nothing came out of a source that had something */
#define ORCH_E_CHANGED (-19)     /* the thing changed while it was read */
#define ORCH_E_BUSY (-20)        /* somebody else is at work on it */
#define ORCH_E_CRASHED (-21)     /* a worker process died */
#define ORCH_E_REFUSED (-22)     /* preflight said no; nothing was touched */

#define ORCH_ERROR_MESSAGE_MAX 1024

/* Caller-owned. Initialise with ORCH_ERROR_INIT. */
struct orch_error {
    int32_t code;      /* ORCH_OK or a code from the list above */
    int32_t os_errno;  /* the errno behind it, or 0 */
    char message[ORCH_ERROR_MESSAGE_MAX]; /* UTF-8, zero-terminated, one line without full stop */
};

#define ORCH_ERROR_INIT                                                                            \
    {                                                                                              \
        0, 0, { 0 }                                                                                \
    }

/* Fills `err` (NULL is allowed) and returns `code`, so that a function can `return orch_fail(…)`. */
int32_t orch_fail(struct orch_error *err, int32_t code, const char *format, ...)
    ORCH_PRINTF(3, 4);

/*
 * The same for a failed system call: appends ": " and strerror(os_errno), records the errno, and
 * picks the code from it (ENOSPC and EDQUOT give NO_SPACE, EACCES and EPERM give ACCESS, ENOENT
 * gives NOT_FOUND, ENOMEM gives NOMEM, ETIMEDOUT gives TIMEOUT, everything else IO).
 */
int32_t orch_fail_errno(struct orch_error *err, int32_t os_errno, const char *format, ...)
    ORCH_PRINTF(3, 4);

/* Puts "<formatted text>: " before the message that `err` has; keeps and returns its code. */
int32_t orch_wrap(struct orch_error *err, const char *format, ...) ORCH_PRINTF(2, 3);

/* A short stable word for a code ("not-found"), for JSON and logs. Never NULL. */
const char *orch_error_name(int32_t code);

#ifdef __cplusplus
}
#endif

#endif
