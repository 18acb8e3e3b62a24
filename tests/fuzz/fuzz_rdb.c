/*
 * fuzz_rdb.c: drives the RDB parser over any bytes, in pieces whose size the first byte gives.
 *
 * Links with plugins/redis/{bytes,crc64,lzf,rdb,rdb_atom,rdb_value}.c (redis_rdb_sources) and the
 * SDK.
 */
#include "crc64.h"
#include "fuzz.h"
#include "rdb.h"
#include "rdb_value.h"

#include <stdlib.h>
#include <string.h>

#define ITEM_MAX (UINT64_C(1) << 20)

/* What a backup does with a key: its digest, its count, and a payload that must be valid again. */
static void use(const struct crc64 *crc, const struct rdb_event *event)
{
    struct rdb_event again;
    struct orch_error err = ORCH_ERROR_INIT;
    size_t len = 1 + event->value_len + RDB_FOOTER_LEN;
    uint8_t *payload = malloc(len);
    if (payload == NULL) {
        return;
    }
    payload[0] = (uint8_t)event->type;
    memcpy(payload + 1, event->value, event->value_len);
    rdb_footer(crc, event->version, event->type, event->value, event->value_len,
               payload + 1 + event->value_len);
    if (rdb_payload(crc, payload, len, &again, &err) != ORCH_OK ||
        again.value_len != event->value_len || again.version != event->version ||
        rdb_value_digest(crc, event->type, event->value, event->value_len) !=
            rdb_value_digest(crc, again.type, again.value, again.value_len) ||
        rdb_value_count(event->type, event->value, event->value_len) !=
            rdb_value_count(again.type, again.value, again.value_len)) {
        abort();
    }
    free(payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct crc64 crc; /* the tables, computed once: a fuzz target is one thread */
    struct orch_error err = ORCH_ERROR_INIT;
    struct rdb *rdb = NULL;
    if (crc.table[0][1] == 0) {
        crc64_init(&crc);
    }
    if (size == 0 || rdb_new(&crc, ITEM_MAX, &rdb, &err) != ORCH_OK) {
        return 0;
    }
    size_t step = (size_t)data[0] + 1;
    size_t start = 1, end = size < 1 + step ? size : 1 + step;
    for (;;) {
        struct rdb_event event;
        size_t used = 0;
        int32_t kind = rdb_next(rdb, data + start, end - start, &used, &event, &err);
        if (used > end - start) {
            abort();
        }
        if (kind == RDB_KEY) {
            use(&crc, &event);
        }
        start += used;
        if (kind < 0 || kind == RDB_END || (kind == RDB_MORE && end == size)) {
            break;
        }
        if (kind == RDB_MORE) {
            end = size - end < step ? size : end + step;
        }
    }
    rdb_free(rdb);
    return 0;
}
