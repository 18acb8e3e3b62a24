/* ring.c: see ring.h. */
#include "plugin/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "plugin/wire.h"

#define RING_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define RING_BLOCKS_MAX 1024u

static int32_t map(int fd, uint32_t blocks, struct ring *ring, struct orch_error *err)
{
    size_t size = (size_t)blocks * WIRE_BLOCK_BYTES;
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        return orch_fail_errno(err, errno, "cannot map %zu bytes of shared memory", size);
    }
    ring->base = base;
    ring->blocks = blocks;
    ring->fd = fd;
    return ORCH_OK;
}

int32_t ring_create(uint32_t blocks, struct ring *ring, struct orch_error *err)
{
    CLEANUP_FD int fd = memfd_create("orchestrate-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return orch_fail_errno(err, errno, "cannot make shared memory");
    }
    if (ftruncate(fd, (off_t)blocks * WIRE_BLOCK_BYTES) != 0 ||
        fcntl(fd, F_ADD_SEALS, RING_SEALS) != 0) {
        return orch_fail_errno(err, errno, "cannot size and seal shared memory");
    }
    int32_t rc = map(fd, blocks, ring, err);
    if (rc == ORCH_OK) {
        (void)steal_fd(&fd);
    }
    return rc;
}

int32_t ring_adopt(int passed, uint32_t blocks, struct ring *ring, struct orch_error *err)
{
    CLEANUP_FD int fd = passed;
    if (blocks == 0 || blocks > RING_BLOCKS_MAX) {
        return orch_fail(err, ORCH_E_PROTOCOL, "a ring of %u blocks", blocks);
    }
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (fstat(fd, &st) != 0 || seals < 0) {
        return orch_fail_errno(err, errno, "the shared memory that was handed over is of no use");
    }
    if ((seals & RING_SEALS) != RING_SEALS || st.st_size != (off_t)blocks * WIRE_BLOCK_BYTES) {
        return orch_fail(err, ORCH_E_PROTOCOL,
                         "the shared memory has another size or lacks its seals");
    }
    int32_t rc = map(fd, blocks, ring, err);
    if (rc == ORCH_OK) {
        (void)steal_fd(&fd);
    }
    return rc;
}

uint8_t *ring_block(const struct ring *ring, uint32_t index)
{
    return ring->base + (size_t)index * WIRE_BLOCK_BYTES;
}

void ring_free(struct ring *ring)
{
    if (ring->base != NULL) {
        (void)munmap(ring->base, (size_t)ring->blocks * WIRE_BLOCK_BYTES);
    }
    if (ring->fd >= 0) {
        (void)close(ring->fd);
    }
    *ring = (struct ring)RING_INIT;
}
