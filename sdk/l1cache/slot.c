/*
 * slot.c: entry numbers. The database "freed" holds the numbers that were given back, as 8-byte
 * keys, and under the one-byte key "n" the next number that was never given.
 */
#include "internal.h"

#include <string.h>

static int next_number(struct orch_l1 *cache, MDB_txn *txn, uint64_t *number)
{
    char name[] = "n";
    MDB_val key = {1, name}, value;
    *number = 0;
    int rc = mdb_get(txn, cache->freed, &key, &value);
    if (rc == 0 && value.mv_size == sizeof(*number)) {
        memcpy(number, value.mv_data, sizeof(*number));
    } else if (rc != MDB_NOTFOUND) {
        return rc == 0 ? MDB_CORRUPTED : rc;
    }
    if (*number >= cache->usage->slots) {
        return MDB_MAP_FULL;
    }
    uint64_t after = *number + 1;
    value = (MDB_val){sizeof(after), &after};
    return mdb_put(txn, cache->freed, &key, &value, 0);
}

int l1_slot_take(struct orch_l1 *cache, MDB_txn *txn, uint64_t *number)
{
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    int rc = mdb_cursor_open(txn, cache->freed, &cursor);
    if (rc != 0) {
        return rc;
    }
    rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    if (rc == 0 && key.mv_size == 1) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    if (rc == 0 && key.mv_size == sizeof(*number)) {
        memcpy(number, key.mv_data, sizeof(*number));
        rc = mdb_cursor_del(cursor, 0);
    } else if (rc == MDB_NOTFOUND) {
        rc = next_number(cache, txn, number);
    } else if (rc == 0) {
        rc = MDB_CORRUPTED;
    }
    mdb_cursor_close(cursor);
    return rc;
}

int l1_slot_free(struct orch_l1 *cache, MDB_txn *txn, uint64_t number)
{
    MDB_val key = {sizeof(number), &number}, value = {0, NULL};
    return mdb_put(txn, cache->freed, &key, &value, 0);
}
