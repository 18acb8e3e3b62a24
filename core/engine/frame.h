/*
 * frame.h: a frame: some chunks, in order, compressed and sealed as one.
 *
 * The additional data of the seal bind the frame to its pack and its place there, so that no frame
 * can stand in for another.
 */
#ifndef CORE_ENGINE_FRAME_H
#define CORE_ENGINE_FRAME_H

#include "engine/codec.h"
#include "engine/seal.h"

/* A frame is closed when its plain bytes reach the target of its pack's kind. */
#define FRAME_TARGET_DATA (1u << 20)
#define FRAME_TARGET_META (256u << 10)
#define FRAME_PLAIN_MAX (2u << 20)
#define FRAME_SEALED_MAX (FRAME_PLAIN_MAX + SEAL_TAG_BYTES)
#define FRAME_CHUNKS_MAX 4096u
/* Data are cut at 1 MiB; a block of a catalogue with one huge entry may be longer. */
#define FRAME_CHUNK_MAX (1536u << 10)

struct frame_place {
    const uint8_t *pack; /* 16 bytes */
    uint8_t kind;        /* PACK_* */
    uint8_t algorithm;   /* SEAL_* */
    uint32_t number;     /* in the pack, from 0 */
    uint64_t offset;     /* in the file */
    uint32_t sealed_len;
    uint32_t plain_len;
    uint32_t codec; /* CODEC_* */
};

/* Seals the stored (compressed) bytes in place: sealed_len - SEAL_TAG_BYTES of them, room behind.
 */
int32_t frame_close(struct seal *seal, const struct frame_place *place, uint8_t *bytes,
                    struct orch_error *err) ORCH_CHECKED;

/* Opens `sealed` in place (its bytes are lost) and decompresses it to place->plain_len bytes. */
int32_t frame_open(struct seal *seal, struct codec *codec, const struct frame_place *place,
                   uint8_t *sealed, uint8_t *plain, struct orch_error *err) ORCH_CHECKED;

#endif
