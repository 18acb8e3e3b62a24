/*
 * bench_writer.c: how fast content goes into a repository and out again. Not run by the tests.
 *
 *     bench_writer [MiB]
 *
 * Mixed data: compressible words, bytes that do not compress, repeated stretches; then small files,
 * then a million records. Prints MB/s of source data and cpu seconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "enginetest.h"

static double cpu_seconds(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

struct lap {
    int64_t wall_ns;
    double cpu;
};

static struct lap lap_start(void)
{
    return (struct lap){clock_monotonic_ns(), cpu_seconds()};
}

static void lap_print(struct lap start, const char *what, uint64_t bytes)
{
    double wall = 1e-9 * (double)(clock_monotonic_ns() - start.wall_ns);
    double cpu = cpu_seconds() - start.cpu;
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    printf("%-38s %7.2f s %8.2f MB/s  cpu %6.2f s (%4.2f s/GB)  peak memory %ld MiB\n", what, wall,
           1e-6 * (double)bytes / wall, cpu, cpu / (1e-9 * (double)bytes), usage.ru_maxrss / 1024);
}

/* Words, noise and repetition in stretches of 1 MiB, made once so that making them costs nothing.
 */
#define POOL_MIB 64u

struct source {
    uint8_t *pool;
    uint64_t mib;
    uint64_t bytes;
};

static void pool_fill(uint8_t *pool)
{
    for (size_t i = 0; i < POOL_MIB; i++) {
        uint8_t *at = pool + (i << 20);
        if (i % 4 == 3) {
            et_random_fill(i, at, 1 << 20);
        } else {
            et_text_fill(i, at, 1 << 20);
        }
    }
}

/* Makes the pool new without much work, so that nothing deduplicates. */
static void pool_stir(uint8_t *pool, uint64_t round)
{
    for (size_t at = 0; at < (size_t)POOL_MIB << 20; at += 4096) {
        uint64_t value = round * 1000003 + at;
        memcpy(pool + at, &value, sizeof(value));
    }
}

static void feed_large(struct part_writer *part, void *ctx)
{
    struct source *source = ctx;
    struct orch_error err = ORCH_ERROR_INIT;
    for (uint64_t done = 0; done < source->mib; done += POOL_MIB) {
        char name[32];
        (void)snprintf(name, sizeof(name), "large/%08llu", (unsigned long long)done);
        struct orch_object object = et_object(name);
        pool_stir(source->pool, done);
        et_ok(et_put_object(part, &object, source->pool, (size_t)POOL_MIB << 20, 1 << 20, &err),
              err);
        source->bytes += (uint64_t)POOL_MIB << 20;
    }
}

static void feed_small(struct part_writer *part, void *ctx)
{
    struct source *source = ctx;
    struct orch_error err = ORCH_ERROR_INIT;
    struct et_random random = {1};
    for (uint32_t i = 0; i < 85000; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "small/%03u/%05u", i / 1000, i);
        struct orch_object object = et_object(name);
        size_t at = et_random_next(&random) % ((POOL_MIB - 1) << 20);
        size_t len = et_random_next(&random) % 8192;
        et_ok(et_put_object(part, &object, source->pool + at, len, 0, &err), err);
        source->bytes += len;
    }
}

static void feed_unchanged(struct part_writer *part, void *ctx)
{
    struct source *source = ctx;
    struct orch_error err = ORCH_ERROR_INIT;
    for (uint32_t i = 0; i < 85000; i++) {
        char name[32];
        struct orch_event event = et_event(EVENT_UNCHANGED);
        (void)snprintf(name, sizeof(name), "small/%03u/%05u", i / 1000, i);
        event.object = et_object(name);
        et_ok(part_writer_put(part, &event, &err), err);
        source->bytes++;
    }
}

static void feed_records(struct part_writer *part, void *ctx)
{
    struct source *source = ctx;
    struct orch_error err = ORCH_ERROR_INIT;
    for (uint32_t i = 0; i < 1000000; i++) {
        char key[32];
        int n = snprintf(key, sizeof(key), "session:%08u", i);
        const uint8_t *value = source->pool + (i * 97u) % ((POOL_MIB - 1) << 20);
        size_t len = 50 + i % 200;
        et_ok(et_put_record(part, 0, key, (size_t)n, value, len, ORCH_NO_EXPIRY, &err), err);
        source->bytes += (size_t)n + len;
    }
}

static void read_back(struct repo *repo, const struct part *part, const char *what)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct index *index = NULL;
    struct content_reader *reader = NULL;
    struct orch_event event;
    uint64_t bytes = 0;
    struct lap lap = lap_start();
    et_ok(index_open(repo, NULL, &index, &err), err);
    et_ok(content_open(repo, index, part, 0, &reader, &err), err);
    do {
        et_ok(content_next(reader, &event, &err), err);
        bytes += event.type == ORCH_EVENT_DATA ? event.data_len : 0;
    } while (event.type != ORCH_EVENT_END);
    content_close(reader);
    index_close(index);
    lap_print(lap, what, bytes);
}

static void measure(struct repo *repo, et_feed feed, struct source *source, const char *what)
{
    struct part part;
    struct writer_options options = {.codec = CODEC_ZSTD};
    const char *level = getenv("BENCH_LEVEL");
    options.level = level == NULL ? 0 : atoi(level);
    for (int round = 0; round < 2; round++) {
        char label[64];
        (void)snprintf(label, sizeof(label), "%s%s", what, round == 0 ? "" : ", again");
        source->bytes = 0;
        struct lap lap = lap_start();
        et_backup(repo, &options, NULL, feed, source, &part);
        lap_print(lap, label, source->bytes);
        if (round == 0) {
            printf("    new %.1f MB, stored %.1f MB\n", 1e-6 * (double)part.stats.bytes_new,
                   1e-6 * (double)part.stats.bytes_stored);
            free(part.content.layers);
        }
    }
    read_back(repo, &part, "    read back");
    if (feed == feed_small) {
        struct part again;
        source->bytes = 0;
        struct lap lap = lap_start();
        et_backup(repo, &options, &part, feed_unchanged, source, &again);
        lap_print(lap, "    all unchanged (objects, not bytes)", source->bytes);
        free(again.content.layers);
    }
    free(part.content.layers);
}

int main(int argc, char **argv)
{
    struct et_repo r;
    struct source source = {.mib = argc > 1 ? strtoull(argv[1], NULL, 10) : 2048};
    source.pool = malloc((size_t)POOL_MIB << 20);
    pool_fill(source.pool);
    et_repo_make(&r, getenv("BENCH_PLAIN") == NULL);
    measure(r.repo, feed_large, &source, "large objects");
    measure(r.repo, feed_small, &source, "85,000 small objects");
    measure(r.repo, feed_records, &source, "1,000,000 records");
    et_repo_remove(&r);
    free(source.pool);
    return 0;
}
