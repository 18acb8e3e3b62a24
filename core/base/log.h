/*
 * log.h: the debug log on stderr that tells the story of a run.
 *
 * Levels are the ORCH_LOG_* of the SDK. Lines are "time level scope: text". Any thread may log.
 */
#ifndef CORE_BASE_LOG_H
#define CORE_BASE_LOG_H

#include <orchestrate/plugin.h>

/* Lines below `level` are dropped. Default: ORCH_LOG_WARNING. */
void log_set_level(uint32_t level);
uint32_t log_level(void);

/* `scope` is a component or module name. The text is made safe for a terminal (text_clean), and cut
 * at about 2,000 bytes. */
void log_line(uint32_t level, const char *scope, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_debug(scope, ...) log_line(ORCH_LOG_DEBUG, scope, __VA_ARGS__)
#define log_info(scope, ...) log_line(ORCH_LOG_INFO, scope, __VA_ARGS__)
#define log_warning(scope, ...) log_line(ORCH_LOG_WARNING, scope, __VA_ARGS__)
#define log_error(scope, ...) log_line(ORCH_LOG_ERROR, scope, __VA_ARGS__)

#endif
