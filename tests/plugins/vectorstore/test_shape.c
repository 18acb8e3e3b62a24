/*
 * test_shape.c: the walk over index files: real ones of each type, cut short at every byte of their
 * structure, and with every byte flipped.
 */
#include "index.h"
#include "shape.h"

#include "generate.h"
#include "sampling.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROWS 300
#define DIM 8

static const struct {
    const char *type;
    int metric;
    const char *found;
    const char *fourcc;
    int walked, lossless, lists, rows;
} types[] = {
    {"Flat", GENERATE_IP, "Flat", "IxFI", 1, 1, 0, 1},
    {"Flat", GENERATE_L2, "Flat", "IxF2", 1, 1, 0, 1},
    {"HNSW", GENERATE_L2, "HNSW,Flat", "IHNf", 1, 1, 0, 1},
    {"HNSW", GENERATE_IP, "HNSW,Flat", "IHNf", 1, 1, 0, 1},
    {"IVF", GENERATE_IP, "IVF,Flat", "IwFl", 1, 1, 1, 0},
    {"IVFDisk", GENERATE_L2, "IVF,Flat", "IwFl", 1, 1, 1, 0},
    {"IVFSQ", GENERATE_L2, "IVF,SQ", "IwSq", 1, 0, 1, 0},
    {"IVFPQ", GENERATE_L2, "IVF,PQ", "IwPQ", 1, 0, 1, 0},
    {"IDMap", GENERATE_IP, "IDMap,Flat", "IxMp", 1, 1, 0, 1},
    {"IDMap2", GENERATE_L2, "IDMap2,Flat", "IxM2", 1, 1, 0, 1},
    {"SQ", GENERATE_L2, "SQ", "IxSQ", 1, 0, 0, 0},
    {"PQ", GENERATE_L2, "PQ", "IxPq", 1, 0, 0, 0},
    {"LSH", GENERATE_L2, "IxHe", "IxHe", 0, 0, 0, 0},
};
#define TYPES (int)(sizeof(types) / sizeof(types[0]))

static char path[64], lists_path[96];

/* An index of type `i` in a temporary file; its bytes are the caller's. */
static uint8_t *make(int i, size_t *size)
{
    char why[512];
    (void)snprintf(path, sizeof(path), "/tmp/test-shape-XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    (void)close(fd);
    (void)snprintf(lists_path, sizeof(lists_path), "%s.ivfdata", path);
    ck_assert_msg(generate_index(path, types[i].type, ROWS, DIM, types[i].metric, 5, 1.0F, why,
                                 sizeof(why)) == 0,
                  "%s", why);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    uint8_t *bytes = malloc(1 << 20);
    ck_assert_ptr_nonnull(bytes);
    *size = fread(bytes, 1, 1 << 20, file);
    (void)fclose(file);
    return bytes;
}

static void clean(void)
{
    (void)unlink(path);
    (void)unlink(lists_path);
}

static int32_t read_bytes(const uint8_t *bytes, size_t size, struct shape *shape,
                          struct orch_error *err)
{
    int fd = memfd_create("index", MFD_CLOEXEC);
    ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
    int32_t rc = shape_read(fd, size, shape, err);
    (void)close(fd);
    return rc;
}

START_TEST(test_real)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct shape shape;
    size_t size = 0;
    uint8_t *bytes = make(_i, &size);
    ck_assert_msg(read_bytes(bytes, size, &shape, &err) == 0, "%s", err.message);
    ck_assert_str_eq(shape.type, types[_i].found);
    ck_assert_str_eq(shape.fourcc, types[_i].fourcc);
    ck_assert_int_eq(shape.dimension, DIM);
    ck_assert_int_eq(shape.ntotal, ROWS);
    ck_assert_int_eq(shape.metric, types[_i].metric == GENERATE_IP ? 0 : 1);
    ck_assert_int_eq(shape.is_trained, 1);
    ck_assert_int_eq(shape.walked, types[_i].walked);
    ck_assert_int_eq(shape.lossless, types[_i].lossless);
    ck_assert_int_eq(shape.has_lists, types[_i].lists);
    ck_assert_uint_eq(shape.row_bytes, types[_i].rows ? DIM * 4 : 0);
    if (types[_i].rows) {
        float row[DIM];
        generate_vector(5, 7, DIM, row);
        ck_assert_mem_eq(bytes + shape.row_offset + 7 * sizeof(row), row, sizeof(row));
    }
    if (strcmp(types[_i].type, "IVFDisk") == 0) {
        ck_assert_str_eq(shape.ondisk, lists_path);
        ck_assert_uint_gt(shape.ondisk_bytes, ROWS * DIM * 4);
    } else {
        ck_assert_str_eq(shape.ondisk, "");
    }
    free(bytes);
    clean();
}
END_TEST

START_TEST(test_empty_index)
{
    struct orch_error err = ORCH_ERROR_INIT;
    static const char *const kinds[] = {"Flat", "HNSW", "IDMap"};
    for (size_t i = 0; i < 3; i++) {
        char why[512];
        struct shape shape;
        struct stat st;
        (void)snprintf(path, sizeof(path), "/tmp/test-shape-XXXXXX");
        (void)close(mkstemp(path));
        ck_assert_int_eq(generate_index(path, kinds[i], 0, DIM, GENERATE_L2, 1, 1.0F, why, 512), 0);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ck_assert_int_eq(fstat(fd, &st), 0);
        ck_assert_msg(shape_read(fd, (uint64_t)st.st_size, &shape, &err) == 0, "%s", err.message);
        ck_assert_int_eq(shape.ntotal, 0);
        struct index *index = NULL;
        double off = 0;
        ck_assert_int_eq(index_load(fd, -1, &shape, (uint64_t)st.st_size, 0, NULL, &index, &err),
                         0);
        json_t *samples = index_sample(index, 8, &off, &err);
        ck_assert_uint_eq(json_array_size(json_object_get(samples, "queries")), 0);
        ck_assert_int_eq(index_compare(index, samples, &err), 0);
        json_decref(samples);
        index_free(index);
        (void)close(fd);
        clean();
    }
}
END_TEST

/* A walked index that is cut short anywhere, or goes on behind its end, is none. */
START_TEST(test_cut)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct shape shape;
    size_t size = 0;
    uint8_t *bytes = make(_i, &size);
    size_t step = size > 4000 ? size / 2000 : 1;
    for (size_t cut = 0; types[_i].walked && cut < size; cut += step) {
        ck_assert_msg(read_bytes(bytes, cut, &shape, &err) == ORCH_E_CORRUPT, "cut at %zu", cut);
    }
    for (size_t cut = 0; !types[_i].walked && cut < 30; cut++) {
        ck_assert_int_eq(read_bytes(bytes, cut, &shape, &err), ORCH_E_CORRUPT);
    }
    if (types[_i].walked) {
        bytes = realloc(bytes, size + 1);
        bytes[size] = 0;
        ck_assert_int_eq(read_bytes(bytes, size + 1, &shape, &err), ORCH_E_CORRUPT);
    }
    free(bytes);
    clean();
}
END_TEST

/*
 * Whatever bytes there are: the walk ends, within bounds (the sanitizers watch); and what it lets
 * pass FAISS must survive loading and searching.
 */
START_TEST(test_flip)
{
    struct orch_error err = ORCH_ERROR_INIT;
    size_t size = 0;
    uint8_t *bytes = make(_i, &size);
    int loads = types[_i].walked && strcmp(types[_i].type, "IVFDisk") != 0;
    size_t step = size > 3000 ? size / 1500 : 1;
    static const uint8_t masks[] = {0xff, 0x80, 0x01};
    for (size_t at = 0; at < size; at += at < 600 ? sampling_step() : step * sampling_step()) {
        for (size_t m = 0; m < sizeof(masks); m++) {
            struct shape shape;
            struct index *index = NULL;
            int fd = memfd_create("index", MFD_CLOEXEC);
            bytes[at] ^= masks[m];
            ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
            bytes[at] ^= masks[m];
            int32_t rc = shape_read(fd, size, &shape, &err);
            if (rc == ORCH_OK && loads && shape.walked &&
                index_load(fd, -1, &shape, size, 0, NULL, &index, &err) == ORCH_OK) {
                double off = 0;
                json_decref(index_sample(index, 2, &off, &err));
                index_free(index);
            }
            (void)close(fd);
        }
    }
    free(bytes);
    clean();
}
END_TEST

static const struct {
    const char *bytes;
    int32_t rc;
} nonsense[] = {
    {"", ORCH_E_CORRUPT},
    {"IxF", ORCH_E_CORRUPT},
    {"PK\x03\x04 a zip file, to be sure, of some length", ORCH_E_CORRUPT},
    {"Ix\x01\x02 four characters that are no letters", ORCH_E_CORRUPT},
    {"IBxF a binary index has another kind of header than others", ORCH_E_UNSUPPORTED},
    {"IxFI and then a header that makes no sense at all .........", ORCH_E_CORRUPT},
};

START_TEST(test_nonsense)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct shape shape;
    ck_assert_int_eq(
        read_bytes((const uint8_t *)nonsense[_i].bytes, strlen(nonsense[_i].bytes), &shape, &err),
        nonsense[_i].rc);
    ck_assert_uint_gt(strlen(err.message), 10);
}
END_TEST

/* Loaded, sampled, and found the same again; another index is not. */
START_TEST(test_sample)
{
    struct orch_error err = ORCH_ERROR_INIT;
    size_t size = 0;
    uint8_t *bytes = make(_i, &size);
    struct shape shape;
    struct index *index = NULL;
    double off = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int lists = open(lists_path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(shape_read(fd, size, &shape, &err), 0);
    ck_assert_msg(index_load(fd, lists, &shape, size, 0, NULL, &index, &err) == 0, "%s",
                  err.message);
    json_t *samples = index_sample(index, 8, &off, &err);
    ck_assert_msg(samples != NULL, "%s", err.message);
    const json_t *queries = json_object_get(samples, "queries");
    ck_assert_uint_eq(json_array_size(queries), 8);
    ck_assert_msg(index_compare(index, samples, &err) == 0, "%s", err.message);
    if (types[_i].lossless) {
        ck_assert_str_eq(json_string_value(json_object_get(samples, "method")), "stored");
        ck_assert(off >= 0 && off < 1e-3);
        const json_t *last = json_array_get(queries, 7);
        int64_t id = strncmp(types[_i].type, "IDMap", 5) == 0 ? 1000 + 7 * (ROWS - 1) : ROWS - 1;
        ck_assert_int_eq(json_integer_value(json_object_get(last, "id")), id);
        ck_assert_int_eq(json_integer_value(json_array_get(json_object_get(last, "ids"), 0)), id);
    }
    /* Another neighbour at the first rank is noticed. */
    json_t *ids = json_object_get(json_array_get(queries, 3), "ids");
    (void)json_array_set_new(ids, 0, json_integer(123456));
    ck_assert_int_eq(index_compare(index, samples, &err), ORCH_E_INCOMPATIBLE);
    json_decref(samples);
    index_free(index);
    (void)close(fd);
    if (lists >= 0) {
        (void)close(lists);
    }
    free(bytes);
    clean();
}
END_TEST

START_TEST(test_too_large_to_load)
{
    struct orch_error err = ORCH_ERROR_INIT;
    size_t size = 0;
    uint8_t *bytes = make(0, &size);
    struct shape shape;
    struct index *index = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(shape_read(fd, size, &shape, &err), 0);
    ck_assert_int_eq(index_load(fd, -1, &shape, size, size - 1, NULL, &index, &err), 0);
    ck_assert_ptr_null(index);
    (void)close(fd);
    free(bytes);
    clean();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vectorstore shape");
    TCase *tests = tcase_create("shape");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, test_real, 0, TYPES);
    tcase_add_test(tests, test_empty_index);
    tcase_add_loop_test(tests, test_cut, 0, TYPES);
    tcase_add_loop_test(tests, test_flip, 0, TYPES);
    tcase_add_loop_test(tests, test_nonsense, 0, (int)(sizeof(nonsense) / sizeof(nonsense[0])));
    tcase_add_loop_test(tests, test_sample, 0, TYPES);
    tcase_add_test(tests, test_too_large_to_load);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
