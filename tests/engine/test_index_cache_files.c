/* test_index_cache_files.c: whatever happens to the files of an index cache, and however many use
 * it at once, nothing is found wrongly and nobody dies. */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cachebase.h"
#include "testing.h"

/* ---- what may happen to the files ------------------------------------------------------------ */

START_TEST(a_cache_cut_short_is_made_anew)
{
    struct cb_world w;
    char name[SEGMENT_NAME_BYTES];
    char path[300];
    char data[320];
    struct stat stat_before;
    unsigned newest = 0;
    cb_make(&w);
    for (uint64_t i = 0; i < 8; i++) {
        cb_store(&w, 1 + 4 * i, 4, 50, NULL, name);
    }
    cb_expect_all(&w, 32);
    unsigned last = 1;
    for (int i = 0; i < 12; i++) {
        (void)cb_generations(&w, &newest, path);
        (void)snprintf(data, sizeof(data), "%s/data.mdb", path);
        ck_assert_int_eq(stat(data, &stat_before), 0);
        static const off_t cuts[] = {0, 100, 4096, 8192, 8193, 12288};
        off_t size = i < 6 ? cuts[i] : stat_before.st_size * (i - 5) / 7;
        ck_assert_int_eq(truncate(data, size), 0);
        cb_expect_all(&w, 32);
        ck_assert_uint_eq(cb_generations(&w, &newest, path), 1);
        ck_assert_uint_eq(newest, last + 1);
        last = newest;
    }
    /* Gone altogether; and something else in its place. */
    (void)snprintf(data, sizeof(data), "%s/data.mdb", path);
    ck_assert_int_eq(unlink(data), 0);
    cb_expect_all(&w, 32);
    (void)cb_generations(&w, &newest, path);
    (void)snprintf(data, sizeof(data), "%s/data.mdb", path);
    int fd = open(data, O_WRONLY | O_TRUNC);
    for (int i = 0; i < 10000; i++) {
        ck_assert_int_eq(write(fd, "not a cache\n", 12), 12);
    }
    ck_assert_int_eq(close(fd), 0);
    cb_expect_all(&w, 32);
    et_repo_remove(&w.r);
}
END_TEST

static void write_state(const char *path, const char *text)
{
    char name[320];
    (void)snprintf(name, sizeof(name), "%s/state", path);
    FILE *file = fopen(name, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

/* Only a cache that was synced, or written since the machine was started, may be trusted. */
START_TEST(not_synced_before_a_crash_of_the_machine)
{
    static const struct {
        const char *state;
        bool good;
    } states[] = {
        {"orchestrate index cache 1 clean -\n", true},
        {"orchestrate index cache 1 dirty 00000000-0000-0000-0000-000000000000\n", false},
        {"orchestrate index cache 2 clean -\n", false},
        {"", false},
    };
    struct cb_world w;
    char name[SEGMENT_NAME_BYTES];
    char path[300];
    unsigned newest = 0;
    cb_make(&w);
    cb_store(&w, 1, 4, 50, NULL, name);
    cb_expect_all(&w, 4);
    (void)cb_generations(&w, &newest, path);
    unsigned before = newest;
    write_state(path, states[_i].state);
    cb_expect_all(&w, 4);
    ck_assert_uint_eq(cb_generations(&w, &newest, path), 1);
    ck_assert_uint_eq(newest, states[_i].good ? before : before + 1);
    if (states[_i].good) { /* the first write says that it is not synced any more */
        char text[128] = "";
        char file_name[320];
        cb_store(&w, 5, 1, 50, NULL, name);
        cb_expect_all(&w, 5);
        (void)snprintf(file_name, sizeof(file_name), "%s/state", path);
        FILE *file = fopen(file_name, "re");
        ck_assert_ptr_nonnull(fgets(text, sizeof(text), file));
        (void)fclose(file);
        ck_assert_ptr_nonnull(strstr(text, " dirty "));
    }
    et_repo_remove(&w.r);
}
END_TEST

/* One repository's cache in the place of another's. */
START_TEST(another_repositorys_cache_is_refused)
{
    struct cb_world w;
    struct cb_world other;
    char name[SEGMENT_NAME_BYTES];
    char from[256];
    char to[256];
    char command[1024];
    cb_make(&w);
    cb_make(&other);
    cb_store(&w, 1, 4, 50, NULL, name);
    cb_store(&other, 101, 4, 50, NULL, name);
    cb_expect_all(&w, 4);
    index_close(cb_open(&other));
    cb_folder(&other, from);
    cb_folder(&w, to);
    (void)snprintf(command, sizeof(command), "rm -rf '%s' && cp -r '%s' '%s'", to, from, to);
    ck_assert_int_eq(system(command), 0);
    cb_expect_all(&w, 4);
    et_repo_remove(&w.r);
    et_repo_remove(&other.r);
}
END_TEST

/* No place for a cache: a temporary one does, and nothing stays of it. */
START_TEST(no_place_for_a_cache)
{
    struct cb_world w;
    char name[SEGMENT_NAME_BYTES];
    char path[300];
    char temporary[100];
    cb_make(&w);
    (void)snprintf(temporary, sizeof(temporary), "%s/temporary", w.r.dir);
    ck_assert_int_eq(mkdir(temporary, 0700), 0);
    ck_assert_int_eq(setenv("TMPDIR", temporary, 1), 0);
    cb_store(&w, 1, 4, 50, NULL, name);
    if (_i == 0) { /* a file where the folder should be */
        ck_assert_int_eq(mkdir(w.cache, 0700), 0);
        (void)snprintf(path, sizeof(path), "%s/index", w.cache);
        int fd = open(path, O_WRONLY | O_CREAT, 0600);
        ck_assert_int_eq(close(fd), 0);
    } else if (_i == 1) { /* others may write there */
        index_close(cb_open(&w));
        cb_folder(&w, path);
        ck_assert_int_eq(chmod(path, 0777), 0);
    } else { /* a symbolic link to somewhere */
        index_close(cb_open(&w));
        cb_folder(&w, path);
        char moved[320];
        (void)snprintf(moved, sizeof(moved), "%s-moved", path);
        ck_assert_int_eq(rename(path, moved), 0);
        ck_assert_int_eq(symlink(moved, path), 0);
    }
    cb_expect_all(&w, 4);
    struct index *index = cb_open(&w);
    cb_store(&w, 5, 1, 50, NULL, name);
    struct orch_error err = ORCH_ERROR_INIT;
    et_ok(index_refresh(index, &err), err);
    cb_expect(index, 5, 50, true);
    ck_assert_int_eq(rmdir(temporary), 0); /* it is empty even now */
    index_close(index);
    /* And no place for that one either. */
    ck_assert_int_eq(unsetenv("TMPDIR"), 0);
    cb_expect_all(&w, 5);
    et_repo_remove(&w.r);
}
END_TEST

/* Waits for a child; its exit code, or minus the signal that ended it. */
static int wait_for(pid_t child)
{
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* The disk of the cache is full: a limit on the length of files stands in for that. */
START_TEST(the_cache_cannot_grow)
{
    struct cb_world w;
    char name[SEGMENT_NAME_BYTES];
    cb_make(&w);
    cb_store(&w, 1, 4, 50, NULL, name);
    cb_expect_all(&w, 4);
    pid_t child = fork();
    if (child == 0) {
        struct orch_error err = ORCH_ERROR_INIT;
        struct pack_table tables[4];
        struct index *index = cb_open(&w);
        struct rlimit limit = {100000, 100000};
        (void)signal(SIGXFSZ, SIG_IGN);
        (void)setrlimit(RLIMIT_FSIZE, &limit);
        for (uint64_t i = 0; i < 4; i++) {
            cb_table(&tables[i], 100 + i, 5000);
            if (index_add_pack(index, &tables[i], &err) != ORCH_OK) {
                _exit(1);
            }
        }
        memcpy(name, "index/", 6);
        memset(name + 6, 'a', 64);
        if (index_add_segment(index, name, tables, 4, &err) != ORCH_OK) {
            _exit(2);
        }
        for (uint64_t i = 0; i < 4; i++) { /* they are still known, from memory */
            struct chunk_location place;
            for (size_t j = 0; j < 5000; j++) {
                if (index_find(index, tables[i].chunks[j].id, &place) != ORCH_OK) {
                    _exit(3);
                }
            }
        }
        index_close(index);
        _exit(0);
    }
    ck_assert_int_eq(wait_for(child), 0);
    cb_expect_all(&w, 4);
    et_repo_remove(&w.r);
}
END_TEST

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
START_TEST(little_address_space)
{
    struct cb_world w;
    char name[SEGMENT_NAME_BYTES];
    cb_make(&w);
    cb_store(&w, 1, 4, 50, NULL, name);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {UINT64_C(3) << 30, UINT64_C(3) << 30};
        struct chunk_location place;
        uint8_t id[CHUNK_ID_BYTES];
        (void)setrlimit(RLIMIT_AS, &limit);
        struct index *index = cb_open(&w);
        cb_chunk_id(3, 20, id);
        int32_t rc = index_find(index, id, &place);
        index_close(index);
        _exit(rc == ORCH_OK ? 0 : 1);
    }
    ck_assert_int_eq(wait_for(child), 0);
    char path[300];
    unsigned newest = 0;
    ck_assert_uint_eq(cb_generations(&w, &newest, path), 1);
    cb_expect_all(&w, 4);
    et_repo_remove(&w.r);
}
END_TEST
#endif

/* Killed at any moment of making or changing the cache. */
START_TEST(killed_while_it_writes)
{
    struct cb_world w;
    struct et_random random = {(uint64_t)_i};
    char name[SEGMENT_NAME_BYTES];
    cb_make(&w);
    for (uint64_t i = 0; i < 10; i++) {
        cb_store(&w, 1 + 4 * i, 4, 1000, NULL, name);
    }
    for (int round = 0; round < 12; round++) {
        int ready[2];
        char byte = 0;
        ck_assert_int_eq(pipe(ready), 0);
        pid_t child = fork();
        if (child == 0) {
            struct orch_error err = ORCH_ERROR_INIT;
            ck_assert_int_eq(write(ready[1], "x", 1), 1);
            struct index *index = cb_open(&w); /* the first time: makes it */
            for (uint64_t i = 0;; i++) {
                struct pack_table table;
                cb_table(&table, 1000 + (uint64_t)round * 1000 + i, 3000);
                if (index_add_pack(index, &table, &err) != ORCH_OK ||
                    index_add_segment(index, NULL, &table, 1, &err) != ORCH_OK) {
                    _exit(1);
                }
                pack_table_clear(&table);
            }
        }
        ck_assert_int_eq(read(ready[0], &byte, 1), 1);
        (void)close(ready[0]);
        (void)close(ready[1]);
        struct timespec pause = {.tv_nsec = (long)(et_random_next(&random) % 60000000)};
        (void)nanosleep(&pause, NULL); /* the moment is what is random here */
        ck_assert_int_eq(kill(child, SIGKILL), 0);
        ck_assert_int_eq(wait_for(child), -SIGKILL);
        if (round % 3 == 2) { /* a new segment too */
            cb_store(&w, 41 + (uint64_t)round / 3, 1, 1000, NULL, name);
        }
        struct index *index = cb_open(&w);
        uint64_t packs = 40 + ((uint64_t)round + 1) / 3;
        ck_assert_uint_eq(index_chunks(index), 1000 * packs);
        for (uint64_t i = 1; i <= packs; i++) {
            cb_expect(index, i, i % 8 == 0 ? 1000 : 10, true);
        }
        cb_expect(index, 1000 + (uint64_t)round * 1000, 10, false);
        index_close(index);
    }
    et_repo_remove(&w.r);
}
END_TEST

/* ---- several at once ------------------------------------------------------------------------- */

/* Many new chunks: a new cache beside the old one, which stays while it is in use. */
START_TEST(a_new_generation)
{
    struct cb_world w;
    char names[3][SEGMENT_NAME_BYTES];
    char path[300];
    unsigned newest = 0;
    struct orch_error err = ORCH_ERROR_INIT;
    cb_make(&w);
    cb_store(&w, 1, 1, 50, NULL, names[0]);
    struct index *old = cb_open(&w);
    cb_store(&w, 2, 10, 8000, NULL, names[1]);
    struct index *young = cb_open(&w);
    ck_assert_uint_eq(cb_generations(&w, &newest, path), 2);
    ck_assert_uint_eq(newest, 2);
    cb_expect(young, 1, 50, true);
    cb_expect(young, 5, 8000, true);
    cb_expect(old, 1, 50, true);
    cb_expect(old, 5, 10, false);
    et_ok(index_refresh(old, &err), err); /* in its own cache: its numbers stay */
    cb_expect(old, 5, 8000, true);
    ck_assert_uint_eq(cb_generations(&w, &newest, path), 2);
    index_close(young);
    index_close(old);
    index_close(cb_open(&w));
    ck_assert_uint_eq(cb_generations(&w, &newest, path), 1);
    ck_assert_uint_eq(newest, 2);
    /* Most of it is gone: made anew, and not once more when nothing changes. */
    cb_drop(&w, names[1]);
    index_close(cb_open(&w)); /* drops */
    struct index *index = cb_open(&w);
    ck_assert_uint_eq(cb_generations(&w, &newest, path), 1);
    ck_assert_uint_eq(newest, 3);
    cb_expect(index, 1, 50, true);
    cb_expect(index, 5, 10, false);
    ck_assert_uint_eq(index_chunks(index), 50);
    index_close(index);
    index_close(cb_open(&w));
    (void)cb_generations(&w, &newest, path);
    ck_assert_uint_eq(newest, 3);
    et_repo_remove(&w.r);
}
END_TEST

/* Several processes store segments, open, refresh and drop at once. */
START_TEST(processes_at_once)
{
    struct cb_world w;
    char name[SEGMENT_NAME_BYTES];
    pid_t children[4];
    cb_make(&w);
    cb_store(&w, 1, 4, 50, NULL, name);
    for (uint64_t c = 0; c < 4; c++) {
        children[c] = fork();
        if (children[c] == 0) {
            struct orch_error err = ORCH_ERROR_INIT;
            for (uint64_t i = 0; i < 12; i++) {
                struct pack_table table;
                char own[SEGMENT_NAME_BYTES];
                uint64_t pack = 1000 * (c + 1) + i;
                struct index *index = cb_open(&w);
                cb_expect(index, 1 + i % 4, 50, true);
                cb_table(&table, pack, 200);
                et_ok(index_add_pack(index, &table, &err), err);
                et_ok(segment_store(w.r.repo, &table, 1, NULL, 0, own, &err), err);
                et_ok(index_add_segment(index, own, &table, 1, &err), err);
                cb_expect(index, pack, 200, true);
                if (i % 3 == 0) {
                    cb_drop(&w, own);
                }
                et_ok(index_refresh(index, &err), err);
                cb_expect(index, pack, 200, i % 3 != 0);
                cb_expect(index, 1 + i % 4, 50, true);
                index_close(index);
                pack_table_clear(&table);
            }
            _exit(0);
        }
    }
    for (uint64_t c = 0; c < 4; c++) {
        ck_assert_int_eq(wait_for(children[c]), 0);
    }
    struct index *index = cb_open(&w);
    ck_assert_uint_eq(index_chunks(index), 4 * 50 + 4 * 8 * 200);
    for (uint64_t c = 0; c < 4; c++) {
        for (uint64_t i = 0; i < 12; i++) {
            cb_expect(index, 1000 * (c + 1) + i, 200, i % 3 != 0);
        }
    }
    index_close(index);
    et_repo_remove(&w.r);
}
END_TEST

struct crowd {
    struct cb_world *w;
    struct index *index;
    uint64_t number;
    uint64_t claimed;
};

/* Claims ids that the others claim too, and looks up what is always there. */
static void *claimer(void *arg)
{
    struct crowd *crowd = arg;
    struct orch_error err = ORCH_ERROR_INIT;
    for (uint64_t i = 0; i < 4000; i++) {
        uint8_t id[CHUNK_ID_BYTES];
        struct chunk_location place;
        bool claimed = false;
        cb_chunk_id(500 + i / 1000, i % 1000, id);
        et_ok(index_claim(crowd->index, id, &claimed, &err), err);
        crowd->claimed += claimed;
        ck_assert(index_knows(crowd->index, id));
        cb_chunk_id(1 + i % 4, i % 50, id);
        ck_assert_int_eq(index_find(crowd->index, id, &place), ORCH_OK);
    }
    return NULL;
}

/* Adds packs, stores segments, refreshes. */
static void *adder(void *arg)
{
    struct crowd *crowd = arg;
    struct orch_error err = ORCH_ERROR_INIT;
    for (uint64_t i = 0; i < 12; i++) {
        struct pack_table table;
        char name[SEGMENT_NAME_BYTES];
        /* Packs 500 to 503 hold what is claimed. */
        uint64_t pack = i % 3 == 0 ? 500 + i / 3 : 600 + i;
        cb_table(&table, pack, 1000);
        et_ok(index_add_pack(crowd->index, &table, &err), err);
        et_ok(segment_store(crowd->w->r.repo, &table, 1, NULL, 0, name, &err), err);
        et_ok(index_add_segment(crowd->index, name, &table, 1, &err), err);
        et_ok(index_refresh(crowd->index, &err), err);
        pack_table_clear(&table);
    }
    return NULL;
}

START_TEST(threads_at_once)
{
    struct cb_world w;
    char name[SEGMENT_NAME_BYTES];
    pthread_t threads[4];
    struct crowd crowds[4];
    uint64_t claimed = 0;
    cb_make(&w);
    cb_store(&w, 1, 4, 50, NULL, name);
    struct index *index = cb_open(&w);
    for (uint64_t i = 0; i < 4; i++) {
        crowds[i] = (struct crowd){.w = &w, .index = index, .number = i};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, i == 0 ? adder : claimer, &crowds[i]),
                         0);
    }
    for (uint64_t i = 0; i < 4; i++) {
        (void)pthread_join(threads[i], NULL);
        claimed += crowds[i].claimed;
    }
    ck_assert_uint_le(claimed, 4000); /* each chunk by one of them at most */
    index_release_claims(index);
    for (uint64_t i = 500; i < 504; i++) {
        cb_expect(index, i, 1000, true);
    }
    ck_assert_uint_eq(index_chunks(index), 200 + 12000);
    index_close(index);
    et_repo_remove(&w.r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("index_cache_files");
    TCase *tests = tcase_create("index_cache_files");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, a_cache_cut_short_is_made_anew);
    tcase_add_loop_test(tests, not_synced_before_a_crash_of_the_machine, 0, 4);
    tcase_add_test(tests, another_repositorys_cache_is_refused);
    tcase_add_loop_test(tests, no_place_for_a_cache, 0, 3);
    tcase_add_test(tests, the_cache_cannot_grow);
    tcase_add_loop_test(tests, killed_while_it_writes, 0, 2);
    tcase_add_test(tests, a_new_generation);
    tcase_add_test(tests, processes_at_once);
    tcase_add_test(tests, threads_at_once);
    suite_add_tcase(suite, tests);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    TCase *memory = tcase_create("memory");
    tcase_set_timeout(memory, 240);
    tcase_add_test(memory, little_address_space);
    suite_add_tcase(suite, memory);
#endif
    return testing_run(suite);
}
