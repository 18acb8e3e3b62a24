/*
 * tally.h: how many keys each database has, and how many of them may have expired by a given time.
 *
 * A key that expires is no loss, but any other missing key is. So keys with an expiry are counted
 * by the second for the hour after `base_ms`; later ones are taken to be alive until that hour is
 * over.
 */
#ifndef REDIS_TALLY_H
#define REDIS_TALLY_H

#include <jansson.h>
#include <orchestrate/error.h>
#include <stdint.h>

#define TALLY_SECONDS 3600u
#define TALLY_NEVER INT64_MAX

struct tally_db {
    uint32_t db;
    uint64_t keys;
    uint64_t expiring;       /* of them, those with an expiry */
    int64_t first_expiry_ms; /* the earliest, or TALLY_NEVER */
    uint64_t expired;        /* of them, those past before base_ms */
    uint32_t *by_second;     /* TALLY_SECONDS counts from base_ms, or NULL */
};

struct tally {
    int64_t base_ms; /* 0: no counts by the second */
    struct tally_db *dbs;
    uint32_t count;
};

/* Counts one key. `expires_ms` is ORCH_NO_EXPIRY for none. */
int32_t tally_add(struct tally *tally, uint32_t db, int64_t expires_ms,
                  struct orch_error *err) ORCH_CHECKED;
/* The entry of a database, or NULL. */
const struct tally_db *tally_find(const struct tally *tally, uint32_t db);
/* All keys. */
uint64_t tally_keys(const struct tally *tally);
/* The least number of a database's keys that must be alive at `now_ms`. `db` may be NULL: 0. */
uint64_t tally_alive(const struct tally *tally, const struct tally_db *db, int64_t now_ms);
void tally_free(struct tally *tally);

/* As { "0": { keys, expiring, first_expiry_ms } }, a new reference; NULL when memory is out. */
json_t *tally_to_json(const struct tally *tally);
/* Reads it back (without counts by the second). ORCH_E_CORRUPT when it makes no sense. */
int32_t tally_from_json(const json_t *object, struct tally *tally,
                        struct orch_error *err) ORCH_CHECKED;

#endif
