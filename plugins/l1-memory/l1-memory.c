/*
 * l1-memory.c: the plugin for caches of sdk/l1cache. Each entry is a record: key and value as they
 * are, its expiry, and in `extra` when it was made, when it was last used and how often.
 *
 * Backup reads one MVCC snapshot and stops no writer. Restore replaces all entries in one
 * transaction, so that applications that have the cache open see all of the old or all of the new.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <jansson.h>
#include <l1cache.h>
#include <orchestrate/support.h>

#include "aside.h"
#include "instance.h"

static const struct orch_option options[] = {
    {"path", ORCH_OPTION_PATH, ORCH_OPTION_REQUIRED | ORCH_OPTION_REPLACED, NULL,
     "The cache's folder, as the application opens it."},
};

static int32_t l1_open(const struct orch_host *host, const struct orch_options *given,
                       void **instance, struct orch_error *err)
{
    struct l1_instance *self = calloc(1, sizeof(*self));
    if (self != NULL) {
        self->path = strdup(orch_option_string(given, "path", ""));
    }
    if (self == NULL || self->path == NULL) {
        free(self);
        return orch_fail(err, ORCH_E_NOMEM, "no memory for an instance of l1-memory");
    }
    size_t len = strlen(self->path);
    while (len > 1 && self->path[len - 1] == '/') {
        self->path[--len] = 0;
    }
    self->host = host;
    *instance = self;
    return ORCH_OK;
}

static void let_go(struct l1_instance *self)
{
    orch_l1_snapshot_close(self->snapshot);
    orch_l1_close(self->cache);
    self->snapshot = NULL;
    self->cache = NULL;
}

static void l1_close(void *instance)
{
    struct l1_instance *self = instance;
    let_go(self);
    free(self->path);
    free(self);
}

static int32_t l1_probe(void *instance, struct orch_probe *probe, struct orch_error *err)
{
    struct l1_instance *self = instance;
    struct orch_l1_stats stats;
    int32_t rc = orch_l1_open_existing(self->path, &self->cache, err);
    if (rc == ORCH_OK) {
        rc = orch_l1_stats(self->cache, &stats, err);
    }
    if (rc == ORCH_OK) {
        rc = orch_fact_integer(self->host, "size_bytes", (int64_t)stats.size_bytes, err);
    }
    if (rc == ORCH_OK) {
        rc = orch_fact_integer(self->host, "max_entries", (int64_t)stats.max_entries, err);
    }
    if (rc == ORCH_OK) {
        /* Expired entries count here but are not kept, so this is no promise of items. */
        probe->items = stats.entries == 0 ? 0 : ORCH_SIZE_UNKNOWN;
        probe->size_bytes = stats.used_bytes;
        (void)snprintf(probe->version, sizeof(probe->version), "l1 cache, format 1");
        (void)snprintf(probe->identity, sizeof(probe->identity), "%.255s", self->path);
    }
    let_go(self);
    return rc;
}

static int32_t l1_freeze(void *instance, struct orch_freeze *freeze, struct orch_error *err)
{
    struct l1_instance *self = instance;
    int32_t rc = orch_l1_open_existing(self->path, &self->cache, err);
    if (rc == ORCH_OK) {
        rc = orch_l1_snapshot_open(self->cache, &self->snapshot, err);
    }
    freeze->consistency = ORCH_CONSISTENCY_SNAPSHOT;
    freeze->flags = ORCH_FREEZE_COSTLY;
    (void)snprintf(freeze->cost, sizeof(freeze->cost),
                   "pages that writers free are not used again while it is held");
    return rc;
}

static int32_t l1_thaw(void *instance, struct orch_error *err)
{
    (void)err;
    let_go(instance);
    return ORCH_OK;
}

static int32_t send_entry(struct l1_instance *self, const struct orch_l1_entry *entry,
                          struct orch_error *err)
{
    uint8_t extra[L1_EXTRA_BYTES];
    l1_extra_pack(entry, extra);
    struct orch_record record = {
        .struct_size = (uint32_t)sizeof(record),
        .type = L1_RECORD_ENTRY,
        .key = entry->key,
        .key_len = (uint32_t)entry->key_len,
        .value_len = entry->value_len,
        .expires_ms = entry->expires_ms == ORCH_L1_NO_EXPIRY ? ORCH_NO_EXPIRY : entry->expires_ms,
        .extra = extra,
        .extra_len = sizeof(extra),
    };
    return orch_send_record(self->host, &record, entry->value, err);
}

static int32_t state_facts(const struct l1_instance *self, const struct l1_summary *sum,
                           struct orch_error *err)
{
    char digest[17];
    (void)snprintf(digest, sizeof(digest), "%016" PRIx64, sum->lasting_digest);
    int32_t rc = orch_fact_integer(self->host, "entries", (int64_t)sum->entries, err);
    if (rc == ORCH_OK) {
        rc = orch_fact_integer(self->host, "expired_left_out", (int64_t)sum->expired, err);
    }
    if (rc == ORCH_OK) {
        rc = orch_fact_integer(self->host, "lasting_entries", (int64_t)sum->lasting, err);
    }
    if (rc == ORCH_OK) {
        rc = orch_fact_string(self->host, "lasting_digest", digest, err);
    }
    return rc;
}

static int32_t l1_backup(void *instance, struct orch_error *err)
{
    struct l1_instance *self = instance;
    struct l1_summary sum = {.now_ms = l1_wall_ms()};
    for (;;) {
        struct orch_l1_entry entry;
        int32_t rc = orch_l1_snapshot_next(self->snapshot, &entry, err);
        if (rc == ORCH_E_NOT_FOUND) {
            return state_facts(self, &sum, err);
        }
        if (rc != ORCH_OK) {
            return rc;
        }
        if (l1_summary_add(&sum, &entry)) {
            rc = send_entry(self, &entry, err);
        }
        if (rc != ORCH_OK) {
            return rc;
        }
    }
}

/* ---- restore ---- */

static int32_t l1_check(void *instance, const struct orch_restore *restore, struct orch_error *err)
{
    struct l1_instance *self = instance;
    struct statvfs fs;
    char parent[4096];
    (void)snprintf(parent, sizeof(parent), "%s", self->path);
    char *slash = strrchr(parent, '/');
    if (slash != NULL) {
        slash[slash == parent ? 1 : 0] = 0;
    }
    if (statvfs(parent, &fs) != 0 || access(parent, W_OK) != 0) {
        return orch_judge(self->host, ORCH_VERDICT_REFUSE, 0, "target-folder", parent, err,
                          "%s cannot be written: %s; make the folder or give another path", parent,
                          strerror(errno));
    }
    /* The new entries and the aside copy, with LMDB's pages taken into account. */
    uint64_t need = restore->size_bytes * 3 + (UINT64_C(1) << 20);
    uint64_t have = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (have < need) {
        return orch_judge(self->host, ORCH_VERDICT_REFUSE, 0, "space", parent, err,
                          "%s has %" PRIu64 " bytes free, the restore may need %" PRIu64, parent,
                          have, need);
    }
    if (access(self->path, F_OK) == 0) {
        return orch_judge(self->host, ORCH_VERDICT_GO, 0, "replaces", self->path, err,
                          "the entries of the cache that is there are replaced in one step");
    }
    return ORCH_OK;
}

static void restore_options(const struct orch_restore *restore, struct orch_l1_options *out)
{
    json_t *facts = json_loads(restore->facts_json, 0, NULL);
    json_int_t size = json_integer_value(json_object_get(facts, "size_bytes"));
    json_int_t entries = json_integer_value(json_object_get(facts, "max_entries"));
    out->size_bytes = size > 0 ? (uint64_t)size : 0;
    out->max_entries = entries > 0 ? (uint64_t)entries : 0;
    json_decref(facts);
}

static int32_t l1_restore(void *instance, const struct orch_restore *restore,
                          struct orch_error *err)
{
    struct l1_instance *self = instance;
    struct orch_l1_options made;
    char aside[4096];
    struct l1_feed feed = {.host = self->host};
    restore_options(restore, &made);
    int32_t rc = l1_aside_name(self, restore, aside, sizeof(aside), err);
    if (rc == ORCH_OK) {
        rc = l1_aside_keep(self, aside, err);
    }
    if (rc == ORCH_OK) {
        rc = orch_l1_open(self->path, &made, &self->cache, err);
    }
    if (rc == ORCH_OK) {
        rc = self->host->intent(self->host->ctx, "replace", self->path, aside, err);
    }
    if (rc == ORCH_OK) {
        rc = orch_l1_replace(self->cache, l1_feed_next, &feed, err);
    }
    if (rc == ORCH_OK) {
        rc = self->host->done(self->host->ctx, "replace", self->path, err);
    }
    l1_feed_clear(&feed);
    let_go(self);
    return rc;
}

static int32_t summarise(struct l1_instance *self, struct l1_summary *sum, struct orch_error *err)
{
    struct orch_l1_entry entry;
    int32_t rc = orch_l1_open_existing(self->path, &self->cache, err);
    if (rc == ORCH_OK) {
        rc = orch_l1_snapshot_open(self->cache, &self->snapshot, err);
    }
    while (rc == ORCH_OK) {
        rc = orch_l1_snapshot_next(self->snapshot, &entry, err);
        if (rc == ORCH_OK) {
            (void)l1_summary_add(sum, &entry);
        }
    }
    let_go(self);
    return rc == ORCH_E_NOT_FOUND ? ORCH_OK : rc;
}

/* What expires may go at any moment, so it bounds the count; what does not must be there to the
 * byte. */
static int32_t l1_verify(void *instance, const struct orch_restore *restore, struct orch_error *err)
{
    struct l1_instance *self = instance;
    struct l1_summary sum = {.now_ms = l1_wall_ms()};
    int32_t rc = summarise(self, &sum, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    json_t *facts = json_loads(restore->facts_json, 0, NULL);
    const char *digest = json_string_value(json_object_get(facts, "lasting_digest"));
    uint64_t lasting = (uint64_t)json_integer_value(json_object_get(facts, "lasting_entries"));
    uint64_t entries = (uint64_t)json_integer_value(json_object_get(facts, "entries"));
    char found[17];
    (void)snprintf(found, sizeof(found), "%016" PRIx64, sum.lasting_digest);
    if (sum.lasting != lasting || digest == NULL || strcmp(digest, found) != 0) {
        rc = orch_judge(self->host, ORCH_VERDICT_REFUSE, 0, "content", self->path, err,
                        "the cache holds %" PRIu64
                        " lasting entries with digest %s, the set %" PRIu64 " with %s",
                        sum.lasting, found, lasting, digest == NULL ? "none" : digest);
    } else if (sum.entries > entries) {
        rc = orch_judge(self->host, ORCH_VERDICT_REFUSE, 0, "count", self->path, err,
                        "the cache holds %" PRIu64 " entries, the set only %" PRIu64, sum.entries,
                        entries);
    }
    json_decref(facts);
    return rc;
}

static int32_t l1_settle(void *instance, const struct orch_restore *restore, uint32_t outcome,
                         struct orch_error *err)
{
    struct l1_instance *self = instance;
    char aside[4096];
    int32_t rc = l1_aside_name(self, restore, aside, sizeof(aside), err);
    if (rc == ORCH_OK && outcome == ORCH_SETTLE_VERIFIED) {
        rc = l1_aside_drop(aside, err);
    }
    return rc;
}

ORCH_EXPORT const struct orch_plugin orch_plugin = {
    ORCH_PLUGIN_HEADER,
    .capabilities = ORCH_CAP_RECORDS | ORCH_CAP_EMPTY_OK,
    .name = "l1-memory",
    .version = "0.1.0",
    .summary = "in-process caches in shared memory (the L1 cache of the SDK)",
    .data_format = 1,
    .data_format_oldest = 1,
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .open = l1_open,
    .close = l1_close,
    .probe = l1_probe,
    .freeze = l1_freeze,
    .thaw = l1_thaw,
    .backup = l1_backup,
    .check = l1_check,
    .restore = l1_restore,
    .verify = l1_verify,
    .settle = l1_settle,
};
