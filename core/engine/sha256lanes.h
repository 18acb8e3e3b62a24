/*
 * sha256lanes.h: the block function of SHA-256 over many messages at once, where the processor has
 * AVX-512: sixteen messages side by side take half the time of OpenSSL's one after the other.
 *
 * This is only the compression of whole blocks: whoever uses it begins and ends each digest with
 * OpenSSL (chunkid.c).
 */
#ifndef CORE_ENGINE_SHA256LANES_H
#define CORE_ENGINE_SHA256LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA256LANES_BLOCK 64u
/* With fewer messages than this, one after the other is as fast. */
#define SHA256LANES_LEAST 8u
/* More are not looked at in one call. */
#define SHA256LANES_MOST 512u

struct sha256lanes_run {
    const uint8_t *data;
    size_t blocks; /* that are left */
    uint32_t state[8];
};

/* Whether the processor has what it takes and gives, when tried once, the digests of OpenSSL. */
bool sha256lanes_available(void);

/*
 * Works off blocks of the runs, as long as at least SHA256LANES_LEAST runs have some: `data`,
 * `blocks` and `state` move on. Some runs keep blocks. Only when available.
 */
void sha256lanes_work(struct sha256lanes_run *runs, size_t count);

#endif
