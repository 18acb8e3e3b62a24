/*
 * event.h: the one shape in which a component's content moves through the core.
 *
 * Events are the SDK's `struct orch_event`: OBJECT or RECORD, then its DATA and HOLE events, then
 * ITEM_END, and so on until END. Two event types exist only inside the core.
 *
 *   worker ──sink──► part_writer          part_reader ──source──► worker
 */
#ifndef CORE_BASE_EVENT_H
#define CORE_BASE_EVENT_H

#include <orchestrate/plugin.h>

/* The object has the content that the earlier part holds under this name. No ITEM_END follows. */
#define EVENT_UNCHANGED 100u

/* Takes events in order. A failure ends the stream. Pointers are valid during the call. */
struct event_sink {
    void *ctx;
    int32_t (*put)(void *ctx, const struct orch_event *event, struct orch_error *err);
};

/* Gives events; pointers are valid until the next call. The last event is END. */
struct event_source {
    void *ctx;
    int32_t (*next)(void *ctx, struct orch_event *event, struct orch_error *err);
};

#endif
