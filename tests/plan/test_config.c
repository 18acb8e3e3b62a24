/* test_config.c: right configurations: values, defaults, merging, graph, hash, folders. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "base/cleanup.h"

static struct fixture f;

static void setup(void)
{
    fixture_setup(&f);
}

static void teardown(void)
{
    fixture_teardown(&f);
}

/* As the design has it, over two files. */
static const char *const repositories_text =
    "repositories: { main: { url = \"/var/backups/app\";\n"
    "  passphrase_file = \"/etc/orchestrate/passphrase\";  compression = \"zstd:9\"; };\n"
    "  other: { url = \"file:///backups\"; encryption = \"none\"; jobs = 3; verify = \"none\"; }; "
    "};";
static const char *const components_text =
    "components: {\n"
    "  settings: { plugin = \"config\";      paths = [ \"/etc/app\" ]; };\n"
    "  uploads:  { plugin = \"volumes\";     paths = ( \"/srv/uploads\", \"/srv/two\" );\n"
    "              exclude = [ \"*.tmp\" ];  depends_on = [ \"settings\" ]; };\n"
    "  app-db:   { plugin = \"postgres\";    conninfo = \"host=127.0.0.1 dbname=app\";\n"
    "              password_file = \"/etc/pw\"; mode = \"logical\";\n"
    "              depends_on = [ \"settings\" ];  rto = \"30m\";  rpo = \"1h\"; };\n"
    "  sessions: { plugin = \"redis\";       url = \"redis://127.0.0.1:6379/0\";\n"
    "              depends_on = [ \"settings\" ]; };\n"
    "  hot:      { plugin = \"l1-memory\";   path = \"/dev/shm/app-l1\";\n"
    "              depends_on = ( \"sessions\" ); };\n"
    "  kb:       { plugin = \"vectorstore\"; path = \"/srv/vectors\";  depends_on = [ \"app-db\" "
    "];\n"
    "    embedding: { provider = \"ollama\"; model = \"nomic-embed-text\"; dimension = 768;\n"
    "      metric = \"cosine\"; normalised = true;\n"
    "      endpoint = \"http://127.0.0.1:11434/v1/embeddings\"; }; };\n"
    "};";

START_TEST(test_design)
{
    fixture_write(&f, "a.conf", components_text);
    fixture_write(&f, "z.conf", repositories_text);
    CLEANUP(config_cleanup) struct config *c = fixture_load(&f);
    static const char *const names[] = {"app-db", "hot", "kb", "sessions", "settings", "uploads"};
    ck_assert_uint_eq(c->component_count, 6);
    for (size_t i = 0; i < 6; i++) {
        ck_assert_str_eq(c->components[i].name, names[i]);
        ck_assert_str_eq(c->components[i].file, fixture_path(&f, "a.conf"));
    }
    ck_assert_int_eq(config_component(c, "app-db")->line, 5);
    ck_assert_int_eq(config_component(c, "app-db")->rto_ms, 1800000);
    ck_assert_int_eq(config_component(c, "app-db")->rpo_ms, 3600000);
    ck_assert_int_eq(config_component(c, "hot")->rpo_ms, 0);
    ck_assert_str_eq(config_component(c, "kb")->depends_on[0], "app-db");
    ck_assert_ptr_null(config_component(c, "kb")->depends_on[1]);
    ck_assert_ptr_null(config_component(c, "settings")->depends_on[0]);
    ck_assert_ptr_null(config_component(c, "nobody"));
    ck_assert_uint_eq(graph_stages(c->graph), 3);
    ck_assert_int_eq(graph_stage_of(c->graph, "kb"), 2);
    ck_assert_int_eq(f.described, 6);
    ck_assert_str_eq(config_component(c, "kb")->info->name, "vectorstore");
}
END_TEST

START_TEST(test_options)
{
    fixture_write(&f, "a.conf", components_text);
    CLEANUP(config_cleanup) struct config *c = fixture_load(&f);
    const struct config_option *o = fixture_option(c, "uploads", "paths");
    ck_assert_uint_eq(o->value.count, 2);
    ck_assert_str_eq(o->value.strings[0], "/srv/uploads");
    ck_assert_str_eq(o->value.strings[1], "/srv/two");
    ck_assert_ptr_null(o->value.strings[2]);
    ck_assert_uint_eq(o->value.is_default, 0);
    o = fixture_option(c, "uploads", "one_file_system");
    ck_assert_int_eq(o->value.integer, 0);
    ck_assert_uint_eq(o->value.is_default, 1);
    o = fixture_option(c, "settings", "exclude");
    ck_assert_uint_eq(o->value.count, 0);
    ck_assert_ptr_nonnull(o->value.strings);
    o = fixture_option(c, "app-db", "password");
    ck_assert(o->is_secret);
    ck_assert_ptr_null(o->value.string);
    ck_assert_str_eq(o->secret.file, "/etc/pw");
    ck_assert_ptr_null(fixture_option(c, "sessions", "password"));
    ck_assert_ptr_null(fixture_option(c, "app-db", "pg_dump"));
    o = fixture_option(c, "kb", "embedding.dimension");
    ck_assert_uint_eq(o->value.type, ORCH_OPTION_INTEGER);
    ck_assert_int_eq(o->value.integer, 768);
    ck_assert_str_eq(fixture_option(c, "kb", "embedding.model")->value.string, "nomic-embed-text");
    ck_assert_int_eq(fixture_option(c, "kb", "embedding.normalised")->value.integer, 1);
}
END_TEST

/* Every type, configured and by default. */
START_TEST(test_types)
{
    fixture_write(&f, "a.conf",
                  "components: { plain: { plugin = \"types\"; };\n"
                  "  full: { plugin = \"types\"; text = \"two \" \"parts\\n\"; count = 0x10;\n"
                  "    ratio = 3; flag = False; room = \"10MB\"; wait = \"250ms\";\n"
                  "    words = [ ]; place = \"/a b\"; places = ( \"/c\" ); key_env = \"KEY\";\n"
                  "    deep: { er: { still = \"here\"; }; }; retries = 5; timeout = \"1h\";\n"
                  "    stall_timeout = \"90s\"; };\n"
                  "  long: { plugin = \"types\"; count = -9000000000L; ratio = -1.5e3; };\n"
                  "  edge: { plugin = \"types\"; count = 2147483647; ratio = 3000000000L; };\n"
                  "  low: { plugin = \"types\"; count = -2147483648; ratio = +1e2; };\n"
                  "};");
    CLEANUP(config_cleanup) struct config *c = fixture_load(&f);
    ck_assert_int_eq(f.described, 1);
    ck_assert_str_eq(fixture_option(c, "plain", "text")->value.string, "plain");
    ck_assert_int_eq(fixture_option(c, "plain", "count")->value.integer, 7);
    ck_assert_double_eq(fixture_option(c, "plain", "ratio")->value.number, 0.5);
    ck_assert_int_eq(fixture_option(c, "plain", "flag")->value.integer, 1);
    ck_assert_int_eq(fixture_option(c, "plain", "room")->value.integer, 1024);
    ck_assert_int_eq(fixture_option(c, "plain", "wait")->value.integer, 5400000);
    ck_assert_uint_eq(fixture_option(c, "plain", "words")->value.count, 2);
    ck_assert_str_eq(fixture_option(c, "plain", "words")->value.strings[1], "b");
    ck_assert_str_eq(fixture_option(c, "plain", "place")->value.string, "/tmp");
    ck_assert_uint_eq(config_component(c, "plain")->option_count, 8);

    ck_assert_str_eq(fixture_option(c, "full", "text")->value.string, "two parts\n");
    ck_assert_int_eq(fixture_option(c, "full", "count")->value.integer, 16);
    ck_assert_double_eq(fixture_option(c, "full", "ratio")->value.number, 3.0);
    ck_assert_int_eq(fixture_option(c, "full", "flag")->value.integer, 0);
    ck_assert_int_eq(fixture_option(c, "full", "room")->value.integer, 10000000);
    ck_assert_int_eq(fixture_option(c, "full", "wait")->value.integer, 250);
    ck_assert_uint_eq(fixture_option(c, "full", "words")->value.count, 0);
    ck_assert_uint_eq(fixture_option(c, "full", "words")->value.is_default, 0);
    ck_assert_str_eq(fixture_option(c, "full", "places")->value.strings[0], "/c");
    ck_assert_str_eq(fixture_option(c, "full", "key")->secret.env, "KEY");
    ck_assert_str_eq(fixture_option(c, "full", "deep.er.still")->value.string, "here");
    ck_assert_uint_eq(config_component(c, "full")->option_count, 11);
    ck_assert_uint_eq(config_component(c, "full")->retries, 5);
    ck_assert_int_eq(config_component(c, "full")->timeout_ms, 3600000);
    ck_assert_int_eq(config_component(c, "full")->stall_timeout_ms, 90000);

    ck_assert_int_eq(fixture_option(c, "long", "count")->value.integer, INT64_C(-9000000000));
    ck_assert_double_eq(fixture_option(c, "long", "ratio")->value.number, -1500.0);
    ck_assert_int_eq(fixture_option(c, "edge", "count")->value.integer, INT32_MAX);
    ck_assert_double_eq(fixture_option(c, "edge", "ratio")->value.number, 3e9);
    ck_assert_int_eq(fixture_option(c, "low", "count")->value.integer, INT32_MIN);
}
END_TEST

/* Comments of all kinds, also on the last line without a line break, and what looks like more. */
START_TEST(test_syntax)
{
    fixture_write(&f, "a.conf",
                  "# @include \"x\" 3000000000\n// 99999999999 {\n/* ( [ \n@include \"y\"\n */\n"
                  "components = { a = { plugin = \"types\", text: \"# 99999999999 // \\\" { @x\"\n"
                  "  words = [ \"/*\", \"*/\" ] } } # the end");
    CLEANUP(config_cleanup) struct config *c = fixture_load(&f);
    ck_assert_str_eq(fixture_option(c, "a", "text")->value.string, "# 99999999999 // \" { @x");
    ck_assert_int_eq(config_component(c, "a")->line, 6);
}
END_TEST

START_TEST(test_defaults)
{
    fixture_write(&f, "a.conf",
                  "components: { a: { plugin = \"types\"; rto = \"1m\"; retries = 0; };\n"
                  "              b: { plugin = \"types\"; }; };");
    fixture_write(&f, "b.conf", "defaults: { rto = \"2h\"; rpo = \"1d\"; retries = 2; };");
    CLEANUP(config_cleanup) struct config *c = fixture_load(&f);
    ck_assert_int_eq(config_component(c, "a")->rto_ms, 60000);
    ck_assert_int_eq(config_component(c, "a")->rpo_ms, 86400000);
    ck_assert_uint_eq(config_component(c, "a")->retries, 0);
    ck_assert_int_eq(config_component(c, "b")->rto_ms, 7200000);
    ck_assert_uint_eq(config_component(c, "b")->retries, 2);
    ck_assert_int_eq(config_component(c, "b")->rate_limit, 0);
}
END_TEST

START_TEST(test_repositories)
{
    fixture_write(&f, "a.conf", repositories_text);
    CLEANUP(config_cleanup) struct config *c = fixture_load(&f);
    struct orch_error err = ORCH_ERROR_INIT;
    const struct config_repository *r = NULL;
    ck_assert_uint_eq(c->repository_count, 2);
    ck_assert_int_eq(config_repository(c, NULL, &r, &err), ORCH_OK);
    ck_assert_str_eq(r->name, "main");
    ck_assert_str_eq(r->url, "/var/backups/app");
    ck_assert(r->encrypted);
    ck_assert_str_eq(r->passphrase.file, "/etc/orchestrate/passphrase");
    ck_assert_str_eq(r->compression, "zstd:9");
    ck_assert_str_eq(r->verify, "data");
    ck_assert_uint_eq(r->jobs, 0);
    ck_assert_int_eq(config_repository(c, "other", &r, &err), ORCH_OK);
    ck_assert(!r->encrypted);
    ck_assert_str_eq(r->compression, "zstd");
    ck_assert_str_eq(r->verify, "none");
    ck_assert_uint_eq(r->jobs, 3);
    ck_assert_int_eq(config_repository(c, "mian", &r, &err), ORCH_E_CONFIG);
    ck_assert_str_eq(err.message, "there is no repository mian; did you mean main?");
}
END_TEST

/* One group, a list of groups, and none. */
START_TEST(test_retention)
{
    fixture_write(&f, "a.conf",
                  "repositories: { a: { url = \"/a\"; encryption = \"none\"; retention: { "
                  "keep_last = 3; keep_hourly = 24; keep_daily = 14; keep_weekly = 8; "
                  "keep_monthly = 12; keep_yearly = 5; }; };\n"
                  " b: { url = \"/b\"; encryption = \"none\"; retention = (\n"
                  "  { label = \"nightly\"; keep_daily = 7; },\n"
                  "  { label = \"\"; components = [ \"kb\" ]; max_age = \"30d\"; },\n"
                  "  { label = \"for ever\"; }, { max_size = \"1TB\"; } ); };\n"
                  " c: { url = \"/c\"; encryption = \"none\"; }; };");
    CLEANUP(config_cleanup) struct config *c = fixture_load(&f);
    const struct config_repository *r = &c->repositories[0];
    ck_assert_uint_eq(r->retention_count, 1);
    ck_assert_ptr_null(r->retention[0].label);
    ck_assert_ptr_null(r->retention[0].components);
    ck_assert_int_eq(r->retention[0].keep_last, 3);
    ck_assert_int_eq(r->retention[0].keep_hourly, 24);
    ck_assert_int_eq(r->retention[0].keep_daily, 14);
    ck_assert_int_eq(r->retention[0].keep_weekly, 8);
    ck_assert_int_eq(r->retention[0].keep_monthly, 12);
    ck_assert_int_eq(r->retention[0].keep_yearly, 5);
    r = &c->repositories[1];
    ck_assert_uint_eq(r->retention_count, 4);
    ck_assert_str_eq(r->retention[0].label, "nightly");
    ck_assert_int_eq(r->retention[0].keep_daily, 7);
    ck_assert_str_eq(r->retention[1].label, "");
    ck_assert_str_eq(r->retention[1].components[0], "kb");
    ck_assert_int_eq(r->retention[1].max_age_ms, INT64_C(30) * 86400000);
    ck_assert(!config_retention_has_rule(&r->retention[2]));
    ck_assert(config_retention_has_rule(&r->retention[3]));
    ck_assert_int_eq(r->retention[3].max_size_bytes, INT64_C(1000000000000));
    ck_assert_uint_eq(c->repositories[2].retention_count, 0);
}
END_TEST

/* Without a name: the only one, or the one called main; else an error that lists them. */
START_TEST(test_which_repository)
{
    struct orch_error err = ORCH_ERROR_INIT;
    const struct config_repository *r = NULL;
    fixture_write(&f, "a.conf", "repositories: { x: { url = \"/x\"; encryption = \"none\"; }; };");
    CLEANUP(config_cleanup) struct config *one = fixture_load(&f);
    ck_assert_int_eq(config_repository(one, NULL, &r, &err), ORCH_OK);
    ck_assert_str_eq(r->name, "x");
    fixture_write(&f, "b.conf", "repositories: { y: { url = \"/y\"; encryption = \"none\"; }; };");
    CLEANUP(config_cleanup) struct config *two = fixture_load(&f);
    ck_assert_int_eq(config_repository(two, NULL, &r, &err), ORCH_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.message, "--repository NAME; known are: x, y"));
    fixture_write(&f, "a.conf", "");
    fixture_write(&f, "b.conf", "# nothing\n");
    CLEANUP(config_cleanup) struct config *none = fixture_load(&f);
    ck_assert_int_eq(config_repository(none, NULL, &r, &err), ORCH_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.message, "configures no repository"));
    ck_assert_uint_eq(none->component_count, 0);
    ck_assert_uint_eq(graph_stages(none->graph), 0);
}
END_TEST

/* Only regular files *.conf count; the hash sees names and bytes, and nothing else. */
START_TEST(test_files_and_hash)
{
    fixture_write(&f, "a.conf", components_text);
    fixture_write(&f, "z.conf", repositories_text);
    CLEANUP(config_cleanup) struct config *c = fixture_load(&f);
    ck_assert_uint_eq(strlen(c->hash), 64);
    static const char *const others[] = {".hidden.conf", "x.conf~",     "#x.conf#", ".#x.conf",
                                         "x.conf.bak",   ".x.conf.swp", "README",   ".conf"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        fixture_write(&f, others[i], "this is { no configuration");
    }
    ck_assert_int_eq(mkdir(fixture_path(&f, "folder.conf"), 0700), 0);
    ck_assert_int_eq(mkfifo(fixture_path(&f, "fifo.conf"), 0600), 0);
    CLEANUP(config_cleanup) struct config *same = fixture_load(&f);
    ck_assert_str_eq(c->hash, same->hash);
    ck_assert_int_eq(rename(fixture_path(&f, "z.conf"), fixture_path(&f, "y.conf")), 0);
    CLEANUP(config_cleanup) struct config *renamed = fixture_load(&f);
    ck_assert_str_ne(c->hash, renamed->hash);
    fixture_write(&f, "real", "# \n");
    ck_assert_int_eq(symlink("real", fixture_path(&f, "zz.conf")), 0);
    CLEANUP(config_cleanup) struct config *linked = fixture_load(&f);
    ck_assert_str_ne(linked->hash, renamed->hash);
    ck_assert_int_eq(unlink(fixture_path(&f, "real")), 0);
    struct orch_error err;
    fixture_fail(&f, &err);
    ck_assert_ptr_nonnull(strstr(err.message, "zz.conf: cannot be read: No such file"));
}
END_TEST

START_TEST(test_unreadable)
{
    if (geteuid() == 0) {
        return; /* root reads everything */
    }
    struct orch_error err;
    fixture_write(&f, "a.conf", "");
    ck_assert_int_eq(chmod(fixture_path(&f, "a.conf"), 0), 0);
    fixture_fail(&f, &err);
    ck_assert_ptr_nonnull(strstr(err.message, "a.conf: cannot be read: Permission denied"));
}
END_TEST

/* A trailing slash of the folder is in no message. */
START_TEST(test_slash)
{
    char dir[80];
    struct orch_error err = ORCH_ERROR_INIT;
    struct config *config = NULL;
    fixture_write(&f, "a.conf", "x = 1;");
    (void)snprintf(dir, sizeof(dir), "%s//", f.dir);
    ck_assert_int_eq(config_load(dir, &f.plugins, &config, &err), ORCH_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.message, fixture_path(&f, "a.conf:1: ")));
}
END_TEST

START_TEST(test_dirs)
{
    fixture_write(&f, "a.conf", "state_dir = \"/s\";");
    ck_assert_int_eq(setenv("ORCHESTRATE_STATE_DIR", "/env/state", 1), 0);
    ck_assert_int_eq(setenv("ORCHESTRATE_CACHE_DIR", "/env/cache", 1), 0);
    CLEANUP(config_cleanup) struct config *own = fixture_load(&f);
    ck_assert_str_eq(own->state_dir, "/s");
    ck_assert_str_eq(own->cache_dir, "/env/cache");
    fixture_write(&f, "a.conf", "");
    CLEANUP(config_cleanup) struct config *env = fixture_load(&f);
    ck_assert_str_eq(env->state_dir, "/env/state");
    ck_assert_int_eq(setenv("ORCHESTRATE_CACHE_DIR", "relative", 1), 0);
    struct orch_error err;
    fixture_fail(&f, &err);
    ck_assert_ptr_nonnull(strstr(err.message, "ORCHESTRATE_CACHE_DIR: expected an absolute path"));
    ck_assert_int_eq(unsetenv("ORCHESTRATE_STATE_DIR"), 0);
    ck_assert_int_eq(setenv("ORCHESTRATE_CACHE_DIR", "", 1), 0);
    ck_assert_int_eq(setenv("XDG_STATE_HOME", "/xdg", 1), 0);
    ck_assert_int_eq(unsetenv("XDG_CACHE_HOME"), 0);
    ck_assert_int_eq(setenv("HOME", "/home/x", 1), 0);
    CLEANUP(config_cleanup) struct config *fallback = fixture_load(&f);
    bool root = geteuid() == 0;
    ck_assert_str_eq(fallback->state_dir, root ? "/var/lib/orchestrate" : "/xdg/orchestrate");
    ck_assert_str_eq(fallback->cache_dir,
                     root ? "/var/cache/orchestrate" : "/home/x/.cache/orchestrate");
}
END_TEST

#define MANY 4000

/* Thousands of components load in a moment. */
START_TEST(test_many)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    (void)fprintf(file, "components: {\n");
    for (int i = 0; i < MANY; i++) {
        (void)fprintf(file, "n%d: { plugin = \"types\"; depends_on = [ \"n%d\" ]; };\n", i, i + 1);
    }
    (void)fprintf(file, "n%d: { plugin = \"types\"; }; };\n", MANY);
    (void)fclose(file);
    fixture_write(&f, "a.conf", text);
    free(text);
    CLEANUP(config_cleanup) struct config *c = fixture_load(&f);
    ck_assert_uint_eq(graph_stages(c->graph), MANY + 1);
    ck_assert_int_eq(f.described, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *tcase = tcase_create("config");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_design);
    tcase_add_test(tcase, test_options);
    tcase_add_test(tcase, test_types);
    tcase_add_test(tcase, test_syntax);
    tcase_add_test(tcase, test_defaults);
    tcase_add_test(tcase, test_repositories);
    tcase_add_test(tcase, test_retention);
    tcase_add_test(tcase, test_which_repository);
    tcase_add_test(tcase, test_files_and_hash);
    tcase_add_test(tcase, test_unreadable);
    tcase_add_test(tcase, test_slash);
    tcase_add_test(tcase, test_dirs);
    tcase_add_test(tcase, test_many);
    suite_add_tcase(suite, tcase);
    return fixture_run(suite);
}
