/* test_file.c: whole reads and writes, and the durable replacement of a file. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "folder.h"
#include "testing.h"

static char dir[FOLDER_TEXT];
static struct orch_error err;

static void setup(void)
{
    folder_make(dir);
    err = (struct orch_error)ORCH_ERROR_INIT;
}

static void teardown(void)
{
    folder_remove(dir);
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    return st.st_mode & 07777;
}

START_TEST(test_replace)
{
    static const mode_t modes[] = {0600, 0640, 0444};
    CLEANUP_FREE char *path = folder_path(dir, "file");
    mode_t before = umask(077); /* the mode asked for holds whatever the umask is */
    ASSERT_OK(file_replace(path, "one", 3, modes[_i], &err), err);
    ck_assert_int_eq(mode_of(path), modes[_i]);
    ASSERT_OK(file_replace(path, "twofold", 7, 0600, &err), err);
    (void)umask(before);
    ck_assert_int_eq(mode_of(path), 0600);
    CLEANUP_FREE char *text = folder_read(dir, "file");
    ck_assert_str_eq(text, "twofold");
    ck_assert_uint_eq(folder_count(dir, "."), 1); /* no temporary file is left */
}
END_TEST

/* A reader that holds the old file keeps it whole: the new one is another file. */
START_TEST(test_replace_is_atomic)
{
    CLEANUP_FREE char *path = folder_path(dir, "file");
    ASSERT_OK(file_replace(path, "old", 3, 0600, &err), err);
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ASSERT_OK(file_replace(path, "newer", 5, 0600, &err), err);
    char old[4] = "";
    ASSERT_OK(file_pread_all(fd, old, 3, 0, path, &err), err);
    ck_assert_str_eq(old, "old");
}
END_TEST

/* In a process of its own: files may have 4 bytes there. A write that fails leaves the old file,
 * and no other. */
START_TEST(test_replace_that_fails)
{
    CLEANUP_FREE char *path = folder_path(dir, "file");
    ASSERT_OK(file_replace(path, "old", 3, 0600, &err), err);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit limit = {4, 4};
        (void)signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
            _exit(99);
        }
        int32_t rc = file_replace(path, "much longer", 11, 0600, &err);
        _exit(rc == ORCH_E_IO && strstr(err.message, "cannot write") != NULL ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    CLEANUP_FREE char *text = folder_read(dir, "file");
    ck_assert_str_eq(text, "old");
    ck_assert_uint_eq(folder_count(dir, "."), 1);
}
END_TEST

START_TEST(test_replace_refused)
{
    CLEANUP_FREE char *in_nothing = folder_path(dir, "none/file");
    CLEANUP_FREE char *folder = folder_path(dir, "folder");
    ASSERT_FAILS(file_replace(in_nothing, "x", 1, 0600, &err), ORCH_E_NOT_FOUND, err, "none/file");
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    ASSERT_FAILS(file_replace(folder, "x", 1, 0600, &err), ORCH_E_IO, err, "cannot rename");
    ck_assert_uint_eq(folder_count(dir, "."), 1); /* its temporary file went with it */
}
END_TEST

START_TEST(test_replace_without_a_slash)
{
    CLEANUP_FD int home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_eq(chdir(dir), 0);
    int32_t rc = file_replace("plain", "text", 4, 0600, &err);
    ck_assert_int_eq(fchdir(home), 0);
    ASSERT_OK(rc, err);
    CLEANUP_FREE char *text = folder_read(dir, "plain");
    ck_assert_str_eq(text, "text");
}
END_TEST

START_TEST(test_read)
{
    folder_write(dir, "file", "0123456789");
    CLEANUP_FREE char *path = folder_path(dir, "file");
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    buffer_text(&text, "before ");
    ASSERT_OK(file_read(path, 10, &text, &err), err);
    ck_assert_str_eq(buffer_string(&text), "before 0123456789");
    ASSERT_FAILS(file_read(path, 9, &text, &err), ORCH_E_INVALID, err, "larger than 9 bytes");
    CLEANUP_FREE char *none = folder_path(dir, "none");
    ASSERT_FAILS(file_read(none, 10, &text, &err), ORCH_E_NOT_FOUND, err, none);
    ASSERT_FAILS(file_read(dir, 10, &text, &err), ORCH_E_IO, err, "cannot read");
}
END_TEST

START_TEST(test_read_of_an_endless_file)
{
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    ASSERT_FAILS(file_read("/dev/zero", 100000, &text, &err), ORCH_E_INVALID, err, "larger than");
}
END_TEST

START_TEST(test_pread)
{
    folder_write(dir, "file", "0123456789");
    CLEANUP_FREE char *path = folder_path(dir, "file");
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[12] = "";
    ASSERT_OK(file_pread_all(fd, text, 4, 6, "part 1", &err), err);
    ck_assert_str_eq(text, "6789");
    ASSERT_FAILS(file_pread_all(fd, text, 4, 7, "part 1", &err), ORCH_E_CORRUPT, err,
                 "part 1 is cut short: it ends at byte 10, 1 bytes early");
    ASSERT_FAILS(file_pread_all(fd, text, 1, UINT64_C(1) << 40, "part 1", &err), ORCH_E_CORRUPT,
                 err, "cut short");
    ASSERT_OK(file_pread_all(fd, text, 0, 99, "part 1", &err), err);
    ASSERT_FAILS(file_pread_all(-1, text, 1, 0, "part 1", &err), ORCH_E_IO, err,
                 "cannot read part 1");
}
END_TEST

START_TEST(test_full_disk)
{
    CLEANUP_FD int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ASSERT_FAILS(file_write_all(fd, "x", 1, "the part", &err), ORCH_E_NO_SPACE, err,
                 "cannot write the part");
    ck_assert_int_eq(err.os_errno, ENOSPC);
}
END_TEST

/* A pipe takes little at once: the writer gets short counts until a reader drains it. */
START_TEST(test_short_writes)
{
    enum { SIZE = 3 * 1024 * 1024 + 17 };
    int fds[2];
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    CLEANUP_FREE uint8_t *data = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++) {
        data[i] = (uint8_t)(i * 31 >> 3);
    }
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(fds[0]);
        _exit(file_write_all(fds[1], data, SIZE, "pipe", &err) == ORCH_OK ? 0 : 1);
    }
    (void)close(fds[1]);
    size_t at = 0;
    uint8_t some[5000];
    for (ssize_t n = read(fds[0], some, sizeof(some)); n > 0;
         n = read(fds[0], some, sizeof(some))) {
        ck_assert_mem_eq(some, data + at, (size_t)n);
        at += (size_t)n;
    }
    (void)close(fds[0]);
    ck_assert_uint_eq(at, SIZE);
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(test_make_dirs)
{
    static const char *const names[] = {"a", "a/b/c", "a//b///c/", "a/./b"};
    CLEANUP_FREE char *path = folder_path(dir, names[_i]);
    CLEANUP_FREE char *first = folder_path(dir, "a");
    mode_t before = umask(0);
    ASSERT_OK(file_make_dirs(path, 0750, &err), err);
    (void)umask(before);
    ck_assert_int_eq(mode_of(path), 0750);
    ck_assert_int_eq(mode_of(first), 0750);
    /* Again, and what is there keeps its mode. */
    ck_assert_int_eq(chmod(path, 0700), 0);
    ASSERT_OK(file_make_dirs(path, 0755, &err), err);
    ck_assert_int_eq(mode_of(path), 0700);
}
END_TEST

START_TEST(test_make_dirs_refused)
{
    folder_write(dir, "file", "");
    CLEANUP_FREE char *file = folder_path(dir, "file");
    CLEANUP_FREE char *below = folder_path(dir, "file/below");
    ASSERT_FAILS(file_make_dirs(file, 0700, &err), ORCH_E_EXISTS, err, "is not a folder");
    ASSERT_FAILS(file_make_dirs(below, 0700, &err), ORCH_E_IO, err, "cannot make folder");
    ASSERT_FAILS(file_make_dirs("", 0700, &err), ORCH_E_INVALID, err, "no name");
    ASSERT_OK(file_make_dirs("/", 0700, &err), err);
}
END_TEST

START_TEST(test_sync_dir)
{
    ASSERT_OK(file_sync_dir(dir, &err), err);
    folder_write(dir, "file", "");
    CLEANUP_FREE char *file = folder_path(dir, "file");
    ck_assert_int_eq(file_sync_dir(file, &err), ORCH_E_IO);
    ASSERT_FAILS(file_sync_dir("/nonexistent/x", &err), ORCH_E_NOT_FOUND, err, "/nonexistent/x");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("file");
    TCase *tests = tcase_create("file");
    tcase_set_timeout(tests, 30);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, test_replace, 0, 3);
    tcase_add_test(tests, test_replace_is_atomic);
    tcase_add_test(tests, test_replace_that_fails);
    tcase_add_test(tests, test_replace_refused);
    tcase_add_test(tests, test_replace_without_a_slash);
    tcase_add_test(tests, test_read);
    tcase_add_test(tests, test_read_of_an_endless_file);
    tcase_add_test(tests, test_pread);
    tcase_add_test(tests, test_full_disk);
    tcase_add_test(tests, test_short_writes);
    tcase_add_loop_test(tests, test_make_dirs, 0, 4);
    tcase_add_test(tests, test_make_dirs_refused);
    tcase_add_test(tests, test_sync_dir);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
