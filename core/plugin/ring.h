/*
 * ring.h: blocks of memory that host and worker share: a memfd sealed against shrinking and
 * growing, so that neither side can make the other fault.
 *
 * The other side may change a block at any time. The host copies a block once before it looks at it
 * and never acts on what it reads from here twice.
 */
#ifndef CORE_PLUGIN_RING_H
#define CORE_PLUGIN_RING_H

#include <stddef.h>
#include <stdint.h>

#include <orchestrate/error.h>

struct ring {
    int fd;
    uint8_t *base; /* NULL: there is no ring */
    uint32_t blocks;
};

#define RING_INIT                                                                                  \
    {                                                                                              \
        -1, NULL, 0                                                                                \
    }

/* Makes `blocks` blocks of WIRE_BLOCK_BYTES. Memory is used as it is touched. */
int32_t ring_create(uint32_t blocks, struct ring *ring, struct orch_error *err) ORCH_CHECKED;
/* Maps the one that came over the wire; takes `fd`, also on failure. Checks seals and size. */
int32_t ring_adopt(int fd, uint32_t blocks, struct ring *ring, struct orch_error *err) ORCH_CHECKED;
uint8_t *ring_block(const struct ring *ring, uint32_t index);
void ring_free(struct ring *ring); /* also an initialised one */

#endif
