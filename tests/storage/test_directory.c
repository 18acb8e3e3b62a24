/* test_directory.c: the directory driver on a real file system. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "storagetest.h"

static char dir[64];
static struct storage *storage;
static struct orch_error err;

static void setup(void)
{
    st_make_dir(dir);
    memset(&err, 0, sizeof err);
    st_ok(storage_open(dir, false, &storage, &err), err);
}

static void teardown(void)
{
    storage_close(storage);
    st_remove_dir(dir);
}

START_TEST(test_put_get_stat_remove)
{
    char text[256];
    char bytes[8] = "";
    struct storage_stat stat;
    st_ok(st_put(storage, "packs/ab/one", "hello", STORAGE_DURABLE, &err), err);
    ck_assert_str_eq(st_text(dir, "packs/ab/one", text), "hello");
    st_ok(storage_get(storage, "packs/ab/one", 1, bytes, 3, &err), err);
    ck_assert_str_eq(bytes, "ell");
    st_ok(storage_stat(storage, "packs/ab/one", &stat, &err), err);
    ck_assert_uint_eq(stat.size_bytes, 5);
    ck_assert_int_gt(stat.mtime_ns, INT64_C(1600000000) * 1000000000);
    st_ok(st_put(storage, "packs/ab/one", "other", 0, &err), err);
    st_ok(storage_get(storage, "packs/ab/one", 0, bytes, 5, &err), err);
    ck_assert_str_eq(bytes, "other"); /* and not the open descriptor's old bytes */
    st_ok(storage_remove(storage, "packs/ab/one", &err), err);
    ck_assert_int_eq(storage_get(storage, "packs/ab/one", 0, bytes, 5, &err), ORCH_E_NOT_FOUND);
    ck_assert_int_eq(storage_remove(storage, "packs/ab/one", &err), ORCH_E_NOT_FOUND);
    ck_assert_int_eq(storage_stat(storage, "packs/ab", &stat, &err), ORCH_E_NOT_FOUND);
    st_ok(storage_barrier(storage, &err), err);
    ck_assert_int_eq(st_count(dir, "tmp"), 0);
}
END_TEST

START_TEST(test_get_past_the_end)
{
    char bytes[16];
    st_ok(st_put(storage, "a", "hello", 0, &err), err);
    ck_assert_int_eq(storage_get(storage, "a", 0, bytes, 6, &err), ORCH_E_CORRUPT);
    ck_assert_int_eq(storage_get(storage, "a", 5, bytes, 1, &err), ORCH_E_CORRUPT);
    ck_assert_int_eq(storage_get(storage, "a", UINT64_MAX, bytes, 1, &err), ORCH_E_CORRUPT);
    st_ok(storage_get(storage, "a", 5, bytes, 0, &err), err);
}
END_TEST

/* Large ranges, in the page cache and not, aligned and not, up to the end and past it. */
START_TEST(test_get_large)
{
    const size_t size = ((size_t)9 << 20) + 1234;
    const size_t most = (size_t)6 << 20;
    unsigned seed = (unsigned)_i;
    char path[128];
    uint8_t *bytes = malloc(size);
    uint8_t *found = malloc(most + 1);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(i * 2654435761u >> 11);
    }
    st_ok(storage_put(storage, "packs/large", bytes, size, STORAGE_DURABLE, &err), err);
    (void)snprintf(path, sizeof path, "%s/packs/large", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    for (int i = 0; i < 60; i++) {
        size_t unit = i % 3 == 0 ? 4096 : 1;
        size_t len = ((size_t)200 << 10) + (size_t)rand_r(&seed) % (most - ((size_t)200 << 10));
        size_t offset = (size_t)rand_r(&seed) % (size - len + 1) / unit * unit;
        len = i % 5 == 0 && size - offset < most ? size - offset : len;
        if (i % 2 == 0) {
            (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        }
        found[len] = 0xa5;
        st_ok(storage_get(storage, "packs/large", offset, found, len, &err), err);
        ck_assert_int_eq(memcmp(found, bytes + offset, len), 0);
        ck_assert_uint_eq(found[len], 0xa5);
    }
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    ck_assert_int_eq(storage_get(storage, "packs/large", size - most + 1, found, most, &err),
                     ORCH_E_CORRUPT);
    ck_assert_ptr_nonnull(strstr(err.message, "1 bytes early"));
    (void)close(fd);
    free(found);
    free(bytes);
}
END_TEST

START_TEST(test_another_process_replaces_a_file)
{
    char bytes[4] = "";
    struct storage *other = NULL;
    st_ok(storage_open(dir, false, &other, &err), err);
    st_ok(st_put(storage, "a", "old", 0, &err), err);
    st_ok(storage_get(storage, "a", 0, bytes, 3, &err), err);
    st_ok(st_put(other, "a", "new", 0, &err), err);
    st_ok(storage_get(storage, "a", 0, bytes, 3, &err), err);
    ck_assert_str_eq(bytes, "new");
    st_ok(storage_remove(other, "a", &err), err);
    ck_assert_int_eq(storage_get(storage, "a", 0, bytes, 3, &err), ORCH_E_NOT_FOUND);
    storage_close(other);
}
END_TEST

START_TEST(test_more_files_than_open_descriptors)
{
    char name[32];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 100; i++) {
            int value = -1;
            (void)snprintf(name, sizeof name, "packs/%d", i);
            if (round == 0) {
                st_ok(storage_put(storage, name, &i, sizeof i, 0, &err), err);
            }
            st_ok(storage_get(storage, name, 0, &value, sizeof value, &err), err);
            ck_assert_int_eq(value, i);
        }
    }
    ck_assert_int_lt(st_count("/proc/self", "fd"), 60);
}
END_TEST

START_TEST(test_if_absent)
{
    char text[256];
    st_ok(st_put(storage, "sets/a", "first", STORAGE_IF_ABSENT, &err), err);
    ck_assert_int_eq(st_put(storage, "sets/a", "second", STORAGE_IF_ABSENT, &err), ORCH_E_EXISTS);
    ck_assert_ptr_nonnull(strstr(err.message, "sets/a"));
    ck_assert_str_eq(st_text(dir, "sets/a", text), "first");
    ck_assert_int_eq(st_count(dir, "tmp"), 0);
}
END_TEST

struct race {
    atomic_int ready;
    atomic_int won;
};

static void *race_thread(void *argument)
{
    struct race *race = argument;
    struct orch_error mine = ORCH_ERROR_INIT;
    (void)atomic_fetch_add(&race->ready, 1);
    while (atomic_load(&race->ready) < 8) {
    }
    for (int i = 0; i < 50; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "sets/%d", i);
        int32_t rc = st_put(storage, name, "x", STORAGE_IF_ABSENT, &mine);
        if (rc == ORCH_OK) {
            (void)atomic_fetch_add(&race->won, 1);
        } else if (rc != ORCH_E_EXISTS) {
            (void)atomic_fetch_add(&race->won, 1000000);
        }
    }
    return NULL;
}

START_TEST(test_one_winner)
{
    struct race race = {0};
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, race_thread, &race), 0);
    }
    for (int i = 0; i < 8; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    ck_assert_int_eq(race.won, 50);
    ck_assert_int_eq(st_count(dir, "sets"), 50);
    ck_assert_int_eq(st_count(dir, "tmp"), 0);
}
END_TEST

/* Sizes about the block of 1 MiB that the writer gathers, in pieces of several sizes. */
static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 1048575, 1048576, 1048577, 3145728, 5000000};

START_TEST(test_large_puts)
{
    static const size_t pieces[] = {1000, 4096, 65536, 1048576, 2000000};
    size_t size = sizes[_i];
    uint8_t *data = malloc(size + 1);
    uint8_t *back = malloc(size + 1);
    ck_assert(data != NULL && back != NULL);
    for (size_t i = 0; i < size; i++) {
        data[i] = (uint8_t)(i * 31 + (i >> 12));
    }
    for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
        struct storage_put *put = NULL;
        struct storage_stat stat;
        st_ok(storage_put_begin(storage, "packs/large", &put, &err), err);
        for (size_t at = 0; at < size; at += pieces[p]) {
            size_t len = size - at < pieces[p] ? size - at : pieces[p];
            st_ok(storage_put_data(put, data + at, len, &err), err);
        }
        st_ok(storage_put_commit(put, STORAGE_DURABLE, &err), err);
        st_ok(storage_stat(storage, "packs/large", &stat, &err), err);
        ck_assert_uint_eq(stat.size_bytes, size);
        st_ok(storage_get(storage, "packs/large", 0, back, size, &err), err);
        ck_assert_int_eq(memcmp(data, back, size), 0);
    }
    free(data);
    free(back);
}
END_TEST

START_TEST(test_abort_leaves_nothing)
{
    struct storage_put *put = NULL;
    st_ok(storage_put_begin(storage, "packs/a", &put, &err), err);
    st_ok(storage_put_data(put, "x", 1, &err), err);
    ck_assert_int_eq(st_count(dir, "tmp"), 1);
    storage_put_abort(put);
    ck_assert_int_eq(st_count(dir, "tmp"), 0);
    ck_assert(!st_exists(dir, "packs/a"));
    storage_put_abort(NULL);
}
END_TEST

START_TEST(test_list)
{
    char out[1024];
    ck_assert_str_eq(st_list(storage, "packs", out), "");
    st_ok(st_put(storage, "packs/b", "1", 0, &err), err);
    st_ok(st_put(storage, "packs/ab/c", "1", 0, &err), err);
    st_ok(st_put(storage, "packs/ab/d/e", "1", 0, &err), err);
    st_ok(st_put(storage, "packs2", "1", 0, &err), err);
    struct storage_put *put = NULL;
    st_ok(storage_put_begin(storage, "packs/unfinished", &put, &err), err);
    st_write(dir, "packs/Foreign File", "x", 1);
    st_write(dir, "tmp/left-behind", "x", 1);
    ck_assert_str_eq(st_list(storage, "packs", out), "packs/ab/c packs/ab/d/e packs/b");
    ck_assert_str_eq(st_list(storage, "packs/ab", out), "packs/ab/c packs/ab/d/e");
    ck_assert_str_eq(st_list(storage, "", out), "packs/ab/c packs/ab/d/e packs/b packs2");
    storage_put_abort(put);
}
END_TEST

static int32_t stop_at_once(void *ctx, const char *name, const struct storage_stat *stat,
                            struct orch_error *why)
{
    (void)name;
    (void)stat;
    ++*(int *)ctx;
    return orch_fail(why, ORCH_E_CANCELLED, "enough");
}

START_TEST(test_list_stops)
{
    int calls = 0;
    st_ok(st_put(storage, "a/b", "1", 0, &err), err);
    st_ok(st_put(storage, "a/c", "1", 0, &err), err);
    ck_assert_int_eq(storage_list(storage, "a", stop_at_once, &calls, &err), ORCH_E_CANCELLED);
    ck_assert_int_eq(calls, 1);
}
END_TEST

START_TEST(test_modes)
{
    char path[512];
    struct stat st;
    mode_t mask = umask(0);
    st_ok(st_put(storage, "packs/ab/a", "x", 0, &err), err);
    (void)umask(mask);
    ck_assert_int_eq(stat(st_path(path, dir, "packs/ab/a"), &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0600);
    const char *const folders[] = {"packs", "packs/ab", "tmp"};
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(stat(st_path(path, dir, folders[i]), &st), 0);
        ck_assert_int_eq(st.st_mode & 07777, 0700);
    }
}
END_TEST

static void age(const char *name, time_t seconds)
{
    char path[512];
    struct timespec times[2] = {{.tv_sec = time(NULL) - seconds}, {.tv_sec = time(NULL) - seconds}};
    ck_assert_int_eq(utimensat(AT_FDCWD, st_path(path, dir, name), times, 0), 0);
}

START_TEST(test_sweep)
{
    struct storage *fresh = NULL;
    struct storage_put *live = NULL;
    char name[64];
    st_ok(storage_put_begin(storage, "a", &live, &err), err);
    st_write(dir, "tmp/dead-old", "x", 1);
    st_write(dir, "tmp/dead-young", "x", 1);
    age("tmp/dead-old", 90000);
    age("tmp/dead-young", 80000);
    char killed[96]; /* of a process under this kernel: no lock, and young */
    /* Our own unfinished put, made to look old: it is locked. */
    struct dirent *entry;
    char path[512];
    DIR *folder = opendir(st_path(path, dir, "tmp"));
    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] != '.' && entry->d_name[0] != 'd') {
            (void)snprintf(name, sizeof name, "tmp/%.50s", entry->d_name);
        }
    }
    (void)closedir(folder);
    age(name, 90000);
    (void)snprintf(killed, sizeof killed, "%.*s-1-2-3", (int)strcspn(name, "-"), name);
    st_write(dir, killed, "x", 1);
    st_ok(storage_open(dir, false, &fresh, &err), err);
    ck_assert(st_exists(dir, "tmp/dead-old")); /* opening changes nothing */
    st_ok(st_put(fresh, "b", "x", 0, &err), err);
    ck_assert(!st_exists(dir, "tmp/dead-old"));
    ck_assert(st_exists(dir, "tmp/dead-young"));
    ck_assert(!st_exists(dir, killed));
    ck_assert(st_exists(dir, name));
    st_ok(storage_put_commit(live, 0, &err), err);
    ck_assert(st_exists(dir, "a"));
    storage_close(fresh);
}
END_TEST

/* Runs `work` in a child whose files may have at most 2 MiB; its exit status. */
static int limited(void (*work)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit limit = {2 << 20, 2 << 20};
        (void)signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
            _exit(99);
        }
        work();
        _exit(0);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

static void write_too_much(void)
{
    static uint8_t zeros[3 << 20];
    struct orch_error mine = ORCH_ERROR_INIT;
    int32_t rc = storage_put(storage, "packs/big", zeros, sizeof zeros, 0, &mine);
    if (rc != ORCH_E_IO || strstr(mine.message, "packs/big") == NULL) {
        _exit(1);
    }
    if (storage_put(storage, "packs/small", zeros, 1 << 20, 0, &mine) != ORCH_OK) {
        _exit(2);
    }
}

START_TEST(test_a_write_that_fails)
{
    ck_assert_int_eq(limited(write_too_much), 0);
    ck_assert(!st_exists(dir, "packs/big"));
    ck_assert(st_exists(dir, "packs/small"));
    ck_assert_int_eq(st_count(dir, "tmp"), 0);
}
END_TEST

START_TEST(test_a_folder_that_is_a_file)
{
    st_write(dir, "packs", "x", 1);
    ck_assert_int_lt(st_put(storage, "packs/a", "x", 0, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.message, "packs"));
    ck_assert_int_eq(st_count(dir, "tmp"), 0);
}
END_TEST

START_TEST(test_read_only)
{
    if (geteuid() == 0) {
        return; /* root writes everywhere */
    }
    ck_assert_int_eq(chmod(dir, 0500), 0);
    ck_assert_int_eq(st_put(storage, "a", "x", 0, &err), ORCH_E_ACCESS);
    ck_assert_int_eq(chmod(dir, 0700), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("directory");
    TCase *tests = tcase_create("directory");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_put_get_stat_remove);
    tcase_add_test(tests, test_get_past_the_end);
    tcase_add_loop_test(tests, test_get_large, 0, 3);
    tcase_add_test(tests, test_another_process_replaces_a_file);
    tcase_add_test(tests, test_more_files_than_open_descriptors);
    tcase_add_test(tests, test_if_absent);
    tcase_add_test(tests, test_one_winner);
    tcase_add_loop_test(tests, test_large_puts, 0, (int)(sizeof sizes / sizeof sizes[0]));
    tcase_add_test(tests, test_abort_leaves_nothing);
    tcase_add_test(tests, test_list);
    tcase_add_test(tests, test_list_stops);
    tcase_add_test(tests, test_modes);
    tcase_add_test(tests, test_sweep);
    tcase_add_test(tests, test_a_write_that_fails);
    tcase_add_test(tests, test_a_folder_that_is_a_file);
    tcase_add_test(tests, test_read_only);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
