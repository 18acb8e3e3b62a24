/* indexsort.c: see indexsort.h. */
#include "engine/indexsort.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/file.h"

#define BLOCK_ROWS 320u /* 16 KiB */

struct bucket {
    struct cache_row *open; /* BLOCK_ROWS of them; NULL: none yet */
    uint32_t open_count;
    uint32_t *blocks; /* full ones, in the file */
    size_t block_count, block_capacity;
};

struct indexsort {
    char *folder;
    int fd;
    uint32_t next_block;
    struct bucket buckets[SORT_BUCKETS];
    struct cache_row *rows; /* of the bucket at hand */
    size_t capacity;
};

static int32_t no_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory for sorting the index of chunks");
}

int32_t indexsort_new(const char *folder, struct indexsort **out, struct orch_error *err)
{
    struct indexsort *sort = calloc(1, sizeof(*sort));
    if (sort == NULL || (sort->folder = strdup(folder)) == NULL) {
        free(sort);
        return no_memory(err);
    }
    sort->fd = -1;
    *out = sort;
    return ORCH_OK;
}

void indexsort_free(struct indexsort *sort)
{
    if (sort == NULL) {
        return;
    }
    for (size_t i = 0; i < SORT_BUCKETS; i++) {
        free(sort->buckets[i].open);
        free(sort->buckets[i].blocks);
    }
    if (sort->fd >= 0) {
        (void)close(sort->fd);
    }
    free(sort->rows);
    free(sort->folder);
    free(sort);
}

static int32_t make_file(struct indexsort *sort, struct orch_error *err)
{
    sort->fd = open(sort->folder, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    if (sort->fd >= 0) {
        return ORCH_OK;
    }
    CLEANUP_FREE char *name = file_join(sort->folder, "sort-XXXXXX");
    if (name == NULL) {
        return no_memory(err);
    }
    sort->fd = mkostemp(name, O_CLOEXEC); /* a file system without O_TMPFILE */
    if (sort->fd < 0) {
        return orch_fail_errno(err, errno, "cannot make a temporary file in %s", sort->folder);
    }
    (void)unlink(name);
    return ORCH_OK;
}

/* Writes the open block of a bucket to the file. */
static int32_t flush_block(struct indexsort *sort, struct bucket *bucket, struct orch_error *err)
{
    if (sort->fd < 0) {
        int32_t rc = make_file(sort, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    if (bucket->block_count == bucket->block_capacity) {
        size_t wanted = bucket->block_capacity * 2 + 16;
        uint32_t *grown = reallocarray(bucket->blocks, wanted, sizeof(*grown));
        if (grown == NULL) {
            return no_memory(err);
        }
        bucket->blocks = grown;
        bucket->block_capacity = wanted;
    }
    /* Blocks follow each other in the file, and nothing else moves its position. */
    int32_t rc = file_write_all(sort->fd, bucket->open, BLOCK_ROWS * sizeof(struct cache_row),
                                "a temporary file of the index cache", err);
    bucket->blocks[bucket->block_count++] = sort->next_block++;
    bucket->open_count = 0;
    return rc;
}

int32_t indexsort_add(struct indexsort *sort, const struct cache_row *row, struct orch_error *err)
{
    struct bucket *bucket = &sort->buckets[row->key[0]];
    if (bucket->open == NULL) {
        bucket->open = malloc(BLOCK_ROWS * sizeof(*bucket->open));
        if (bucket->open == NULL) {
            return no_memory(err);
        }
    }
    bucket->open[bucket->open_count++] = *row;
    return bucket->open_count == BLOCK_ROWS ? flush_block(sort, bucket, err) : ORCH_OK;
}

int32_t indexsort_bucket(struct indexsort *sort, size_t number, struct cache_row **rows,
                         size_t *count, struct orch_error *err)
{
    struct bucket *bucket = &sort->buckets[number];
    *count = bucket->block_count * BLOCK_ROWS + bucket->open_count;
    if (*count > sort->capacity) {
        free(sort->rows);
        sort->capacity = *count + *count / 8;
        sort->rows = reallocarray(NULL, sort->capacity, sizeof(*sort->rows));
        if (sort->rows == NULL) {
            sort->capacity = 0;
            return no_memory(err);
        }
    }
    for (size_t i = 0; i < bucket->block_count; i++) {
        uint64_t offset = (uint64_t)bucket->blocks[i] * BLOCK_ROWS * sizeof(struct cache_row);
        int32_t rc = file_pread_all(sort->fd, sort->rows + i * BLOCK_ROWS,
                                    BLOCK_ROWS * sizeof(struct cache_row), offset,
                                    "a temporary file of the index cache", err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    if (bucket->open_count > 0) {
        memcpy(sort->rows + bucket->block_count * BLOCK_ROWS, bucket->open,
               bucket->open_count * sizeof(*sort->rows));
    }
    if (*count > 1) {
        qsort(sort->rows, *count, sizeof(*sort->rows), cache_row_compare);
    }
    *rows = sort->rows;
    return ORCH_OK;
}
