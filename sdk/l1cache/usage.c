/* usage.c: the shared array of hits and times of last use. It is made under a temporary name and
 * linked into place whole, so that no process ever maps half of one. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_SIZE (UINT64_C(256) << 20)
#define DEFAULT_SLOTS (UINT64_C(1) << 20)
#define SLOTS_MAX (UINT64_C(1) << 30)
#define SIZE_MAX_BYTES (UINT64_C(1) << 44)

static int32_t usage_create(const char *name, const struct orch_l1_options *options,
                            struct orch_error *err)
{
    struct l1_usage header = {
        .magic = L1_USAGE_MAGIC,
        .slots = options->max_entries == 0 ? DEFAULT_SLOTS : options->max_entries,
        .size_bytes = options->size_bytes == 0 ? DEFAULT_SIZE : options->size_bytes,
    };
    char temporary[4096];
    if (snprintf(temporary, sizeof(temporary), "%s.%ld", name, (long)getpid()) >=
        (int)sizeof(temporary)) {
        return orch_fail(err, ORCH_E_INVALID, "the path of cache file %s is too long", name);
    }
    if (header.slots > SLOTS_MAX || header.size_bytes > SIZE_MAX_BYTES) {
        return orch_fail(err, ORCH_E_INVALID, "a cache has at most %llu entries and %llu bytes",
                         (unsigned long long)SLOTS_MAX, (unsigned long long)SIZE_MAX_BYTES);
    }
    int fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return orch_fail_errno(err, errno, "cannot create %s", temporary);
    }
    off_t size = (off_t)(sizeof(header) + header.slots * sizeof(struct l1_slot));
    int32_t rc = ORCH_OK;
    if (ftruncate(fd, size) != 0 || pwrite(fd, &header, sizeof(header), 0) != sizeof(header)) {
        rc = orch_fail_errno(err, errno, "cannot write %s", temporary);
    } else if (link(temporary, name) != 0 && errno != EEXIST) {
        rc = orch_fail_errno(err, errno, "cannot create %s", name);
    }
    (void)unlink(temporary);
    if (close(fd) != 0 && rc == ORCH_OK) {
        rc = orch_fail_errno(err, errno, "cannot close %s", temporary);
    }
    return rc;
}

static int32_t usage_map(struct orch_l1 *cache, int fd, const char *name, struct orch_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return orch_fail_errno(err, errno, "cannot look at %s", name);
    }
    if ((size_t)st.st_size < sizeof(struct l1_usage)) {
        return orch_fail(err, ORCH_E_CORRUPT, "%s is cut short", name);
    }
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        return orch_fail_errno(err, errno, "cannot map %s", name);
    }
    struct l1_usage *usage = map;
    uint64_t room = ((uint64_t)st.st_size - sizeof(*usage)) / sizeof(struct l1_slot);
    if (usage->magic != L1_USAGE_MAGIC || usage->slots == 0 || usage->slots > room ||
        usage->size_bytes > SIZE_MAX_BYTES) {
        (void)munmap(map, (size_t)st.st_size);
        return orch_fail(err, ORCH_E_CORRUPT, "%s is not the usage file of a cache", name);
    }
    cache->usage = usage;
    cache->usage_bytes = (size_t)st.st_size;
    return ORCH_OK;
}

int32_t l1_usage_open(struct orch_l1 *cache, const struct orch_l1_options *options,
                      struct orch_error *err)
{
    char name[4096];
    if (snprintf(name, sizeof(name), "%s/usage", cache->path) >= (int)sizeof(name)) {
        return orch_fail(err, ORCH_E_INVALID, "the path of cache %s is too long", cache->path);
    }
    int fd = open(name, O_RDWR | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && options != NULL) {
        int32_t rc = usage_create(name, options, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        fd = open(name, O_RDWR | O_CLOEXEC);
    }
    if (fd < 0) {
        return orch_fail_errno(err, errno, "there is no cache at %s", cache->path);
    }
    int32_t rc = usage_map(cache, fd, name, err);
    (void)close(fd);
    return rc;
}

void l1_usage_close(struct orch_l1 *cache)
{
    if (cache->usage != NULL) {
        (void)munmap(cache->usage, cache->usage_bytes);
        cache->usage = NULL;
    }
}

struct l1_slot *l1_slot(const struct orch_l1 *cache, uint64_t number)
{
    /* A number past the array can only come from a damaged entry; it must not leave the map. */
    return &cache->usage->slot[number < cache->usage->slots ? number : 0];
}
