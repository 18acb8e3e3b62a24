/*
 * rdb.h: the parser of the RDB format, without input of its own.
 *
 * The caller holds a window of bytes and offers it; the parser takes from its front and answers
 * with one event, or asks for more. Values are not decoded: an event points at the raw bytes, which
 * are the middle of a DUMP payload. Any bytes at all may be offered.
 *
 *     rc = rdb_next(rdb, window, len, &used, &event, err)
 *     drop `used` bytes from the window's front (once the event is dealt with), add bytes when it
 *     was RDB_MORE, call again
 */
#ifndef REDIS_RDB_H
#define REDIS_RDB_H

#include "crc64.h"

#include <orchestrate/error.h>
#include <stddef.h>
#include <stdint.h>

struct rdb;

#define RDB_MORE 0     /* the window holds no whole event: add bytes */
#define RDB_HEADER 1   /* version */
#define RDB_AUX 2      /* name, value: a fact about the file */
#define RDB_KEY 3      /* db, type, key, value, expiry */
#define RDB_FUNCTION 4 /* value: the source of a function library, decoded */
#define RDB_END 5      /* the end was reached and the checksum was right (or not in use) */

/* Pointers are valid until the window changes or rdb_next is called again. */
struct rdb_event {
    uint32_t version; /* of the RDB; in every event */
    uint32_t db;
    uint32_t type;      /* type byte of the value */
    uint32_t flags;     /* RDB_HAS_* */
    const uint8_t *key; /* RDB_KEY: decoded key; RDB_AUX: name */
    size_t key_len;
    const uint8_t *value;
    size_t value_len;
    int64_t expires_ms; /* or ORCH_NO_EXPIRY */
    uint64_t idle_s;    /* when RDB_HAS_IDLE */
    uint32_t frequency; /* when RDB_HAS_FREQUENCY */
};

#define RDB_HAS_IDLE 1u
#define RDB_HAS_FREQUENCY 2u

#define RDB_ITEM_MAX (UINT64_C(1) << 30)  /* the default cap for one value */
#define RDB_KEY_MAX (UINT64_C(512) << 20) /* the server's own limit */

/* `crc` must outlive the parser. `item_max` caps a value (bytes); RDB_ITEM_MAX is usual. */
int32_t rdb_new(const struct crc64 *crc, uint64_t item_max, struct rdb **out,
                struct orch_error *err) ORCH_CHECKED;
void rdb_free(struct rdb *rdb); /* NULL is allowed */

/*
 * The next event (an RDB_* number), or a negative code: ORCH_E_CORRUPT, ORCH_E_VERSION (newer than
 * this parser), ORCH_E_UNSUPPORTED (data of a module, which the message names), ORCH_E_NOMEM.
 * `*used` bytes are done with, also when the answer is RDB_MORE. Not to be called after a failure
 * or RDB_END.
 */
int32_t rdb_next(struct rdb *rdb, const uint8_t *window, size_t len, size_t *used,
                 struct rdb_event *event, struct orch_error *err) ORCH_CHECKED;

/* Bytes taken so far. */
uint64_t rdb_offset(const struct rdb *rdb);

#define RDB_FOOTER_LEN 10
/* The ten bytes that end a DUMP payload of this type and value: version and checksum. */
void rdb_footer(const struct crc64 *crc, uint32_t version, uint32_t type, const uint8_t *value,
                size_t len, uint8_t footer[RDB_FOOTER_LEN]);

/*
 * Takes a DUMP payload apart: type, value and version of `*event`. ORCH_E_CORRUPT when it is too
 * short or its checksum is wrong.
 */
int32_t rdb_payload(const struct crc64 *crc, const uint8_t *payload, size_t len,
                    struct rdb_event *event, struct orch_error *err) ORCH_CHECKED;

#endif
