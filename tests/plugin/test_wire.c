/* test_wire.c: frames over a socket in pieces, descriptors that travel, hostile headers, rings,
 * streams. */
#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plugin/message.h"
#include "plugin/ring.h"
#include "plugin/stream.h"
#include "plugin/wire.h"

#define ASSERT_OK(call)                                                                            \
    do {                                                                                           \
        struct orch_error ok = ORCH_ERROR_INIT;                                                    \
        int32_t ok_rc = (call);                                                                    \
        ck_assert_msg(ok_rc == 0, "%s: %d %s", #call, (int)ok_rc, ok.message);                     \
    } while (0)

static void make_pair(int ends[2], struct wire **wire)
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    ASSERT_OK(wire_new(ends[1], "peer", wire, &ok));
}

START_TEST(test_header_round_trip)
{
    struct wire_frame frame = {.length = 0x123456,
                               .type = WIRE_DATA,
                               .flags = 0,
                               .stream = WIRE_STREAM_RESTORE,
                               .credit = 0xdeadbeef,
                               .id = 0x01020304,
                               .slot = 77,
                               .size = WIRE_BLOCK_BYTES};
    frame.length = 0x0fffff;
    struct wire_frame back;
    uint8_t bytes[WIRE_HEADER_BYTES];
    static const uint8_t expected[WIRE_HEADER_BYTES] = {0xff, 0xff, 0x0f, 0,    9, 0, 3,    0,
                                                        0xef, 0xbe, 0xad, 0xde, 4, 3, 2,    1,
                                                        77,   0,    0,    0,    0, 0, 0x10, 0};
    wire_encode(&frame, bytes);
    ck_assert_mem_eq(bytes, expected, sizeof(bytes));
    ASSERT_OK(wire_decode(bytes, &back, &ok));
    ck_assert_mem_eq(&back, &frame, sizeof(back));
}
END_TEST

static const struct {
    struct wire_frame frame;
    const char *says;
} hostile[] = {
    {{.type = 0}, "unknown type"},
    {{.type = 14}, "unknown type"},
    {{.type = 255}, "unknown type"},
    {{.type = WIRE_LOG, .flags = 2}, "unknown flags"},
    {{.type = WIRE_LOG, .stream = 1}, "on stream 1"},
    {{.type = WIRE_DATA, .stream = 0}, "on stream 0"},
    {{.type = WIRE_DATA, .stream = 4}, "on stream 4"},
    {{.type = WIRE_CREDIT, .stream = 0xffff}, "on stream"},
    {{.type = WIRE_LOG, .length = WIRE_CONTROL_MAX + 1}, "at most 4194304"},
    {{.type = WIRE_LOG, .length = 0xffffffff}, "at most"},
    {{.type = WIRE_DATA, .stream = 1, .length = WIRE_BLOCK_BYTES + 1}, "at most 1048576"},
    {{.type = WIRE_CANCEL, .length = 1}, "at most 0"},
    {{.type = WIRE_DATA, .stream = 1, .size = WIRE_BLOCK_BYTES + 1}, "a block of"},
};

START_TEST(test_hostile_header)
{
    int ends[2];
    struct wire *wire = NULL;
    struct wire_frame frame;
    const uint8_t *payload = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    uint8_t bytes[WIRE_HEADER_BYTES];
    make_pair(ends, &wire);
    wire_encode(&hostile[_i].frame, bytes);
    ck_assert_int_eq(write(ends[0], bytes, sizeof(bytes)), sizeof(bytes));
    ck_assert_int_eq(wire_fill(wire, &err), WIRE_FILLED);
    ck_assert_int_eq(wire_next(wire, &frame, &payload, &err), ORCH_E_PROTOCOL);
    ck_assert_msg(strstr(err.message, hostile[_i].says) != NULL, "%s", err.message);
    wire_free(wire);
    (void)close(ends[0]);
}
END_TEST

/* Two frames arrive byte by byte; nothing comes out before it is whole. */
START_TEST(test_byte_by_byte)
{
    int ends[2];
    struct wire *wire = NULL;
    struct wire_frame frame;
    const uint8_t *payload = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    uint8_t bytes[2 * WIRE_HEADER_BYTES + 5];
    struct wire_frame first = {.type = WIRE_LOG, .length = 5};
    struct wire_frame second = {.type = WIRE_ALIVE};
    make_pair(ends, &wire);
    wire_encode(&first, bytes);
    memcpy(bytes + WIRE_HEADER_BYTES, "hello", 5);
    wire_encode(&second, bytes + WIRE_HEADER_BYTES + 5);
    int frames = 0;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        ck_assert_int_eq(write(ends[0], bytes + i, 1), 1);
        ck_assert_int_eq(wire_fill(wire, &err), WIRE_FILLED);
        int32_t rc = wire_next(wire, &frame, &payload, &err);
        ck_assert_int_eq(rc, i == WIRE_HEADER_BYTES + 4 || i == sizeof(bytes) - 1 ? 1 : 0);
        if (rc == 1 && frames++ == 0) {
            ck_assert_int_eq(frame.type, WIRE_LOG);
            ck_assert_mem_eq(payload, "hello", 5);
        }
    }
    ck_assert_int_eq(frames, 2);
    ck_assert_int_eq(frame.type, WIRE_ALIVE);
    ck_assert_int_eq(wire_fill(wire, &err), WIRE_AGAIN);
    (void)close(ends[0]);
    ck_assert_int_eq(wire_fill(wire, &err), WIRE_EOF);
    wire_free(wire);
}
END_TEST

/* ---- many frames between two threads ---- */

#define FRAMES 400

static size_t length_of(int i)
{
    static const size_t lengths[] = {0, 1, 100, 65535, 65536, 70000, WIRE_BLOCK_BYTES, 23};
    return lengths[i % 8];
}

static void *send_frames(void *arg)
{
    struct wire *wire = arg;
    uint8_t *data = malloc(WIRE_BLOCK_BYTES);
    ck_assert_ptr_nonnull(data);
    for (int i = 0; i < FRAMES; i++) {
        memset(data, i & 0xff, WIRE_BLOCK_BYTES);
        struct wire_frame frame = {
            .type = WIRE_DATA, .stream = WIRE_STREAM_BACKUP, .id = (uint32_t)i};
        ASSERT_OK(wire_send(wire, frame, data, length_of(i), -1, &ok));
    }
    free(data);
    return NULL;
}

static void check_payload(const uint8_t *payload, size_t len, int i)
{
    for (size_t k = 0; k < len; k++) {
        if (payload[k] != (uint8_t)(i & 0xff)) {
            ck_abort_msg("frame %d differs at byte %zu", i, k);
        }
    }
}

START_TEST(test_many_frames)
{
    int ends[2];
    struct wire *wire = NULL;
    struct wire *other = NULL;
    struct wire_frame frame;
    const uint8_t *payload = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    pthread_t thread;
    make_pair(ends, &wire);
    ASSERT_OK(wire_new(ends[0], "peer", &other, &ok));
    ck_assert_int_eq(pthread_create(&thread, NULL, send_frames, other), 0);
    for (int i = 0; i < FRAMES;) {
        int32_t rc = wire_next(wire, &frame, &payload, &err);
        ck_assert_int_ge(rc, 0);
        if (rc == 0) {
            ck_assert_int_ge(wire_fill(wire, &err), 0);
            continue;
        }
        ck_assert_uint_eq(frame.id, (uint32_t)i);
        ck_assert_uint_eq(frame.length, length_of(i));
        if (i % 3 == 0) { /* taken over, as the worker does */
            struct buffer taken = BUFFER_INIT;
            wire_take(wire, &taken);
            check_payload(taken.data, taken.len, i);
            ck_assert_uint_eq(taken.len, length_of(i));
            buffer_free(&taken);
        } else {
            check_payload(payload, frame.length, i);
        }
        i++;
    }
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    wire_free(wire);
    wire_free(other);
}
END_TEST

START_TEST(test_send_fails)
{
    int ends[2];
    struct wire *wire = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    struct wire_frame data = {.type = WIRE_DATA, .stream = 1};
    uint8_t *block = calloc(1, WIRE_BLOCK_BYTES + 1);
    make_pair(ends, &wire);
    ck_assert_int_eq(wire_send(wire, data, block, WIRE_BLOCK_BYTES + 1, -1, &err), ORCH_E_INVALID);
    wire_set_send_limit(wire, 50);
    ck_assert_int_eq(wire_send(wire, data, block, WIRE_BLOCK_BYTES, -1, &err), ORCH_E_TIMEOUT);
    (void)close(ends[0]);
    ck_assert_int_eq(wire_send(wire, data, block, 10, -1, &err), ORCH_E_CRASHED);
    ck_assert_int_eq(wire_try_send(wire, (struct wire_frame){.type = WIRE_CANCEL}, &err),
                     ORCH_E_CRASHED);
    wire_free(wire);
    free(block);
}
END_TEST

/* ---- rings ---- */

START_TEST(test_ring_travels)
{
    int ends[2];
    struct wire *wire = NULL;
    struct wire *other = NULL;
    struct wire_frame frame = {.type = WIRE_HELLO};
    const uint8_t *payload = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    struct ring ring = RING_INIT;
    struct ring seen = RING_INIT;
    make_pair(ends, &wire);
    ASSERT_OK(wire_new(ends[0], "peer", &other, &ok));
    ASSERT_OK(ring_create(3, &ring, &ok));
    ASSERT_OK(wire_send(other, frame, "{}", 2, ring.fd, &ok));
    ck_assert_int_eq(wire_fill(wire, &err), WIRE_FILLED);
    ck_assert_int_eq(wire_next(wire, &frame, &payload, &err), 1);
    ASSERT_OK(ring_adopt(wire_take_fd(wire), 3, &seen, &ok));
    ck_assert_int_eq(wire_take_fd(wire), -1);
    memcpy(ring_block(&ring, 2) + WIRE_BLOCK_BYTES - 5, "there", 5);
    ck_assert_mem_eq(ring_block(&seen, 2) + WIRE_BLOCK_BYTES - 5, "there", 5);
    /* Sealed: nobody can make the other side fault. */
    ck_assert_int_ne(ftruncate(seen.fd, 10), 0);
    ck_assert_int_ne(ftruncate(ring.fd, 10 << 20), 0);
    ring_free(&ring);
    ring_free(&seen);
    wire_free(wire);
    wire_free(other);
}
END_TEST

START_TEST(test_ring_refused)
{
    struct ring ring = RING_INIT;
    struct orch_error err = ORCH_ERROR_INIT;
    ck_assert_int_lt(ring_adopt(open("/dev/null", O_RDWR), 3, &ring, &err), 0);
    ck_assert_int_lt(ring_adopt(-1, 3, &ring, &err), 0);
    ck_assert_int_eq(ring_adopt(open("/dev/null", O_RDWR), 0, &ring, &err), ORCH_E_PROTOCOL);
    int fd = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ck_assert_int_eq(ftruncate(fd, 3 << 20), 0);
    ck_assert_int_eq(ring_adopt(dup(fd), 3, &ring, &err), ORCH_E_PROTOCOL);
    ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    ck_assert_int_eq(ring_adopt(dup(fd), 4, &ring, &err), ORCH_E_PROTOCOL);
    ASSERT_OK(ring_adopt(fd, 3, &ring, &ok));
    ring_free(&ring);
}
END_TEST

/* ---- streams ---- */

START_TEST(test_stream_credits)
{
    int ends[2];
    struct wire *wire = NULL;
    struct stream *stream = NULL;
    struct ring ring = RING_INIT;
    struct orch_error err = ORCH_ERROR_INIT;
    uint8_t *block = NULL;
    size_t size = 0;
    make_pair(ends, &wire);
    ASSERT_OK(ring_create(6, &ring, &ok));
    ASSERT_OK(stream_new(wire, WIRE_STREAM_EARLIER, &ring, 4, 2, &stream, &ok));
    stream_begin(stream, 9);
    struct items_blocks blocks = stream_blocks(stream);
    ASSERT_OK(blocks.turn(blocks.ctx, 0, &block, &size, &ok));
    ck_assert_ptr_eq(block, ring_block(&ring, 4));
    ck_assert_uint_eq(size, WIRE_BLOCK_BYTES);
    ASSERT_OK(blocks.turn(blocks.ctx, 10, &block, &size, &ok));
    ck_assert_ptr_eq(block, ring_block(&ring, 5));
    ck_assert_uint_eq(stream_in_flight(stream), 1);
    ck_assert_int_eq(stream_credit(stream, 2, &err), ORCH_E_PROTOCOL);
    ASSERT_OK(stream_credit(stream, 1, &ok));
    ASSERT_OK(blocks.turn(blocks.ctx, 20, &block, &size, &ok));
    ck_assert_ptr_eq(block, ring_block(&ring, 4));
    ASSERT_OK(blocks.turn(blocks.ctx, 30, NULL, NULL, &ok)); /* handed over; none wanted */
    ck_assert_uint_eq(stream_in_flight(stream), 2);
    stream_stop(stream, "enough");
    ck_assert_int_eq(blocks.turn(blocks.ctx, 0, &block, &size, &err), ORCH_E_CANCELLED);
    ck_assert_str_eq(err.message, "enough");
    stream_free(stream);
    ring_free(&ring);
    wire_free(wire);
    (void)close(ends[0]);
}
END_TEST

/* ---- messages ---- */

START_TEST(test_message_bytes)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {{"", 0}, {"plain", 5}, {"\xc3\xbc", 2}, {"\xff\x00\x01", 3}, {"a\0b", 3}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *json = json_object();
        size_t len = 99;
        message_set_bytes(json, "x", cases[i].bytes, cases[i].len);
        char *back = message_bytes(json, "x", &len);
        ck_assert_ptr_nonnull(back);
        ck_assert_uint_eq(len, cases[i].len);
        ck_assert_int_eq(memcmp(back, cases[i].bytes, len), 0);
        free(back);
        json_decref(json);
    }
}
END_TEST

static const char *const no_messages[] = {"",     "{",    "[]",  "17", "{\"a\":1,\"a\":2}",
                                          "\xff", "{} x", "null"};

START_TEST(test_message_parse_refuses)
{
    json_t *json = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    const char *text = no_messages[_i];
    ck_assert_int_eq(message_parse((const uint8_t *)text, strlen(text), "worker", &json, &err),
                     ORCH_E_PROTOCOL);
    ck_assert_ptr_null(json);
}
END_TEST

/* Deep nesting must not eat the stack. */
START_TEST(test_message_deep)
{
    json_t *json = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    size_t len = 1u << 20;
    char *text = malloc(len);
    memset(text, '[', len);
    ck_assert_int_eq(message_parse((const uint8_t *)text, len, "worker", &json, &err),
                     ORCH_E_PROTOCOL);
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wire");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_header_round_trip);
    tcase_add_loop_test(tcase, test_hostile_header, 0, (int)(sizeof(hostile) / sizeof(hostile[0])));
    tcase_add_test(tcase, test_byte_by_byte);
    tcase_add_test(tcase, test_many_frames);
    tcase_add_test(tcase, test_send_fails);
    tcase_add_test(tcase, test_ring_travels);
    tcase_add_test(tcase, test_ring_refused);
    tcase_add_test(tcase, test_stream_credits);
    tcase_add_test(tcase, test_message_bytes);
    tcase_add_loop_test(tcase, test_message_parse_refuses, 0,
                        (int)(sizeof(no_messages) / sizeof(no_messages[0])));
    tcase_add_test(tcase, test_message_deep);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
