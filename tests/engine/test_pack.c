/* test_pack.c: the bytes of a pack: what was written is read, and no changed byte goes unseen. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "engine/packreader.h"
#include "engine/packwriter.h"
#include "enginetest.h"

#define FRAMES 5

struct made {
    struct pack_table table;
    char name[PACK_NAME_BYTES];
    uint8_t plain[FRAMES][3000];
};

static void fill_chunks(struct pack_chunk chunks[3], uint8_t seed)
{
    for (uint8_t i = 0; i < 3; i++) {
        memset(chunks[i].id, seed * 3 + i, CHUNK_ID_BYTES);
        chunks[i].len = 1000;
    }
}

static void make_pack(struct repo *repo, uint32_t kind, struct made *made)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct packwriter *writer = NULL;
    struct codec *codec = NULL;
    et_ok(codec_new(CODEC_ZSTD, 0, &codec, &err), err);
    et_ok(packwriter_begin(repo, kind, &writer, &err), err);
    for (uint8_t i = 0; i < FRAMES; i++) {
        struct pack_chunk chunks[3];
        uint8_t out[4000];
        size_t len = 0;
        uint32_t used = 0;
        fill_chunks(chunks, i);
        if (i == 2) {
            et_random_fill(i, made->plain[i], sizeof(made->plain[i]));
        } else {
            et_text_fill(i, made->plain[i], sizeof(made->plain[i]));
        }
        et_ok(codec_compress(codec, made->plain[i], 3000, out, sizeof(out) - SEAL_TAG_BYTES, &len,
                             &used, &err),
              err);
        et_ok(packwriter_add(writer, out, len, 3000, used, chunks, 3, &err), err);
    }
    et_ok(packwriter_commit(writer, &made->table, &err), err);
    pack_name(made->table.id, made->name);
    codec_free(codec);
}

/* Reads header, trailer, footer and all frames; 0 when everything is right. */
static int32_t read_pack(struct repo *repo, const struct made *made)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct packreader *reader = NULL;
    struct pack_table table = {0};
    struct storage_stat stat;
    uint8_t sealed[4096];
    uint8_t plain[3000];
    et_ok(packreader_new(repo, &reader, &err), err);
    et_ok(storage_stat(repo_storage(repo), made->name, &stat, &err), err);
    int32_t rc = packreader_table(reader, made->table.id, stat.size_bytes, &table, &err);
    if (rc == ORCH_OK) {
        ck_assert_uint_eq(table.frame_count, FRAMES);
        ck_assert_uint_eq(table.chunk_count, FRAMES * 3);
        ck_assert_uint_eq(table.size_bytes, made->table.size_bytes);
        ck_assert_mem_eq(table.chunks, made->table.chunks,
                         table.chunk_count * sizeof(*table.chunks));
    }
    for (uint32_t i = 0; rc == ORCH_OK && i < FRAMES; i++) {
        const struct pack_frame *frame = &table.frames[i];
        struct chunk_location place = {.frame_offset = frame->offset,
                                       .frame_len = frame->sealed_len,
                                       .plain_len = frame->plain_len,
                                       .frame_number = i,
                                       .codec = frame->codec};
        memcpy(place.pack, table.id, PACK_ID_BYTES);
        et_ok(storage_get(repo_storage(repo), made->name, frame->offset, sealed, frame->sealed_len,
                          &err),
              err);
        rc = packreader_open(reader, &place, sealed, plain, &err);
        if (rc == ORCH_OK) {
            ck_assert_mem_eq(plain, made->plain[i], 3000);
        } else {
            ck_assert_ptr_nonnull(strstr(err.message, made->name));
        }
    }
    pack_table_clear(&table);
    packreader_free(reader);
    return rc;
}

START_TEST(every_byte_is_covered)
{
    struct et_repo r;
    struct made made;
    struct buffer file = BUFFER_INIT;
    struct orch_error err = ORCH_ERROR_INIT;
    et_repo_make(&r, _i % 2 == 0);
    make_pack(r.repo, _i < 2 ? PACK_DATA : PACK_META, &made);
    ck_assert_int_eq(read_pack(r.repo, &made), ORCH_OK);
    et_ok(storage_read(r.storage, made.name, 1 << 20, &file, &err), err);
    ck_assert_uint_eq(file.len, made.table.size_bytes);
    for (size_t i = 0; i < file.len; i++) {
        et_flip(&r, made.name, i, i % 8);
        ck_assert_msg(read_pack(r.repo, &made) != ORCH_OK, "a flip of byte %zu is not seen", i);
        et_flip(&r, made.name, i, i % 8);
    }
    et_ok(storage_put(r.storage, made.name, file.data, file.len - 1, 0, &err), err);
    ck_assert_int_eq(read_pack(r.repo, &made), ORCH_E_CORRUPT);
    et_ok(storage_put(r.storage, made.name, file.data, 20, 0, &err), err);
    ck_assert_int_eq(read_pack(r.repo, &made), ORCH_E_CORRUPT);
    buffer_free(&file);
    pack_table_clear(&made.table);
    et_repo_remove(&r);
}
END_TEST

START_TEST(one_pack_cannot_stand_in_for_another)
{
    struct et_repo r;
    struct made first, second;
    struct buffer file = BUFFER_INIT;
    struct orch_error err = ORCH_ERROR_INIT;
    et_repo_make(&r, true);
    make_pack(r.repo, PACK_DATA, &first);
    make_pack(r.repo, PACK_DATA, &second);
    et_ok(storage_read(r.storage, first.name, 1 << 20, &file, &err), err);
    et_ok(storage_put(r.storage, second.name, file.data, file.len, 0, &err), err);
    ck_assert_int_ne(read_pack(r.repo, &second), ORCH_OK);
    buffer_free(&file);
    pack_table_clear(&first.table);
    pack_table_clear(&second.table);
    et_repo_remove(&r);
}
END_TEST

START_TEST(frames_do_not_change_places)
{
    struct et_repo r;
    struct made made;
    struct packreader *reader = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    uint8_t sealed[4096];
    uint8_t plain[3000];
    et_repo_make(&r, true);
    make_pack(r.repo, PACK_DATA, &made);
    et_ok(packreader_new(r.repo, &reader, &err), err);
    const struct pack_frame *frame = &made.table.frames[1];
    for (uint32_t number = 0; number < 3; number++) {
        struct chunk_location place = {.frame_offset = frame->offset,
                                       .frame_len = frame->sealed_len,
                                       .plain_len = frame->plain_len,
                                       .frame_number = number,
                                       .codec = frame->codec};
        memcpy(place.pack, made.table.id, PACK_ID_BYTES);
        et_ok(storage_get(r.storage, made.name, frame->offset, sealed, frame->sealed_len, &err),
              err);
        ck_assert_int_eq(packreader_open(reader, &place, sealed, plain, &err),
                         number == 1 ? ORCH_OK : ORCH_E_CORRUPT);
    }
    packreader_free(reader);
    pack_table_clear(&made.table);
    et_repo_remove(&r);
}
END_TEST

/* Tables from a footer or segment are hostile bytes: any prefix and any flip is an error or a table
 * that keeps its own limits. */
START_TEST(tables_are_checked)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct pack_table table = {.kind = PACK_DATA};
    struct buffer bytes = BUFFER_INIT;
    for (uint8_t i = 0; i < 4; i++) {
        struct pack_chunk chunks[3];
        fill_chunks(chunks, i);
        et_ok(pack_table_add(&table, 100 + i, 3000, CODEC_ZSTD, chunks, 3, &err), err);
    }
    pack_table_encode(&table, &bytes);
    struct et_random random = {1};
    for (size_t i = 0; i < 20000; i++) {
        size_t len = i < bytes.len ? i : bytes.len;
        size_t at = et_random_next(&random) % bytes.len;
        uint8_t old = bytes.data[at];
        bytes.data[at] = i < bytes.len ? old : (uint8_t)et_random_next(&random);
        struct pack_table read = {.kind = PACK_DATA};
        struct reader in = reader_over(bytes.data, len);
        int32_t rc = pack_table_decode(&read, &in, &err);
        ck_assert(rc == ORCH_OK || rc == ORCH_E_CORRUPT);
        ck_assert(i >= bytes.len || rc == ORCH_E_CORRUPT);
        for (size_t j = 0; rc == ORCH_OK && j < read.frame_count; j++) {
            ck_assert_uint_le(read.frames[j].plain_len, FRAME_PLAIN_MAX);
            ck_assert_uint_le(read.frames[j].first_chunk + read.frames[j].chunk_count,
                              read.chunk_count);
        }
        pack_table_clear(&read);
        bytes.data[at] = old;
    }
    buffer_free(&bytes);
    pack_table_clear(&table);
}
END_TEST

START_TEST(names)
{
    uint8_t id[PACK_ID_BYTES] = {0xab, 0xcd, 1};
    uint8_t back[PACK_ID_BYTES];
    char name[PACK_NAME_BYTES];
    pack_name(id, name);
    ck_assert_str_eq(name, "packs/ab/abcd0100000000000000000000000000");
    ck_assert_int_eq(pack_name_id(name, back), ORCH_OK);
    ck_assert_mem_eq(id, back, sizeof(id));
    static const char *const bad[] = {"",
                                      "packs",
                                      "packs/ab/abcd",
                                      "config",
                                      "packs/aa/abcd0100000000000000000000000000",
                                      "packs/ab/ABCD0100000000000000000000000000",
                                      "packs/ab/abcd01000000000000000000000000000"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        ck_assert_int_eq(pack_name_id(bad[i], back), ORCH_E_INVALID);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pack");
    TCase *tests = tcase_create("pack");
    tcase_set_timeout(tests, 240);
    tcase_add_loop_test(tests, every_byte_is_covered, 0, 4);
    tcase_add_test(tests, one_pack_cannot_stand_in_for_another);
    tcase_add_test(tests, frames_do_not_change_places);
    tcase_add_test(tests, tables_are_checked);
    tcase_add_test(tests, names);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
