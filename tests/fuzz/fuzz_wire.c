/*
 * fuzz_wire.c: bytes off the wire: frames, and the JSON in control frames.
 *
 * The first two bytes say after how many the stream pauses, so that frames arrive in two pieces.
 */
#include <string.h>
#include <sys/socket.h>

#include "fuzz.h"
#include "plugin/message.h"

#define INPUT_MAX 60000u /* fits the buffer of a socket */

static void use_json(json_t *json)
{
    struct orch_error err = ORCH_ERROR_INIT;
    char text[32];
    const char *key = NULL;
    json_t *value = NULL;
    int32_t rc = message_get_error(json, &err);
    must(rc <= 0 && (rc == ORCH_OK || err.message[0] != 0));
    json_object_foreach(json, key, value)
    {
        size_t len = 0;
        char *bytes = message_bytes(json, key, &len);
        must(bytes == NULL || bytes[len] == 0);
        free(bytes);
        message_copy_text(json, key, text, sizeof(text));
        must(strlen(text) < sizeof(text));
        (void)message_u32(json, key);
        (void)message_string(json, key);
    }
    message_wipe(json);
}

static void use_frame(const struct wire_frame *frame, const uint8_t *payload)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct wire_frame again;
    uint8_t header[WIRE_HEADER_BYTES];
    json_t *json = NULL;
    wire_encode(frame, header);
    must(wire_decode(header, &again, &err) == ORCH_OK && memcmp(frame, &again, sizeof(again)) == 0);
    if (frame->type != WIRE_DATA &&
        message_parse(payload, frame->length, "worker", &json, &err) == ORCH_OK) {
        use_json(json);
        json_decref(json);
    }
}

/* Reads what there is. False: the connection is over. */
static bool drain(struct wire *wire)
{
    struct orch_error err = ORCH_ERROR_INIT;
    for (;;) {
        int32_t got = wire_fill(wire, &err);
        must(got >= 0 || err.message[0] != 0);
        if (got != WIRE_FILLED) {
            return got == WIRE_AGAIN;
        }
        for (;;) {
            struct wire_frame frame;
            const uint8_t *payload = NULL;
            int32_t rc = wire_next(wire, &frame, &payload, &err);
            if (rc < 0) {
                return false;
            }
            if (rc == 0) {
                break;
            }
            use_frame(&frame, payload);
            if (frame.type == WIRE_DATA) {
                CLEANUP_BUFFER struct buffer taken = BUFFER_INIT;
                wire_take(wire, &taken);
                must(taken.len == frame.length);
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int ends[2] = {-1, -1};
    struct wire *wire = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    if (size < 2 || size > INPUT_MAX) {
        return 0;
    }
    size_t left = size - 2;
    size_t first = (data[0] | (size_t)data[1] << 8) % (left + 1);
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    must(wire_new(ends[0], "worker", &wire, &err) == ORCH_OK);
    must(send(ends[1], data + 2, first, MSG_DONTWAIT) == (ssize_t)first);
    if (drain(wire)) {
        must(send(ends[1], data + 2 + first, left - first, MSG_DONTWAIT | MSG_NOSIGNAL) ==
             (ssize_t)(left - first));
        (void)shutdown(ends[1], SHUT_WR);
        must(!drain(wire));
    }
    wire_free(wire);
    (void)close(ends[1]);
    return 0;
}
