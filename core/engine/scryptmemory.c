/* scryptmemory.c: see scryptmemory.h. */
#include "engine/scryptmemory.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/log.h"

#define HUGE_PAGE_BYTES ((size_t)2 << 20)
#define LARGE_BYTES (4 * HUGE_PAGE_BYTES)

static void *take(size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    if (len < LARGE_BYTES) {
        return len == 0 ? NULL : malloc(len);
    }
    void *block = NULL;
    if (posix_memalign(&block, HUGE_PAGE_BYTES, len) != 0) {
        return NULL;
    }
    (void)madvise(block, len - len % HUGE_PAGE_BYTES, MADV_HUGEPAGE); /* a wish */
    return block;
}

static void *retake(void *block, size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    if (len == 0) {
        free(block);
        return NULL;
    }
    return realloc(block, len);
}

static void give(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    free(block);
}

void scryptmemory_prepare(void)
{
    if (CRYPTO_set_mem_functions(take, retake, give) != 1) {
        log_debug("keys", "OpenSSL was used before: its large blocks are in small pages");
    }
}
