/* test_parts.c: names, identity sources, endpoints' answers, metadata, and the identity command. */
#include "canary.h"
#include "command.h"
#include "identity.h"
#include "meta.h"
#include "names.h"

#include <check.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- names ------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    int valid;
} names[] = {
    {".", 1},    {"a", 1},    {"a/b", 1},   {"a.b/..c", 1},   {"..a", 1},
    {"", 0},     {"/a", 0},   {"a/", 0},    {"a//b", 0},      {"..", 0},
    {"a/..", 0}, {"../a", 0}, {"a/./b", 0}, {"a/../../b", 0}, {"./a", 0},
};

START_TEST(test_valid)
{
    ck_assert_int_eq(names_valid(names[_i].name, strlen(names[_i].name)), names[_i].valid);
}
END_TEST

START_TEST(test_valid_bytes)
{
    char name[300];
    ck_assert_int_eq(names_valid("a\0b", 3), 0);
    memset(name, 'x', sizeof(name));
    ck_assert_int_eq(names_valid(name, 255), 1);
    ck_assert_int_eq(names_valid(name, 256), 0);
}
END_TEST

START_TEST(test_made_up)
{
    struct orch_error err = ORCH_ERROR_INIT;
    char one[256], two[256], base[256];
    ck_assert_int_eq(names_new("kb.faiss", "beef", one, &err), 0);
    ck_assert_str_eq(one, ".kb.faiss.orch-new-beef");
    ck_assert(names_is_new_of(one, "beef") && !names_is_new_of(one, "eef") &&
              !names_is_aside_of(one, "beef") && names_is_leftover(one));
    ck_assert_int_eq(names_aside("kb.faiss", "beef", two, &err), 0);
    ck_assert(names_is_aside_of(two, "beef") && !names_is_new_of(two, "beef"));
    ck_assert(!names_is_leftover("kb.faiss.orch-new-beef"));
    memset(base, 'n', 255);
    base[255] = 0;
    ck_assert_int_eq(names_new(base, "beef", one, &err), 0);
    base[254] = 'm';
    ck_assert_int_eq(names_new(base, "beef", two, &err), 0);
    ck_assert_uint_le(strlen(one), 255);
    ck_assert_str_ne(one, two);
    ck_assert_int_eq(names_new("a", "../x", one, &err), ORCH_E_INVALID);
    ck_assert_int_eq(names_new("a", "", one, &err), ORCH_E_INVALID);
}
END_TEST

static const struct {
    const char *name, *shown;
} escapes[] = {
    {"plain/name.faiss", "plain/name.faiss"},
    {"50%", "50%25"},
    {"a\nb", "a%0Ab"},
    {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
    {"\xff\xfe", "%FF%FE"},
    {"x\xc3", "x%C3"},
    {"\xc0\xaf", "%C0%AF"},
    {"\xed\xa0\x80", "%ED%A0%80"},
    {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
    {"\xf5\x80\x80\x80", "%F5%80%80%80"},
};

START_TEST(test_escape)
{
    char *shown = names_escape(escapes[_i].name);
    ck_assert_str_eq(shown, escapes[_i].shown);
    free(shown);
}
END_TEST

/* A link on the way is never followed. */
START_TEST(test_open_beneath)
{
    struct orch_error err = ORCH_ERROR_INIT;
    char dir[] = "/tmp/test-names-XXXXXX", text[128];
    int fd = -1;
    ck_assert_ptr_nonnull(mkdtemp(dir));
    int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_eq(symlinkat("/etc", root, "link"), 0);
    ck_assert_int_eq(symlinkat("/etc/passwd", root, "file"), 0);
    ck_assert_int_eq(names_open(root, "link/passwd", &fd, &err), ORCH_E_EXISTS);
    ck_assert_int_eq(names_open(root, "file", &fd, &err), ORCH_E_EXISTS);
    ck_assert_int_eq(names_open(root, "../etc/passwd", &fd, &err), ORCH_E_INVALID);
    ck_assert_int_eq(names_open(root, "none", &fd, &err), ORCH_E_NOT_FOUND);
    ck_assert_int_eq(names_open_parent(root, "link/x", 1, &fd, &err), ORCH_E_EXISTS);
    ck_assert_int_eq(names_open_parent(root, "a/b/c", 0, &fd, &err), ORCH_E_NOT_FOUND);
    ck_assert_int_eq(names_open_parent(root, "a/b/c", 1, &fd, &err), 0);
    (void)close(fd);
    (void)close(root);
    (void)snprintf(text, sizeof(text), "rm -r %s", dir);
    ck_assert_int_eq(system(text), 0);
}
END_TEST

/* ---- identity --------------------------------------------------------------------------- */

static const struct {
    const char *text, *key;
    int32_t rc;
    const char *model;
    int64_t dimension;
} sources[] = {
    {"{\"model\": \"m\", \"dimension\": 768}", "", 0, "m", 768},
    {"{\"ai\": {\"embedding\": {\"model\": \"m\", \"dim\": \"12\"}}}", "ai.embedding", 0, "m", 12},
    {"{\"ai.embedding\": {\"model\": \"m\"}}", "ai.embedding", 0, "m", -1},
    {"{\"ai\": {\"model\": \"m\"}}", "ai.model", 0, "m", -1},
    {"{\"ai\": 7}", "ai", ORCH_E_NOT_FOUND, "", -1},
    {"{\"ai\": {}}", "ai.none.there", ORCH_E_NOT_FOUND, "", -1},
    {"{\"model\": ", "", ORCH_E_CONFIG, "", -1},
    {"{\"dimension\": -1}", "", ORCH_E_CONFIG, "", -1},
    {"{\"metric\": \"cosine\", \"normalised\": false}", "", ORCH_E_CONFIG, "", -1},
    {"model=m\ndimension=4\n", "", 0, "m", 4},
    {"# comment\nexport EMBEDDING_MODEL=\"m\"\nEMBEDDING_DIMENSION=5\nOTHER=1\n", "EMBEDDING_", 0,
     "m", 5},
    {"EMBEDDING_MODEL='m'\r\n", "embedding", 0, "m", -1},
    {"[db]\nmodel = no\n[embedding]\nmodel = m\n dimension = 6\n", "embedding", 0, "m", 6},
    {"EMBEDDING_MODEL=m\n", "EMBEDDING_MODEL", 0, "m", -1},
    {"embedding: {\n model = \"m\";\n dimension = 7;\n};\n", "", 0, "m", 7},
    {"embeddingmodel=m\n", "embedding", ORCH_E_NOT_FOUND, "", -1},
    {"model=m\ndimension=many\n", "", ORCH_E_CONFIG, "", -1},
    {"nothing of use", "", ORCH_E_NOT_FOUND, "", -1},
    {"", "", ORCH_E_NOT_FOUND, "", -1},
};

START_TEST(test_identity)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct contract contract;
    contract_clear(&contract);
    int32_t rc = identity_parse(sources[_i].text, strlen(sources[_i].text), sources[_i].key, "F",
                                &contract, &err);
    ck_assert_msg(rc == sources[_i].rc, "%d: %s", rc, err.message);
    ck_assert_str_eq(contract.model, sources[_i].model);
    ck_assert_int_eq(contract.dimension, sources[_i].dimension);
}
END_TEST

START_TEST(test_identity_bytes)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct contract contract;
    contract_clear(&contract);
    ck_assert_int_eq(identity_parse("model=a\0b", 9, "", "F", &contract, &err), ORCH_E_CONFIG);
}
END_TEST

/* ---- the identity command --------------------------------------------------------------- */

static const struct {
    const char *line;
    int32_t rc;
    const char *out;
} commands[] = {
    {"printf hello", 0, "hello"},
    {"printf x; exit 3", ORCH_E_FAILED, NULL},
    {"kill -9 $$", ORCH_E_FAILED, NULL},
    {"/no/such/command", ORCH_E_FAILED, NULL},
    {"exec sleep 60", ORCH_E_TIMEOUT, NULL},
    {"exec >&-; exec sleep 60", ORCH_E_TIMEOUT, NULL},
    {"sleep 60 & sleep 60", ORCH_E_TIMEOUT, NULL},
    {"yes", ORCH_E_FAILED, NULL},
    {"cat", 0, ""},
};

START_TEST(test_command)
{
    struct orch_error err = ORCH_ERROR_INIT;
    char out[4096];
    size_t len = 0;
    int32_t rc = command_run(commands[_i].line, 300, out, sizeof(out), &len, &err);
    ck_assert_msg(rc == commands[_i].rc, "%d: %s", rc, err.message);
    if (commands[_i].out != NULL) {
        ck_assert_uint_eq(len, strlen(commands[_i].out));
        ck_assert_mem_eq(out, commands[_i].out, len);
    }
}
END_TEST

/* ---- endpoints' answers ----------------------------------------------------------------- */

/* {"data":[…]} with `count` items; item `odd` has `text` for its vector. */
static char *answer(int count, int odd, const char *text)
{
    char *out = calloc(1, 8192);
    size_t n = (size_t)snprintf(out, 8192, "{\"data\":[");
    for (int i = 0; i < count; i++) {
        n += (size_t)snprintf(out + n, 8192 - n, "%s{\"index\":%d,\"embedding\":%s}",
                              i == 0 ? "" : ",", i, i == odd ? text : "[3,4]");
    }
    (void)snprintf(out + n, 8192 - n, "]}");
    return out;
}

static const struct {
    int count;
    const char *odd;
    int32_t rc;
} answers[] = {
    {8, "[4,3]", 0},
    {7, "[4,3]", ORCH_E_PROTOCOL},
    {9, "[4,3]", ORCH_E_PROTOCOL},
    {8, "[1,2,3]", ORCH_E_PROTOCOL},
    {8, "[]", ORCH_E_PROTOCOL},
    {8, "[0,0]", ORCH_E_PROTOCOL},
    {8, "[1e300,1]", ORCH_E_PROTOCOL},
    {8, "[\"a\",1]", ORCH_E_PROTOCOL},
    {8, "null", ORCH_E_PROTOCOL},
    {8, "\"base64\"", ORCH_E_PROTOCOL},
    {8, "[1,2],\"index\":0", ORCH_E_PROTOCOL},
    {8, "[1,2],\"index\":8", ORCH_E_PROTOCOL},
    {8, "[1,2],\"index\":-1", ORCH_E_PROTOCOL},
};

START_TEST(test_answer)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct canaries c;
    char *text = answer(answers[_i].count, 3, answers[_i].odd);
    int32_t rc = canary_parse(text, strlen(text), &c, &err);
    ck_assert_msg(rc == answers[_i].rc, "%d: %s", rc, err.message);
    if (rc == ORCH_OK) {
        ck_assert_uint_eq(c.dimension, 2);
        ck_assert(fabsf(c.values[0] - 0.6F) < 1e-6F && fabsf(c.values[6] - 0.8F) < 1e-6F);
        canary_clear(&c);
    } else {
        ck_assert_ptr_null(c.values);
    }
    free(text);
}
END_TEST

START_TEST(test_answer_nonsense)
{
    static const char *const texts[] = {"", "{", "[]", "{}", "{\"data\":{}}", "null"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct orch_error err = ORCH_ERROR_INIT;
        struct canaries c;
        ck_assert_int_eq(canary_parse(texts[i], strlen(texts[i]), &c, &err), ORCH_E_PROTOCOL);
    }
}
END_TEST

START_TEST(test_canary_facts)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct canaries a, b;
    char *text = answer(8, 3, "[4,3]");
    ck_assert_int_eq(canary_parse(text, strlen(text), &a, &err), 0);
    json_t *json = canary_to_json(&a);
    ck_assert_int_eq(canary_from_json(json, &b, &err), 0);
    ck_assert(canary_min_cosine(&a, &b) > 0.999999);
    canary_clear(&b);
    (void)json_object_set_new(json_array_get(json, 2), "text", json_string("another text"));
    ck_assert_int_eq(canary_from_json(json, &b, &err), ORCH_E_VERSION);
    ck_assert_int_eq(canary_from_json(NULL, &b, &err), ORCH_E_NOT_FOUND);
    json_decref(json);
    canary_clear(&a);
    free(text);
}
END_TEST

/* ---- metadata --------------------------------------------------------------------------- */

START_TEST(test_meta)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct tree_entry entry = {.name = (char *)(uintptr_t) "x", .kind = 'l'};
    struct meta meta;
    char text[META_MAX], target[] = "../\xff target";
    entry.target = target;
    entry.st.st_mode = S_IFREG | 02751;
    entry.st.st_uid = 4000000000u;
    entry.st.st_mtim.tv_sec = -5;
    entry.st.st_mtim.tv_nsec = 7;
    ck_assert_int_eq(meta_write(&entry, text, &err), 0);
    ck_assert_int_eq(meta_read((const uint8_t *)text, (uint32_t)strlen(text), &meta, &err), 0);
    ck_assert_uint_eq(meta.mode, 02751);
    ck_assert_uint_eq(meta.uid, 4000000000u);
    ck_assert_int_eq(meta.mtime_ns, -4999999993);
    ck_assert_str_eq(meta.target, target);
}
END_TEST

START_TEST(test_meta_bad)
{
    static const char *const texts[] = {
        "", "644", "99999 0 0 1 ", "x 0 0 1 ", "644 0 0 1 zz", "644 0 0 1 616", "644 0 0 1 00"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct orch_error err = ORCH_ERROR_INIT;
        struct meta meta;
        ck_assert_msg(meta_read((const uint8_t *)texts[i], (uint32_t)strlen(texts[i]), &meta,
                                &err) == ORCH_E_CORRUPT,
                      "%s", texts[i]);
    }
}
END_TEST

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

int main(void)
{
    Suite *suite = suite_create("vectorstore parts");
    TCase *tests = tcase_create("parts");
    tcase_add_loop_test(tests, test_valid, 0, COUNT(names));
    tcase_add_test(tests, test_valid_bytes);
    tcase_add_test(tests, test_made_up);
    tcase_add_loop_test(tests, test_escape, 0, COUNT(escapes));
    tcase_add_test(tests, test_open_beneath);
    tcase_add_loop_test(tests, test_identity, 0, COUNT(sources));
    tcase_add_test(tests, test_identity_bytes);
    tcase_add_loop_test(tests, test_command, 0, COUNT(commands));
    tcase_add_loop_test(tests, test_answer, 0, COUNT(answers));
    tcase_add_test(tests, test_answer_nonsense);
    tcase_add_test(tests, test_canary_facts);
    tcase_add_test(tests, test_meta);
    tcase_add_test(tests, test_meta_bad);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
