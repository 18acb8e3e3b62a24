/*
 * orchestrate/support.h: small helpers for plugin writers, in liborchestrate-sdk.
 *
 * Everything here stands on plugin.h alone; a plugin can do without.
 */
#ifndef ORCHESTRATE_SUPPORT_H
#define ORCHESTRATE_SUPPORT_H

#include <orchestrate/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The value of an option, or NULL when it is neither configured nor has a default. */
const struct orch_value *orch_option(const struct orch_options *options, const char *name);

/* Its text, or `fallback`. The text belongs to `options`. */
const char *orch_option_string(const struct orch_options *options, const char *name,
                               const char *fallback);

/* Its integer (INTEGER, BOOLEAN, SIZE, DURATION), or `fallback`. */
int64_t orch_option_integer(const struct orch_options *options, const char *name,
                            int64_t fallback);

/* Logs a formatted line through the host; cut at 1,000 bytes. */
void orch_log(const struct orch_host *host, uint32_t level, const char *format, ...)
    ORCH_PRINTF(3, 4);

/* States a fact that is a text, an integer or a boolean. */
int32_t orch_fact_string(const struct orch_host *host, const char *name, const char *value,
                         struct orch_error *err) ORCH_CHECKED;
int32_t orch_fact_integer(const struct orch_host *host, const char *name, int64_t value,
                          struct orch_error *err) ORCH_CHECKED;

/* Gives a verdict with a formatted message; cut at 1,000 bytes. `subject` may be NULL. */
int32_t orch_judge(const struct orch_host *host, uint32_t severity, uint32_t flags,
                   const char *code, const char *subject, struct orch_error *err,
                   const char *format, ...) ORCH_PRINTF(7, 8);

/* Sends a whole record whose value is at hand. */
int32_t orch_send_record(const struct orch_host *host, const struct orch_record *record,
                         const void *value, struct orch_error *err) ORCH_CHECKED;

/* Reads `fd` from its position to the end into the current object. *sent counts the bytes. */
int32_t orch_send_fd(const struct orch_host *host, int fd, uint64_t *sent,
                     struct orch_error *err) ORCH_CHECKED;

#ifdef __cplusplus
}
#endif

#endif
