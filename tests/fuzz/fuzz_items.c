/*
 * fuzz_items.c: the stream of objects and records that a worker sends, in pieces of any size.
 *
 * The first byte gives the size of the pieces. However the bytes are cut, the same must come out.
 */
#include <string.h>

#include "fuzz.h"
#include "plugin/items.h"

struct outcome {
    bool broken;
    bool ended;
    uint64_t digest; /* of everything that came out */
    struct items_totals totals;
};

static void mix(struct outcome *outcome, const void *bytes, uint64_t len)
{
    const uint8_t *p = bytes;
    for (uint64_t i = 0; i < len; i++) {
        outcome->digest = (outcome->digest ^ p[i]) * UINT64_C(0x100000001b3);
    }
}

static void mix_event(struct outcome *outcome, const struct orch_event *event)
{
    if (event->type == ORCH_EVENT_DATA) { /* comes in as many pieces as the input */
        mix(outcome, event->data, event->data_len);
        return;
    }
    mix(outcome, &event->type, sizeof(event->type));
    if (event->type == ORCH_EVENT_OBJECT || event->type == EVENT_UNCHANGED) {
        mix(outcome, &event->object.size_bytes, sizeof(event->object.size_bytes));
        mix(outcome, event->object.name, event->object.name_len);
        mix(outcome, event->object.meta, event->object.meta_len);
    } else if (event->type == ORCH_EVENT_RECORD) {
        mix(outcome, event->record.key, event->record.key_len);
        mix(outcome, event->record.extra, event->record.extra_len);
    } else if (event->type == ORCH_EVENT_HOLE) {
        mix(outcome, &event->data_len, sizeof(event->data_len));
    }
}

/* Everything out of one piece; false: the rules were broken. */
static bool use_piece(struct items_decoder *decoder, struct outcome *outcome)
{
    struct orch_error err = ORCH_ERROR_INIT;
    for (;;) {
        struct orch_event event = {0};
        int32_t rc = items_next(decoder, &event, &err);
        if (rc <= 0) {
            must(rc == 0 || rc == ORCH_E_PROTOCOL);
            return rc == 0;
        }
        if (event.type != ORCH_EVENT_END) {
            mix_event(outcome, &event);
        }
    }
}

static struct outcome decode(const uint8_t *data, size_t size, size_t step)
{
    struct outcome outcome = {.digest = UINT64_C(0xcbf29ce484222325)};
    struct items_decoder *decoder = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    must(items_decoder_new(&decoder, &err) == ORCH_OK);
    for (size_t at = 0; at < size && !outcome.broken; at += step) {
        size_t len = size - at < step ? size - at : step;
        uint8_t *piece = malloc(len); /* exact: a read past the end shows */
        must(piece != NULL);
        memcpy(piece, data + at, len);
        items_feed(decoder, piece, len);
        outcome.broken = !use_piece(decoder, &outcome);
        free(piece);
    }
    outcome.ended = items_decoder_ended(decoder);
    items_decoder_totals(decoder, &outcome.totals);
    items_decoder_free(decoder);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct outcome whole = decode(data + 1, size - 1, size - 1);
    struct outcome pieces = decode(data + 1, size - 1, (size_t)data[0] % 100 + 1);
    must(whole.broken == pieces.broken);
    if (!whole.broken) {
        must(whole.ended == pieces.ended && whole.digest == pieces.digest &&
             whole.totals.items == pieces.totals.items &&
             whole.totals.bytes == pieces.totals.bytes &&
             whole.totals.digest == pieces.totals.digest);
    }
    return 0;
}
