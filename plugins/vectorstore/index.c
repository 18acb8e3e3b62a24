/* index.c: see index.h. Loading; searching stands in sample.c. */
#include "index.h"

#include "cleanup.h"
#include "index_internal.h"
#include "names.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <faiss/c_api/IndexIVF_c.h>
#include <faiss/c_api/MetaIndexes_c.h>
#include <faiss/c_api/error_c.h>
#include <faiss/c_api/index_io_c.h>

/* The library's own values, not those of the C header, which are older and mean something else. */
#define IO_READ_ONLY 2
#define IO_ONDISK_SAME_DIR 4
#define IO_MMAP (8 | 0x646f0000)

#define MAP_FROM_BYTES                                                                             \
    (UINT64_C(64) << 20) /* smaller lists are read, which is kinder to writers                     \
                          */
#define LINK_NAME ".vectorstore-index"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifndef VECTORSTORE_FAISS_VERSION
#define VECTORSTORE_FAISS_VERSION "unknown"
#endif

const char *index_faiss_version(void)
{
    return VECTORSTORE_FAISS_VERSION;
}

/* ---- memory ----------------------------------------------------------------------------- */

/* Three quarters of what the kernel says is to be had; everything when it does not say. */
static uint64_t memory_to_spare(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    char line[128];
    uint64_t kib = UINT64_MAX / 1024;
    if (file == NULL) {
        return UINT64_MAX;
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1) {
            break;
        }
    }
    (void)fclose(file);
    return kib / 4 * 3 * 1024;
}

/*
 * For an index whose structure was not walked: while FAISS loads it, memory is held to a few times
 * the file's size, so that a damaged size fails to be allocated instead of filling the machine.
 */
static int hold_memory(const struct shape *shape, uint64_t size, struct rlimit *before)
{
#ifdef SANITIZED
    (void)shape;
    (void)size;
    (void)before;
    return 0; /* sanitizers reserve terabytes of address space */
#else
    uint64_t pages = 0;
    FILE *file = shape->walked ? NULL : fopen("/proc/self/statm", "re");
    if (file == NULL) {
        return 0;
    }
    int got = fscanf(file, "%" SCNu64, &pages);
    (void)fclose(file);
    if (got != 1 || getrlimit(RLIMIT_AS, before) != 0) {
        return 0;
    }
    struct rlimit during = *before;
    rlim_t most =
        (rlim_t)(pages * (uint64_t)sysconf(_SC_PAGESIZE) + size * 4 + (UINT64_C(1) << 30));
    during.rlim_cur =
        before->rlim_cur == RLIM_INFINITY || most < before->rlim_cur ? most : before->rlim_cur;
    return setrlimit(RLIMIT_AS, &during) == 0;
#endif
}

/* ---- loading ---------------------------------------------------------------------------- */

static int32_t faiss_failed(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_CORRUPT, "FAISS %s cannot load it: %.500s", index_faiss_version(),
                     faiss_get_last_error());
}

static int32_t load_file(int fd, int flags, FaissIndex **out, struct orch_error *err)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    FILE *file = copy < 0 ? NULL : fdopen(copy, "r");
    if (file == NULL) {
        int problem = errno;
        if (copy >= 0) {
            (void)close(copy);
        }
        return orch_fail_errno(err, problem, "cannot open the index once more");
    }
    int32_t rc = ORCH_OK;
    if (lseek(fd, 0, SEEK_SET) != 0) {
        rc = orch_fail_errno(err, errno, "cannot go to the start of the index");
    } else if (faiss_read_index(file, flags, out) != 0) {
        rc = faiss_failed(err);
    }
    (void)fclose(file);
    return rc;
}

static int32_t link_to(int dir, const char *name, int fd, struct orch_error *err)
{
    char target[64];
    (void)snprintf(target, sizeof(target), "/proc/self/fd/%d", fd);
    return symlinkat(target, dir, name) == 0
               ? ORCH_OK
               : orch_fail_errno(err, errno, "cannot make a link to load an index with");
}

/*
 * FAISS tells on standard output where it looks for on-disk lists. That may be somebody's document:
 * for this one call, what it prints goes to standard error.
 */
static int32_t read_quietly(const char *path, int flags, FaissIndex **out, struct orch_error *err)
{
    (void)fflush(stdout);
    int kept = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (kept >= 0) {
        (void)dup2(STDERR_FILENO, STDOUT_FILENO);
    }
    int32_t rc = faiss_read_index_fname(path, flags, out) == 0 ? ORCH_OK : faiss_failed(err);
    (void)fflush(stdout);
    if (kept >= 0) {
        (void)dup2(kept, STDOUT_FILENO);
        (void)close(kept);
    }
    return rc;
}

/*
 * FAISS finds on-disk lists by a name beside the index. Both are open files here, perhaps without a
 * name any more: so it is given a folder with a link to each.
 */
static int32_t load_linked(int fd, int lists, const char *ondisk, const char *work_dir,
                           FaissIndex **out, struct orch_error *err)
{
    char folder[NAMES_PATH_MAX];
    char path[NAMES_PATH_MAX + 64];
    const char *base = names_base(ondisk);
    if (strcmp(base, LINK_NAME) == 0 || base[0] == 0) {
        return orch_fail(err, ORCH_E_CORRUPT, "its list file has the impossible name %s", ondisk);
    }
    (void)snprintf(folder, sizeof(folder), "%s/load-XXXXXX", work_dir == NULL ? "/tmp" : work_dir);
    if (mkdtemp(folder) == NULL) {
        return orch_fail_errno(err, errno, "cannot make a folder in %s to load an index with",
                               work_dir == NULL ? "/tmp" : work_dir);
    }
    CLEANUP_FD int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int32_t rc = dir < 0 ? orch_fail_errno(err, errno, "cannot open %s", folder) : ORCH_OK;
    if (rc == ORCH_OK) {
        rc = link_to(dir, LINK_NAME, fd, err);
    }
    if (rc == ORCH_OK) {
        rc = link_to(dir, base, lists, err);
    }
    (void)snprintf(path, sizeof(path), "%s/%s", folder, LINK_NAME);
    if (rc == ORCH_OK) {
        rc = read_quietly(path, IO_READ_ONLY | IO_ONDISK_SAME_DIR, out, err);
    }
    if (dir >= 0) {
        (void)unlinkat(dir, LINK_NAME, 0);
        (void)unlinkat(dir, base, 0);
    }
    (void)rmdir(folder);
    return rc;
}

/* What FAISS made of it must be what the walk found. */
static int32_t agree(const struct index *index, const struct shape *shape, struct orch_error *err)
{
    if (faiss_Index_d(index->whole) != shape->dimension ||
        faiss_Index_ntotal(index->whole) != shape->ntotal ||
        (int32_t)faiss_Index_metric_type(index->whole) != shape->metric) {
        return orch_fail(err, ORCH_E_CORRUPT,
                         "FAISS finds another dimension, count or metric in it "
                         "than its header states");
    }
    return ORCH_OK;
}

/* Finds out how vectors can be had back. Nothing here is a failure: made-up ones serve as well. */
static void find_vectors(struct index *index, const struct shape *shape)
{
    FaissIndexIDMap *map = faiss_IndexIDMap_cast(index->whole);
    index->vectors = index->whole;
    if (map != NULL) {
        idx_t *ids = NULL;
        faiss_IndexIDMap_id_map(map, &ids, &index->id_count);
        index->ids = ids;
        index->vectors = faiss_IndexIDMap_sub_index(map);
    }
    FaissIndexIVF *lists = faiss_IndexIVF_cast(index->vectors);
    if (lists != NULL) {
        /* Anew, and never the one in the file, whose entries nobody has checked. */
        index->can_reconstruct = shape->ntotal <= DIRECT_MAP_MAX &&
                                 faiss_IndexIVF_make_direct_map(lists, 0) == 0 &&
                                 faiss_IndexIVF_make_direct_map(lists, 1) == 0;
    } else {
        index->can_reconstruct = 1; /* until it says otherwise */
    }
}

int32_t index_load(int fd, int lists, const struct shape *shape, uint64_t size, uint64_t limit,
                   const char *work_dir, struct index **out, struct orch_error *err)
{
    struct rlimit before;
    int mapped =
        shape->walked && shape->has_lists && shape->ondisk[0] == 0 && size >= MAP_FROM_BYTES;
    *out = NULL;
    if (!mapped && size > (limit == 0 ? memory_to_spare() : limit)) {
        return ORCH_OK;
    }
    struct index *index = calloc(1, sizeof(*index));
    if (index == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to load an index");
    }
    index->dimension = shape->dimension;
    index->ntotal = shape->ntotal;
    index->lossless = shape->lossless;
    int held = hold_memory(shape, size, &before);
    int32_t rc =
        shape->ondisk[0] == 0
            ? load_file(fd, mapped ? IO_MMAP | IO_READ_ONLY : IO_READ_ONLY, &index->whole, err)
            : load_linked(fd, lists, shape->ondisk, work_dir, &index->whole, err);
    if (held) {
        (void)setrlimit(RLIMIT_AS, &before);
    }
    if (rc == ORCH_OK) {
        rc = agree(index, shape, err);
    }
    if (rc != ORCH_OK) {
        index_free(index);
        return rc;
    }
    find_vectors(index, shape);
    *out = index;
    return ORCH_OK;
}

void index_free(struct index *index)
{
    if (index != NULL) {
        if (index->whole != NULL) {
            faiss_Index_free(index->whole);
        }
        free(index);
    }
}
