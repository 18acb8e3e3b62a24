/* frame.c: see frame.h. */
#include "engine/frame.h"

#include <string.h>

#include "base/buffer.h"

#define FRAME_AD_BYTES 48

static void additional_data(const struct frame_place *place, uint8_t ad[FRAME_AD_BYTES])
{
    memcpy(ad, "ORCHFRM1", 8);
    memcpy(ad + 8, place->pack, 16);
    put_le32(ad + 24, place->number);
    ad[28] = place->kind;
    ad[29] = (uint8_t)place->codec;
    ad[30] = place->algorithm;
    ad[31] = 0;
    put_le64(ad + 32, place->offset);
    put_le32(ad + 40, place->plain_len);
    put_le32(ad + 44, place->sealed_len);
}

/* The data key is the pack's own, so the frame's number makes the nonce unique. */
static void frame_nonce(uint32_t number, uint8_t nonce[SEAL_NONCE_BYTES])
{
    memset(nonce, 0, SEAL_NONCE_BYTES);
    put_le64(nonce + 4, number);
}

int32_t frame_close(struct seal *seal, const struct frame_place *place, uint8_t *bytes,
                    struct orch_error *err)
{
    uint8_t ad[FRAME_AD_BYTES];
    uint8_t nonce[SEAL_NONCE_BYTES];
    additional_data(place, ad);
    frame_nonce(place->number, nonce);
    return seal_close(seal, nonce, ad, sizeof(ad), bytes, place->sealed_len - SEAL_TAG_BYTES, bytes,
                      err);
}

int32_t frame_open(struct seal *seal, struct codec *codec, const struct frame_place *place,
                   uint8_t *sealed, uint8_t *plain, struct orch_error *err)
{
    uint8_t ad[FRAME_AD_BYTES];
    uint8_t nonce[SEAL_NONCE_BYTES];
    if (place->sealed_len < SEAL_TAG_BYTES || place->codec > UINT8_MAX) {
        return orch_fail(err, ORCH_E_CORRUPT, "frame %u has an impossible length or codec",
                         place->number);
    }
    uint32_t stored = place->sealed_len - SEAL_TAG_BYTES;
    additional_data(place, ad);
    frame_nonce(place->number, nonce);
    uint8_t *to = place->codec == CODEC_NONE && stored == place->plain_len ? plain : sealed;
    int32_t rc = seal_open(seal, nonce, ad, sizeof(ad), sealed, place->sealed_len, to, err);
    if (rc != ORCH_OK || to == plain) {
        return rc;
    }
    return codec_decompress(codec, place->codec, sealed, stored, plain, place->plain_len, err);
}
