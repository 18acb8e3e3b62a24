/*
 * test_format.c: the worked example of docs/repository-format.md, read out of the document: a whole
 * repository that was written once and has to stay readable by every version that follows.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/id.h"
#include "engine/chunkid.h"
#include "engine/content.h"
#include "engine/set.h"

#define LINE_MAX_BYTES 4096
#define VALUE_COLUMN 29 /* where values stand in their table */

static struct orch_error err;
static char folder[64];
static struct storage *storage;
static struct repo *repo;
static struct buffer values; /* the table of values, as it stands */

#define must(rc) ck_assert_msg((rc) == ORCH_OK, "%s", err.message)

static void write_file(const char *name, const struct buffer *bytes)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    for (char *p = path + strlen(folder) + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        (void)mkdir(path, 0700);
        *p = '/';
    }
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes->data, 1, bytes->len, file), bytes->len);
    ck_assert_int_eq(fclose(file), 0);
}

static void append_hex(struct buffer *out, const char *digits, size_t len)
{
    uint8_t *space = buffer_reserve(out, len / 2);
    ck_assert_ptr_nonnull(space);
    ck_assert_int_eq(hex_decode(digits, len, space, len / 2), ORCH_OK);
    out->len += len / 2;
}

/* Takes the fenced blocks of the document apart: files into the folder, the table into `values`. */
static int read_document(void)
{
    FILE *file = fopen(FORMAT_DOCUMENT, "re");
    ck_assert_msg(file != NULL, "cannot read %s", FORMAT_DOCUMENT);
    char line[LINE_MAX_BYTES];
    char name[128] = "";
    bool in_values = false;
    int files = 0;
    CLEANUP_BUFFER struct buffer bytes = BUFFER_INIT;
    while (fgets(line, sizeof line, file) != NULL) {
        size_t len = strcspn(line, "\n");
        if (strncmp(line, "```", 3) == 0) {
            if (name[0] != '\0') {
                write_file(name, &bytes);
                files++;
            }
            name[0] = '\0';
            buffer_clear(&bytes);
            in_values = strncmp(line, "```values", 9) == 0;
            (void)sscanf(line, "```file %127s", name);
        } else if (in_values) {
            buffer_append(&values, line, len + 1);
        } else if (strcmp(name, "config") == 0) {
            buffer_append(&bytes, line, len + 1);
        } else if (name[0] != '\0') {
            append_hex(&bytes, line, len);
        }
    }
    (void)fclose(file);
    return files;
}

/* A value of the table; its further lines are left out. */
static size_t value(const char *name, uint8_t *out, size_t size)
{
    const char *text = buffer_string(&values);
    for (const char *at = text; (at = strstr(at, name)) != NULL; at++) {
        if ((at == text || at[-1] == '\n') && at[strlen(name)] == ' ') {
            const char *digits = at + VALUE_COLUMN;
            size_t len = strcspn(digits, "\n");
            ck_assert_uint_le(len / 2, size);
            ck_assert_int_eq(hex_decode(digits, len, out, len / 2), ORCH_OK);
            return len / 2;
        }
    }
    ck_abort_msg("the document has no value \"%s\"", name);
    return 0;
}

static void setup(void)
{
    static const struct repo_unlock unlock = {.passphrase = "correct horse battery staple"};
    (void)snprintf(folder, sizeof folder, "/tmp/orchestrate-format-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    values = (struct buffer)BUFFER_INIT;
    ck_assert_int_eq(read_document(), 9);
    must(storage_open(folder, false, &storage, &err));
    must(repo_open(storage, &unlock, NULL, &repo, &err));
}

static void teardown(void)
{
    char command[96];
    repo_close(repo);
    storage_close(storage);
    buffer_free(&values);
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(test_keys)
{
    static const struct {
        const char *name;
        enum key_purpose purpose;
    } subkeys[] = {{"chunk-id subkey", KEY_CHUNK_ID}, {"gear subkey", KEY_GEAR},
                   {"index subkey", KEY_INDEX},       {"data subkey", KEY_DATA},
                   {"manifest subkey", KEY_MANIFEST}, {"control subkey", KEY_CONTROL}};
    uint8_t expected[KEY_BYTES];
    ck_assert_uint_eq(value(subkeys[_i].name, expected, sizeof expected), KEY_BYTES);
    ck_assert_mem_eq(keys_get(repo_keys(repo), subkeys[_i].purpose), expected, KEY_BYTES);
}
END_TEST

START_TEST(test_chunk_id)
{
    uint8_t plain[64];
    uint8_t expected[CHUNKID_BYTES];
    uint8_t id[CHUNKID_BYTES];
    struct chunkid state;
    size_t len = value("frame 0", plain, sizeof plain);
    ck_assert_uint_eq(value("chunk id", expected, sizeof expected), sizeof expected);
    chunkid_init(&state, repo_keys(repo));
    chunkid_of(&state, plain, len, id);
    ck_assert_mem_eq(id, expected, sizeof id);
}
END_TEST

START_TEST(test_object)
{
    static const char name[] = "/srv/example/greeting.txt";
    struct set_list sets;
    struct part *part = NULL;
    struct index *index = NULL;
    uint8_t digest[32];
    CLEANUP_BUFFER struct buffer bytes = BUFFER_INIT;
    must(set_list_load(repo, NULL, NULL, &sets, &err));
    ck_assert_uint_eq(sets.count, 1);
    ck_assert_str_eq(sets.sets[0]->host, "example");
    must(part_load(repo, sets.sets[0]->components[0].part, &part, &err));
    (void)value("digest", digest, sizeof digest);
    ck_assert_mem_eq(part->content.digest, digest, sizeof digest);
    must(index_open(repo, NULL, &index, &err));
    must(content_read_object(repo, index, part, name, strlen(name), 4096, &bytes, &err));
    ck_assert_uint_eq(bytes.len, 14);
    ck_assert_mem_eq(bytes.data, "hello, reader\n", 14);
    index_close(index);
    part_free(part);
    set_list_free(&sets);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("format");
    TCase *tcase = tcase_create("document");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, test_keys, 0, 6);
    tcase_add_test(tcase, test_chunk_id);
    tcase_add_test(tcase, test_object);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
