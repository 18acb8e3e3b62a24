/* test_check.c: what is whole is found whole; a changed byte anywhere is found, and what it hurts
 * is named; a backup killed at any point leaves a repository that is whole. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/check.h"
#include "engine/mark.h"
#include "engine/pack.h"
#include "engine/runlog.h"
#include "enginetest.h"
#include "sampling.h"

/* ---- a repository with two sets ----------------------------------------------------------------
 */

struct world {
    struct et_repo r;
    struct part parts[2];
    char sets[2][ID_TEXT];
};

static void feed(struct part_writer *part, void *ctx)
{
    struct orch_error err = ORCH_ERROR_INIT;
    uint64_t seed = *(uint64_t *)ctx;
    uint8_t *data = malloc(200000);
    for (size_t i = 0; i < 40; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "file%02zu", i);
        struct orch_object object = et_object(name);
        size_t len = i % 10 == 9 ? 200000 : 200 * i;
        uint64_t own = i < 20 ? i : seed * 100 + i; /* half of it is in both sets */
        if (i % 2 == 0) {
            et_random_fill(own, data, len);
        } else {
            et_text_fill(own, data, len);
        }
        et_ok(et_put_object(part, &object, data, len, 0, &err), err);
    }
    for (uint32_t i = 0; i < 2000; i++) {
        char key[32];
        int n = snprintf(key, sizeof(key), "key:%u", i);
        size_t len = i == 77 ? 100000 : 30;
        et_text_fill(i + seed, data, len);
        et_ok(et_put_record(part, 0, key, (size_t)n, data, len, ORCH_NO_EXPIRY, &err), err);
    }
    free(data);
}

static void world_make(struct world *w, bool encrypted)
{
    struct writer_options options = {.codec = CODEC_ZSTD, .pack_bytes = 120000};
    memset(w, 0, sizeof(*w));
    et_repo_make(&w->r, encrypted);
    for (uint64_t i = 0; i < 2; i++) {
        et_backup(w->r.repo, &options, NULL, feed, &i, &w->parts[i]);
        et_store_set(w->r.repo, &w->parts[i], i == 0 ? "first" : "second", w->sets[i]);
    }
    char run_id[ID_TEXT];
    struct runlog *log = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    et_ok(id_new(run_id, &err), err);
    et_ok(runlog_start(w->r.repo, run_id, "backup", &log, &err), err);
    et_ok(runlog_finish(log, RUN_COMPLETED, NULL, &err), err);
}

static void world_free(struct world *w)
{
    for (size_t i = 0; i < 2; i++) {
        free(w->parts[i].content.layers);
        free(w->parts[i].facts_json);
    }
    et_repo_remove(&w->r);
}

struct found {
    size_t count, with_object, with_component;
    char files[64][128];
    size_t file_count;
    char text[65536];
    size_t len;
};

static void note(void *ctx, const struct check_finding *finding)
{
    struct found *found = ctx;
    ck_assert_ptr_nonnull(finding->problem);
    ck_assert_uint_gt(strlen(finding->problem), 0);
    found->count++;
    found->with_object += finding->object != NULL;
    found->with_component += finding->component != NULL;
    if (finding->file != NULL && found->file_count < 64) {
        (void)snprintf(found->files[found->file_count++], 128, "%s", finding->file);
    }
    if (found->len < sizeof(found->text) - 2000) {
        found->len += (size_t)snprintf(
            found->text + found->len, 2000, "%s|%s|%s|%s|%s\n", finding->file ? finding->file : "",
            finding->set ? finding->set : "", finding->component ? finding->component : "",
            finding->object ? finding->object : "", finding->problem);
    }
}

static struct check_result run(struct world *w, enum check_level level, const char *const *sets,
                               const char *const *packs, struct found *found)
{
    struct check_options options = {
        .level = level, .set_ids = sets, .packs = packs, .finding = note, .ctx = found};
    struct check_result result;
    struct orch_error err = ORCH_ERROR_INIT;
    memset(found, 0, sizeof(*found));
    et_ok(check_repository(w->r.repo, &options, &result, &err), err);
    ck_assert_uint_eq(result.findings, found->count);
    return result;
}

/* ---- names of the files of a repository --------------------------------------------------------
 */

struct files {
    char names[256][128];
    uint64_t sizes[256];
    size_t count;
};

static int32_t collect(void *ctx, const char *name, const struct storage_stat *stat,
                       struct orch_error *err)
{
    struct files *files = ctx;
    (void)err;
    ck_assert_uint_lt(files->count, 256);
    (void)snprintf(files->names[files->count], 128, "%s", name);
    files->sizes[files->count++] = stat->size_bytes;
    return ORCH_OK;
}

static void list(struct world *w, const char *prefix, struct files *files)
{
    struct orch_error err = ORCH_ERROR_INIT;
    et_ok(storage_list(w->r.storage, prefix, collect, files, &err), err);
}

static struct files *list_all(struct world *w)
{
    static const char *const folders[] = {"packs", "index", "parts", "sets", "runs"};
    struct orch_error err = ORCH_ERROR_INIT;
    struct storage_stat stat;
    struct files *files = calloc(1, sizeof(*files));
    for (size_t i = 0; i < 5; i++) {
        list(w, folders[i], files);
    }
    et_ok(storage_stat(w->r.storage, "config", &stat, &err), err);
    et_ok(collect(files, "config", &stat, &err), err);
    return files;
}

/* Reads a part whole; what is delivered must be right, whatever was damaged. */
static int32_t read_part(struct world *w, const struct part *part, uint64_t seed)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct index *index = NULL;
    struct content_reader *reader = NULL;
    struct orch_event event = {0};
    uint8_t *expected = malloc(200000);
    size_t at = 0;
    int32_t rc = index_open(w->r.repo, NULL, &index, &err);
    if (rc == ORCH_OK) {
        rc = content_open(w->r.repo, index, part, 0, &reader, &err);
    }
    for (bool more = true; rc == ORCH_OK && more;) {
        rc = content_next(reader, &event, &err);
        more = event.type != ORCH_EVENT_END;
        if (rc == ORCH_OK && event.type == ORCH_EVENT_OBJECT) {
            size_t i = (size_t)strtoul((const char *)event.object.name + 4, NULL, 10);
            uint64_t own = i < 20 ? i : seed * 100 + i;
            at = 0;
            (i % 2 == 0 ? et_random_fill : et_text_fill)(own, expected, event.object.size_bytes);
        } else if (rc == ORCH_OK && event.type == ORCH_EVENT_RECORD) {
            size_t i = (size_t)strtoul((const char *)event.record.key + 4, NULL, 10);
            at = 0;
            et_text_fill(i + seed, expected, event.record.value_len);
        } else if (rc == ORCH_OK && event.type == ORCH_EVENT_DATA) {
            ck_assert_mem_eq(event.data, expected + at, event.data_len);
            at += event.data_len;
        }
    }
    content_close(reader);
    index_close(index);
    free(expected);
    return rc;
}

/* ---- tests -------------------------------------------------------------------------------------
 */

START_TEST(a_whole_repository)
{
    static const enum check_level levels[] = {CHECK_MANIFEST, CHECK_INDEX, CHECK_DATA};
    struct world *w = malloc(sizeof(*w));
    struct found *found = malloc(sizeof(*found));
    world_make(w, _i == 0);
    for (size_t i = 0; i < 3; i++) {
        struct check_result result = run(w, levels[i], NULL, NULL, found);
        ck_assert_msg(found->count == 0, "%s", found->text);
        ck_assert_uint_eq(result.sets, 2);
        ck_assert_uint_eq(result.parts, 2);
        ck_assert_uint_eq(result.objects, 80);
        ck_assert_uint_eq(result.records, 4000);
        ck_assert_int_eq(result.packs > 3, i > 0);
    }
    struct check_result all = run(w, CHECK_DATA, NULL, NULL, found);
    struct files *files = calloc(1, sizeof(*files));
    uint64_t bytes = 0;
    list(w, "packs", files);
    for (size_t i = 0; i < files->count; i++) {
        bytes += files->sizes[i];
    }
    ck_assert_uint_eq(all.bytes_read, bytes);
    /* One set needs fewer packs than all; a list of packs reads these alone. */
    const char *const one[] = {w->sets[0], NULL};
    struct check_result result = run(w, CHECK_DATA, one, NULL, found);
    ck_assert_uint_eq(found->count, 0);
    ck_assert_uint_eq(result.sets, 1);
    ck_assert_uint_lt(result.bytes_read, all.bytes_read);
    ck_assert_uint_gt(result.bytes_read, 0);
    const char *const packs[] = {files->names[0], NULL};
    result = run(w, CHECK_DATA, one, packs, found);
    ck_assert_uint_eq(found->count, 0);
    ck_assert_uint_eq(result.packs, 1);
    ck_assert_uint_eq(result.bytes_read, files->sizes[0]);
    const char *const nobody[] = {"00000000000000000000000000000000", NULL};
    struct check_options options = {.level = CHECK_INDEX, .set_ids = nobody};
    struct orch_error err = ORCH_ERROR_INIT;
    ck_assert_int_eq(check_repository(w->r.repo, &options, &result, &err), ORCH_E_NOT_FOUND);
    free(files);
    world_free(w);
    free(w);
    free(found);
}
END_TEST

/* Bytes all over every file, one at a time. */
START_TEST(any_changed_byte_is_found)
{
    struct world *w = malloc(sizeof(*w));
    struct found *found = malloc(sizeof(*found));
    struct et_random random = {42 + (uint64_t)_i};
    world_make(w, _i == 0);
    struct files *files = list_all(w);
    ck_assert_uint_ge(files->count, 10);
    for (size_t f = 0; f < files->count; f++) {
        uint64_t size = files->sizes[f];
        for (int i = 0; i < 14; i++) {
            if (sampling_skips(f + (size_t)i)) {
                continue;
            }
            /* The first and last bytes are what headers and trailers are made of. */
            uint64_t at = i < 3   ? (uint64_t)i * 17 % size
                          : i < 6 ? size - 1 - (uint64_t)(i - 3) * 23 % size
                                  : et_random_next(&random) % size;
            unsigned bit = (unsigned)(et_random_next(&random) % 8);
            et_flip(&w->r, files->names[f], at, bit);
            run(w, CHECK_DATA, NULL, NULL, found);
            ck_assert_msg(found->count > 0, "byte %llu of %s", (unsigned long long)at,
                          files->names[f]);
            bool named = false;
            for (size_t j = 0; j < found->file_count; j++) {
                named = named || strcmp(found->files[j], files->names[f]) == 0;
            }
            ck_assert_msg(named, "%s is not named: %s", files->names[f], found->text);
            (void)read_part(w, &w->parts[i % 2], (uint64_t)i % 2);
            et_flip(&w->r, files->names[f], at, bit);
        }
    }
    run(w, CHECK_DATA, NULL, NULL, found);
    ck_assert_msg(found->count == 0, "%s", found->text);
    ck_assert_int_eq(read_part(w, &w->parts[0], 0), ORCH_OK);
    ck_assert_int_eq(read_part(w, &w->parts[1], 1), ORCH_OK);
    free(files);
    world_free(w);
    free(w);
    free(found);
}
END_TEST

static size_t occurrences(const char *text, const char *word)
{
    size_t n = 0;
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
        n++;
    }
    return n;
}

/* Damage in a frame names the sets, the components and the objects that need it; of two sets that
 * hold the same, each. */
START_TEST(the_hurt_are_named)
{
    struct world *w = malloc(sizeof(*w));
    struct found *found = malloc(sizeof(*found));
    struct index *index = NULL;
    struct chunk_location place;
    struct orch_error err = ORCH_ERROR_INIT;
    struct index_pack pack;
    char name[64];
    char hex[33];
    char same[ID_TEXT];
    size_t shared = 0, hurt = 0;
    world_make(w, true);
    et_store_set(w->r.repo, &w->parts[0], "third", same);
    struct check_result whole = run(w, CHECK_DATA, NULL, NULL, found);
    ck_assert_uint_eq(found->count, 0);
    ck_assert_uint_eq(whole.objects, 120);
    ck_assert_uint_eq(whole.records, 6000);
    et_ok(index_open(w->r.repo, NULL, &index, &err), err);
    for (size_t p = 0; index_pack_at(index, p, &pack); p++) {
        for (uint64_t f = 0; index_frame_at(index, &pack, f, &place); f++) {
            hex_encode(place.pack, 16, hex);
            (void)snprintf(name, sizeof(name), "packs/%.2s/%s", hex, hex);
            et_flip(&w->r, name, place.frame_offset + place.frame_len / 2, 3);
            run(w, CHECK_DATA, NULL, NULL, found);
            ck_assert_str_eq(found->files[0], name);
            ck_assert_msg(found->with_component > 0, "frame %u of %s: %s", place.frame_number, name,
                          found->text);
            int32_t first = read_part(w, &w->parts[0], 0);
            int32_t second = read_part(w, &w->parts[1], 1);
            ck_assert_msg((first != ORCH_OK) == (strstr(found->text, "|first|") != NULL), "%d %s",
                          first, found->text);
            ck_assert_msg((second != ORCH_OK) == (strstr(found->text, "|second|") != NULL), "%d %s",
                          second, found->text);
            ck_assert_uint_eq(occurrences(found->text, "|first|"),
                              occurrences(found->text, "|third|"));
            shared += first != ORCH_OK && second != ORCH_OK;
            hurt += found->with_object;
            et_flip(&w->r, name, place.frame_offset + place.frame_len / 2, 3);
        }
    }
    ck_assert_uint_gt(shared, 0);
    ck_assert_uint_ge(hurt, 60);
    index_close(index);
    world_free(w);
    free(w);
    free(found);
}
END_TEST

START_TEST(a_damaged_segment_hurts_its_objects)
{
    struct world *w = malloc(sizeof(*w));
    struct found *found = malloc(sizeof(*found));
    struct files *files = calloc(1, sizeof(*files));
    world_make(w, true);
    list(w, "index", files);
    ck_assert_uint_eq(files->count, 2);
    for (size_t i = 0; i < 2; i++) {
        et_flip(&w->r, files->names[i], 100, 1);
        run(w, CHECK_INDEX, NULL, NULL, found);
        ck_assert_str_eq(found->files[0], files->names[i]);
        ck_assert_uint_ge(found->with_object, 20);
        ck_assert_ptr_nonnull(strstr(found->text, "|second|file"));
        et_flip(&w->r, files->names[i], 100, 1);
    }
    free(files);
    world_free(w);
    free(w);
    free(found);
}
END_TEST

START_TEST(missing_and_short_packs)
{
    struct world *w = malloc(sizeof(*w));
    struct found *found = malloc(sizeof(*found));
    struct files *files = calloc(1, sizeof(*files));
    struct orch_error err = ORCH_ERROR_INIT;
    world_make(w, true);
    list(w, "packs", files);
    for (size_t i = 0; i < files->count; i++) {
        struct buffer file = BUFFER_INIT;
        et_ok(storage_read(w->r.storage, files->names[i], 10 << 20, &file, &err), err);
        et_ok(storage_remove(w->r.storage, files->names[i], &err), err);
        run(w, CHECK_INDEX, NULL, NULL, found);
        ck_assert_msg(strstr(found->text, "missing") != NULL, "%s", found->text);
        ck_assert_uint_gt(found->with_component, 0);
        et_ok(storage_put(w->r.storage, files->names[i], file.data, file.len - 1, 0, &err), err);
        run(w, CHECK_INDEX, NULL, NULL, found);
        ck_assert_str_eq(found->files[0], files->names[i]);
        et_ok(storage_put(w->r.storage, files->names[i], file.data, file.len, 0, &err), err);
        buffer_free(&file);
    }
    run(w, CHECK_DATA, NULL, NULL, found);
    ck_assert_msg(found->count == 0, "%s", found->text);
    free(files);
    world_free(w);
    free(w);
    free(found);
}
END_TEST

/* Packs that are condemned may go while a check looks on: no finding, but where a set needs them.
 */
START_TEST(condemned_packs_may_go)
{
    struct world *w = malloc(sizeof(*w));
    struct found *found = malloc(sizeof(*found));
    struct files *files = calloc(1, sizeof(*files));
    struct files *sets = calloc(1, sizeof(*sets));
    struct orch_error err = ORCH_ERROR_INIT;
    struct mark mark = {.lease = "00112233445566778899aabbccddeeff"};
    world_make(w, true);
    list(w, "packs", files);
    mark.packs = calloc(files->count, sizeof(*mark.packs));
    for (size_t i = 0; i < files->count; i++) {
        et_ok(pack_name_id(files->names[i], mark.packs[i]), err);
    }
    mark.pack_count = files->count;
    et_ok(mark_store(w->r.repo, &mark, &err), err);
    run(w, CHECK_DATA, NULL, NULL, found);
    ck_assert_msg(found->count == 0, "%s", found->text);
    for (size_t i = 0; i < files->count; i++) {
        et_ok(storage_remove(w->r.storage, files->names[i], &err), err);
    }
    run(w, CHECK_DATA, NULL, NULL, found);
    ck_assert_msg(strstr(found->text, "the pack is missing") == NULL, "%s", found->text);
    ck_assert_uint_gt(found->with_component, 0);
    list(w, "sets", sets);
    for (size_t i = 0; i < sets->count; i++) {
        et_ok(storage_remove(w->r.storage, sets->names[i], &err), err);
    }
    run(w, CHECK_DATA, NULL, NULL, found);
    ck_assert_msg(found->count == 0, "%s", found->text);
    et_ok(mark_remove(w->r.repo, mark.id, &err), err);
    run(w, CHECK_INDEX, NULL, NULL, found);
    ck_assert_msg(strstr(found->text, "the pack is missing") != NULL, "%s", found->text);
    mark_clear(&mark);
    free(files);
    free(sets);
    world_free(w);
    free(w);
    free(found);
}
END_TEST

#ifdef ORCHESTRATE_TEST_HOOKS
/* How often this process has come to a point, by its trace. */
static int reached(const char *trace, const char *point)
{
    char line[128];
    int count = 0;
    FILE *file = fopen(trace, "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = 0;
        count += strcmp(line, point) == 0;
    }
    (void)fclose(file);
    return count;
}

/* Runs a backup in a child that dies at the Nth passing of a point. */
static void killed_backup(struct world *w, const struct writer_options *options, uint64_t seed,
                          const char *point, int at)
{
    struct part part;
    int status = 0;
    char where[64];
    char trace[128];
    (void)snprintf(trace, sizeof(trace), "%s.trace", w->r.dir);
    (void)snprintf(where, sizeof(where), "%s:%d", point, at + reached(trace, point));
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        (void)setenv("ORCHESTRATE_CRASH_AT", where, 1);
        et_backup(w->r.repo, options, NULL, feed, &seed, &part);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %d at %s", status,
                  where);
    (void)unlink(trace);
}

/* A backup is killed at a named point: what was there before is whole, and the next backup works.
 */
START_TEST(killed_at_every_point)
{
    static const struct {
        const char *point;
        int at;
    } points[] = {{"pack-started", 1}, {"pack-started", 2}, {"pack-stored", 1}, {"pack-stored", 2},
                  {"index-before", 1}, {"index-stored", 1}, {"put-renamed", 2}, {"put-written", 2}};
    struct world *w = malloc(sizeof(*w));
    struct found *found = malloc(sizeof(*found));
    struct part part;
    uint64_t seed = 5;
    char set[ID_TEXT];
    char trace[128];
    struct writer_options options = {.codec = CODEC_ZSTD, .pack_bytes = 120000};
    (void)snprintf(trace, sizeof(trace), "/tmp/orch-engine-trace-%d", (int)getpid());
    (void)setenv("ORCHESTRATE_CRASH_TRACE", trace, 1);
    world_make(w, true);
    (void)unsetenv("ORCHESTRATE_CRASH_TRACE");
    char beside[128];
    (void)snprintf(beside, sizeof(beside), "%s.trace", w->r.dir);
    ck_assert_int_eq(rename(trace, beside), 0);
    killed_backup(w, &options, seed, points[_i].point, points[_i].at);
    run(w, CHECK_DATA, NULL, NULL, found);
    ck_assert_msg(found->count == 0, "%s: %s", points[_i].point, found->text);
    et_backup(w->r.repo, &options, NULL, feed, &seed, &part);
    if (strcmp(points[_i].point, "index-stored") ==
        0) { /* what the killed run had indexed is reused */
        ck_assert_uint_eq(part.stats.bytes_new, 0);
    }
    et_store_set(w->r.repo, &part, "third", set);
    ck_assert_int_eq(read_part(w, &part, seed), ORCH_OK);
    run(w, CHECK_DATA, NULL, NULL, found);
    ck_assert_msg(found->count == 0, "%s: %s", points[_i].point, found->text);
    free(part.content.layers);
    free(part.facts_json);
    world_free(w);
    free(w);
    free(found);
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("check");
    TCase *tests = tcase_create("check");
    tcase_set_timeout(tests, 280);
    tcase_add_loop_test(tests, a_whole_repository, 0, 2);
    tcase_add_loop_test(tests, any_changed_byte_is_found, 0, 2);
    tcase_add_test(tests, the_hurt_are_named);
    tcase_add_test(tests, a_damaged_segment_hurts_its_objects);
    tcase_add_test(tests, missing_and_short_packs);
    tcase_add_test(tests, condemned_packs_may_go);
#ifdef ORCHESTRATE_TEST_HOOKS
    tcase_add_loop_test(tests, killed_at_every_point, 0, 8);
#endif
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_FORK); /* tests that change or end their process */
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
