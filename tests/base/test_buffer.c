/* test_buffer.c: growing buffers and bounds-checked readers. */
#include <errno.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "testing.h"

/* The linker sends every realloc of the library here; the test says how many succeed (-1: all). */
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

static int reallocs_left = -1;

void *__wrap_realloc(void *old, size_t size)
{
    if (reallocs_left == 0) {
        errno = ENOMEM;
        return NULL;
    }
    reallocs_left -= reallocs_left > 0;
    return __real_realloc(old, size);
}

static const struct {
    uint64_t value;
    size_t len;
    uint8_t bytes[10];
} varints[] = {
    {0, 1, {0}},
    {1, 1, {1}},
    {127, 1, {0x7f}},
    {128, 2, {0x80, 0x01}},
    {16383, 2, {0xff, 0x7f}},
    {16384, 3, {0x80, 0x80, 0x01}},
    {UINT32_MAX, 5, {0xff, 0xff, 0xff, 0xff, 0x0f}},
    {UINT64_C(1) << 63, 10, {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}},
    {UINT64_MAX, 10, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}},
};

START_TEST(test_varint)
{
    CLEANUP_BUFFER struct buffer b = BUFFER_INIT;
    buffer_varint(&b, varints[_i].value);
    ck_assert_uint_eq(b.len, varints[_i].len);
    ck_assert_mem_eq(b.data, varints[_i].bytes, b.len);
    struct reader r = reader_over(b.data, b.len);
    ck_assert_uint_eq(reader_varint(&r), varints[_i].value);
    ck_assert(!r.failed);
    ck_assert_uint_eq(reader_left(&r), 0);
    /* Every shorter run of the same bytes is cut off, and says so. */
    for (size_t len = 0; len < b.len; len++) {
        r = reader_over(b.data, len);
        ck_assert_uint_eq(reader_varint(&r), 0);
        ck_assert(r.failed);
    }
}
END_TEST

/* Longer than needed, or past 64 bits: one value has one form, so that hashes over it are stable.
 */
static const struct {
    const char *what;
    size_t len;
    uint8_t bytes[11];
} wrong_varints[] = {
    {"zero in two bytes", 2, {0x80, 0x00}},
    {"one in two bytes", 2, {0x81, 0x00}},
    {"127 in three bytes", 3, {0xff, 0x80, 0x00}},
    {"bit 64", 10, {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02}},
    {"tenth byte with more to come",
     11,
     {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x81, 0x00}},
    {"eleven bytes", 11, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}},
};

START_TEST(test_wrong_varint)
{
    struct reader r = reader_over(wrong_varints[_i].bytes, wrong_varints[_i].len);
    ck_assert_msg(reader_varint(&r) == 0 && r.failed, "%s", wrong_varints[_i].what);
    ck_assert_uint_eq(reader_left(&r), 0);
}
END_TEST

START_TEST(test_integers_are_little_endian)
{
    CLEANUP_BUFFER struct buffer b = BUFFER_INIT;
    buffer_u8(&b, 0xab);
    buffer_u16(&b, 0x0102);
    buffer_u32(&b, 0x01020304);
    buffer_u64(&b, UINT64_C(0x0102030405060708));
    const uint8_t expected[] = {0xab, 2, 1, 4, 3, 2, 1, 8, 7, 6, 5, 4, 3, 2, 1};
    ck_assert_uint_eq(b.len, sizeof(expected));
    ck_assert_mem_eq(b.data, expected, sizeof(expected));
    struct reader r = reader_over(b.data, b.len);
    ck_assert_uint_eq(reader_u8(&r), 0xab);
    ck_assert_uint_eq(reader_u16(&r), 0x0102);
    ck_assert_uint_eq(reader_u32(&r), 0x01020304);
    ck_assert_uint_eq(reader_u64(&r), UINT64_C(0x0102030405060708));
    ck_assert(!r.failed);
}
END_TEST

/* Each read one byte short: zero, failed for good, and nothing is read past the end (the bytes
 * stand in memory of exactly that size, for AddressSanitizer). */
START_TEST(test_reads_past_the_end)
{
    static const size_t widths[] = {1, 2, 4, 8};
    size_t width = widths[_i];
    CLEANUP_FREE uint8_t *bytes = calloc(1, width == 1 ? 1 : width - 1);
    struct reader r = reader_over(bytes, width - 1);
    uint64_t got = width == 1   ? reader_u8(&r)
                   : width == 2 ? reader_u16(&r)
                   : width == 4 ? reader_u32(&r)
                                : reader_u64(&r);
    ck_assert_uint_eq(got, 0);
    ck_assert(r.failed);
    /* What would fit is refused now too. */
    ck_assert_ptr_null(reader_take(&r, 0));
    ck_assert_uint_eq(reader_u8(&r), 0);
    ck_assert_uint_eq(reader_left(&r), 0);
}
END_TEST

START_TEST(test_take_and_bytes)
{
    CLEANUP_BUFFER struct buffer b = BUFFER_INIT;
    buffer_bytes(&b, "hello", 5);
    buffer_bytes(&b, NULL, 0);
    buffer_text(&b, "tail");
    struct reader r = reader_over(b.data, b.len);
    size_t len = 99;
    const uint8_t *p = reader_bytes(&r, 5, &len);
    ck_assert_uint_eq(len, 5);
    ck_assert_mem_eq(p, "hello", 5);
    ck_assert_ptr_nonnull(reader_bytes(&r, 5, &len));
    ck_assert_uint_eq(len, 0);
    ck_assert_uint_eq(reader_left(&r), 4);
    ck_assert_ptr_eq(reader_take(&r, 4), b.data + b.len - 4);
    ck_assert_ptr_nonnull(reader_take(&r, 0));
    ck_assert(!r.failed);
}
END_TEST

START_TEST(test_bytes_refused)
{
    static const struct {
        uint8_t bytes[12];
        size_t len, max;
    } cases[] = {
        {{5, 'h', 'e', 'l', 'l', 'o'}, 6, 4}, /* more than allowed */
        {{5, 'h', 'e', 'l', 'l'}, 5, 100},    /* more than there is */
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 10, SIZE_MAX},
        {{0}, 0, 100},               /* nothing at all */
        {{0x85, 0x00, 'h'}, 3, 100}, /* a length that is not in its shortest form */
    };
    size_t len = 99;
    struct reader r = reader_over(cases[_i].bytes, cases[_i].len);
    ck_assert_ptr_null(reader_bytes(&r, cases[_i].max, &len));
    ck_assert(r.failed);
    ck_assert_uint_eq(len, 0);
}
END_TEST

START_TEST(test_growth_keeps_content)
{
    CLEANUP_BUFFER struct buffer b = BUFFER_INIT;
    for (unsigned i = 0; i < 100000; i++) {
        buffer_u8(&b, (uint8_t)(i * 7));
    }
    ck_assert(!b.failed);
    ck_assert_uint_eq(b.len, 100000);
    for (unsigned i = 0; i < 100000; i++) {
        ck_assert_uint_eq(b.data[i], (uint8_t)(i * 7));
    }
    const uint8_t *memory = b.data;
    buffer_clear(&b);
    ck_assert_uint_eq(b.len, 0);
    buffer_u8(&b, 1);
    ck_assert_ptr_eq(b.data, memory); /* cleared, not freed */
}
END_TEST

START_TEST(test_printf_and_string)
{
    CLEANUP_BUFFER struct buffer b = BUFFER_INIT;
    ck_assert_str_eq(buffer_string(&b), "");
    buffer_printf(&b, "%s-%d", "a", 7);
    buffer_printf(&b, "%0*d", 500, 1); /* longer than what is free */
    ck_assert_uint_eq(b.len, 503);
    ck_assert_uint_eq(strlen(buffer_string(&b)), 503);
    ck_assert_uint_eq(b.len, 503); /* the zero byte does not count */
    ck_assert_mem_eq(b.data, "a-7000", 6);
    ck_assert_int_eq(b.data[502], '1');
}
END_TEST

START_TEST(test_reserve_of_nothing_is_no_failure)
{
    CLEANUP_BUFFER struct buffer b = BUFFER_INIT;
    ck_assert_ptr_nonnull(buffer_reserve(&b, 0));
    ck_assert(!b.failed);
}
END_TEST

START_TEST(test_out_of_memory_is_remembered)
{
    CLEANUP_BUFFER struct buffer b = BUFFER_INIT;
    buffer_text(&b, "kept");
    reallocs_left = 0;
    ck_assert_ptr_null(buffer_reserve(&b, 1000));
    reallocs_left = -1;
    ck_assert(b.failed);
    /* Later appends do nothing, though memory is there again: half a message is never sent. */
    buffer_text(&b, "more");
    buffer_printf(&b, "%d", 1);
    ck_assert_uint_eq(b.len, 4);
    ck_assert_ptr_null(buffer_string(&b));
    buffer_clear(&b);
    ck_assert(!b.failed);
    buffer_text(&b, "anew");
    ck_assert_str_eq(buffer_string(&b), "anew");
}
END_TEST

START_TEST(test_out_of_memory_at_any_step)
{
    CLEANUP_BUFFER struct buffer b = BUFFER_INIT;
    reallocs_left = _i;
    for (unsigned i = 0; i < 1000; i++) {
        buffer_varint(&b, i);
    }
    reallocs_left = -1;
    ck_assert(b.failed);
    ck_assert_uint_le(b.len, b.capacity);
}
END_TEST

START_TEST(test_absurd_sizes)
{
    CLEANUP_BUFFER struct buffer b = BUFFER_INIT;
    buffer_u8(&b, 1);
    ck_assert_ptr_null(buffer_reserve(&b, SIZE_MAX));
    ck_assert(b.failed);
    struct reader r = reader_over(b.data, b.len);
    ck_assert_ptr_null(reader_take(&r, SIZE_MAX));
    ck_assert(r.failed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("buffer");
    TCase *tests = tcase_create("buffer");
    tcase_add_loop_test(tests, test_varint, 0, (int)COUNT_OF(varints));
    tcase_add_loop_test(tests, test_wrong_varint, 0, (int)COUNT_OF(wrong_varints));
    tcase_add_test(tests, test_integers_are_little_endian);
    tcase_add_loop_test(tests, test_reads_past_the_end, 0, 4);
    tcase_add_test(tests, test_take_and_bytes);
    tcase_add_loop_test(tests, test_bytes_refused, 0, 5);
    tcase_add_test(tests, test_growth_keeps_content);
    tcase_add_test(tests, test_printf_and_string);
    tcase_add_test(tests, test_reserve_of_nothing_is_no_failure);
    tcase_add_test(tests, test_out_of_memory_is_remembered);
    tcase_add_loop_test(tests, test_out_of_memory_at_any_step, 0, 5);
    tcase_add_test(tests, test_absurd_sizes);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
