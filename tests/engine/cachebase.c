/* cachebase.c: see cachebase.h. */
#include "cachebase.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>

void cb_make(struct cb_world *w)
{
    et_repo_make(&w->r, true);
    (void)snprintf(w->cache, sizeof(w->cache), "%s/cache", w->r.dir);
}

void cb_chunk_id(uint64_t pack, uint64_t number, uint8_t id[CHUNK_ID_BYTES])
{
    et_random_fill(pack * 1000000 + number, id, CHUNK_ID_BYTES);
}

void cb_table(struct pack_table *table, uint64_t pack, uint64_t chunks)
{
    struct orch_error err = ORCH_ERROR_INIT;
    memset(table, 0, sizeof(*table));
    et_random_fill(UINT64_C(1) << 60 | pack, table->id, PACK_ID_BYTES);
    table->kind = PACK_DATA;
    for (uint64_t i = 0; i < chunks; i += 10) {
        struct pack_chunk list[10];
        for (uint64_t j = 0; j < 10; j++) {
            cb_chunk_id(pack, i + j, list[j].id);
            list[j].len = 100;
        }
        et_ok(pack_table_add(table, 500, 1000, CODEC_ZSTD, list, 10, &err), err);
    }
    table->size_bytes = pack_table_end(table) + 1000;
}

void cb_store(struct cb_world *w, uint64_t first, uint64_t count, uint64_t chunks,
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
        cb_table(&tables[i], first + i, chunks);
    }
    et_ok(segment_store(w->r.repo, tables, count, (const uint8_t(*)[SEGMENT_ID_BYTES])old, olds,
                        name, &err),
          err);
    for (uint64_t i = 0; i < count; i++) {
        pack_table_clear(&tables[i]);
    }
}

void cb_drop(struct cb_world *w, const char *name)
{
    struct orch_error err = ORCH_ERROR_INIT;
    et_ok(storage_remove(w->r.storage, name, &err), err);
}

struct index *cb_open(struct cb_world *w)
{
    struct index *index = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    struct index_options options = {.cache_dir = w->cache};
    et_ok(index_open(w->r.repo, &options, &index, &err), err);
    return index;
}

void cb_expect(struct index *index, uint64_t pack, uint64_t chunks, bool there)
{
    struct pack_table table;
    struct index_pack shown;
    cb_table(&table, pack, 10);
    size_t number = index_pack_find(index, table.id);
    ck_assert_int_eq(number != SIZE_MAX, there);
    ck_assert(!there || (index_pack_at(index, number, &shown) && !shown.gone));
    for (uint64_t i = 0; i < chunks; i++) {
        struct chunk_location place;
        uint8_t id[CHUNK_ID_BYTES];
        cb_chunk_id(pack, i, id);
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

void cb_folder(struct cb_world *w, char path[256])
{
    (void)snprintf(path, 256, "%s/index/%s", w->cache, repo_id(w->r.repo));
}

size_t cb_generations(struct cb_world *w, unsigned *newest, char path[300])
{
    char dir_path[256];
    size_t count = 0;
    struct dirent *entry;
    cb_folder(w, dir_path);
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

void cb_expect_all(struct cb_world *w, uint64_t packs)
{
    struct index *index = cb_open(w);
    ck_assert_uint_eq(index_chunks(index), packs * 50);
    for (uint64_t i = 1; i <= packs; i++) {
        cb_expect(index, i, 50, true);
    }
    index_close(index);
}
