/* test_backup.c: what a backup sends and states, and what it refuses to call a backup. */
#include "fixture.h"
#include "generate.h"

#include <check.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct fixture f;

static void setup(void)
{
    fixture_open(&f);
}

static void teardown(void)
{
    fixture_close(&f);
}

static json_t *facts(void)
{
    json_t *json = json_loads(harness_facts(f.h), 0, NULL);
    ck_assert_ptr_nonnull(json);
    return json;
}

static json_t *store(json_t *all, const char *name)
{
    json_t *found = json_object_get(json_object_get(all, "stores"), name);
    ck_assert_msg(found != NULL, "no store %s in %s", name, harness_facts(f.h));
    return found;
}

static int64_t number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static const char *text(const json_t *object, const char *name)
{
    const char *found = json_string_value(json_object_get(object, name));
    return found == NULL ? "" : found;
}

/* ---- layouts ---------------------------------------------------------------------------- */

static void make_layouts(void)
{
    fixture_index(&f, "one.faiss", "Flat", 50, 8, GENERATE_IP, 1);
    fixture_write(&f, "one.pkl", "pickled, never unpickled");
    fixture_write(&f, "one.docs.json", "{}");
    fixture_mkdir(&f, "two");
    fixture_index(&f, "two/index.faiss", "HNSW", 60, 8, GENERATE_IP, 2);
    fixture_write(&f, "two/index.pkl", "pickled");
    fixture_mkdir(&f, "two/more");
    fixture_write(&f, "two/more/deep.json", "[]");
    fixture_mkdir(&f, "three");
    fixture_index(&f, "three/a.index", "IVF", 400, 8, GENERATE_IP, 3);
    fixture_index(&f, "three/b.index", "IDMap", 20, 8, GENERATE_IP, 4);
    fixture_write(&f, "three/a.ids", "1 2 3");
    fixture_write(&f, "three/shared.json", "{}");
    fixture_write(&f, "readme.txt", "of no store");
    fixture_mkdir(&f, "empty");
    char link[512];
    (void)snprintf(link, sizeof(link), "%s/current", f.path);
    ck_assert_int_eq(symlink("two", link), 0);
}

START_TEST(test_layouts)
{
    static const struct {
        const char *store, *index, *type;
        int64_t count;
        const char *sides;
    } expected[] = {
        {"one", "one.faiss", "Flat", 50, "one.docs.json one.pkl "},
        {"two", "two/index.faiss", "HNSW,Flat", 60, "two/index.pkl two/more/deep.json "},
        {"three/a", "three/a.index", "IVF,Flat", 400, "three/a.ids three/shared.json "},
        {"three/b", "three/b.index", "IDMap,Flat", 20, "three/shared.json "},
    };
    make_layouts();
    fixture_backup(&f);
    json_t *all = facts();
    ck_assert_uint_eq(json_object_size(json_object_get(all, "stores")), 4);
    for (size_t i = 0; i < 4; i++) {
        json_t *one = store(all, expected[i].store);
        char sides[512] = "";
        const char *name = NULL;
        json_t *about = NULL;
        ck_assert_str_eq(text(one, "index"), expected[i].index);
        ck_assert_str_eq(text(one, "type"), expected[i].type);
        ck_assert_str_eq(text(one, "metric"), "inner_product");
        ck_assert_int_eq(number(one, "ntotal"), expected[i].count);
        ck_assert_int_eq(number(one, "dimension"), 8);
        ck_assert_uint_eq(strlen(text(one, "sha256")), 64);
        ck_assert_uint_eq(
            json_array_size(json_object_get(json_object_get(one, "samples"), "queries")), 8);
        json_object_foreach(json_object_get(one, "side_files"), name, about)
        {
            ck_assert_uint_eq(strlen(text(about, "sha256")), 64);
            (void)strcat(sides, name);
            (void)strcat(sides, " ");
        }
        ck_assert_str_eq(sides, expected[i].sides);
    }
    ck_assert_uint_eq(json_object_size(json_object_get(all, "files")), 11);
    json_decref(all);
}
END_TEST

START_TEST(test_objects)
{
    uint64_t count = 0;
    make_layouts();
    fixture_backup(&f);
    (void)harness_items(f.h, &count);
    ck_assert_uint_eq(count, 11 + 5 + 1); /* files, folders with the root, one link */
    const struct harness_item *flat = harness_find(f.h, "one.faiss");
    ck_assert_ptr_nonnull(flat);
    ck_assert_uint_eq(flat->object.profile, ORCH_PROFILE_ROWS);
    ck_assert_uint_eq(flat->object.row_bytes, 32);
    ck_assert_uint_eq(flat->data_len, flat->object.row_offset + 50 * 32);
    ck_assert_uint_eq(flat->object.flags, ORCH_OBJECT_HAS_TOKEN);
    ck_assert_uint_eq(harness_find(f.h, "three/a.index")->object.profile, ORCH_PROFILE_CONTENT);
    ck_assert_uint_eq(harness_find(f.h, "one.pkl")->object.profile, ORCH_PROFILE_CONTENT);
    ck_assert_uint_eq(harness_find(f.h, "current")->object.kind, 'l');
    ck_assert_uint_eq(harness_find(f.h, "empty")->object.kind, 'd');
    ck_assert_uint_eq(harness_find(f.h, ".")->object.kind, 'd');
}
END_TEST

/* The folder may itself be one store, as LangChain writes it. */
START_TEST(test_root_is_a_store)
{
    fixture_index(&f, "index.faiss", "Flat", 5, 8, GENERATE_L2, 1);
    fixture_write(&f, "index.pkl", "pickled");
    fixture_write(&f, "docstore.json", "{}");
    fixture_backup(&f);
    json_t *all = facts();
    json_t *one = store(all, "stores");
    ck_assert_uint_eq(json_object_size(json_object_get(one, "side_files")), 2);
    json_decref(all);
}
END_TEST

START_TEST(test_same_names)
{
    fixture_index(&f, "kb.faiss", "Flat", 5, 8, GENERATE_L2, 1);
    fixture_index(&f, "kb.index", "Flat", 6, 8, GENERATE_L2, 1);
    fixture_backup(&f);
    json_t *all = facts();
    ck_assert_int_eq(number(store(all, "kb.faiss"), "ntotal"), 5);
    ck_assert_int_eq(number(store(all, "kb.index"), "ntotal"), 6);
    json_decref(all);
}
END_TEST

START_TEST(test_any_bytes_in_names)
{
    fixture_index(&f, "k\xff%b.faiss", "Flat", 5, 8, GENERATE_L2, 1);
    fixture_backup(&f);
    json_t *all = facts();
    ck_assert_int_eq(number(store(all, "k%FF%25b"), "ntotal"), 5);
    json_decref(all);
    fixture_wipe(&f);
    fixture_restore(&f, "r1", 1);
    ck_assert(fixture_exists(&f, "k\xff%b.faiss"));
    fixture_verify(&f, "r1");
}
END_TEST

START_TEST(test_exclude_and_leftovers)
{
    fixture_index(&f, "kb.faiss", "Flat", 5, 8, GENERATE_L2, 1);
    fixture_write(&f, "a.tmp", "x");
    fixture_write(&f, ".kb.faiss.orch-aside-beef", "of another run");
    fixture_write(&f, ".kb.faiss.orch-new-beef", "of another run");
    fixture_option(&f, "exclude", "*.tmp");
    fixture_backup(&f);
    ck_assert_ptr_null(harness_find(f.h, "a.tmp"));
    ck_assert_ptr_null(harness_find(f.h, ".kb.faiss.orch-aside-beef"));
    ck_assert_ptr_null(harness_find(f.h, ".kb.faiss.orch-new-beef"));
    ck_assert_ptr_nonnull(harness_find(f.h, "kb.faiss"));
}
END_TEST

/* ---- on-disk lists ---------------------------------------------------------------------- */

START_TEST(test_ondisk)
{
    char gone[600];
    fixture_mkdir(&f, "kb");
    fixture_index(&f, "kb/index.faiss", "IVFDisk", 400, 8, GENERATE_L2, 3);
    fixture_backup(&f);
    json_t *all = facts();
    json_t *one = store(all, "kb");
    ck_assert_str_eq(text(one, "ondisk"), "kb/index.faiss.ivfdata");
    ck_assert_int_eq(number(one, "ntotal"), 400);
    ck_assert_ptr_nonnull(
        json_object_get(json_object_get(one, "side_files"), "kb/index.faiss.ivfdata"));
    json_decref(all);
    fixture_wipe(&f);
    fixture_restore(&f, "r1", 1);
    fixture_verify(&f, "r1");
    /* Without its lists it is no store. */
    (void)snprintf(gone, sizeof(gone), "%s/kb/index.faiss.ivfdata", f.path);
    ck_assert_int_eq(unlink(gone), 0);
    ck_assert_int_eq(fixture_try_backup(&f), ORCH_E_CORRUPT);
    ck_assert_ptr_nonnull(strstr(f.err.message, "store kb"));
    fixture_write(&f, "kb/index.faiss.ivfdata", "too short");
    ck_assert_int_eq(fixture_try_backup(&f), ORCH_E_CORRUPT);
}
END_TEST

/* ---- what is no backup ------------------------------------------------------------------ */

static void cut(const char *name, long keep)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", f.path, name);
    ck_assert_int_eq(truncate(path, keep), 0);
}

START_TEST(test_corrupt)
{
    fixture_index(&f, "good.faiss", "Flat", 50, 8, GENERATE_L2, 1);
    fixture_index(&f, "broken.faiss", "HNSW", 50, 8, GENERATE_L2, 1);
    cut("broken.faiss", 900);
    ck_assert_int_eq(fixture_try_backup(&f), ORCH_E_CORRUPT);
    ck_assert_ptr_nonnull(strstr(f.err.message, "store broken"));
    fixture_option(&f, "allow_opaque", "1");
    fixture_backup(&f);
    json_t *all = facts();
    ck_assert_str_eq(text(store(all, "broken"), "type"), "opaque");
    ck_assert_uint_gt(strlen(text(store(all, "broken"), "reason")), 10);
    ck_assert_uint_eq(harness_find(f.h, "broken.faiss")->data_len, 900);
    json_decref(all);
    fixture_restore(&f, "r1", 1);
    fixture_verify(&f, "r1");
}
END_TEST

START_TEST(test_no_index)
{
    fixture_write(&f, "readme.txt", "x");
    ck_assert_int_eq(fixture_try_backup(&f), ORCH_E_EMPTY);
    fixture_option(&f, "allow_empty", "1");
    fixture_backup(&f);
    fixture_option(&f, "allow_empty", "0");
    fixture_option(&f, "pattern", "*.txt");
    ck_assert_int_eq(fixture_try_backup(&f), ORCH_E_CORRUPT); /* a store by name, and no index */
}
END_TEST

START_TEST(test_no_folder)
{
    fixture_wipe(&f);
    ck_assert_int_eq(fixture_try_backup(&f), ORCH_E_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(f.err.message, f.path));
}
END_TEST

START_TEST(test_link_out_of_the_folder)
{
    char outside[512], link[512], why[256];
    fixture_index(&f, "kb.faiss", "Flat", 5, 8, GENERATE_L2, 1);
    (void)snprintf(outside, sizeof(outside), "%s/far.faiss", f.dir);
    (void)snprintf(link, sizeof(link), "%s/far.faiss", f.path);
    ck_assert_int_eq(generate_index(outside, "Flat", 5, 8, GENERATE_L2, 1, 1, why, 256), 0);
    ck_assert_int_eq(symlink(outside, link), 0);
    ck_assert_int_eq(fixture_try_backup(&f), ORCH_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(f.err.message, "symbolic link"));
    ck_assert_int_eq(unlink(link), 0);
    ck_assert_int_eq(symlink("kb.faiss", link), 0); /* inside: carried as the link it is */
    fixture_backup(&f);
}
END_TEST

/* Declared and real: every store is held against the declaration. */
static const struct {
    const char *option, *value, *option2, *value2;
    int metric;
    float scale;
    int32_t rc;
} declared[] = {
    {"embedding.dimension", "8", NULL, NULL, GENERATE_IP, 1, 0},
    {"embedding.dimension", "9", NULL, NULL, GENERATE_IP, 1, ORCH_E_INCOMPATIBLE},
    {"embedding.metric", "ip", NULL, NULL, GENERATE_IP, 3, 0},
    {"embedding.metric", "l2", NULL, NULL, GENERATE_L2, 3, 0},
    {"embedding.metric", "l2", NULL, NULL, GENERATE_IP, 1, ORCH_E_INCOMPATIBLE},
    {"embedding.metric", "ip", NULL, NULL, GENERATE_L2, 1, ORCH_E_INCOMPATIBLE},
    {"embedding.metric", "cosine", NULL, NULL, GENERATE_IP, 1, 0},
    {"embedding.metric", "cosine", NULL, NULL, GENERATE_L2, 1, ORCH_E_INCOMPATIBLE},
    {"embedding.metric", "cosine", NULL, NULL, GENERATE_IP, 1.02F, ORCH_E_INCOMPATIBLE},
    {"embedding.metric", "cosine", NULL, NULL, GENERATE_IP, 1.005F, 0},
    {"embedding.metric", "l2", "embedding.normalised", "1", GENERATE_L2, 1, 0},
    {"embedding.metric", "l2", "embedding.normalised", "1", GENERATE_L2, 3, ORCH_E_INCOMPATIBLE},
    {"embedding.metric", "l2", "embedding.normalised", "0", GENERATE_L2, 3, 0},
};

START_TEST(test_declared)
{
    char path[512], why[256];
    fixture_option(&f, declared[_i].option, declared[_i].value);
    if (declared[_i].option2 != NULL) {
        fixture_option(&f, declared[_i].option2, declared[_i].value2);
    }
    static const char *const types[] = {"Flat", "HNSW", "IVF"};
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof(path), "%s/kb.faiss", f.path);
        ck_assert_int_eq(generate_index(path, types[i], 350, 8, declared[_i].metric, 1,
                                        declared[_i].scale, why, sizeof(why)),
                         0);
        int32_t rc = fixture_try_backup(&f);
        ck_assert_msg(rc == declared[_i].rc, "%s: %d %s", types[i], rc, f.err.message);
        ck_assert(rc == 0 || strstr(f.err.message, "store kb") != NULL);
    }
}
END_TEST

/* One of several stores is wrong: that one is named. */
START_TEST(test_declared_one_of_two)
{
    fixture_option(&f, "embedding.dimension", "8");
    fixture_index(&f, "a.faiss", "Flat", 5, 8, GENERATE_IP, 1);
    fixture_index(&f, "b.faiss", "Flat", 5, 12, GENERATE_IP, 1);
    ck_assert_int_eq(fixture_try_backup(&f), ORCH_E_INCOMPATIBLE);
    ck_assert_ptr_nonnull(strstr(f.err.message, "store b has dimension 12"));
}
END_TEST

static const struct {
    const char *option, *value, *option2, *value2;
} bad_options[] = {
    {"path", "relative", NULL, NULL},
    {"path", "/", NULL, NULL},
    {"samples", "65", NULL, NULL},
    {"embedding.metric", "hamming", NULL, NULL},
    {"embedding.dimension", "0", NULL, NULL},
    {"embedding.endpoint", "ftp://x/", NULL, NULL},
    {"embedding.canaries_required", "1", NULL, NULL},
    {"embedding.identity_file", "/a", "embedding.identity_command", "true"},
    {"embedding.metric", "cosine", "embedding.normalised", "0"},
};

START_TEST(test_bad_options)
{
    fixture_option(&f, bad_options[_i].option, bad_options[_i].value);
    if (bad_options[_i].option2 != NULL) {
        fixture_option(&f, bad_options[_i].option2, bad_options[_i].value2);
    }
    ck_assert_int_eq(harness_open(f.h, &f.err), ORCH_E_CONFIG);
    ck_assert_uint_gt(strlen(f.err.message), 10);
}
END_TEST

/* ---- files in motion -------------------------------------------------------------------- */

/* A host service that does something to the stores in the middle of a backup. */
static int32_t (*real_object)(void *, const struct orch_object *, uint32_t *, struct orch_error *);
static void (*in_between)(void);

static int32_t meddling_object(void *ctx, const struct orch_object *object, uint32_t *unchanged,
                               struct orch_error *err)
{
    if (in_between != NULL) {
        in_between();
        in_between = NULL;
    }
    return real_object(ctx, object, unchanged, err);
}

#include "harness_internal.h"

static int32_t backup_meddled(void (*act)(void))
{
    real_object = f.h->host.object;
    f.h->host.object = meddling_object;
    in_between = act;
    int32_t rc = fixture_try_backup(&f);
    f.h->host.object = real_object;
    return rc;
}

static void replace_by_rename(void)
{
    fixture_index(&f, "kb.faiss", "Flat", 70, 8, GENERATE_L2, 9);
}

static void append_in_place(void)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/kb.faiss", f.path);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    ck_assert_int_eq(write(fd, "x", 1), 1);
    ck_assert_int_eq(close(fd), 0);
}

static void overwrite_in_place(void)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/kb.faiss", f.path);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ck_assert_int_eq(pwrite(fd, "x", 1, 200), 1);
    ck_assert_int_eq(close(fd), 0);
}

/* The freeze holds the old file: what comes in its place does not matter. */
START_TEST(test_replaced_while_read)
{
    fixture_index(&f, "kb.faiss", "Flat", 50, 8, GENERATE_L2, 1);
    ck_assert_msg(backup_meddled(replace_by_rename) == 0, "%s", f.err.message);
    json_t *all = facts();
    ck_assert_int_eq(number(store(all, "kb"), "ntotal"), 50);
    json_decref(all);
    fixture_restore(&f, "r1", 1);
    fixture_verify(&f, "r1");
}
END_TEST

START_TEST(test_changed_while_read)
{
    fixture_index(&f, "kb.faiss", "Flat", 50, 8, GENERATE_L2, 1);
    fixture_age(&f, "kb.faiss");
    ck_assert_int_eq(backup_meddled(_i == 0 ? append_in_place : overwrite_in_place),
                     ORCH_E_CHANGED);
    ck_assert_ptr_nonnull(strstr(f.err.message, "kb.faiss"));
}
END_TEST

START_TEST(test_cancel)
{
    fixture_index(&f, "kb.faiss", "Flat", 50, 8, GENERATE_L2, 1);
    fixture_reopen(&f);
    harness_cancel(f.h);
    struct orch_probe probe = {0};
    struct orch_freeze freeze = {0};
    ck_assert_int_eq(harness_backup(f.h, 0, &probe, &freeze, &f.err), ORCH_E_CANCELLED);
}
END_TEST

/* ---- increments and the memo ------------------------------------------------------------ */

static void backup_incremental(void)
{
    struct orch_probe probe = {0};
    struct orch_freeze freeze = {0};
    fixture_reopen(&f);
    ck_assert_msg(harness_backup(f.h, 1, &probe, &freeze, &f.err) == 0, "%s", f.err.message);
}

START_TEST(test_incremental)
{
    fixture_index(&f, "a.faiss", "Flat", 50, 8, GENERATE_L2, 1);
    fixture_index(&f, "b.faiss", "Flat", 50, 8, GENERATE_L2, 2);
    fixture_write(&f, "a.pkl", "pickled");
    fixture_backup(&f);
    char *before = strdup(harness_facts(f.h));
    backup_incremental();
    ck_assert_str_eq(harness_facts(f.h), before);
    ck_assert(harness_find(f.h, "a.faiss")->unchanged && harness_find(f.h, "a.pkl")->unchanged);
    fixture_index(&f, "b.faiss", "Flat", 51, 8, GENERATE_L2, 2);
    backup_incremental();
    ck_assert(harness_find(f.h, "a.faiss")->unchanged);
    ck_assert(!harness_find(f.h, "b.faiss")->unchanged);
    json_t *all = facts();
    ck_assert_int_eq(number(store(all, "b"), "ntotal"), 51);
    json_decref(all);
    free(before);
    fixture_restore(&f, "r1", 1);
    fixture_verify(&f, "r1");
}
END_TEST

/* Puts `settled` times into the memo's file by making the file's ctime old is not possible: so the
 * memo is edited instead, to what a backup minutes later would have left. */
static void note_in_memo(const char *name, const char *digest, int64_t ntotal)
{
    struct stat st;
    char path[600], token[200];
    (void)snprintf(path, sizeof(path), "%s/%s", f.path, name);
    ck_assert_int_eq(stat(path, &st), 0);
    (void)snprintf(token, sizeof(token), "%lld:%lld:%lld:%llu", (long long)st.st_size,
                   (long long)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
                   (long long)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec,
                   (unsigned long long)st.st_ino);
    (void)snprintf(path, sizeof(path), "%s/memo.json", f.work);
    json_t *memo = json_load_file(path, 0, NULL);
    ck_assert_ptr_nonnull(memo);
    json_t *kb = json_pack("{s:s, s:s, s:{s:s, s:s, s:i, s:s, s:I}}", "token", token, "sha256",
                           digest, "store", "index", name, "type", "Flat", "dimension", 8, "metric",
                           "l2", "ntotal", (json_int_t)ntotal);
    (void)json_object_set_new(json_object_get(memo, "files"), name, kb);
    ck_assert_int_eq(json_dump_file(memo, path, 0), 0);
    json_decref(memo);
}

/* A noted store is not loaded again; a noted digest that is wrong is found out when bytes are sent.
 */
START_TEST(test_memo)
{
    char digest[65];
    fixture_index(&f, "kb.faiss", "Flat", 50, 8, GENERATE_L2, 1);
    fixture_backup(&f);
    json_t *all = facts();
    (void)snprintf(digest, sizeof(digest), "%s", text(store(all, "kb"), "sha256"));
    json_decref(all);
    note_in_memo("kb.faiss", digest, 4711);
    fixture_backup(&f);
    all = facts();
    ck_assert_int_eq(number(store(all, "kb"), "ntotal"), 4711);
    json_decref(all);
    fixture_backup(&f); /* it was not at rest long enough to be noted again: forgotten */
    all = facts();
    ck_assert_int_eq(number(store(all, "kb"), "ntotal"), 50);
    json_decref(all);
    digest[0] = digest[0] == '0' ? '1' : '0';
    note_in_memo("kb.faiss", digest, 50);
    ck_assert_int_eq(fixture_try_backup(&f), ORCH_E_CHANGED);
    fixture_backup(&f); /* and the memo is gone */
}
END_TEST

START_TEST(test_memo_unreadable)
{
    char path[600];
    fixture_index(&f, "kb.faiss", "Flat", 50, 8, GENERATE_L2, 1);
    fixture_backup(&f);
    (void)snprintf(path, sizeof(path), "%s/memo.json", f.work);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    (void)fputs("{\"stamp\": [", file);
    (void)fclose(file);
    fixture_backup(&f);
}
END_TEST

START_TEST(test_load_limit)
{
    fixture_index(&f, "kb.faiss", "Flat", 500, 8, GENERATE_L2, 1);
    fixture_option(&f, "load_limit", "1000");
    fixture_backup(&f);
    json_t *all = facts();
    ck_assert(json_is_false(json_object_get(store(all, "kb"), "loaded")));
    ck_assert_int_eq(number(store(all, "kb"), "ntotal"), 500);
    json_decref(all);
    fixture_restore(&f, "r1", 1);
    fixture_verify(&f, "r1");
}
END_TEST

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

int main(void)
{
    Suite *suite = suite_create("vectorstore backup");
    TCase *tests = tcase_create("backup");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_layouts);
    tcase_add_test(tests, test_objects);
    tcase_add_test(tests, test_root_is_a_store);
    tcase_add_test(tests, test_same_names);
    tcase_add_test(tests, test_any_bytes_in_names);
    tcase_add_test(tests, test_exclude_and_leftovers);
    tcase_add_test(tests, test_ondisk);
    tcase_add_test(tests, test_corrupt);
    tcase_add_test(tests, test_no_index);
    tcase_add_test(tests, test_no_folder);
    tcase_add_test(tests, test_link_out_of_the_folder);
    tcase_add_loop_test(tests, test_declared, 0, COUNT(declared));
    tcase_add_test(tests, test_declared_one_of_two);
    tcase_add_loop_test(tests, test_bad_options, 0, COUNT(bad_options));
    tcase_add_test(tests, test_replaced_while_read);
    tcase_add_loop_test(tests, test_changed_while_read, 0, 2);
    tcase_add_test(tests, test_cancel);
    tcase_add_test(tests, test_incremental);
    tcase_add_test(tests, test_memo);
    tcase_add_test(tests, test_memo_unreadable);
    tcase_add_test(tests, test_load_limit);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
