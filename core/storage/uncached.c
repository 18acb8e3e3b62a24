/* uncached.c: see uncached.h. */
#include "storage/uncached.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"

#define ALIGNMENT ((size_t)4096)
#define LEAST_BYTES ((size_t)256 << 10)
#define BLOCK_BYTES ((size_t)4 << 20) /* more in one call brings nothing */
#define BLOCK_PAGES (BLOCK_BYTES / ALIGNMENT)
#define BLOCKS_MAX 16

/* Blocks are kept from one read to the next: to touch new memory costs more than to read. */
struct uncached {
    atomic_bool off; /* it was tried, and cannot be */
    pthread_mutex_t lock;
    uint8_t *free_blocks[BLOCKS_MAX];
    size_t count;
};

struct uncached *uncached_new(void)
{
    struct uncached *uncached = calloc(1, sizeof *uncached);
    if (uncached != NULL) {
        (void)pthread_mutex_init(&uncached->lock, NULL);
    }
    return uncached;
}

void uncached_free(struct uncached *uncached)
{
    if (uncached == NULL) {
        return;
    }
    for (size_t i = 0; i < uncached->count; i++) {
        free(uncached->free_blocks[i]);
    }
    (void)pthread_mutex_destroy(&uncached->lock);
    free(uncached);
}

static uint8_t *block_take(struct uncached *uncached)
{
    void *block = NULL;
    (void)pthread_mutex_lock(&uncached->lock);
    if (uncached->count > 0) {
        block = uncached->free_blocks[--uncached->count];
    }
    (void)pthread_mutex_unlock(&uncached->lock);
    return block != NULL || posix_memalign(&block, ALIGNMENT, BLOCK_BYTES) == 0 ? block : NULL;
}

static void block_give(struct uncached *uncached, uint8_t *block)
{
    (void)pthread_mutex_lock(&uncached->lock);
    if (uncached->count < BLOCKS_MAX) {
        uncached->free_blocks[uncached->count++] = block;
        block = NULL;
    }
    (void)pthread_mutex_unlock(&uncached->lock);
    free(block);
}

/* The part of the range that one block can take: where it begins, aligned, and its length. */
static size_t window(uint64_t offset, size_t len, uint64_t *start)
{
    *start = offset - offset % ALIGNMENT;
    size_t lead = (size_t)(offset - *start);
    if (len > BLOCK_BYTES - lead) {
        return BLOCK_BYTES;
    }
    return (lead + len + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

bool uncached_wanted(struct uncached *uncached, int fd, uint64_t offset, size_t len)
{
    unsigned char pages[BLOCK_PAGES];
    uint64_t start = 0;
    size_t in_memory = 0;
    if (len < LEAST_BYTES || atomic_load(&uncached->off)) {
        return false;
    }
    size_t bytes = window(offset, len, &start);
    void *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, (off_t)start);
    if (map == MAP_FAILED) {
        return false;
    }
    /* The page size may be larger than the alignment: then there are fewer. */
    bool known = mincore(map, bytes, pages) == 0;
    long page_bytes = sysconf(_SC_PAGESIZE);
    size_t count = (bytes + (size_t)page_bytes - 1) / (size_t)page_bytes;
    (void)munmap(map, bytes);
    for (size_t i = 0; known && i < count; i++) {
        in_memory += pages[i] & 1u;
    }
    return known && in_memory < count / 2;
}

/* Fills the block; as fault_read(), ENOTSUP where O_DIRECT cannot be. */
static ssize_t read_direct(struct fault *fault, const char *name, int fd, uint8_t *block,
                           size_t bytes, uint64_t start)
{
    char path[64];
    (void)fault; /* in builds without faults the calls do not take them */
    (void)name;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    CLEANUP_FD int direct_fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    ssize_t n = direct_fd < 0 ? -1 : fault_read(fault, name, direct_fd, block, bytes, (off_t)start);
    if (direct_fd < 0 || (n < 0 && errno == EINVAL)) {
        errno = ENOTSUP;
        return -1;
    }
    return n;
}

ssize_t uncached_read(struct uncached *uncached, struct fault *fault, const char *name, int fd,
                      void *data, size_t len, uint64_t offset)
{
    uint64_t start = 0;
    size_t bytes = window(offset, len, &start);
    size_t lead = (size_t)(offset - start);
    uint8_t *block = block_take(uncached);
    if (block == NULL) {
        return fault_read(fault, name, fd, data, len, (off_t)offset);
    }
    ssize_t n = read_direct(fault, name, fd, block, bytes, start);
    int error = errno;
    if (n > 0) {
        size_t got = (size_t)n > lead ? (size_t)n - lead : 0;
        got = got < len ? got : len;
        memcpy(data, block + lead, got);
        n = (ssize_t)got;
    }
    block_give(uncached, block);
    if (n < 0 && error == ENOTSUP) {
        atomic_store(&uncached->off, true);
        return fault_read(fault, name, fd, data, len, (off_t)offset);
    }
    errno = error;
    return n;
}
