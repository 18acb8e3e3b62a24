/* recorder.h: keeps what a backup sends, and gives it back as a restore or as earlier entries. */
#ifndef TESTS_PLUGIN_RECORDER_H
#define TESTS_PLUGIN_RECORDER_H

#include "base/buffer.h"
#include "base/event.h"

struct recorded {
    uint32_t type; /* of the event */
    struct orch_object object;
    struct orch_record record;
    uint8_t *bytes; /* name and meta; key and extra; data */
    uint64_t len;   /* of DATA and HOLE */
};

struct recorder {
    struct recorded *events;
    size_t count, capacity;
    size_t at; /* of the source */
    uint64_t objects, unchanged, records, bytes;
    bool ended;
    size_t fail_after; /* the sink or the source fails after so many events; 0: never */
    int block_ms;      /* the sink takes this long for its first event */
    uint64_t wrong;    /* data bytes that are not `expect` */
    uint8_t expect;    /* 0: anything goes */
};

struct event_sink recorder_sink(struct recorder *recorder);
struct event_source recorder_source(struct recorder *recorder); /* from the first event on */
void recorder_free(struct recorder *recorder);
/* Same items with the same bytes; events of data may be cut differently. */
bool recorder_same(const struct recorder *a, const struct recorder *b);

#endif
