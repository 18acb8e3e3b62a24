/*
 * report.h: what a run tells whoever watches it. Events may come from any thread; the receiver is
 * called by one thread at a time.
 */
#ifndef CORE_REPORT_REPORT_H
#define CORE_REPORT_REPORT_H

#include <stdint.h>

enum report_kind {
    REPORT_PHASE,     /* `text`: what the run does now ("preflight", "stage 2 of 3: app-db") */
    REPORT_COMPONENT, /* `component` came to state `text` ("freezing", "streaming", "restored") */
    REPORT_PROGRESS,  /* `component` moved `items`, `bytes` of `total_*` (0: unknown) so far */
    REPORT_WARNING,   /* `text`, about `component` or NULL */
    REPORT_FAILURE,   /* the same, for something that went wrong for good */
    REPORT_NOTE,      /* the same, for something worth knowing */
};

struct report_event {
    enum report_kind kind;
    const char *component; /* or NULL */
    const char *text;      /* or NULL */
    uint64_t items, bytes;
    uint64_t total_items, total_bytes;
};

struct report;

struct report_receiver {
    void *ctx;
    void (*event)(void *ctx, const struct report_event *event);
};

/* A report that hands events on, one at a time. NULL when memory ran out. */
struct report *report_new(const struct report_receiver *receiver);
void report_free(struct report *report); /* NULL is fine */

/* A NULL report takes events and forgets them. */
void report_send(struct report *report, const struct report_event *event);
/* The text is cleaned for a terminal (text.h) and cut at about 1,400 bytes. */
void report_text(struct report *report, enum report_kind kind, const char *component,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
