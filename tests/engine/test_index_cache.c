/*
 * test_index_cache.c: the cache of an index: it lasts, several use it at once, it is in step with
 * the segments, and whatever happens to its files, nothing is found wrongly and nobody dies.
 */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/check.h"
#include "engine/segment.h"
#include "enginetest.h"

/* ---- a repository of segments alone --------------------------------------------------------- */

struct world {
    struct et_repo r;
    char cache[80];
};

static void world_make(struct world *w)
{
    et_repo_make(&w->r, true);
    (void)snprintf(w->cache, sizeof(w->cache), "%s/cache", w->r.dir);
}

static void chunk_id(uint64_t pack, uint64_t number, uint8_t id[CHUNK_ID_BYTES])
{
    et_random_fill(pack * 1000000 + number, id, CHUNK_ID_BYTES);
}

/* A pack of 10 chunks a frame. */
static void make_table(struct pack_table *table, uint64_t pack, uint64_t chunks)
{
    struct orch_error err = ORCH_ERROR_INIT;
    memset(table, 0, sizeof(*table));
    et_random_fill(UINT64_C(1) << 60 | pack, table->id, PACK_ID_BYTES);
    table->kind = PACK_DATA;
    for (uint64_t i = 0; i < chunks; i += 10) {
        struct pack_chunk list[10];
        for (uint64_t j = 0; j < 10; j++) {
            chunk_id(pack, i + j, list[j].id);
            list[j].len = 100;
        }
        et_ok(pack_table_add(table, 500, 1000, CODEC_ZSTD, list, 10, &err), err);
    }
    table->size_bytes = pack_table_end(table) + 1000;
}

/* Stores a segment of packs first … first + count - 1. */
static void store(struct world *w, uint64_t first, uint64_t count, uint64_t chunks,
                  const char *const *supersedes, char name[SEGMENT_NAME_BYTES])
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct pack_table tables[16];
    uint8_t old[4][SEGMENT_ID_BYTES];
    size_t olds = 0;
    for (; supersedes != NULL && supersedes[olds] != NULL; olds++) {
        ck_assert_int_eq(hex_decode(supersedes[olds] + 6, 64, old[olds], 32), ORCH_OK);
    }
    for (uint64_t i = 0; i < count; i++) {
        make_table(&tables[i], first + i, chunks);
    }
    et_ok(segment_store(w->r.repo, tables, count, (const uint8_t(*)[SEGMENT_ID_BYTES])old, olds,
                        name, &err),
          err);
    for (uint64_t i = 0; i < count; i++) {
        pack_table_clear(&tables[i]);
    }
}

static void drop(struct world *w, const char *name)
{
    struct orch_error err = ORCH_ERROR_INIT;
    et_ok(storage_remove(w->r.storage, name, &err), err);
}

static struct index *open_index(struct world *w)
{
    struct index *index = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    struct index_options options = {.cache_dir = w->cache};
    et_ok(index_open(w->r.repo, &options, &index, &err), err);
    return index;
}

/* All chunks of a pack are found there, or none is. */
static void expect(struct index *index, uint64_t pack, uint64_t chunks, bool there)
{
    struct pack_table table;
    struct index_pack shown;
    make_table(&table, pack, 10);
    size_t number = index_pack_find(index, table.id);
    ck_assert_int_eq(number != SIZE_MAX, there);
    ck_assert(!there || (index_pack_at(index, number, &shown) && !shown.gone));
    for (uint64_t i = 0; i < chunks; i++) {
        struct chunk_location place;
        uint8_t id[CHUNK_ID_BYTES];
        chunk_id(pack, i, id);
        ck_assert_int_eq(index_find(index, id, &place), there ? ORCH_OK : ORCH_E_NOT_FOUND);
        ck_assert_int_eq(index_knows(index, id), there);
        if (there) {
            struct chunk_location frame;
            ck_assert_mem_eq(place.pack, table.id, PACK_ID_BYTES);
            ck_assert_uint_eq(place.frame_number, i / 10);
            ck_assert_uint_eq(place.frame_offset, PACK_HEADER_BYTES + i / 10 * 500);
            ck_assert_uint_eq(place.offset, i % 10 * 100);
            ck_assert_uint_eq(place.len, 100);
            ck_assert_uint_eq(place.number, shown.first_place + i);
            ck_assert_uint_lt(place.number, index_places(index));
            ck_assert_uint_eq(place.pack_number, number);
            ck_assert(index_frame_at(index, &shown, i / 10, &frame));
            ck_assert_uint_eq(frame.frame_offset, place.frame_offset);
            ck_assert_uint_eq(frame.len, 1000);
        }
    }
    pack_table_clear(&table);
}

/* The cache's folder of this repository. */
static void folder(struct world *w, char path[256])
{
    (void)snprintf(path, 256, "%s/index/%s", w->cache, repo_id(w->r.repo));
}

/* Its generations; the newest one's folder in `path`. */
static size_t generations(struct world *w, unsigned *newest, char path[300])
{
    char dir_path[256];
    size_t count = 0;
    struct dirent *entry;
    folder(w, dir_path);
    *newest = 0;
    DIR *dir = opendir(dir_path);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        unsigned number = 0;
        ck_assert_ptr_null(strstr(entry->d_name, "build-"));
        if (sscanf(entry->d_name, "index-%u", &number) == 1) {
            count++;
            *newest = number > *newest ? number : *newest;
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    (void)snprintf(path, 300, "%s/index-%u", dir_path, *newest);
    return count;
}

/* ---- in step -------------------------------------------------------------------------------- */

static void note_damage(void *ctx, const char *name, const struct orch_error *why)
{
    ck_assert_int_eq(why->code, ORCH_E_CORRUPT);
    ck_assert_ptr_nonnull(name);
    (*(int *)ctx)++;
}

/* What is in the cache is not read again, except when that is asked for. */
START_TEST(it_lasts)
{
    struct world w;
    char names[2][SEGMENT_NAME_BYTES];
    char path[300];
    unsigned newest = 0;
    int damaged = 0;
    struct orch_error err = ORCH_ERROR_INIT;
    struct index *index = NULL;
    world_make(&w);
    store(&w, 1, 2, 50, NULL, names[0]);
    store(&w, 3, 1, 50, NULL, names[1]);
    for (int i = 0; i < 3; i++) {
        index = open_index(&w);
        ck_assert_uint_eq(index_chunks(index), 150);
        expect(index, 1, 50, true);
        expect(index, 3, 50, true);
        index_close(index);
        ck_assert_uint_eq(generations(&w, &newest, path), 1);
        ck_assert_uint_eq(newest, 1);
    }
    et_flip(&w.r, names[0], 100, 1);
    index = open_index(&w);
    expect(index, 1, 50, true);
    index_close(index);
    struct index_options options = {
        .cache_dir = w.cache, .check_segments = true, .damaged = note_damage, .ctx = &damaged};
    et_ok(index_open(w.r.repo, &options, &index, &err), err);
    ck_assert_int_eq(damaged, 1);
    expect(index, 1, 50, false); /* as for somebody without the cache */
    expect(index, 3, 50, true);
    index_close(index);
    struct index *refused = NULL;
    options.check_segments = false;
    options.damaged = NULL;
    ck_assert_int_eq(index_open(w.r.repo, &options, &refused, &err), ORCH_E_CORRUPT);
    et_flip(&w.r, names[0], 100, 1);
    index = open_index(&w);
    expect(index, 1, 50, true);
    index_close(index);
    et_repo_remove(&w.r);
}
END_TEST

START_TEST(others_are_seen_after_a_refresh)
{
    struct world w;
    char names[3][SEGMENT_NAME_BYTES];
    struct orch_error err = ORCH_ERROR_INIT;
    struct pack_table table;
    world_make(&w);
    make_table(&table, 1, 10);
    store(&w, 1, 1, 50, NULL, names[0]);
    struct index *first = open_index(&w);
    size_t number = index_pack_find(first, table.id);
    store(&w, 2, 1, 50, NULL, names[1]);
    struct index *second = open_index(&w);
    expect(second, 2, 50, true);
    expect(first, 2, 50, false);
    et_ok(index_refresh(first, &err), err);
    expect(first, 2, 50, true);
    ck_assert_uint_eq(index_pack_find(first, table.id), number);
    /* A third one drops what the first two see. */
    drop(&w, names[1]);
    struct index *third = open_index(&w);
    expect(third, 2, 50, false);
    struct chunk_location place;
    uint8_t id[CHUNK_ID_BYTES];
    chunk_id(2, 7, id);
    ck_assert_int_eq(index_find(second, id, &place), ORCH_E_NOT_FOUND);
    ck_assert(!index_knows(second, id));
    et_ok(index_refresh(second, &err), err);
    expect(second, 2, 50, false);
    expect(second, 1, 50, true);
    index_close(third);
    /* And it comes back, under another number. */
    store(&w, 2, 1, 50, NULL, names[2]);
    et_ok(index_refresh(second, &err), err);
    expect(second, 2, 50, true);
    index_close(first);
    index_close(second);
    pack_table_clear(&table);
    et_repo_remove(&w.r);
}
END_TEST

/* Who looks up much gets a small cache into memory; that must not be seen in what is found. */
START_TEST(many_lookups)
{
    struct world w;
    char names[2][SEGMENT_NAME_BYTES];
    struct orch_error err = ORCH_ERROR_INIT;
    struct pack_table table;
    struct chunk_location place;
    bool claimed = false;
    world_make(&w);
    make_table(&table, 3, 1000);
    store(&w, 1, 8, 1000, NULL, names[0]);
    store(&w, 9, 1, 1000, NULL, names[1]);
    struct index *index = open_index(&w);
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 1; i <= 9; i++) {
            expect(index, i, 1000, true);
        }
        expect(index, 100, 1000, false);
    }
    et_ok(index_shun(index, (const uint8_t(*)[PACK_ID_BYTES])table.id, 1, &err), err);
    ck_assert(!index_knows(index, table.chunks[5].id));
    et_ok(index_find(index, table.chunks[5].id, &place), err);
    et_ok(index_claim(index, table.chunks[5].id, &claimed, &err), err);
    ck_assert(claimed);
    expect(index, 4, 1000, true);
    drop(&w, names[1]);
    index_close(open_index(&w)); /* drops it for all */
    uint8_t id[CHUNK_ID_BYTES];
    chunk_id(9, 77, id);
    ck_assert_int_eq(index_find(index, id, &place), ORCH_E_NOT_FOUND);
    ck_assert(!index_knows(index, id));
    expect(index, 4, 1000, true);
    store(&w, 20, 1, 1000, NULL, names[1]);
    et_ok(index_refresh(index, &err), err);
    for (int round = 0; round < 3; round++) {
        expect(index, 20, 1000, true);
        expect(index, 8, 1000, true);
        expect(index, 9, 1000, false);
    }
    index_close(index);
    pack_table_clear(&table);
    et_repo_remove(&w.r);
}
END_TEST

START_TEST(superseded_segments)
{
    struct world w;
    char names[4][SEGMENT_NAME_BYTES];
    struct orch_error err = ORCH_ERROR_INIT;
    struct pack_table table;
    world_make(&w);
    make_table(&table, 2, 10);
    store(&w, 1, 2, 50, NULL, names[0]);
    struct index *index = open_index(&w);
    size_t number = index_pack_find(index, table.id);
    /* As prune does it: pack 1 goes, pack 2 stays. */
    store(&w, 2, 1, 50, (const char *const[]){names[0], NULL}, names[1]);
    et_ok(index_refresh(index, &err), err);
    expect(index, 1, 50, false);
    expect(index, 2, 50, true);
    ck_assert_uint_eq(index_pack_find(index, table.id), number);
    /* Another one in the chain; the first is superseded though only the middle one says so. */
    store(&w, 2, 2, 50, (const char *const[]){names[1], NULL}, names[2]);
    et_ok(index_refresh(index, &err), err);
    expect(index, 1, 50, false);
    expect(index, 2, 50, true);
    expect(index, 3, 50, true);
    struct index *fresh = open_index(&w);
    expect(fresh, 1, 50, false);
    expect(fresh, 3, 50, true);
    index_close(fresh);
    drop(&w, names[0]);
    et_ok(index_refresh(index, &err), err);
    expect(index, 2, 50, true);
    /* What superseded it is gone: it counts again. */
    drop(&w, names[2]);
    et_ok(index_refresh(index, &err), err);
    expect(index, 2, 50, true);
    expect(index, 3, 50, false);
    ck_assert_uint_eq(index_chunks(index), 50);
    index_close(index);
    pack_table_clear(&table);
    et_repo_remove(&w.r);
}
END_TEST

/* A store whose list of segments is out of date the first times: what it listed is superseded and
 * removed before it can be read. */
struct racing {
    struct world *w;
    char old[SEGMENT_NAME_BYTES];
    uint64_t next; /* pack of the next segment */
    int races;
};

static uint32_t race_capabilities(void *impl)
{
    return storage_capabilities(((struct racing *)impl)->w->r.storage);
}

static int32_t race_put_begin(void *impl, const char *name, void **put, struct orch_error *err)
{
    struct storage_put *inner = NULL;
    int32_t rc = storage_put_begin(((struct racing *)impl)->w->r.storage, name, &inner, err);
    *put = inner;
    return rc;
}

static int32_t race_put_data(void *put, const void *data, size_t len, struct orch_error *err)
{
    return storage_put_data(put, data, len, err);
}

static int32_t race_put_commit(void *put, uint32_t flags, struct orch_error *err)
{
    return storage_put_commit(put, flags, err);
}

static void race_put_abort(void *put)
{
    storage_put_abort(put);
}

static int32_t race_get(void *impl, const char *name, uint64_t offset, void *data, size_t len,
                        struct orch_error *err)
{
    return storage_get(((struct racing *)impl)->w->r.storage, name, offset, data, len, err);
}

static int32_t race_stat(void *impl, const char *name, struct storage_stat *stat,
                         struct orch_error *err)
{
    return storage_stat(((struct racing *)impl)->w->r.storage, name, stat, err);
}

static int32_t race_list(void *impl, const char *prefix,
                         int32_t (*each)(void *ctx, const char *name,
                                         const struct storage_stat *stat, struct orch_error *err),
                         void *ctx, struct orch_error *err)
{
    struct racing *racing = impl;
    int32_t rc = storage_list(racing->w->r.storage, prefix, each, ctx, err);
    if (rc == ORCH_OK && strcmp(prefix, "index") == 0 && racing->races > 0) {
        char name[SEGMENT_NAME_BYTES];
        racing->races--;
        store(racing->w, racing->next++, 2, 50, (const char *const[]){racing->old, NULL}, name);
        drop(racing->w, racing->old);
        memcpy(racing->old, name, sizeof(name));
    }
    return rc;
}

static int32_t race_remove(void *impl, const char *name, struct orch_error *err)
{
    return storage_remove(((struct racing *)impl)->w->r.storage, name, err);
}

static int32_t race_barrier(void *impl, struct orch_error *err)
{
    return storage_barrier(((struct racing *)impl)->w->r.storage, err);
}

static void race_close(void *impl)
{
    (void)impl;
}

static const struct storage_driver race_driver = {
    .name = "racing",
    .capabilities = race_capabilities,
    .put_begin = race_put_begin,
    .put_data = race_put_data,
    .put_commit = race_put_commit,
    .put_abort = race_put_abort,
    .get = race_get,
    .stat = race_stat,
    .list = race_list,
    .remove = race_remove,
    .barrier = race_barrier,
    .close = race_close,
};

/* Each time pack N goes and pack N + 1 stays, in another segment: it is never missed. With an empty
 * cache, and with one that has some of it. */
START_TEST(replaced_between_listing_and_reading)
{
    static const uint8_t key[KEY_BYTES] = {1, 2, 3, 4, 5, 6, 7, 8}; /* as in enginetest.c */
    struct world w;
    struct orch_error err = ORCH_ERROR_INIT;
    struct racing racing = {.w = &w, .next = 2};
    struct storage *storage = NULL;
    struct repo *repo = NULL;
    struct index *index = NULL;
    struct repo_unlock unlock = {.key = key};
    world_make(&w);
    struct index_options options = {.cache_dir = w.cache};
    store(&w, 1, 2, 50, NULL, racing.old);
    et_ok(storage_new(&race_driver, &racing, &storage, &err), err);
    et_ok(repo_open(storage, &unlock, NULL, &repo, &err), err);
    racing.races = _i == 0 ? 3 : 0;
    et_ok(index_open(repo, &options, &index, &err), err);
    ck_assert_int_eq(racing.races, 0);
    expect(index, 1, 10, _i == 1);
    expect(index, racing.next - 1, 50, true);
    expect(index, racing.next, 50, true);
    /* What is known need not be read: the index is that of the moment of the listing. */
    racing.races = 1;
    et_ok(index_refresh(index, &err), err);
    expect(index, racing.next - 2, 50, true);
    expect(index, racing.next, 10, false);
    racing.races = 3;
    et_ok(index_refresh(index, &err), err);
    ck_assert_int_eq(racing.races, 0);
    expect(index, racing.next - 2, 10, false);
    expect(index, racing.next - 1, 50, true);
    expect(index, racing.next, 50, true);
    /* Without end: an error, not a hang, and not an index without. */
    racing.races = 1;
    et_ok(index_refresh(index, &err), err);
    racing.races = 1000;
    ck_assert_int_eq(index_refresh(index, &err), ORCH_E_CORRUPT);
    index_close(index);
    repo_close(repo);
    storage_close(storage);
    et_repo_remove(&w.r);
}
END_TEST

/* ---- additions ------------------------------------------------------------------------------ */

START_TEST(own_packs_move_to_the_cache)
{
    struct world w;
    struct orch_error err = ORCH_ERROR_INIT;
    struct pack_table tables[3];
    char name[SEGMENT_NAME_BYTES];
    size_t numbers[3];
    struct index_pack before[3];
    world_make(&w);
    struct index *index = open_index(&w);
    struct index *other = open_index(&w);
    for (uint64_t i = 0; i < 3; i++) {
        bool claimed = false;
        make_table(&tables[i], i, 50);
        et_ok(index_claim(index, tables[i].chunks[7].id, &claimed, &err), err);
        ck_assert(claimed);
        et_ok(index_add_pack(index, &tables[i], &err), err);
        numbers[i] = index_pack_find(index, tables[i].id);
        ck_assert(index_pack_at(index, numbers[i], &before[i]));
        expect(index, i, 50, true);
    }
    expect(other, 1, 50, false);
    et_ok(segment_store(w.r.repo, tables, 3, NULL, 0, name, &err), err);
    struct index *third = NULL;
    if (_i == 1) { /* somebody else is faster with our segment */
        third = open_index(&w);
        expect(third, 1, 50, true);
    }
    if (_i == 2) {
        et_ok(index_refresh(index, &err), err);
    }
    et_ok(index_add_segment(index, name, tables, 3, &err), err);
    et_ok(index_add_segment(index, name, tables, 3, &err), err);
    index_release_claims(index);
    for (uint64_t i = 0; i < 3; i++) {
        struct index_pack after;
        ck_assert_uint_eq(index_pack_find(index, tables[i].id), numbers[i]);
        ck_assert(index_pack_at(index, numbers[i], &after));
        ck_assert_uint_eq(after.first_place, before[i].first_place);
        ck_assert_uint_eq(after.plain_bytes, before[i].plain_bytes);
        expect(index, i, 50, true);
    }
    et_ok(index_refresh(index, &err), err);
    et_ok(index_refresh(other, &err), err);
    ck_assert_uint_eq(index_chunks(other), 150);
    for (uint64_t i = 0; i < 3; i++) {
        expect(index, i, 50, true);
        expect(other, i, 50, true);
        ck_assert_uint_eq(index_pack_find(other, tables[i].id), numbers[i]);
        pack_table_clear(&tables[i]);
    }
    index_close(third);
    index_close(index);
    index_close(other);
    index = open_index(&w);
    ck_assert_uint_eq(index_chunks(index), 150);
    index_close(index);
    et_repo_remove(&w.r);
}
END_TEST

/* Packs that no segment names are seen by whoever added them, and by nobody else. */
START_TEST(packs_without_a_segment)
{
    struct world w;
    struct orch_error err = ORCH_ERROR_INIT;
    struct pack_table table;
    char name[SEGMENT_NAME_BYTES];
    world_make(&w);
    store(&w, 1, 1, 50, NULL, name);
    make_table(&table, 2, 50);
    struct index *index = open_index(&w);
    struct index *copy = NULL;
    et_ok(index_copy(index, &copy, &err), err);
    et_ok(index_add_pack(copy, &table, &err), err);
    expect(copy, 2, 50, true);
    et_ok(index_add_segment(copy, NULL, &table, 1, &err), err);
    expect(copy, 1, 50, true);
    expect(copy, 2, 50, true);
    expect(index, 2, 50, false);
    et_ok(index_refresh(index, &err), err);
    expect(index, 2, 50, false);
    et_ok(index_refresh(copy, &err), err);
    expect(copy, 2, 50, true);
    struct index *other = open_index(&w);
    expect(other, 2, 50, false);
    store(&w, 2, 1, 50, NULL, name);
    et_ok(index_refresh(other, &err), err);
    expect(other, 2, 50, true);
    index_close(other);
    index_close(copy);
    index_close(index);
    pack_table_clear(&table);
    et_repo_remove(&w.r);
}
END_TEST

START_TEST(of_two_places_the_good_one)
{
    struct world w;
    struct orch_error err = ORCH_ERROR_INIT;
    struct pack_table tables[2];
    struct chunk_location place;
    char name[SEGMENT_NAME_BYTES];
    bool claimed = false;
    world_make(&w);
    make_table(&tables[0], 1, 50);
    make_table(&tables[1], 1, 50);
    et_random_fill(77, tables[1].id, PACK_ID_BYTES); /* the same chunks in another pack */
    for (int i = 0; i < 2; i++) {
        et_ok(segment_store(w.r.repo, &tables[i], 1, NULL, 0, name, &err), err);
        index_close(open_index(&w));
    }
    struct index *index = open_index(&w);
    const uint8_t *id = tables[0].chunks[3].id;
    et_ok(index_find(index, id, &place), err);
    ck_assert_mem_eq(place.pack, tables[0].id, PACK_ID_BYTES);
    et_ok(index_shun(index, (const uint8_t(*)[PACK_ID_BYTES])tables[0].id, 1, &err), err);
    ck_assert(index_shunned(index, index_pack_find(index, tables[0].id)));
    et_ok(index_find(index, id, &place), err);
    ck_assert_mem_eq(place.pack, tables[1].id, PACK_ID_BYTES);
    et_ok(index_claim(index, id, &claimed, &err), err);
    ck_assert(!claimed);
    et_ok(index_shun(index, (const uint8_t(*)[PACK_ID_BYTES])tables[1].id, 1, &err), err);
    ck_assert(!index_knows(index, id));
    et_ok(index_find(index, id, &place), err); /* better than none */
    ck_assert_mem_eq(place.pack, tables[0].id, PACK_ID_BYTES);
    et_ok(index_claim(index, id, &claimed, &err), err);
    ck_assert(claimed);
    index_close(index);
    /* One that the index learns of later is shunned too. */
    struct pack_table later;
    make_table(&later, 9, 20);
    index = open_index(&w);
    et_ok(index_shun(index, (const uint8_t(*)[PACK_ID_BYTES])later.id, 1, &err), err);
    et_ok(segment_store(w.r.repo, &later, 1, NULL, 0, name, &err), err);
    et_ok(index_refresh(index, &err), err);
    ck_assert(!index_knows(index, later.chunks[0].id));
    et_ok(index_find(index, later.chunks[0].id, &place), err);
    index_close(index);
    for (int i = 0; i < 2; i++) {
        pack_table_clear(&tables[i]);
    }
    pack_table_clear(&later);
    et_repo_remove(&w.r);
}
END_TEST

/* ---- what may happen to the files ------------------------------------------------------------ */

static void expect_all(struct world *w, uint64_t packs)
{
    struct index *index = open_index(w);
    ck_assert_uint_eq(index_chunks(index), packs * 50);
    for (uint64_t i = 1; i <= packs; i++) {
        expect(index, i, 50, true);
    }
    index_close(index);
}

START_TEST(a_cache_cut_short_is_made_anew)
{
    struct world w;
    char name[SEGMENT_NAME_BYTES];
    char path[300];
    char data[320];
    struct stat stat_before;
    unsigned newest = 0;
    world_make(&w);
    for (uint64_t i = 0; i < 8; i++) {
        store(&w, 1 + 4 * i, 4, 50, NULL, name);
    }
    expect_all(&w, 32);
    unsigned last = 1;
    for (int i = 0; i < 12; i++) {
        (void)generations(&w, &newest, path);
        (void)snprintf(data, sizeof(data), "%s/data.mdb", path);
        ck_assert_int_eq(stat(data, &stat_before), 0);
        static const off_t cuts[] = {0, 100, 4096, 8192, 8193, 12288};
        off_t size = i < 6 ? cuts[i] : stat_before.st_size * (i - 5) / 7;
        ck_assert_int_eq(truncate(data, size), 0);
        expect_all(&w, 32);
        ck_assert_uint_eq(generations(&w, &newest, path), 1);
        ck_assert_uint_eq(newest, last + 1);
        last = newest;
    }
    /* Gone altogether; and something else in its place. */
    (void)snprintf(data, sizeof(data), "%s/data.mdb", path);
    ck_assert_int_eq(unlink(data), 0);
    expect_all(&w, 32);
    (void)generations(&w, &newest, path);
    (void)snprintf(data, sizeof(data), "%s/data.mdb", path);
    int fd = open(data, O_WRONLY | O_TRUNC);
    for (int i = 0; i < 10000; i++) {
        ck_assert_int_eq(write(fd, "not a cache\n", 12), 12);
    }
    ck_assert_int_eq(close(fd), 0);
    expect_all(&w, 32);
    et_repo_remove(&w.r);
}
END_TEST

static void write_state(const char *path, const char *text)
{
    char name[320];
    (void)snprintf(name, sizeof(name), "%s/state", path);
    FILE *file = fopen(name, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

/* Only a cache that was synced, or written since the machine was started, may be trusted. */
START_TEST(not_synced_before_a_crash_of_the_machine)
{
    static const struct {
        const char *state;
        bool good;
    } states[] = {
        {"orchestrate index cache 1 clean -\n", true},
        {"orchestrate index cache 1 dirty 00000000-0000-0000-0000-000000000000\n", false},
        {"orchestrate index cache 2 clean -\n", false},
        {"", false},
    };
    struct world w;
    char name[SEGMENT_NAME_BYTES];
    char path[300];
    unsigned newest = 0;
    world_make(&w);
    store(&w, 1, 4, 50, NULL, name);
    expect_all(&w, 4);
    (void)generations(&w, &newest, path);
    unsigned before = newest;
    write_state(path, states[_i].state);
    expect_all(&w, 4);
    ck_assert_uint_eq(generations(&w, &newest, path), 1);
    ck_assert_uint_eq(newest, states[_i].good ? before : before + 1);
    if (states[_i].good) { /* the first write says that it is not synced any more */
        char text[128] = "";
        char file_name[320];
        store(&w, 5, 1, 50, NULL, name);
        expect_all(&w, 5);
        (void)snprintf(file_name, sizeof(file_name), "%s/state", path);
        FILE *file = fopen(file_name, "re");
        ck_assert_ptr_nonnull(fgets(text, sizeof(text), file));
        (void)fclose(file);
        ck_assert_ptr_nonnull(strstr(text, " dirty "));
    }
    et_repo_remove(&w.r);
}
END_TEST

/* One repository's cache in the place of another's. */
START_TEST(another_repositorys_cache_is_refused)
{
    struct world w;
    struct world other;
    char name[SEGMENT_NAME_BYTES];
    char from[256];
    char to[256];
    char command[1024];
    world_make(&w);
    world_make(&other);
    store(&w, 1, 4, 50, NULL, name);
    store(&other, 101, 4, 50, NULL, name);
    expect_all(&w, 4);
    index_close(open_index(&other));
    folder(&other, from);
    folder(&w, to);
    (void)snprintf(command, sizeof(command), "rm -rf '%s' && cp -r '%s' '%s'", to, from, to);
    ck_assert_int_eq(system(command), 0);
    expect_all(&w, 4);
    et_repo_remove(&w.r);
    et_repo_remove(&other.r);
}
END_TEST

/* No place for a cache: a temporary one does, and nothing stays of it. */
START_TEST(no_place_for_a_cache)
{
    struct world w;
    char name[SEGMENT_NAME_BYTES];
    char path[300];
    char temporary[100];
    world_make(&w);
    (void)snprintf(temporary, sizeof(temporary), "%s/temporary", w.r.dir);
    ck_assert_int_eq(mkdir(temporary, 0700), 0);
    ck_assert_int_eq(setenv("TMPDIR", temporary, 1), 0);
    store(&w, 1, 4, 50, NULL, name);
    if (_i == 0) { /* a file where the folder should be */
        ck_assert_int_eq(mkdir(w.cache, 0700), 0);
        (void)snprintf(path, sizeof(path), "%s/index", w.cache);
        int fd = open(path, O_WRONLY | O_CREAT, 0600);
        ck_assert_int_eq(close(fd), 0);
    } else if (_i == 1) { /* others may write there */
        index_close(open_index(&w));
        folder(&w, path);
        ck_assert_int_eq(chmod(path, 0777), 0);
    } else { /* a symbolic link to somewhere */
        index_close(open_index(&w));
        folder(&w, path);
        char moved[320];
        (void)snprintf(moved, sizeof(moved), "%s-moved", path);
        ck_assert_int_eq(rename(path, moved), 0);
        ck_assert_int_eq(symlink(moved, path), 0);
    }
    expect_all(&w, 4);
    struct index *index = open_index(&w);
    store(&w, 5, 1, 50, NULL, name);
    struct orch_error err = ORCH_ERROR_INIT;
    et_ok(index_refresh(index, &err), err);
    expect(index, 5, 50, true);
    ck_assert_int_eq(rmdir(temporary), 0); /* it is empty even now */
    index_close(index);
    /* And no place for that one either. */
    ck_assert_int_eq(unsetenv("TMPDIR"), 0);
    expect_all(&w, 5);
    et_repo_remove(&w.r);
}
END_TEST

/* Waits for a child; its exit code, or minus the signal that ended it. */
static int wait_for(pid_t child)
{
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* The disk of the cache is full: a limit on the length of files stands in for that. */
START_TEST(the_cache_cannot_grow)
{
    struct world w;
    char name[SEGMENT_NAME_BYTES];
    world_make(&w);
    store(&w, 1, 4, 50, NULL, name);
    expect_all(&w, 4);
    pid_t child = fork();
    if (child == 0) {
        struct orch_error err = ORCH_ERROR_INIT;
        struct pack_table tables[4];
        struct index *index = open_index(&w);
        struct rlimit limit = {100000, 100000};
        (void)signal(SIGXFSZ, SIG_IGN);
        (void)setrlimit(RLIMIT_FSIZE, &limit);
        for (uint64_t i = 0; i < 4; i++) {
            make_table(&tables[i], 100 + i, 5000);
            if (index_add_pack(index, &tables[i], &err) != ORCH_OK) {
                _exit(1);
            }
        }
        memcpy(name, "index/", 6);
        memset(name + 6, 'a', 64);
        if (index_add_segment(index, name, tables, 4, &err) != ORCH_OK) {
            _exit(2);
        }
        for (uint64_t i = 0; i < 4; i++) { /* they are still known, from memory */
            struct chunk_location place;
            for (size_t j = 0; j < 5000; j++) {
                if (index_find(index, tables[i].chunks[j].id, &place) != ORCH_OK) {
                    _exit(3);
                }
            }
        }
        index_close(index);
        _exit(0);
    }
    ck_assert_int_eq(wait_for(child), 0);
    expect_all(&w, 4);
    et_repo_remove(&w.r);
}
END_TEST

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
START_TEST(little_address_space)
{
    struct world w;
    char name[SEGMENT_NAME_BYTES];
    world_make(&w);
    store(&w, 1, 4, 50, NULL, name);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {UINT64_C(3) << 30, UINT64_C(3) << 30};
        struct chunk_location place;
        uint8_t id[CHUNK_ID_BYTES];
        (void)setrlimit(RLIMIT_AS, &limit);
        struct index *index = open_index(&w);
        chunk_id(3, 20, id);
        int32_t rc = index_find(index, id, &place);
        index_close(index);
        _exit(rc == ORCH_OK ? 0 : 1);
    }
    ck_assert_int_eq(wait_for(child), 0);
    char path[300];
    unsigned newest = 0;
    ck_assert_uint_eq(generations(&w, &newest, path), 1);
    expect_all(&w, 4);
    et_repo_remove(&w.r);
}
END_TEST
#endif

/* Killed at any moment of making or changing the cache. */
START_TEST(killed_while_it_writes)
{
    struct world w;
    struct et_random random = {(uint64_t)_i};
    char name[SEGMENT_NAME_BYTES];
    world_make(&w);
    for (uint64_t i = 0; i < 10; i++) {
        store(&w, 1 + 4 * i, 4, 1000, NULL, name);
    }
    for (int round = 0; round < 12; round++) {
        int ready[2];
        char byte = 0;
        ck_assert_int_eq(pipe(ready), 0);
        pid_t child = fork();
        if (child == 0) {
            struct orch_error err = ORCH_ERROR_INIT;
            ck_assert_int_eq(write(ready[1], "x", 1), 1);
            struct index *index = open_index(&w); /* the first time: makes it */
            for (uint64_t i = 0;; i++) {
                struct pack_table table;
                make_table(&table, 1000 + (uint64_t)round * 1000 + i, 3000);
                if (index_add_pack(index, &table, &err) != ORCH_OK ||
                    index_add_segment(index, NULL, &table, 1, &err) != ORCH_OK) {
                    _exit(1);
                }
                pack_table_clear(&table);
            }
        }
        ck_assert_int_eq(read(ready[0], &byte, 1), 1);
        (void)close(ready[0]);
        (void)close(ready[1]);
        struct timespec pause = {.tv_nsec = (long)(et_random_next(&random) % 60000000)};
        (void)nanosleep(&pause, NULL); /* the moment is what is random here */
        ck_assert_int_eq(kill(child, SIGKILL), 0);
        ck_assert_int_eq(wait_for(child), -SIGKILL);
        if (round % 3 == 2) { /* a new segment too */
            store(&w, 41 + (uint64_t)round / 3, 1, 1000, NULL, name);
        }
        struct index *index = open_index(&w);
        uint64_t packs = 40 + ((uint64_t)round + 1) / 3;
        ck_assert_uint_eq(index_chunks(index), 1000 * packs);
        for (uint64_t i = 1; i <= packs; i++) {
            expect(index, i, i % 8 == 0 ? 1000 : 10, true);
        }
        expect(index, 1000 + (uint64_t)round * 1000, 10, false);
        index_close(index);
    }
    et_repo_remove(&w.r);
}
END_TEST

/* ---- several at once ------------------------------------------------------------------------- */

/* Many new chunks: a new cache beside the old one, which stays while it is in use. */
START_TEST(a_new_generation)
{
    struct world w;
    char names[3][SEGMENT_NAME_BYTES];
    char path[300];
    unsigned newest = 0;
    struct orch_error err = ORCH_ERROR_INIT;
    world_make(&w);
    store(&w, 1, 1, 50, NULL, names[0]);
    struct index *old = open_index(&w);
    store(&w, 2, 10, 8000, NULL, names[1]);
    struct index *young = open_index(&w);
    ck_assert_uint_eq(generations(&w, &newest, path), 2);
    ck_assert_uint_eq(newest, 2);
    expect(young, 1, 50, true);
    expect(young, 5, 8000, true);
    expect(old, 1, 50, true);
    expect(old, 5, 10, false);
    et_ok(index_refresh(old, &err), err); /* in its own cache: its numbers stay */
    expect(old, 5, 8000, true);
    ck_assert_uint_eq(generations(&w, &newest, path), 2);
    index_close(young);
    index_close(old);
    index_close(open_index(&w));
    ck_assert_uint_eq(generations(&w, &newest, path), 1);
    ck_assert_uint_eq(newest, 2);
    /* Most of it is gone: made anew, and not once more when nothing changes. */
    drop(&w, names[1]);
    index_close(open_index(&w)); /* drops */
    struct index *index = open_index(&w);
    ck_assert_uint_eq(generations(&w, &newest, path), 1);
    ck_assert_uint_eq(newest, 3);
    expect(index, 1, 50, true);
    expect(index, 5, 10, false);
    ck_assert_uint_eq(index_chunks(index), 50);
    index_close(index);
    index_close(open_index(&w));
    (void)generations(&w, &newest, path);
    ck_assert_uint_eq(newest, 3);
    et_repo_remove(&w.r);
}
END_TEST

/* Several processes store segments, open, refresh and drop at once. */
START_TEST(processes_at_once)
{
    struct world w;
    char name[SEGMENT_NAME_BYTES];
    pid_t children[4];
    world_make(&w);
    store(&w, 1, 4, 50, NULL, name);
    for (uint64_t c = 0; c < 4; c++) {
        children[c] = fork();
        if (children[c] == 0) {
            struct orch_error err = ORCH_ERROR_INIT;
            for (uint64_t i = 0; i < 12; i++) {
                struct pack_table table;
                char own[SEGMENT_NAME_BYTES];
                uint64_t pack = 1000 * (c + 1) + i;
                struct index *index = open_index(&w);
                expect(index, 1 + i % 4, 50, true);
                make_table(&table, pack, 200);
                et_ok(index_add_pack(index, &table, &err), err);
                et_ok(segment_store(w.r.repo, &table, 1, NULL, 0, own, &err), err);
                et_ok(index_add_segment(index, own, &table, 1, &err), err);
                expect(index, pack, 200, true);
                if (i % 3 == 0) {
                    drop(&w, own);
                }
                et_ok(index_refresh(index, &err), err);
                expect(index, pack, 200, i % 3 != 0);
                expect(index, 1 + i % 4, 50, true);
                index_close(index);
                pack_table_clear(&table);
            }
            _exit(0);
        }
    }
    for (uint64_t c = 0; c < 4; c++) {
        ck_assert_int_eq(wait_for(children[c]), 0);
    }
    struct index *index = open_index(&w);
    ck_assert_uint_eq(index_chunks(index), 4 * 50 + 4 * 8 * 200);
    for (uint64_t c = 0; c < 4; c++) {
        for (uint64_t i = 0; i < 12; i++) {
            expect(index, 1000 * (c + 1) + i, 200, i % 3 != 0);
        }
    }
    index_close(index);
    et_repo_remove(&w.r);
}
END_TEST

struct crowd {
    struct world *w;
    struct index *index;
    uint64_t number;
    uint64_t claimed;
};

/* Claims ids that the others claim too, and looks up what is always there. */
static void *claimer(void *arg)
{
    struct crowd *crowd = arg;
    struct orch_error err = ORCH_ERROR_INIT;
    for (uint64_t i = 0; i < 4000; i++) {
        uint8_t id[CHUNK_ID_BYTES];
        struct chunk_location place;
        bool claimed = false;
        chunk_id(500 + i / 1000, i % 1000, id);
        et_ok(index_claim(crowd->index, id, &claimed, &err), err);
        crowd->claimed += claimed;
        ck_assert(index_knows(crowd->index, id));
        chunk_id(1 + i % 4, i % 50, id);
        ck_assert_int_eq(index_find(crowd->index, id, &place), ORCH_OK);
    }
    return NULL;
}

/* Adds packs, stores segments, refreshes. */
static void *adder(void *arg)
{
    struct crowd *crowd = arg;
    struct orch_error err = ORCH_ERROR_INIT;
    for (uint64_t i = 0; i < 12; i++) {
        struct pack_table table;
        char name[SEGMENT_NAME_BYTES];
        /* Packs 500 to 503 hold what is claimed. */
        uint64_t pack = i % 3 == 0 ? 500 + i / 3 : 600 + i;
        make_table(&table, pack, 1000);
        et_ok(index_add_pack(crowd->index, &table, &err), err);
        et_ok(segment_store(crowd->w->r.repo, &table, 1, NULL, 0, name, &err), err);
        et_ok(index_add_segment(crowd->index, name, &table, 1, &err), err);
        et_ok(index_refresh(crowd->index, &err), err);
        pack_table_clear(&table);
    }
    return NULL;
}

START_TEST(threads_at_once)
{
    struct world w;
    char name[SEGMENT_NAME_BYTES];
    pthread_t threads[4];
    struct crowd crowds[4];
    uint64_t claimed = 0;
    world_make(&w);
    store(&w, 1, 4, 50, NULL, name);
    struct index *index = open_index(&w);
    for (uint64_t i = 0; i < 4; i++) {
        crowds[i] = (struct crowd){.w = &w, .index = index, .number = i};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, i == 0 ? adder : claimer, &crowds[i]),
                         0);
    }
    for (uint64_t i = 0; i < 4; i++) {
        (void)pthread_join(threads[i], NULL);
        claimed += crowds[i].claimed;
    }
    ck_assert_uint_le(claimed, 4000); /* each chunk by one of them at most */
    index_release_claims(index);
    for (uint64_t i = 500; i < 504; i++) {
        expect(index, i, 1000, true);
    }
    ck_assert_uint_eq(index_chunks(index), 200 + 12000);
    index_close(index);
    et_repo_remove(&w.r);
}
END_TEST

/* ---- packs that are lost ----------------------------------------------------------------------
 */

#define OBJECT_BYTES 300000u

static void feed(struct part_writer *part, uint64_t seed)
{
    struct orch_error err = ORCH_ERROR_INIT;
    uint8_t *data = malloc(OBJECT_BYTES);
    for (uint64_t i = 0; i < 10; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "object%02d", (int)i);
        struct orch_object object = et_object(name);
        et_random_fill(seed + i, data, OBJECT_BYTES);
        et_ok(et_put_object(part, &object, data, OBJECT_BYTES, 0, &err), err);
    }
    free(data);
}

/* A backup and a set; how many bytes were new. */
static uint64_t backup(struct world *w, bool check_packs, struct part *out)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct writer_options options = {.codec = CODEC_ZSTD, .pack_bytes = 1 << 20};
    struct index_options how = {.cache_dir = w->cache, .check_packs = check_packs};
    struct index *index = NULL;
    struct writer *writer = NULL;
    struct part_writer *part = NULL;
    char id[ID_TEXT];
    memset(out, 0, sizeof(*out));
    et_ok(index_open(w->r.repo, &how, &index, &err), err);
    et_ok(writer_open(w->r.repo, index, &options, &writer, &err), err);
    et_ok(part_writer_open(writer, NULL, &part, &err), err);
    feed(part, 1);
    struct orch_event end = et_event(ORCH_EVENT_END);
    et_ok(part_writer_put(part, &end, &err), err);
    et_ok(part_writer_finish(part, &out->content, &out->stats, &err), err);
    part_writer_close(part);
    et_ok(writer_finish(writer, &err), err);
    writer_close(writer);
    index_close(index);
    et_store_set(w->r.repo, out, "test", id);
    return out->stats.bytes_new;
}

static int32_t read_all(struct world *w, const struct part *part)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct index_options how = {.cache_dir = w->cache, .check_packs = true};
    struct index *index = NULL;
    struct content_reader *reader = NULL;
    struct orch_event event = {0};
    uint64_t bytes = 0;
    et_ok(index_open(w->r.repo, &how, &index, &err), err);
    int32_t rc = content_open(w->r.repo, index, part, 0, &reader, &err);
    for (bool more = rc == ORCH_OK; more;) {
        rc = content_next(reader, &event, &err);
        more = rc == ORCH_OK && event.type != ORCH_EVENT_END;
        bytes += more && event.type == ORCH_EVENT_DATA ? event.data_len : 0;
    }
    content_close(reader);
    index_close(index);
    ck_assert(rc != ORCH_OK || bytes == 10 * OBJECT_BYTES);
    return rc;
}

struct found {
    size_t objects, files;
};

static void note(void *ctx, const struct check_finding *finding)
{
    struct found *found = ctx;
    found->objects += finding->object != NULL;
    found->files += finding->file != NULL;
}

static struct found verify(struct world *w)
{
    struct found found = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    struct check_result result;
    struct check_options options = {
        .level = CHECK_DATA, .cache_dir = w->cache, .finding = note, .ctx = &found};
    et_ok(check_repository(w->r.repo, &options, &result, &err), err);
    return found;
}

static int32_t first_pack(void *ctx, const char *name, const struct storage_stat *stat,
                          struct orch_error *err)
{
    (void)err;
    if (stat->size_bytes > 500000) {
        (void)snprintf(ctx, 64, "%s", name);
    }
    return ORCH_OK;
}

/* What lay in a pack that is missing or cut short is stored again, and found in its new place. */
START_TEST(lost_packs_are_stored_again)
{
    struct world w;
    struct orch_error err = ORCH_ERROR_INIT;
    struct part parts[4];
    char name[64] = "";
    world_make(&w);
    ck_assert_uint_ge(backup(&w, true, &parts[0]), 10 * OBJECT_BYTES);
    ck_assert_uint_eq(backup(&w, true, &parts[1]), 0);
    et_ok(storage_list(w.r.storage, "packs", first_pack, name, &err), err);
    if (_i == 0) {
        et_ok(storage_remove(w.r.storage, name, &err), err);
    } else {
        char path[256];
        (void)snprintf(path, sizeof(path), "%s/%s", w.r.dir, name);
        ck_assert_int_eq(truncate(path, 300000), 0);
    }
    ck_assert_int_ne(read_all(&w, &parts[0]), ORCH_OK);
    ck_assert_uint_gt(verify(&w).objects, 0);
    ck_assert_uint_eq(backup(&w, false, &parts[2]), 0); /* did not look */
    ck_assert_uint_gt(backup(&w, true, &parts[3]), 0);
    ck_assert_int_eq(read_all(&w, &parts[0]), ORCH_OK);
    ck_assert_int_eq(read_all(&w, &parts[3]), ORCH_OK);
    struct found found = verify(&w);
    ck_assert_uint_eq(found.objects, 0);
    ck_assert_uint_gt(found.files, 0); /* the pack is told of until a prune drops it */
    struct part last;
    ck_assert_uint_eq(backup(&w, true, &last), 0);
    free(last.facts_json);
    for (size_t i = 0; i < 4; i++) {
        free(parts[i].facts_json);
        free(parts[i].content.layers);
    }
    free(last.content.layers);
    et_repo_remove(&w.r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("index_cache");
    TCase *tests = tcase_create("index_cache");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, it_lasts);
    tcase_add_test(tests, others_are_seen_after_a_refresh);
    tcase_add_test(tests, many_lookups);
    tcase_add_test(tests, superseded_segments);
    tcase_add_loop_test(tests, replaced_between_listing_and_reading, 0, 2);
    tcase_add_loop_test(tests, own_packs_move_to_the_cache, 0, 3);
    tcase_add_test(tests, packs_without_a_segment);
    tcase_add_test(tests, of_two_places_the_good_one);
    tcase_add_test(tests, a_cache_cut_short_is_made_anew);
    tcase_add_loop_test(tests, not_synced_before_a_crash_of_the_machine, 0, 4);
    tcase_add_test(tests, another_repositorys_cache_is_refused);
    tcase_add_loop_test(tests, no_place_for_a_cache, 0, 3);
    tcase_add_test(tests, the_cache_cannot_grow);
    tcase_add_loop_test(tests, killed_while_it_writes, 0, 2);
    tcase_add_test(tests, a_new_generation);
    tcase_add_test(tests, processes_at_once);
    tcase_add_test(tests, threads_at_once);
    tcase_add_loop_test(tests, lost_packs_are_stored_again, 0, 2);
    suite_add_tcase(suite, tests);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    TCase *memory = tcase_create("memory");
    tcase_set_timeout(memory, 240);
    tcase_add_test(memory, little_address_space);
    suite_add_tcase(suite, memory);
#endif
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
