/* harness_internal.h: the harness's state, shared by its two halves. */
#ifndef ORCHESTRATE_HARNESS_INTERNAL_H
#define ORCHESTRATE_HARNESS_INTERNAL_H

#include <stdio.h>

#include "harness.h"

#define HARNESS_BLOCK 1048576u
#define HARNESS_VERDICTS 256u

struct harness_items {
    struct harness_item *list;
    uint64_t count, capacity;
};

struct harness {
    void *handle;
    const struct orch_plugin *plugin;
    struct orch_host host;
    void *instance;
    char *work_dir;
    struct orch_value *values;
    uint64_t value_count;
    struct orch_options options;

    /* what a backup sends */
    struct harness_items items, earlier;
    int incremental;
    uint64_t earlier_at;
    int writing, in_item;
    uint8_t *block; /* reserved space */
    uint64_t reserved;

    /* what a restore reads */
    uint64_t read_item;   /* the next item to begin, or the one under way */
    uint64_t read_offset; /* within its data */
    int read_in_item, read_end;
    uint64_t events, fail_after;

    /* facts: name, json pairs */
    char **facts;
    uint64_t fact_count;
    char *facts_json;
    char *saved_facts;

    struct harness_verdict verdicts[HARNESS_VERDICTS];
    uint64_t verdict_count;
    int cancelled;
    char **future; /* path, data pairs */
    uint64_t future_count;
    char *journal;
};

void harness_host_init(struct harness *h);
void harness_host_free(struct harness *h);
void harness_reset_facts(struct harness *h);
void harness_rewind(struct harness *h);

#endif
