/* test_units.c: names, texts and child processes, without a server. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "case.h"
#include "child.h"
#include "clients.h"
#include "names.h"
#include "text.h"

/* ---- text ------------------------------------------------------------------------------- */

static const struct {
    void (*write)(struct text *text, const char *value);
    const char *in;
    const char *out;
} texts[] = {
    {text_identifier, "plain", "\"plain\""},
    {text_identifier, "a\"b", "\"a\"\"b\""},
    {text_identifier, "", "\"\""},
    {text_literal, "plain", "'plain'"},
    {text_literal, "it's", "'it''s'"},
    {text_literal, "a\\'b", " E'a\\\\''b'"},
    {text_escaped, "plain_1", "plain_1"},
    {text_escaped, "a.b/c%d\ne\x7f", "a%2Eb%2Fc%25d%0Ae%7F"},
    {text_escaped, "\u00e4 \"x\"", "\u00e4 \"x\""},
};

START_TEST(test_texts)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct text text = TEXT_INIT;
    texts[_i].write(&text, texts[_i].in);
    ck_assert_ok(text_check(&text, &err), err);
    ck_assert_str_eq(text.data, texts[_i].out);
    text_free(&text);
}
END_TEST

START_TEST(test_one_line)
{
    char out[12];
    text_one_line("  a\n\n\tb  \r\n", out, sizeof(out));
    ck_assert_str_eq(out, "a b");
    text_one_line("0123456789abcdef", out, sizeof(out));
    ck_assert_str_eq(out, "0123456789a");
    text_one_line("\n", out, sizeof(out));
    ck_assert_str_eq(out, "");
}
END_TEST

/* ---- names ------------------------------------------------------------------------------ */

START_TEST(test_names)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct names names;
    struct names other;
    char text[64];
    ck_assert_ok(names_make("app", RUN, &names, &err), err);
    ck_assert_str_eq(names.live, "app");
    ck_assert_str_eq(names.fresh, "app_orch_new_" RUN8);
    ck_assert_str_eq(names.aside, "app_orch_aside_" RUN8);
    for (size_t len = 1; len < 64; len++) {
        memset(text, 'a', len);
        text[len] = 0;
        ck_assert_ok(names_make(text, RUN, &names, &err), err);
        ck_assert_str_eq(names.live, text);
        ck_assert_uint_le(strlen(names.aside), 63);
        ck_assert_ptr_nonnull(strstr(names.aside, "_orch_aside_" RUN8));
        ck_assert_ptr_nonnull(strstr(names.spent, "_orch_spent_" RUN8));
        ck_assert_ptr_nonnull(strstr(names.fresh, "_orch_new_" RUN8));
        text[len - 1] = 'b'; /* names that differ at the end only stay apart */
        ck_assert_ok(names_make(text, RUN, &other, &err), err);
        ck_assert_str_ne(names.aside, other.aside);
    }
}
END_TEST

/* ---- child processes -------------------------------------------------------------------- */

static int cancelled_now;

static int32_t host_cancelled(void *ctx)
{
    (void)ctx;
    return cancelled_now;
}

static void host_log(void *ctx, uint32_t level, const char *message)
{
    (void)ctx;
    (void)level;
    (void)message;
}

static const struct orch_host host = {
    .struct_size = (uint32_t)sizeof(struct orch_host),
    .cancelled = host_cancelled,
    .log = host_log,
};

static struct child *shell(const char *script, unsigned direction)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct child *child = NULL;
    char *const argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, (char *)(uintptr_t)script, NULL};
    ck_assert_ok(child_start(&host, argv, direction, -1, &child, &err), err);
    return child;
}

static const struct {
    const char *script;
    const char *says; /* NULL: it succeeds */
} scripts[] = {
    {"echo out", NULL},
    {"echo 'only a warning' >&2", NULL},
    {"echo 'noise'; echo 'pg_dump: error: the disk\n  is on fire' >&2; exit 1",
     "the disk is on fire"},
    {"exit 3", "no reason"},
    {"kill -9 $$", "signal 9"},
    {"i=0; while [ $i -lt 3000 ]; do echo 'a long complaint of many words' >&2; i=$((i+1)); done;"
     "exit 1",
     "a long complaint"},
};

START_TEST(test_child_reads)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct child *child = shell(scripts[_i].script, CHILD_READ);
    size_t got = 1;
    while (got > 0) {
        char space[16];
        ck_assert_ok(child_read(child, space, sizeof(space), &got, &err), err);
    }
    int32_t rc = child_finish(child, &err);
    ck_assert_int_eq(rc == ORCH_OK, scripts[_i].says == NULL);
    ck_assert_msg(scripts[_i].says == NULL || strstr(err.message, scripts[_i].says) != NULL, "%s",
                  err.message);
    child_free(child);
}
END_TEST

START_TEST(test_child_writes)
{
    struct orch_error err = ORCH_ERROR_INIT;
    char *data = calloc(1, 1 << 20);
    struct child *child = shell("test $(wc -c) = 1048576", CHILD_WRITE);
    ck_assert_ok(child_write(child, data, 1 << 20, &err), err);
    ck_assert_ok(child_finish(child, &err), err);
    child_free(child);
    /* One that stops reading: its own words come back, and no signal kills us. */
    child = shell("read line; echo 'ERROR:  no more' >&2; exit 3", CHILD_WRITE);
    data[0] = '\n';
    int32_t rc = child_write(child, data, 1 << 20, &err);
    ck_assert_int_eq(rc, ORCH_E_FAILED);
    ck_assert_ptr_nonnull(strstr(err.message, "no more"));
    child_free(child);
    child = shell("exit 0", CHILD_WRITE);
    rc = child_write(child, data, 1 << 20, &err);
    ck_assert_int_eq(rc, ORCH_E_FAILED);
    ck_assert_ptr_nonnull(strstr(err.message, "before it had read everything"));
    child_free(child);
    free(data);
}
END_TEST

/* A child that hangs is left at once, and is gone afterwards. */
START_TEST(test_child_cancelled)
{
    struct orch_error err = ORCH_ERROR_INIT;
    char pid_text[32] = "";
    size_t got = 0;
    struct child *child = shell("echo $$; exec sleep 1000", CHILD_READ);
    ck_assert_ok(child_read(child, pid_text, sizeof(pid_text) - 1, &got, &err), err);
    pid_t pid = (pid_t)strtol(pid_text, NULL, 10);
    ck_assert_int_gt(pid, 1);
    cancelled_now = 1;
    ck_assert_int_eq(child_read(child, pid_text, 1, &got, &err), ORCH_E_CANCELLED);
    ck_assert_int_eq(child_finish(child, &err), ORCH_E_CANCELLED);
    child_free(child);
    ck_assert_int_eq(kill(pid, 0), -1);
    ck_assert_int_eq(errno, ESRCH);
    cancelled_now = 0;
}
END_TEST

START_TEST(test_child_cannot_start)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct child *child = NULL;
    char *const argv[] = {(char[]){"/nowhere/pg_dump"}, NULL};
    ck_assert_int_eq(child_start(&host, argv, CHILD_READ, -1, &child, &err), ORCH_E_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.message, "/nowhere/pg_dump"));
}
END_TEST

START_TEST(test_clients)
{
    struct orch_error err = ORCH_ERROR_INIT;
    char *path = NULL;
    ck_assert_int_eq(setenv("PATH", "relative::/nowhere", 1), 0);
    ck_assert_int_eq(clients_find("pg_dump", NULL, 39, &path, &err), ORCH_E_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.message, "install postgresql-client-39"));
    ck_assert_int_eq(clients_find("pg_dump", "/nowhere/pg_dump", 15, &path, &err),
                     ORCH_E_NOT_FOUND);
    ck_assert_int_eq(setenv("PATH", "/nowhere:/bin", 1), 0);
    ck_assert_ok(clients_find("sh", "/nowhere/pg_dump", 39, &path, &err), err);
    ck_assert_str_eq(path, "/bin/sh");
    free(path);
    ck_assert_ok(clients_find("pg_dump", "/bin/sh", 39, &path, &err), err);
    ck_assert_str_eq(path, "/bin/sh");
    free(path);
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

void unit_cases(Suite *suite)
{
    TCase *tc = tcase_create("units");
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, test_texts, 0, COUNT(texts));
    tcase_add_test(tc, test_one_line);
    tcase_add_test(tc, test_names);
    tcase_add_loop_test(tc, test_child_reads, 0, COUNT(scripts));
    tcase_add_test(tc, test_child_writes);
    tcase_add_test(tc, test_child_cancelled);
    tcase_add_test(tc, test_child_cannot_start);
    tcase_add_test(tc, test_clients);
    suite_add_tcase(suite, tc);
}
