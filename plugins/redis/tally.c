/* tally.c: counting keys by database and expiry. */
#include "tally.h"

#include <orchestrate/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DBS_MAX 65536u

static int32_t entry(struct tally *tally, uint32_t db, struct tally_db **out,
                     struct orch_error *err)
{
    for (uint32_t i = tally->count; i > 0; i--) { /* keys come database by database */
        if (tally->dbs[i - 1].db == db) {
            *out = &tally->dbs[i - 1];
            return ORCH_OK;
        }
    }
    if (tally->count == DBS_MAX) {
        return orch_fail(err, ORCH_E_CORRUPT, "keys of more than %u databases", DBS_MAX);
    }
    struct tally_db *grown = realloc(tally->dbs, (tally->count + 1) * sizeof(*grown));
    if (grown == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "out of memory");
    }
    tally->dbs = grown;
    struct tally_db *fresh = &grown[tally->count];
    *fresh = (struct tally_db){.db = db, .first_expiry_ms = TALLY_NEVER};
    if (tally->base_ms != 0) {
        fresh->by_second = calloc(TALLY_SECONDS, sizeof(uint32_t));
        if (fresh->by_second == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "out of memory");
        }
    }
    tally->count++;
    *out = fresh;
    return ORCH_OK;
}

int32_t tally_add(struct tally *tally, uint32_t db, int64_t expires_ms, struct orch_error *err)
{
    struct tally_db *one = NULL;
    int32_t rc = entry(tally, db, &one, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    one->keys++;
    if (expires_ms == ORCH_NO_EXPIRY) {
        return ORCH_OK;
    }
    one->expiring++;
    if (expires_ms < one->first_expiry_ms) {
        one->first_expiry_ms = expires_ms;
    }
    if (one->by_second != NULL && expires_ms < tally->base_ms) {
        one->expired++;
    } else if (one->by_second != NULL &&
               (expires_ms - tally->base_ms) / 1000 < (int64_t)TALLY_SECONDS) {
        one->by_second[(expires_ms - tally->base_ms) / 1000]++;
    }
    return ORCH_OK;
}

const struct tally_db *tally_find(const struct tally *tally, uint32_t db)
{
    for (uint32_t i = 0; i < tally->count; i++) {
        if (tally->dbs[i].db == db) {
            return &tally->dbs[i];
        }
    }
    return NULL;
}

uint64_t tally_keys(const struct tally *tally)
{
    uint64_t keys = 0;
    for (uint32_t i = 0; i < tally->count; i++) {
        keys += tally->dbs[i].keys;
    }
    return keys;
}

uint64_t tally_alive(const struct tally *tally, const struct tally_db *db, int64_t now_ms)
{
    if (db == NULL || db->first_expiry_ms > now_ms) {
        return db == NULL ? 0 : db->keys;
    }
    int64_t seconds = now_ms < tally->base_ms ? 0 : (now_ms - tally->base_ms) / 1000 + 1;
    if (db->by_second == NULL || seconds > (int64_t)TALLY_SECONDS) {
        return db->keys - db->expiring;
    }
    uint64_t gone = db->expired;
    for (int64_t i = 0; i < seconds; i++) {
        gone += db->by_second[i];
    }
    return db->keys - gone;
}

void tally_free(struct tally *tally)
{
    for (uint32_t i = 0; i < tally->count; i++) {
        free(tally->dbs[i].by_second);
    }
    free(tally->dbs);
    memset(tally, 0, sizeof(*tally));
}

json_t *tally_to_json(const struct tally *tally)
{
    json_t *object = json_object();
    for (uint32_t i = 0; object != NULL && i < tally->count; i++) {
        const struct tally_db *db = &tally->dbs[i];
        char name[16];
        (void)snprintf(name, sizeof(name), "%u", db->db);
        json_t *one = json_pack("{s:I, s:I}", "keys", (json_int_t)db->keys, "expiring",
                                (json_int_t)db->expiring);
        int bad = one == NULL;
        if (!bad && db->first_expiry_ms != TALLY_NEVER) {
            bad = json_object_set_new(one, "first_expiry_ms", json_integer(db->first_expiry_ms));
        }
        if (bad || json_object_set_new(object, name, one) != 0) {
            json_decref(bad ? one : NULL);
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

int32_t tally_from_json(const json_t *object, struct tally *tally, struct orch_error *err)
{
    memset(tally, 0, sizeof(*tally));
    void *at = json_object_iter((json_t *)(uintptr_t)object);
    int32_t rc = ORCH_OK;
    while (rc == ORCH_OK && at != NULL) {
        char *end = NULL;
        unsigned long db = strtoul(json_object_iter_key(at), &end, 10);
        const json_t *one = json_object_iter_value(at);
        json_int_t keys = json_integer_value(json_object_get(one, "keys"));
        json_int_t expiring = json_integer_value(json_object_get(one, "expiring"));
        const json_t *first = json_object_get(one, "first_expiry_ms");
        struct tally_db *fresh = NULL;
        if (*end != '\0' || db >= DBS_MAX || keys < 0 || expiring < 0 || expiring > keys) {
            rc = orch_fail(err, ORCH_E_CORRUPT, "the key counts in the part's facts are damaged");
            break;
        }
        rc = entry(tally, (uint32_t)db, &fresh, err);
        if (rc == ORCH_OK) {
            fresh->keys = (uint64_t)keys;
            fresh->expiring = (uint64_t)expiring;
            fresh->first_expiry_ms = json_is_integer(first) ? json_integer_value(first)
                                     : expiring > 0         ? 0
                                                            : TALLY_NEVER;
        }
        at = json_object_iter_next((json_t *)(uintptr_t)object, at);
    }
    if (rc != ORCH_OK) {
        tally_free(tally);
    }
    return rc;
}
