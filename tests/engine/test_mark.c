/* test_mark.c: marks and lapsed leases: written, read, damaged; which sets count. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controltest.h"
#include "engine/markload.h"
#include "engine/setload.h"

#define LEASE_A "000102030405060708090a0b0c0d0e0f"
#define LEASE_B "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"

static struct ct_repo r;
static struct orch_error err;

static void setup(void)
{
    memset(&err, 0, sizeof err);
    ct_make(&r, CT_KEYFILE_SLOT);
}

static void teardown(void)
{
    ct_remove(&r);
}

static void make_mark(struct mark *mark, size_t packs, size_t parts)
{
    memset(mark, 0, sizeof *mark);
    strcpy(mark->lease, LEASE_A);
    mark->packs = calloc(packs + 1, sizeof *mark->packs);
    mark->parts = calloc(parts + 1, sizeof *mark->parts);
    ck_assert_ptr_nonnull(mark->packs);
    ck_assert_ptr_nonnull(mark->parts);
    for (mark->pack_count = 0; mark->pack_count < packs; mark->pack_count++) {
        ck_assert_int_eq(id_random(mark->packs[mark->pack_count], PACK_ID_BYTES, &err), ORCH_OK);
    }
    for (mark->part_count = 0; mark->part_count < parts; mark->part_count++) {
        ck_assert_int_eq(id_new(mark->parts[mark->part_count], &err), ORCH_OK);
    }
}

static void same(const struct mark *a, const struct mark *b)
{
    ck_assert_str_eq(a->id, b->id);
    ck_assert_str_eq(a->lease, b->lease);
    ck_assert_uint_eq(a->pack_count, b->pack_count);
    ck_assert_uint_eq(a->part_count, b->part_count);
    ck_assert_int_eq(memcmp(a->packs, b->packs, a->pack_count * PACK_ID_BYTES), 0);
    ck_assert_int_eq(memcmp(a->parts, b->parts, a->part_count * ID_TEXT), 0);
}

static const struct {
    size_t packs, parts;
} sizes[] = {{0, 0}, {1, 0}, {0, 1}, {3, 2}, {100000, 5000}};

START_TEST(test_round_trip)
{
    struct mark mark;
    struct mark_list list;
    make_mark(&mark, sizes[_i].packs, sizes[_i].parts);
    ct_ok(mark_store(r.repo, &mark, &err), err);
    ct_ok(mark_list_load(r.repo, &list, &err), err);
    ck_assert_uint_eq(list.count, 1);
    same(&list.marks[0], &mark);
    mark_list_clear(&list);
    ct_ok(mark_remove(r.repo, mark.id, &err), err);
    ct_ok(mark_remove(r.repo, mark.id, &err), err); /* gone already */
    ct_ok(mark_list_load(r.repo, &list, &err), err);
    ck_assert_uint_eq(list.count, 0);
    mark_clear(&mark);
}
END_TEST

START_TEST(test_several)
{
    struct mark a, b;
    struct mark_list list;
    make_mark(&a, 2, 1);
    make_mark(&b, 3, 0);
    ct_ok(mark_store(r.repo, &a, &err), err);
    ct_ok(mark_store(r.repo, &b, &err), err);
    ct_ok(mark_list_load(r.repo, &list, &err), err);
    ck_assert_uint_eq(list.count, 2);
    size_t first = strcmp(list.marks[0].id, a.id) == 0 ? 0 : 1;
    same(&list.marks[first], &a);
    same(&list.marks[1 - first], &b);
    mark_list_clear(&list);
    mark_clear(&a);
    mark_clear(&b);
}
END_TEST

START_TEST(test_damage)
{
    CLEANUP_BUFFER struct buffer file = BUFFER_INIT;
    struct mark mark;
    struct mark_list list;
    char name[MARK_NAME];
    make_mark(&mark, 5, 5);
    ct_ok(mark_store(r.repo, &mark, &err), err);
    (void)snprintf(name, sizeof name, "marks/%s", mark.id);
    ct_read(&r, name, &file);
    for (size_t at = 0; at < file.len; at += 7) {
        file.data[at] ^= 0x10;
        ct_write(&r, name, file.data, file.len);
        ck_assert_int_eq(mark_list_load(r.repo, &list, &err), ORCH_E_CORRUPT);
        ck_assert_ptr_nonnull(strstr(err.message, name));
        ck_assert_uint_eq(list.count, 0);
        file.data[at] ^= 0x10;
    }
    ct_write(&r, name, file.data, file.len);
    ct_ok(mark_list_load(r.repo, &list, &err), err);
    mark_list_clear(&list);
    ct_write(&r, "marks/" LEASE_B, file.data, file.len); /* under another name */
    ck_assert_int_eq(mark_list_load(r.repo, &list, &err), ORCH_E_CORRUPT);
    mark_clear(&mark);
}
END_TEST

/* A file that somebody or some file system has left there is no mark, and stops nobody. */
START_TEST(test_foreign_files)
{
    static const char *const names[] = {"marks/.nfs0000a1", "marks/README", "marks/" LEASE_A ".swp",
                                        "marks/000102030405060708090A0B0C0D0E0F"};
    struct mark mark;
    struct mark_list list;
    make_mark(&mark, 1, 1);
    ct_ok(mark_store(r.repo, &mark, &err), err);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ct_write(&r, names[i], "not a mark", 10);
    }
    ct_ok(mark_list_load(r.repo, &list, &err), err);
    ck_assert_uint_eq(list.count, 1);
    same(&list.marks[0], &mark);
    mark_list_clear(&list);
    mark_clear(&mark);
}
END_TEST

/* Documents that a mark must not be. */
static const char *const bad_marks[] = {
    "{}",
    "{\"document\":1,\"id\":\"" LEASE_B "\",\"lease\":\"" LEASE_A "\",\"packs\":\"\"}",
    "{\"document\":1,\"id\":\"" LEASE_B "\",\"lease\":\"" LEASE_A
    "\",\"packs\":\"\",\"parts\":\"00\"}",
    "{\"document\":1,\"id\":\"" LEASE_B "\",\"lease\":\"" LEASE_A "\",\"packs\":[],\"parts\":\"\"}",
    "{\"document\":1,\"id\":\"" LEASE_B "\",\"lease\":\"" LEASE_A
    "\",\"packs\":\"000102030405060708090A0B0C0D0E0F\",\"parts\":\"\"}",
    "{\"document\":1,\"id\":\"" LEASE_A "\",\"lease\":\"" LEASE_A
    "\",\"packs\":\"\",\"parts\":\"\"}",
    "{\"document\":2,\"id\":\"" LEASE_B "\",\"lease\":\"" LEASE_A
    "\",\"packs\":\"\",\"parts\":\"\"}",
};

START_TEST(test_bad_documents)
{
    struct mark mark = {.pack_count = 0};
    json_t *json = json_loads(bad_marks[_i], 0, NULL);
    ck_assert_ptr_nonnull(json);
    ck_assert_int_ne(mark_from_json(json, LEASE_B, "a mark", &mark, &err), ORCH_OK);
    ck_assert_ptr_nonnull(strstr(err.message, "a mark"));
    mark_clear(&mark);
    json_decref(json);
}
END_TEST

/* ---- lapsed leases ------------------------------------------------------------------------- */

/* Stores a set written under `lease`; gives its id. */
static void put_set(const char *lease, char id[ID_TEXT])
{
    struct set set = {.state = SET_COMPLETED, .started_ns = INT64_C(1760000000000000000)};
    strcpy(set.type, "full");
    strcpy(set.host, "test");
    strcpy(set.lease, lease);
    strcpy(set.program_version, "0");
    ct_ok(set_store(r.repo, &set, &err), err);
    strcpy(id, set.id);
}

static bool listed(const struct set_list *list, const char *id)
{
    bool found = false;
    for (size_t i = 0; i < list->count; i++) {
        found = found || strcmp(list->sets[i]->id, id) == 0;
    }
    return found;
}

START_TEST(test_which_sets_count)
{
    char none[ID_TEXT], early[ID_TEXT], other[ID_TEXT], late[ID_TEXT];
    struct set_list valid, invalid;
    put_set("", none);
    put_set(LEASE_A, early);
    put_set(LEASE_B, other);
    ct_ok(lapsed_put(r.repo, LEASE_A, &err), err);
    put_set(LEASE_A, late);
    ct_ok(lapsed_put(r.repo, LEASE_A, &err), err); /* the first word counts */
    ct_ok(set_list_load_split(r.repo, NULL, NULL, &valid, &invalid, &err), err);
    ck_assert_uint_eq(valid.count, 3);
    ck_assert(listed(&valid, none) && listed(&valid, early) && listed(&valid, other));
    ck_assert_uint_eq(invalid.count, 1);
    ck_assert_str_eq(invalid.sets[0]->id, late);
    ck_assert_str_eq(invalid.sets[0]->lease, LEASE_A);
    set_list_free(&valid);
    set_list_free(&invalid);
    ct_ok(set_list_load(r.repo, NULL, NULL, &valid, &err), err);
    ck_assert_uint_eq(valid.count, 3);
    ck_assert(!listed(&valid, late));
    set_list_free(&valid);
}
END_TEST

/* A holder that has lost its lease takes its set back, unless somebody has kept it. */
START_TEST(test_withdraw)
{
    char early[ID_TEXT], late[ID_TEXT];
    struct set_list valid;
    bool kept = true;
    put_set(LEASE_A, early);
    ct_ok(lapsed_put(r.repo, LEASE_A, &err), err);
    put_set(LEASE_B, late);
    ct_ok(lapsed_withdraw(r.repo, LEASE_B, late, &kept, &err), err);
    ck_assert(!kept);
    ct_ok(lapsed_withdraw(r.repo, LEASE_B, late, &kept, &err), err);
    ck_assert(!kept);
    ct_ok(lapsed_put(r.repo, LEASE_B, &err), err); /* too late: the holder was first */
    ct_ok(lapsed_withdraw(r.repo, LEASE_A, early, &kept, &err), err);
    ck_assert(kept);
    ct_ok(lapsed_withdraw(r.repo, LEASE_A, late, &kept, &err), err);
    ck_assert(!kept);
    ct_ok(set_list_load(r.repo, NULL, NULL, &valid, &err), err);
    ck_assert_uint_eq(valid.count, 1);
    ck_assert(listed(&valid, early));
    set_list_free(&valid);
}
END_TEST

static void count_damage(void *ctx, const char *name, const struct orch_error *why)
{
    int *count = ctx;
    ck_assert_ptr_nonnull(strstr(why->message, "lapsed/" LEASE_A));
    ck_assert_int_eq(strncmp(name, "sets/", 5), 0);
    (*count)++;
}

START_TEST(test_damaged_lapsed)
{
    CLEANUP_BUFFER struct buffer file = BUFFER_INIT;
    char kept[ID_TEXT], other[ID_TEXT];
    struct set_list list;
    int damaged = 0;
    put_set(LEASE_A, kept);
    put_set(LEASE_B, other);
    ct_ok(lapsed_put(r.repo, LEASE_A, &err), err);
    ct_read(&r, "lapsed/" LEASE_A, &file);
    file.data[file.len / 2] ^= 1;
    ct_write(&r, "lapsed/" LEASE_A, file.data, file.len);
    ck_assert_int_eq(set_list_load(r.repo, NULL, NULL, &list, &err), ORCH_E_CORRUPT);
    ct_ok(set_list_load(r.repo, count_damage, &damaged, &list, &err), err);
    ck_assert_int_eq(damaged, 1);
    ck_assert_uint_eq(list.count, 1);
    ck_assert_str_eq(list.sets[0]->id, other);
    set_list_free(&list);
}
END_TEST

START_TEST(test_no_word_over_an_unreadable_set)
{
    char id[ID_TEXT];
    put_set(LEASE_A, id);
    ct_write(&r, "sets/20200101_000000", "rubbish", 7);
    ck_assert_int_eq(lapsed_put(r.repo, LEASE_A, &err), ORCH_E_CORRUPT);
    ck_assert_int_eq(ct_count(&r, "lapsed"), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mark");
    TCase *tests = tcase_create("mark");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, test_round_trip, 0, (int)(sizeof sizes / sizeof sizes[0]));
    tcase_add_test(tests, test_several);
    tcase_add_test(tests, test_damage);
    tcase_add_test(tests, test_foreign_files);
    tcase_add_loop_test(tests, test_bad_documents, 0,
                        (int)(sizeof bad_marks / sizeof bad_marks[0]));
    tcase_add_test(tests, test_which_sets_count);
    tcase_add_test(tests, test_withdraw);
    tcase_add_test(tests, test_damaged_lapsed);
    tcase_add_test(tests, test_no_word_over_an_unreadable_set);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
