/* instance.h: what the files of the plugin share: the instance, the form of a record, the summary
 * that verification compares. */
#ifndef L1_MEMORY_INSTANCE_H
#define L1_MEMORY_INSTANCE_H

#include <l1cache.h>
#include <orchestrate/support.h>

struct l1_instance {
    const struct orch_host *host;
    char *path;
    struct orch_l1 *cache;
    struct orch_l1_snapshot *snapshot;
};

#define L1_RECORD_ENTRY 1u

/* A record's `extra`: created_ms, last_used_ms, hits; each 8 bytes, little-endian. */
#define L1_EXTRA_BYTES 24u

void l1_extra_pack(const struct orch_l1_entry *entry, uint8_t extra[L1_EXTRA_BYTES]);

int64_t l1_wall_ms(void);

/* Counts, and a digest that does not depend on order: the sum of XXH64 over key, value and time of
 * making of every entry that does not expire. */
struct l1_summary {
    int64_t now_ms; /* what expires before this is left out */
    uint64_t entries, expired, lasting;
    uint64_t lasting_digest;
};

/* 1 when the entry counts, 0 when it has expired. */
int l1_summary_add(struct l1_summary *summary, const struct orch_l1_entry *entry);

/* Turns the host's events into entries for orch_l1_replace. */
struct l1_feed {
    const struct orch_host *host;
    uint8_t *key, *value;
    uint64_t value_capacity;
};
int32_t l1_feed_next(void *ctx, struct orch_l1_entry *entry, struct orch_error *err);
void l1_feed_clear(struct l1_feed *feed);

#endif
