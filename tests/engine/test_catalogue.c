/* test_catalogue.c: catalogues, block indexes, lists of chunks and blocks of records over chunks in
 * memory; deduplication of unchanged stretches; hostile blocks. */
#include <check.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/catalogue.h"
#include "engine/records.h"
#include "enginetest.h"

/* Chunks in memory; the id is the SHA-256. */
struct heap {
    struct {
        uint8_t id[CHUNK_ID_BYTES];
        struct buffer bytes;
    } chunks[20000];
    size_t count, fresh, stores, fetches;
};

static int32_t heap_store(void *ctx, const void *data, size_t len, uint8_t id[CHUNK_ID_BYTES],
                          struct orch_error *err)
{
    struct heap *heap = ctx;
    (void)err;
    ck_assert_int_eq(EVP_Digest(data, len, id, NULL, EVP_sha256(), NULL), 1);
    heap->stores++;
    for (size_t i = 0; i < heap->count; i++) {
        if (memcmp(heap->chunks[i].id, id, CHUNK_ID_BYTES) == 0) {
            return ORCH_OK;
        }
    }
    ck_assert_uint_lt(heap->count, 20000);
    memcpy(heap->chunks[heap->count].id, id, CHUNK_ID_BYTES);
    buffer_append(&heap->chunks[heap->count++].bytes, data, len);
    heap->fresh++;
    return ORCH_OK;
}

static int32_t heap_fetch(void *ctx, const uint8_t id[CHUNK_ID_BYTES], struct buffer *out,
                          struct orch_error *err)
{
    struct heap *heap = ctx;
    heap->fetches++;
    for (size_t i = 0; i < heap->count; i++) {
        if (memcmp(heap->chunks[i].id, id, CHUNK_ID_BYTES) == 0) {
            buffer_clear(out);
            buffer_append(out, heap->chunks[i].bytes.data, heap->chunks[i].bytes.len);
            return ORCH_OK;
        }
    }
    return orch_fail(err, ORCH_E_NOT_FOUND, "no such chunk");
}

static struct heap *heap_new(void)
{
    return calloc(1, sizeof(struct heap));
}

static void heap_free(struct heap *heap)
{
    for (size_t i = 0; i < heap->count; i++) {
        buffer_free(&heap->chunks[i].bytes);
    }
    free(heap);
}

/* Entry number i: names of many lengths, some bytes below and above ASCII, references. */
struct entry_space {
    uint8_t name[8192];
    struct buffer refs;
};

static struct catalogue_entry make_entry(struct entry_space *space, size_t i, size_t long_names)
{
    int n = snprintf((char *)space->name, 64, "dir%04zu/f%06zu", i / 50, i);
    size_t len = (size_t)n;
    if (long_names > 0) {
        memset(space->name + len, (int)(i % 256), i % long_names);
        len += i % long_names;
    }
    struct catalogue_entry entry = {.object = et_object("")};
    entry.object.name = space->name;
    entry.object.name_len = (uint32_t)len;
    entry.object.size_bytes = i * 3;
    entry.object.mtime_ns = (int64_t)i * -1000;
    buffer_clear(&space->refs);
    for (size_t j = 0; j < i % 4; j++) {
        struct ref ref = {.hole = j == 2, .len = 1 + i};
        memset(ref.id, (int)i, CHUNK_ID_BYTES);
        ref_encode(&space->refs, &ref);
    }
    entry.refs =
        (struct reflist){.count = i % 4, .bytes = space->refs.data, .bytes_len = space->refs.len};
    return entry;
}

static void write_catalogue(struct heap *heap, size_t count, size_t skip, size_t long_names,
                            uint8_t root[CHUNK_ID_BYTES])
{
    struct catalogue_writer *writer = NULL;
    struct entry_space space = {.refs = BUFFER_INIT};
    struct orch_error err = ORCH_ERROR_INIT;
    et_ok(catalogue_writer_new(heap_store, heap, &writer, &err), err);
    for (size_t i = 0; i < count; i++) {
        if (i != skip) {
            struct catalogue_entry entry = make_entry(&space, i, long_names);
            et_ok(catalogue_writer_add(writer, &entry, &err), err);
        }
    }
    et_ok(catalogue_writer_finish(writer, root, &err), err);
    catalogue_writer_free(writer);
    buffer_free(&space.refs);
}

static void same_entry(const struct catalogue_entry *got, const struct catalogue_entry *expected)
{
    ck_assert_uint_eq(got->object.name_len, expected->object.name_len);
    ck_assert_mem_eq(got->object.name, expected->object.name, expected->object.name_len);
    ck_assert_uint_eq(got->object.size_bytes, expected->object.size_bytes);
    ck_assert_int_eq(got->object.mtime_ns, expected->object.mtime_ns);
    ck_assert_uint_eq(got->refs.count, expected->refs.count);
    ck_assert_uint_eq(got->refs.bytes_len, expected->refs.bytes_len);
    ck_assert(got->refs.bytes_len == 0 ||
              memcmp(got->refs.bytes, expected->refs.bytes, got->refs.bytes_len) == 0);
}

START_TEST(entries_come_back_in_order)
{
    static const struct {
        size_t count, long_names;
    } shapes[] = {{0, 0}, {1, 0}, {30000, 0}, {3000, 5000}};
    struct heap *heap = heap_new();
    struct catalogue_cursor *cursor = NULL;
    struct entry_space space = {.refs = BUFFER_INIT};
    struct orch_error err = ORCH_ERROR_INIT;
    struct catalogue_entry entry;
    uint8_t root[CHUNK_ID_BYTES];
    bool more = false;
    size_t count = shapes[_i].count;
    write_catalogue(heap, count, SIZE_MAX, shapes[_i].long_names, root);
    et_ok(catalogue_cursor_new(root, heap_fetch, heap, &cursor, &err), err);
    for (size_t i = 0; i < count; i++) {
        struct catalogue_entry expected = make_entry(&space, i, shapes[_i].long_names);
        et_ok(catalogue_cursor_next(cursor, &entry, &more, &err), err);
        ck_assert(more);
        same_entry(&entry, &expected);
    }
    et_ok(catalogue_cursor_next(cursor, &entry, &more, &err), err);
    ck_assert(!more);
    catalogue_cursor_free(cursor);
    /* Seeking comes to any entry over a handful of chunks. */
    for (size_t i = 0; i < count; i += count / 50 + 1) {
        struct catalogue_entry expected = make_entry(&space, i, shapes[_i].long_names);
        heap->fetches = 0;
        et_ok(catalogue_cursor_new(root, heap_fetch, heap, &cursor, &err), err);
        et_ok(catalogue_cursor_seek(cursor, expected.object.name, expected.object.name_len, &err),
              err);
        do {
            et_ok(catalogue_cursor_next(cursor, &entry, &more, &err), err);
            ck_assert(more);
        } while (tree_key_compare(entry.object.name, entry.object.name_len, expected.object.name,
                                  expected.object.name_len) < 0);
        same_entry(&entry, &expected);
        ck_assert_uint_le(heap->fetches, 6);
        /* And reading goes on behind it. */
        if (i + 1 < count) {
            expected = make_entry(&space, i + 1, shapes[_i].long_names);
            et_ok(catalogue_cursor_next(cursor, &entry, &more, &err), err);
            same_entry(&entry, &expected);
        }
        catalogue_cursor_free(cursor);
    }
    et_ok(catalogue_cursor_new(root, heap_fetch, heap, &cursor, &err), err);
    et_ok(catalogue_cursor_seek(cursor, "", 0, &err), err);
    catalogue_cursor_free(cursor);
    buffer_free(&space.refs);
    heap_free(heap);
}
END_TEST

START_TEST(one_change_costs_few_blocks)
{
    struct heap *heap = heap_new();
    uint8_t first[CHUNK_ID_BYTES];
    uint8_t second[CHUNK_ID_BYTES];
    write_catalogue(heap, 40000, SIZE_MAX, 0, first);
    size_t all = heap->fresh;
    ck_assert_uint_ge(all, 20);
    heap->fresh = 0;
    write_catalogue(heap, 40000, 20000, 0, second);
    ck_assert_mem_ne(first, second, CHUNK_ID_BYTES);
    ck_assert_uint_le(heap->fresh, 6); /* some blocks around it, and the nodes above */
    heap->fresh = 0;
    write_catalogue(heap, 40000, SIZE_MAX, 0, second);
    ck_assert_uint_eq(heap->fresh, 0);
    ck_assert_mem_eq(first, second, CHUNK_ID_BYTES);
    heap_free(heap);
}
END_TEST

/* Reads a block to its end or its error. */
static int32_t read_block(const uint8_t *data, size_t len)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct catalogue_block *block = malloc(sizeof(*block));
    struct catalogue_entry entry;
    bool more = true;
    int32_t rc = catalogue_block_open(block, data, len, &err);
    while (rc == ORCH_OK && more) {
        rc = catalogue_block_next(block, &entry, &more, &err);
        if (rc == ORCH_OK && more) {
            ck_assert_uint_ge(entry.object.name_len, 1);
        }
    }
    free(block);
    return rc;
}

static int32_t read_node(const uint8_t *data, size_t len)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct tree_node *node = malloc(sizeof(*node));
    struct tree_child child;
    bool more = true;
    int32_t rc = tree_node_open(node, data, len, &err);
    while (rc == ORCH_OK && more) {
        rc = tree_node_next(node, &child, &more, &err);
    }
    free(node);
    return rc;
}

static int32_t read_records(const uint8_t *data, size_t len)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct records_block block;
    struct record_entry entry;
    bool more = true;
    int32_t rc = records_block_open(&block, data, len, &err);
    while (rc == ORCH_OK && more) {
        rc = records_block_next(&block, &entry, &more, &err);
    }
    return rc;
}

static void torture(const struct buffer *bytes, int32_t (*read)(const uint8_t *, size_t))
{
    struct et_random random = {1};
    ck_assert_int_eq(read(bytes->data, bytes->len), ORCH_OK);
    size_t step = bytes->len / 3000 + 1;
    for (size_t len = 0; len < bytes->len; len += step) { /* cut short, in memory of its own */
        uint8_t *copy = malloc(len + 1);
        memcpy(copy, bytes->data, len);
        ck_assert_int_eq(read(copy, len), ORCH_E_CORRUPT);
        free(copy);
    }
    uint8_t *copy = malloc(bytes->len + 1);
    memcpy(copy, bytes->data, bytes->len);
    ck_assert_int_eq(read(copy, bytes->len + 1), ORCH_E_CORRUPT); /* a byte too many */
    for (int i = 0; i < 1500; i++) {
        size_t at = et_random_next(&random) % bytes->len;
        uint8_t old = copy[at];
        copy[at] = (uint8_t)et_random_next(&random);
        int32_t rc = read(copy, bytes->len);
        ck_assert(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION);
        copy[at] = old;
    }
    free(copy);
}

START_TEST(hostile_blocks_and_nodes)
{
    struct heap *heap = heap_new();
    uint8_t root[CHUNK_ID_BYTES];
    struct buffer node = BUFFER_INIT;
    struct orch_error err = ORCH_ERROR_INIT;
    write_catalogue(heap, 2000, SIZE_MAX, 100, root);
    torture(&heap->chunks[0].bytes, read_block);
    et_ok(heap_fetch(heap, root, &node, &err), err);
    torture(&node, read_node);
    buffer_free(&node);
    heap_free(heap);
}
END_TEST

START_TEST(hostile_records)
{
    struct heap *heap = heap_new();
    struct records_writer *writer = NULL;
    struct part_layer layer;
    struct orch_error err = ORCH_ERROR_INIT;
    uint8_t value[100] = {0};
    et_ok(records_writer_new(heap_store, heap_store, heap, &writer, &err), err);
    for (uint32_t i = 0; i < 1000; i++) {
        struct record_entry entry = {.value = value};
        uint8_t key[4];
        put_le32(key, i);
        entry.record = (struct orch_record){.type = i,
                                            .space = 1,
                                            .key = key,
                                            .key_len = 4,
                                            .value_len = i % 100,
                                            .extra = key,
                                            .extra_len = i % 2 == 0 ? 0 : 4,
                                            .expires_ms = i % 3 == 0 ? ORCH_NO_EXPIRY : i};
        et_ok(records_writer_add(writer, &entry, &err), err);
    }
    et_ok(records_writer_finish(writer, &layer, &err), err);
    ck_assert_uint_eq(layer.records, 1000);
    torture(&heap->chunks[0].bytes, read_records);
    records_writer_free(writer);
    heap_free(heap);
}
END_TEST

START_TEST(lists_of_any_length)
{
    static const size_t counts[] = {0, 1, 1024, 1025, 2049, 30000};
    struct heap *heap = heap_new();
    struct reflist_writer *writer = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    size_t count = counts[_i];
    et_ok(reflist_writer_new(heap_store, heap, &writer, &err), err);
    for (int round = 0; round < 2; round++) {
        struct reflist list;
        struct reflist_cursor cursor;
        struct ref ref = {0};
        bool more = false;
        reflist_writer_start(writer);
        for (size_t i = 0; i < count; i++) {
            ref.hole = i % 10 == 3;
            ref.len = 1 + i % 1000;
            et_random_fill(i, ref.id, CHUNK_ID_BYTES);
            if (ref.hole) { /* two that follow each other become one */
                struct ref half = ref;
                half.len = 7;
                et_ok(reflist_writer_add(writer, &half, &err), err);
            }
            et_ok(reflist_writer_add(writer, &ref, &err), err);
        }
        et_ok(reflist_writer_finish(writer, &list, &err), err);
        ck_assert_uint_eq(list.count, count);
        ck_assert_int_eq(list.tree, count > REFLIST_INLINE_MAX);
        ck_assert(round == 0 || heap->fresh == 0);
        heap->fresh = 0;
        CLEANUP_BUFFER struct buffer bytes = BUFFER_INIT;
        reflist_encode(&bytes, &list);
        struct reader in = reader_over(bytes.data, bytes.len);
        ck_assert(reflist_decode(&in, &list));
        ck_assert_uint_eq(reader_left(&in), 0);
        et_ok(reflist_cursor_init(&cursor, &list, heap_fetch, heap, &err), err);
        for (size_t i = 0; i < count; i++) {
            uint8_t id[CHUNK_ID_BYTES];
            et_ok(reflist_cursor_next(&cursor, &ref, &more, &err), err);
            ck_assert(more);
            ck_assert_int_eq(ref.hole, i % 10 == 3);
            ck_assert_uint_eq(ref.len, 1 + i % 1000 + (ref.hole ? 7 : 0));
            et_random_fill(i, id, CHUNK_ID_BYTES);
            ck_assert(ref.hole || memcmp(ref.id, id, CHUNK_ID_BYTES) == 0);
        }
        et_ok(reflist_cursor_next(&cursor, &ref, &more, &err), err);
        ck_assert(!more);
        reflist_cursor_clear(&cursor);
        if (list.tree) { /* a list that tells of more than its tree holds */
            list.count++;
            et_ok(reflist_cursor_init(&cursor, &list, heap_fetch, heap, &err), err);
            int32_t rc = ORCH_OK;
            for (more = true; rc == ORCH_OK && more;) {
                rc = reflist_cursor_next(&cursor, &ref, &more, &err);
            }
            ck_assert_int_eq(rc, ORCH_E_CORRUPT);
            reflist_cursor_clear(&cursor);
        }
    }
    reflist_writer_free(writer);
    heap_free(heap);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("catalogue");
    TCase *tests = tcase_create("catalogue");
    tcase_set_timeout(tests, 240);
    tcase_add_loop_test(tests, entries_come_back_in_order, 0, 4);
    tcase_add_test(tests, one_change_costs_few_blocks);
    tcase_add_test(tests, hostile_blocks_and_nodes);
    tcase_add_test(tests, hostile_records);
    tcase_add_loop_test(tests, lists_of_any_length, 0, 6);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
