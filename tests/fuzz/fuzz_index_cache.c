/*
 * fuzz_index_cache.c: the index's cache on this host: LMDB records that are not what was written.
 * The index must open all the same, if need be with another cache, and stay within its bounds.
 *
 * The cache of a small repository is put back, and then changed as the input says, in steps of:
 * u8 which table, u8 which record, u8 what is done to it, u8 length, bytes. LMDB itself is not
 * tested: its pages stay sound.
 */
#include <fcntl.h>
#include <lmdb.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "engine/frame.h"
#include "engine/segment.h"
#include "fuzz.h"
#include "memstore.h"
#include "tempdir.h"

#define TABLES 6u
#define PACKS 4u
#define STEPS_MAX 6u
#define PLACES_MOST (UINT64_C(1) << 40)

struct fixture {
    struct memstore *store;
    struct pack_table tables[PACKS]; /* the last is in no segment */
    char dir[300], cache[400];
    struct buffer data, state; /* of the sound cache */
};

static struct index *open_index(const struct fixture *fixture)
{
    struct index_options options = {.cache_dir = fixture->dir};
    struct index *index = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    must(index_open(fixture->store->repo, &options, &index, &err) == ORCH_OK);
    return index;
}

/* ---- the repository ------------------------------------------------------------------------ */

static void make_table(struct pack_table *table, uint8_t number)
{
    struct orch_error err = ORCH_ERROR_INIT;
    *table = (struct pack_table){.id = {number, 1}, .kind = 1 + number % 2, .size_bytes = 5000};
    for (uint8_t i = 0; i < 2 + number; i++) {
        /* The second chunk of each pack is the same. */
        const struct pack_chunk chunks[] = {{.id = {number, i}, .len = 100},
                                            {.id = {0xee}, .len = 50}};
        must(pack_table_add(table, 166, i == 0 ? 150 : 100, 0, chunks, i == 0 ? 2 : 1, &err) ==
             ORCH_OK);
    }
}

static void make(struct fixture *fixture)
{
    char first[SEGMENT_NAME_BYTES];
    uint8_t superseded[1][SEGMENT_ID_BYTES];
    struct orch_error err = ORCH_ERROR_INIT;
    fixture->store = memstore_fresh();
    for (uint8_t i = 0; i < PACKS; i++) {
        make_table(&fixture->tables[i], i);
    }
    struct repo *repo = fixture->store->repo;
    must(segment_store(repo, fixture->tables, 2, NULL, 0, first, &err) == ORCH_OK);
    must(hex_decode(first + 6, 2 * SEGMENT_ID_BYTES, superseded[0], SEGMENT_ID_BYTES) == ORCH_OK);
    must(segment_store(repo, fixture->tables, 1, NULL, 0, NULL, &err) == ORCH_OK);
    must(segment_store(repo, fixture->tables + 1, 2, (const uint8_t(*)[SEGMENT_ID_BYTES])superseded,
                       1, NULL, &err) == ORCH_OK);
    (void)snprintf(fixture->dir, sizeof(fixture->dir), "%s/cache", tempdir_path());
    (void)snprintf(fixture->cache, sizeof(fixture->cache), "%s/index/%s/index-1", fixture->dir,
                   MEMSTORE_REPO_ID);
    index_close(open_index(fixture));
    CLEANUP_FREE char *data = file_join(fixture->cache, "data.mdb");
    CLEANUP_FREE char *state = file_join(fixture->cache, "state");
    must(file_read(data, 1 << 24, &fixture->data, &err) == ORCH_OK);
    must(file_read(state, 1 << 10, &fixture->state, &err) == ORCH_OK);
}

/* ---- its cache ----------------------------------------------------------------------------- */

static void put_file(const char *folder, const char *name, const struct buffer *bytes)
{
    CLEANUP_FREE char *path = file_join(folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0 && write(fd, bytes->data, bytes->len) == (ssize_t)bytes->len && close(fd) == 0);
}

/* The sound cache, alone in its folder. */
static void put_back(const struct fixture *fixture)
{
    tempdir_clear();
    struct orch_error err = ORCH_ERROR_INIT;
    must(file_make_dirs(fixture->cache, 0700, &err) == ORCH_OK);
    put_file(fixture->cache, "data.mdb", &fixture->data);
    put_file(fixture->cache, "state", &fixture->state);
}

/* Changes one record of an open table. */
static void change(MDB_txn *txn, MDB_dbi table, uint8_t which, uint8_t action, const uint8_t *bytes,
                   size_t len)
{
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    uint8_t key_copy[64] = {0}, copy[512] = {0};
    must(mdb_cursor_open(txn, table, &cursor) == 0);
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    for (; rc == 0 && which > 0; which--) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (rc != 0 || key.mv_size > sizeof(key_copy) || value.mv_size > sizeof(copy)) {
        return;
    }
    memcpy(key_copy, key.mv_data, key.mv_size);
    memcpy(copy, value.mv_data, value.mv_size);
    key.mv_data = key_copy;
    value.mv_data = copy;
    switch (action % 5) {
    case 0: /* bytes laid over it, from an offset on */
        if (len > 0 && value.mv_size > 0) {
            size_t at = bytes[0] % value.mv_size;
            (void)overlay(copy + at, value.mv_size - at, bytes + 1, len - 1);
        }
        break;
    case 1: /* another length */
        value.mv_size = len > 0 ? bytes[0] : 0;
        break;
    case 2:
        (void)mdb_del(txn, table, &key, NULL);
        return;
    case 3: /* under another key */
        (void)overlay(key_copy, key.mv_size, bytes, len);
        break;
    default:
        value.mv_size = len;
        memcpy(copy, bytes, len);
        break;
    }
    (void)mdb_put(txn, table, &key, &value, 0);
}

static void change_all(const struct fixture *fixture, struct reader *in)
{
    static const char *const names[TABLES] = {"chunks", "packs",    "frames",
                                              "ids",    "segments", "meta"};
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    must(mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, TABLES) == 0 &&
         mdb_env_open(env, fixture->cache, MDB_NOSYNC, 0600) == 0);
    must(mdb_txn_begin(env, NULL, 0, &txn) == 0);
    for (unsigned i = 0; i < STEPS_MAX && reader_left(in) >= 4; i++) {
        uint8_t table = reader_u8(in);
        uint8_t which = reader_u8(in);
        uint8_t action = reader_u8(in);
        size_t len = reader_u8(in);
        len = len > reader_left(in) ? reader_left(in) : len;
        const uint8_t *bytes = reader_take(in, len);
        MDB_dbi handle = 0;
        must(mdb_dbi_open(txn, names[table % TABLES], 0, &handle) == 0);
        change(txn, handle, which % 16, action, bytes, len);
    }
    must(mdb_txn_commit(txn) == 0);
    mdb_env_close(env);
}

/* ---- what the index makes of it ------------------------------------------------------------- */

static void look_up(struct index *index, const uint8_t *id)
{
    struct chunk_location place;
    if (index_find(index, id, &place) == ORCH_OK) {
        must(place.pack_number < index_pack_count(index));
        must(place.number < index_places(index)); /* bitmaps are as long */
    }
    (void)index_knows(index, id);
}

static void look_around(const struct fixture *fixture, struct index *index)
{
    must(index_places(index) <= PLACES_MOST);
    for (size_t i = 0; i < PACKS; i++) {
        const struct pack_table *table = &fixture->tables[i];
        for (size_t j = 0; j < table->chunk_count; j++) {
            look_up(index, table->chunks[j].id);
        }
    }
    struct index_pack pack;
    size_t count = index_pack_count(index);
    for (size_t i = 0; i < count && i < 64; i++) {
        struct chunk_location place;
        must(index_pack_at(index, i, &pack));
        must(pack.gone || pack.first_place + pack.chunk_count <= index_places(index));
        for (uint64_t j = 0; j < pack.frame_count && j < 8; j++) {
            (void)index_frame_at(index, &pack, j, &place);
        }
    }
}

static void use(struct fixture *fixture, struct index *index)
{
    struct orch_error err = ORCH_ERROR_INIT;
    char name[SEGMENT_NAME_BYTES] = "index/";
    const struct pack_table *own = &fixture->tables[PACKS - 1];
    const uint8_t id[SEGMENT_ID_BYTES] = {7};
    bool claimed = false;
    look_around(fixture, index);
    (void)!index_refresh(index, &err);
    must(index_claim(index, own->chunks[0].id, &claimed, &err) == ORCH_OK);
    must(index_add_pack(index, own, &err) == ORCH_OK);
    must(index_knows(index, own->chunks[0].id));
    hex_encode(id, sizeof(id), name + 6);
    must(index_add_segment(index, name, own, 1, &err) == ORCH_OK);
    look_around(fixture, index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fixture fixture;
    struct reader in = reader_over(data, size);
    if (fixture.store == NULL) {
        make(&fixture);
    }
    put_back(&fixture);
    change_all(&fixture, &in);
    struct index *index = open_index(&fixture);
    use(&fixture, index);
    index_close(index);
    index = open_index(&fixture);
    look_around(&fixture, index);
    index_close(index);
    return 0;
}
