/*
 * scale.c: a repository of any number of tiny chunks, and what it costs to work with it. One step
 * for each process, so that each is measured by itself; integration/scale/run runs them all.
 *
 *     scale make DIR CHUNKS     the repository DIR/repository with three sets that overlap
 *     scale open DIR            opens the index with the cache DIR/cache
 *     scale lookup DIR          looks up chunks that are there, and such that are not
 *     scale backup DIR          1,000 new chunks and a set of them
 *     scale verify DIR          every set at level index
 *     scale prune DIR [whole]   the oldest set goes, and what only it needed. Packs that are
 *                               small or hardly used are rewritten, which here are nearly all;
 *                               `whole`: none is
 *
 * Prints a JSON document of one line: seconds, and the most memory that the process had, private
 * and shared, without pages of files (RssAnon + RssShmem, sampled every 5 ms).
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/check.h"
#include "engine/frame.h"
#include "engine/prune.h"
#include "engine/writerimpl.h"
#include "enginetest.h"

#define CHUNK_BYTES 40u
/* So many chunks make a frame, and a frame makes a pack. */
#define PACK_CHUNKS 1000u
#define PACK_BYTES 65536u

static const uint8_t key[KEY_BYTES] = {20};

/* ---- measuring ----------------------------------------------------------------------------- */

static uint64_t memory_now(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    unsigned long long kib = 0;
    uint64_t sum = 0;
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "RssAnon: %llu", &kib) == 1 || sscanf(line, "RssShmem: %llu", &kib) == 1) {
            sum += kib << 10;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return sum;
}

struct watch {
    pthread_t thread;
    atomic_bool stop;
    _Atomic uint64_t peak;
    int64_t start_ns;
};

static void *watch_main(void *arg)
{
    struct watch *watch = arg;
    struct timespec pause = {.tv_nsec = 5000000};
    while (!atomic_load(&watch->stop)) {
        uint64_t now = memory_now();
        if (now > atomic_load(&watch->peak)) {
            atomic_store(&watch->peak, now);
        }
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

static void watch_start(struct watch *watch)
{
    memset(watch, 0, sizeof(*watch));
    watch->start_ns = clock_monotonic_ns();
    if (pthread_create(&watch->thread, NULL, watch_main, watch) != 0) {
        ck_abort_msg("cannot start a thread");
    }
}

/* Prints the line; `more` is JSON members, or "". */
static void watch_report(struct watch *watch, const char *step, const char *more)
{
    double seconds = 1e-9 * (double)(clock_monotonic_ns() - watch->start_ns);
    uint64_t last = memory_now(); /* a short step may have had no sample */
    atomic_store(&watch->stop, true);
    (void)pthread_join(watch->thread, NULL);
    if (last > atomic_load(&watch->peak)) {
        atomic_store(&watch->peak, last);
    }
    printf("{\"step\": \"%s\", \"seconds\": %.3f, \"memory_mb\": %.1f%s%s}\n", step, seconds,
           1e-6 * (double)atomic_load(&watch->peak), more[0] == '\0' ? "" : ", ", more);
    (void)fflush(stdout);
}

/* ---- the repository ------------------------------------------------------------------------ */

struct place {
    char repository[512];
    char cache[512];
    struct storage *storage;
    struct repo *repo;
};

static void place_open(struct place *place, const char *dir, bool create)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct repo_create_options options = {.encrypted = true, .unlock = {.key = key}};
    memset(place, 0, sizeof(*place));
    (void)snprintf(place->repository, sizeof(place->repository), "%s/repository", dir);
    (void)snprintf(place->cache, sizeof(place->cache), "%s/cache", dir);
    et_ok(storage_open(place->repository, create, &place->storage, &err), err);
    if (create) {
        et_ok(repo_create(place->storage, &options, &err), err);
    }
    et_ok(repo_open(place->storage, &options.unlock, NULL, &place->repo, &err), err);
}

static void place_close(struct place *place)
{
    repo_close(place->repo);
    storage_close(place->storage);
}

static struct index *place_index(struct place *place, bool check_packs)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct index *index = NULL;
    struct index_options options = {.cache_dir = place->cache, .check_packs = check_packs};
    et_ok(index_open(place->repo, &options, &index, &err), err);
    return index;
}

static void content_of(uint64_t number, uint8_t bytes[CHUNK_BYTES])
{
    et_random_fill(number * 1000003, bytes, CHUNK_BYTES);
}

/* Hands the open frame over before it is full. */
static void end_frame(struct part_writer *part)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct pipeline_frame *frame = part->frames[0];
    part->frames[0] = NULL;
    if (frame != NULL) {
        et_ok(pipeline_submit(part->writer->pipeline, frame, &err), err);
    }
}

/* Objects first, first + step, … below `end`. */
static void put_objects(struct part_writer *part, uint64_t first, uint64_t end, uint64_t step)
{
    struct orch_error err = ORCH_ERROR_INIT;
    for (uint64_t i = first; i < end; i += step) {
        char name[32];
        uint8_t bytes[CHUNK_BYTES];
        (void)snprintf(name, sizeof(name), "object%010llu", (unsigned long long)i);
        struct orch_object object = et_object(name);
        content_of(i, bytes);
        et_ok(et_put_object(part, &object, bytes, sizeof(bytes), 0, &err), err);
        if (part->frames[0] != NULL && part->frames[0]->count >= PACK_CHUNKS) {
            end_frame(part);
        }
    }
}

/* A set of objects a0 … a1 (each `step`th) and b0 … b1. */
static void take_set(struct place *place, struct index *index, const uint64_t range[4],
                     uint64_t step, char id[ID_TEXT])
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct writer_options options = {.codec = CODEC_NONE, .pack_bytes = PACK_BYTES};
    struct writer *writer = NULL;
    struct part_writer *part = NULL;
    struct part made = {0};
    et_ok(writer_open(place->repo, index, &options, &writer, &err), err);
    et_ok(part_writer_open(writer, NULL, &part, &err), err);
    put_objects(part, range[0], range[1], step);
    put_objects(part, range[2], range[3], 1);
    struct orch_event end = et_event(ORCH_EVENT_END);
    et_ok(part_writer_put(part, &end, &err), err);
    et_ok(part_writer_finish(part, &made.content, &made.stats, &err), err);
    part_writer_close(part);
    et_ok(writer_finish(writer, &err), err);
    writer_close(writer);
    et_store_set(place->repo, &made, "tiny", id);
    free(made.content.layers);
    free(made.facts_json);
}

/*
 * Three sets. When the first goes, a fifth of all chunks is needed by nobody, packs of their own;
 * of a tenth, every other chunk is: these packs are worth rewriting.
 */
static void step_make(const char *dir, uint64_t chunks)
{
    struct place place;
    struct watch watch;
    char id[ID_TEXT];
    char more[128];
    const uint64_t tenth = chunks / 10;
    const uint64_t ranges[3][4] = {
        {0, 4 * tenth, 0, 0}, {3 * tenth, 9 * tenth, 0, 0}, {0, tenth, 9 * tenth, chunks}};
    watch_start(&watch);
    place_open(&place, dir, true);
    struct index *index = place_index(&place, false);
    for (size_t i = 0; i < 3; i++) {
        take_set(&place, index, ranges[i], i == 2 ? 2 : 1, id);
    }
    (void)snprintf(more, sizeof(more), "\"chunks\": %llu, \"packs\": %zu",
                   (unsigned long long)index_chunks(index), index_pack_count(index));
    index_close(index);
    watch_report(&watch, "make", more);
    place_close(&place);
}

static void step_open(const char *dir)
{
    struct place place;
    struct watch watch;
    char more[128];
    place_open(&place, dir, false);
    watch_start(&watch);
    struct index *index = place_index(&place, false);
    double opened = 1e-9 * (double)(clock_monotonic_ns() - watch.start_ns);
    (void)snprintf(more, sizeof(more), "\"opened\": %.4f, \"chunks\": %llu", opened,
                   (unsigned long long)index_chunks(index));
    index_close(index);
    watch_report(&watch, "open", more);
    place_close(&place);
}

/* ---- lookups ------------------------------------------------------------------------------- */

#define BATCH 65536u

struct looker {
    struct index *index;
    const struct chunkid *hash;
    uint64_t chunks, seed, lookups;
    bool there;
    int64_t ns, cpu_ns;
};

static int64_t thread_cpu_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Ids are made outside of the time that is counted. */
static void *look_up(void *arg)
{
    struct looker *looker = arg;
    struct et_random random = {looker->seed};
    uint8_t(*ids)[CHUNK_ID_BYTES] = malloc(BATCH * CHUNK_ID_BYTES);
    for (uint64_t done = 0; ids != NULL && done < looker->lookups; done += BATCH) {
        for (size_t i = 0; i < BATCH; i++) {
            uint8_t bytes[CHUNK_BYTES];
            uint64_t number = et_random_next(&random) % looker->chunks;
            content_of(looker->there ? number : number + (UINT64_C(1) << 40), bytes);
            chunkid_of(looker->hash, bytes, sizeof(bytes), ids[i]);
        }
        int64_t start = clock_monotonic_ns();
        int64_t cpu = thread_cpu_ns();
        for (size_t i = 0; i < BATCH; i++) {
            struct chunk_location place;
            int32_t rc = index_find(looker->index, ids[i], &place);
            if ((rc == ORCH_OK) != looker->there || (looker->there && place.len != CHUNK_BYTES)) {
                ck_abort_msg("a lookup gave the wrong answer");
            }
        }
        looker->ns += clock_monotonic_ns() - start;
        looker->cpu_ns += thread_cpu_ns() - cpu;
    }
    free(ids);
    return NULL;
}

/* Prints lookups per second, of all threads together, into `text`: by the clock, and by the
 * processor's time, which others on the machine do not change. */
static void rate(struct index *index, const struct chunkid *hash, uint64_t chunks, bool there,
                 size_t threads, const char *name, struct buffer *text)
{
    struct looker lookers[4];
    pthread_t ids[4];
    double by_clock = 0;
    double by_cpu = 0;
    for (size_t i = 0; i < threads; i++) {
        lookers[i] = (struct looker){.index = index,
                                     .hash = hash,
                                     .chunks = chunks,
                                     .seed = i + 1,
                                     .lookups = chunks < 4 * BATCH ? 4 * BATCH : 16 * BATCH,
                                     .there = there};
        if (pthread_create(&ids[i], NULL, look_up, &lookers[i]) != 0) {
            ck_abort_msg("cannot start a thread");
        }
    }
    for (size_t i = 0; i < threads; i++) {
        (void)pthread_join(ids[i], NULL);
        by_clock += 1e9 * (double)lookers[i].lookups / (double)lookers[i].ns;
        by_cpu += 1e9 * (double)lookers[i].lookups / (double)lookers[i].cpu_ns;
    }
    buffer_printf(text, "%s\"%s_per_s\": %.0f, \"%s_per_cpu_s\": %.0f", text->len > 0 ? ", " : "",
                  name, by_clock, name, by_cpu);
}

static void step_lookup(const char *dir, uint64_t chunks)
{
    struct place place;
    struct watch watch;
    struct chunkid hash;
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    place_open(&place, dir, false);
    chunkid_init(&hash, repo_keys(place.repo));
    watch_start(&watch);
    struct index *index = place_index(&place, false);
    uint64_t few = chunks < 10000 ? chunks : 10000; /* so few are in the processor's caches */
    rate(index, &hash, chunks, true, 1, "hits", &text);
    rate(index, &hash, chunks, false, 1, "misses", &text);
    rate(index, &hash, few, true, 1, "hot", &text);
    rate(index, &hash, chunks, true, 2, "two_threads", &text);
    index_close(index);
    watch_report(&watch, "lookup", buffer_string(&text));
    place_close(&place);
}

/* ---- work on top --------------------------------------------------------------------------- */

static void step_backup(const char *dir, uint64_t chunks)
{
    struct place place;
    struct watch watch;
    char id[ID_TEXT];
    char more[128];
    const uint64_t range[4] = {0, 1000, chunks, chunks + 1000};
    place_open(&place, dir, false);
    watch_start(&watch);
    struct index *index = place_index(&place, true);
    double opened = 1e-9 * (double)(clock_monotonic_ns() - watch.start_ns);
    uint64_t before = index_chunks(index);
    take_set(&place, index, range, 1, id);
    (void)snprintf(more, sizeof(more), "\"opened\": %.4f, \"new_chunks\": %llu", opened,
                   (unsigned long long)(index_chunks(index) - before));
    index_close(index);
    watch_report(&watch, "backup", more);
    place_close(&place);
}

static void step_verify(const char *dir)
{
    struct place place;
    struct watch watch;
    struct check_result result;
    struct orch_error err = ORCH_ERROR_INIT;
    char more[128];
    place_open(&place, dir, false);
    struct check_options options = {.level = CHECK_INDEX, .cache_dir = place.cache};
    watch_start(&watch);
    et_ok(check_repository(place.repo, &options, &result, &err), err);
    (void)snprintf(more, sizeof(more), "\"objects\": %llu, \"findings\": %llu",
                   (unsigned long long)result.objects, (unsigned long long)result.findings);
    watch_report(&watch, "verify", more);
    place_close(&place);
}

static int32_t choose_oldest(void *ctx, const struct set_list *sets, bool *remove,
                             struct orch_error *err)
{
    size_t oldest = 0;
    (void)ctx;
    (void)err;
    for (size_t i = 1; i < sets->count; i++) {
        oldest = sets->sets[i]->started_ns < sets->sets[oldest]->started_ns ? i : oldest;
    }
    remove[oldest] = true;
    return ORCH_OK;
}

static void step_prune(const char *dir, bool whole)
{
    struct place place;
    struct watch watch;
    struct prune_result result = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    place_open(&place, dir, false);
    struct prune_options options = {.choose = choose_oldest,
                                    .wait_ms = -1,
                                    .repack_above = whole ? 100 : 0,
                                    .cache_dir = place.cache,
                                    .writer = {.codec = CODEC_NONE}};
    watch_start(&watch);
    et_ok(prune_run(place.repo, &options, &result, &err), err);
    buffer_printf(&text,
                  "\"done\": %s, \"walk\": %.3f, \"repack\": %.3f, \"sweep\": %.3f, "
                  "\"packs\": %llu, \"packs_removed\": %llu, \"packs_rewritten\": %llu, "
                  "\"chunks_needed\": %llu",
                  result.state == PRUNE_DONE ? "true" : "false", 1e-3 * (double)result.walk_ms,
                  1e-3 * (double)result.repack_ms, 1e-3 * (double)result.sweep_ms,
                  (unsigned long long)result.packs, (unsigned long long)result.packs_removed,
                  (unsigned long long)result.packs_rewritten,
                  (unsigned long long)result.chunks_needed);
    watch_report(&watch, whole ? "prune, no rewriting" : "prune", buffer_string(&text));
    place_close(&place);
}

int main(int argc, char **argv)
{
    const char *step = argc > 2 ? argv[1] : "";
    uint64_t chunks = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    if (strcmp(step, "make") == 0 && chunks >= 1000) {
        step_make(argv[2], chunks);
    } else if (strcmp(step, "open") == 0) {
        step_open(argv[2]);
    } else if (strcmp(step, "lookup") == 0 && chunks > 0) {
        step_lookup(argv[2], chunks);
    } else if (strcmp(step, "backup") == 0 && chunks > 0) {
        step_backup(argv[2], chunks);
    } else if (strcmp(step, "verify") == 0) {
        step_verify(argv[2]);
    } else if (strcmp(step, "prune") == 0) {
        step_prune(argv[2], argc > 3 && strcmp(argv[3], "whole") == 0);
    } else {
        fprintf(stderr, "usage: scale make|open|lookup|backup|verify|prune DIR [CHUNKS]\n");
        return 2;
    }
    return 0;
}
