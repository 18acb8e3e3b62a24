/* log.c: see log.h. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

static _Atomic uint32_t current_level = ORCH_LOG_WARNING;

void log_set_level(uint32_t level)
{
    atomic_store(&current_level, level);
}

uint32_t log_level(void)
{
    return atomic_load(&current_level);
}

void log_line(uint32_t level, const char *scope, const char *format, ...)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    if (level < atomic_load(&current_level) || level > ORCH_LOG_ERROR) {
        return;
    }
    char text[2048];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    text_clean(text, sizeof(text));
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    char line[2304];
    int n = snprintf(line, sizeof(line), "%02d:%02d:%02d.%03ld %s %s: %s\n", tm.tm_hour, tm.tm_min,
                     tm.tm_sec, now.tv_nsec / 1000000, names[level], scope, text);
    if (n > 0) {
        /* One write per line, so that threads and processes do not mix. A lost line is no error. */
        ssize_t ignored =
            write(STDERR_FILENO, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
        (void)ignored;
    }
}
