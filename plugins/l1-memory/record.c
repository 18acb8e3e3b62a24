/* record.c: entries to records and back, and their summary. See instance.h. */
#include "instance.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

int64_t l1_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void put64(uint8_t *p, uint64_t value)
{
    for (int i = 0; i < 8; i++) {
        p[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--) {
        value = value << 8 | p[i];
    }
    return value;
}

void l1_extra_pack(const struct orch_l1_entry *entry, uint8_t extra[L1_EXTRA_BYTES])
{
    put64(extra, (uint64_t)entry->created_ms);
    put64(extra + 8, (uint64_t)entry->last_used_ms);
    put64(extra + 16, entry->hits);
}

int l1_summary_add(struct l1_summary *summary, const struct orch_l1_entry *entry)
{
    if (entry->expires_ms != ORCH_L1_NO_EXPIRY) {
        if (entry->expires_ms <= summary->now_ms) {
            summary->expired++;
            return 0;
        }
        summary->entries++;
        return 1;
    }
    uint64_t seed = XXH64(entry->key, entry->key_len, (uint64_t)entry->created_ms);
    summary->entries++;
    summary->lasting++;
    summary->lasting_digest += XXH64(entry->value, entry->value_len, seed);
    return 1;
}

static int32_t begin_record(struct l1_feed *feed, const struct orch_record *record,
                            struct orch_l1_entry *entry, struct orch_error *err)
{
    if (record->type != L1_RECORD_ENTRY || record->extra_len != L1_EXTRA_BYTES ||
        record->key_len == 0 || record->key_len > ORCH_L1_KEY_MAX ||
        record->value_len > ORCH_L1_VALUE_MAX) {
        return orch_fail(err, ORCH_E_CORRUPT, "a record is not an entry of an L1 cache");
    }
    if (feed->key == NULL) {
        feed->key = malloc(ORCH_L1_KEY_MAX);
    }
    if (feed->value_capacity < record->value_len || feed->value == NULL) {
        uint64_t capacity = record->value_len < 4096 ? 4096 : record->value_len;
        uint8_t *grown = realloc(feed->value, capacity);
        if (grown != NULL) {
            feed->value = grown;
            feed->value_capacity = capacity;
        }
    }
    if (feed->key == NULL || feed->value == NULL || feed->value_capacity < record->value_len) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for an entry");
    }
    memcpy(feed->key, record->key, record->key_len);
    *entry = (struct orch_l1_entry){
        .key = feed->key,
        .key_len = record->key_len,
        .value = feed->value,
        .value_len = record->value_len,
        .created_ms = (int64_t)get64(record->extra),
        .last_used_ms = (int64_t)get64(record->extra + 8),
        .hits = get64(record->extra + 16),
        .expires_ms = record->expires_ms == ORCH_NO_EXPIRY ? ORCH_L1_NO_EXPIRY : record->expires_ms,
    };
    return ORCH_OK;
}

/* One whole record; ORCH_E_NOT_FOUND at the end of the part. */
static int32_t read_record(struct l1_feed *feed, struct orch_l1_entry *entry,
                           struct orch_error *err)
{
    struct orch_event event = {.struct_size = (uint32_t)sizeof(event)};
    uint64_t filled = 0;
    int32_t rc = feed->host->next(feed->host->ctx, &event, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (event.type == ORCH_EVENT_END) {
        return ORCH_E_NOT_FOUND;
    }
    if (event.type != ORCH_EVENT_RECORD) {
        return orch_fail(err, ORCH_E_CORRUPT, "the part holds something that is no record");
    }
    rc = begin_record(feed, &event.record, entry, err);
    while (rc == ORCH_OK) {
        rc = feed->host->next(feed->host->ctx, &event, err);
        if (rc != ORCH_OK || event.type == ORCH_EVENT_ITEM_END) {
            break;
        }
        if (event.type != ORCH_EVENT_DATA || event.data_len > entry->value_len - filled) {
            return orch_fail(err, ORCH_E_CORRUPT, "a record's value has not the length it said");
        }
        memcpy(feed->value + filled, event.data, event.data_len);
        filled += event.data_len;
    }
    if (rc == ORCH_OK && filled != entry->value_len) {
        rc = orch_fail(err, ORCH_E_CORRUPT, "a record's value has not the length it said");
    }
    return rc;
}

int32_t l1_feed_next(void *ctx, struct orch_l1_entry *entry, struct orch_error *err)
{
    struct l1_feed *feed = ctx;
    /* What has expired since the backup would never be seen: it is not put back. */
    for (;;) {
        int32_t rc = read_record(feed, entry, err);
        if (rc != ORCH_OK || entry->expires_ms == ORCH_L1_NO_EXPIRY ||
            entry->expires_ms > l1_wall_ms()) {
            return rc;
        }
    }
}

void l1_feed_clear(struct l1_feed *feed)
{
    free(feed->key);
    free(feed->value);
    feed->key = feed->value = NULL;
    feed->value_capacity = 0;
}
