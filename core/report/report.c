/* report.c: see report.h. */
#include "report/report.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

struct report {
    pthread_mutex_t mutex;
    struct report_receiver receiver;
};

struct report *report_new(const struct report_receiver *receiver)
{
    struct report *report = calloc(1, sizeof(*report));
    if (report != NULL) {
        (void)pthread_mutex_init(&report->mutex, NULL);
        report->receiver = *receiver;
    }
    return report;
}

void report_free(struct report *report)
{
    if (report != NULL) {
        (void)pthread_mutex_destroy(&report->mutex);
        free(report);
    }
}

void report_send(struct report *report, const struct report_event *event)
{
    if (report == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&report->mutex);
    report->receiver.event(report->receiver.ctx, event);
    (void)pthread_mutex_unlock(&report->mutex);
}

void report_text(struct report *report, enum report_kind kind, const char *component,
                 const char *format, ...)
{
    char text[1400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    text_clean(text, sizeof(text));
    struct report_event event = {.kind = kind, .component = component, .text = text};
    report_send(report, &event);
}
