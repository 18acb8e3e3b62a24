/* fixture.c: see fixture.h. */
#include "fixture.h"

#include "generate.h"

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void fixture_open(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/test-vectorstore-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof(f->path), "%s/stores", f->dir);
    (void)snprintf(f->work, sizeof(f->work), "%s/work", f->dir);
    ck_assert_int_eq(mkdir(f->path, 0755), 0);
    ck_assert_msg(harness_load(VECTORSTORE_SO, &f->h, &f->err) == 0, "%s", f->err.message);
    harness_work_dir(f->h, f->work);
    fixture_option(f, "path", f->path);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void fixture_close(struct fixture *f)
{
    harness_free(f->h);
    ck_assert_int_eq(nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void fixture_option(struct fixture *f, const char *name, const char *text)
{
    ck_assert_msg(harness_option(f->h, name, text, &f->err) == 0, "%s", f->err.message);
}

void fixture_reopen(struct fixture *f)
{
    harness_close(f->h);
    ck_assert_msg(harness_open(f->h, &f->err) == 0, "%s", f->err.message);
}

int32_t fixture_try_backup(struct fixture *f)
{
    struct orch_probe probe = {.struct_size = (uint32_t)sizeof(probe)};
    struct orch_freeze freeze = {.struct_size = (uint32_t)sizeof(freeze)};
    fixture_reopen(f);
    f->err.code = 0;
    f->err.message[0] = 0;
    return harness_backup(f->h, 0, &probe, &freeze, &f->err);
}

void fixture_backup(struct fixture *f)
{
    ck_assert_msg(fixture_try_backup(f) == 0, "%s", f->err.message);
}

uint32_t fixture_check(struct fixture *f, const char **code)
{
    uint64_t count = 0;
    ck_assert_msg(harness_check(f->h, "c0ffee", &f->err) == 0, "%s", f->err.message);
    const struct harness_verdict *v = harness_verdicts(f->h, &count);
    uint32_t worst = harness_worst(f->h);
    for (uint64_t i = 0; code != NULL && i < count; i++) {
        if (v[i].severity == worst) {
            *code = v[i].code;
        }
    }
    return worst;
}

void fixture_restore(struct fixture *f, const char *run_id, uint32_t attempt)
{
    ck_assert_msg(harness_restore(f->h, run_id, attempt, &f->err) == 0, "%s", f->err.message);
}

void fixture_verify(struct fixture *f, const char *run_id)
{
    uint64_t count = 0;
    ck_assert_msg(harness_verify(f->h, run_id, &f->err) == 0, "%s", f->err.message);
    const struct harness_verdict *v = harness_verdicts(f->h, &count);
    ck_assert_msg(harness_worst(f->h) == ORCH_VERDICT_GO, "%s: %s", count > 0 ? v[0].subject : "",
                  count > 0 ? v[0].message : "");
}

/* ---- files ------------------------------------------------------------------------------ */

static void path_of(const struct fixture *f, const char *name, char out[512])
{
    (void)snprintf(out, 512, "%s/%s", f->path, name);
}

void fixture_index(const struct fixture *f, const char *name, const char *type, uint64_t count,
                   int dimension, int metric, uint64_t seed)
{
    char path[512], why[512];
    path_of(f, name, path);
    ck_assert_msg(
        generate_index(path, type, count, dimension, metric, seed, 1.0F, why, sizeof(why)) == 0,
        "%s", why);
}

void fixture_write(const struct fixture *f, const char *name, const char *text)
{
    char path[512];
    path_of(f, name, path);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

char *fixture_read(const struct fixture *f, const char *name)
{
    char path[512];
    path_of(f, name, path);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return NULL;
    }
    char *text = calloc(1, 4096);
    ck_assert_ptr_nonnull(text);
    (void)fread(text, 1, 4095, file);
    (void)fclose(file);
    return text;
}

int fixture_exists(const struct fixture *f, const char *name)
{
    char path[512];
    struct stat st;
    path_of(f, name, path);
    return lstat(path, &st) == 0;
}

void fixture_mkdir(const struct fixture *f, const char *name)
{
    char path[512];
    path_of(f, name, path);
    ck_assert_int_eq(mkdir(path, 0750), 0);
}

void fixture_wipe(const struct fixture *f)
{
    ck_assert_int_eq(nftw(f->path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void fixture_age(const struct fixture *f, const char *name)
{
    char path[512];
    struct timespec times[2];
    path_of(f, name, path);
    (void)clock_gettime(CLOCK_REALTIME, &times[0]);
    times[0].tv_sec -= 600;
    times[1] = times[0];
    ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* ---- the stand-in endpoint -------------------------------------------------------------- */

void endpoint_start(struct endpoint *e, const char *mode, const char *const *more)
{
    const char *argv[16] = {"python3", STANDIN_PY, "--mode", mode};
    size_t n = 4;
    int in[2], out[2];
    for (; more != NULL && *more != NULL && n < 15; more++) {
        argv[n++] = *more;
    }
    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    e->pid = fork();
    ck_assert_int_ge(e->pid, 0);
    if (e->pid == 0) {
        (void)dup2(in[0], 0);
        (void)dup2(out[1], 1);
        (void)execvp("python3", (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    (void)close(in[0]);
    (void)close(out[1]);
    e->to = in[1];
    FILE *from = fdopen(out[0], "r");
    int port = 0;
    ck_assert_ptr_nonnull(from);
    ck_assert_msg(fscanf(from, "%d", &port) == 1, "the stand-in endpoint did not start");
    (void)fclose(from);
    (void)snprintf(e->url, sizeof(e->url), "http://127.0.0.1:%d/v1/embeddings", port);
}

void endpoint_stop(struct endpoint *e)
{
    (void)close(e->to);
    (void)waitpid(e->pid, NULL, 0);
}
