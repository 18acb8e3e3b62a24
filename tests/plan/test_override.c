/* test_override.c: --target. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "base/cleanup.h"

static struct fixture f;
static struct config *config;

static void setup(void)
{
    fixture_setup(&f);
    fixture_write(&f, "a.conf",
                  "components: { t: { plugin = \"types\"; text = \"old\"; key_file = \"/old\"; };\n"
                  "  v: { plugin = \"volumes\"; paths = [ \"/old\" ]; };\n"
                  "  d: { plugin = \"postgres\"; conninfo = \"dbname=a\"; }; };");
    config = fixture_load(&f);
}

static void teardown(void)
{
    config_free(config);
    fixture_teardown(&f);
}

static void apply(const char *text)
{
    struct orch_error err = ORCH_ERROR_INIT;
    ck_assert_msg(config_override(config, text, &err) == ORCH_OK, "%s", err.message);
}

START_TEST(test_values)
{
    apply("t.text=with = and , and spaces");
    apply("t.count=-12");
    apply("t.ratio=1.25");
    apply("t.flag=false");
    apply("t.room=2MiB");
    apply("t.wait=5s");
    apply("t.words=x,y,z");
    apply("t.place=/new");
    apply("t.deep.er.still=nested");
    apply("v.paths=/a,/b");
    apply("d.conninfo=host=h dbname=x");
    ck_assert_str_eq(fixture_option(config, "t", "text")->value.string, "with = and , and spaces");
    ck_assert_int_eq(fixture_option(config, "t", "count")->value.integer, -12);
    ck_assert_uint_eq(fixture_option(config, "t", "count")->value.is_default, 0);
    ck_assert_double_eq(fixture_option(config, "t", "ratio")->value.number, 1.25);
    ck_assert_int_eq(fixture_option(config, "t", "flag")->value.integer, 0);
    ck_assert_int_eq(fixture_option(config, "t", "room")->value.integer, 2 * 1024 * 1024);
    ck_assert_int_eq(fixture_option(config, "t", "wait")->value.integer, 5000);
    ck_assert_uint_eq(fixture_option(config, "t", "words")->value.count, 3);
    ck_assert_str_eq(fixture_option(config, "t", "place")->value.string, "/new");
    ck_assert_str_eq(fixture_option(config, "t", "deep.er.still")->value.string, "nested");
    ck_assert_str_eq(fixture_option(config, "v", "paths")->value.strings[1], "/b");
    ck_assert_str_eq(fixture_option(config, "d", "conninfo")->value.string, "host=h dbname=x");
    /* What was not there takes a place of its own; again, it takes the same one. */
    size_t count = config_component(config, "t")->option_count;
    apply("t.places=/p");
    ck_assert_uint_eq(config_component(config, "t")->option_count, count + 1);
    apply("t.places=/q");
    ck_assert_uint_eq(config_component(config, "t")->option_count, count + 1);
    ck_assert_str_eq(fixture_option(config, "t", "places")->value.strings[0], "/q");
    apply("t.words=");
    ck_assert_uint_eq(fixture_option(config, "t", "words")->value.count, 0);
    apply("t.text=");
    ck_assert_str_eq(fixture_option(config, "t", "text")->value.string, "");
}
END_TEST

/* A secret's source is replaced, whatever it was before. */
START_TEST(test_secrets)
{
    apply("t.key_env=KEY");
    const struct config_option *key = fixture_option(config, "t", "key");
    ck_assert_str_eq(key->secret.env, "KEY");
    ck_assert_ptr_null(key->secret.file);
    apply("t.key_command=pass show a=b");
    key = fixture_option(config, "t", "key");
    ck_assert_str_eq(key->secret.command, "pass show a=b");
    ck_assert_ptr_null(key->secret.env);
    apply("d.password_file=/pw");
    ck_assert_str_eq(fixture_option(config, "d", "password")->secret.file, "/pw");
}
END_TEST

static const struct {
    const char *text, *fragment;
} wrong[] = {
    {"", "--target : expected COMPONENT.OPTION=VALUE"},
    {"t", "--target t: expected COMPONENT.OPTION=VALUE"},
    {"t=geheim", "--target t: expected COMPONENT.OPTION=VALUE"},
    {"t.text", "--target t.text: expected"},
    {"t.=geheim", "--target t.: expected"},
    {".text=geheim", "--target .text: expected"},
    {"=geheim", "--target : expected"},
    {"tt.text=geheim", "--target tt.text: there is no component tt; did you mean t?"},
    {"w.x.y=geheim", "--target w.x.y: there is no component w"},
    {"t.txet=geheim", "--target t.txet: the plugin types has no option txet that could be changed; "
                      "did you mean text?"},
    {"t.rto=1h", "has no option rto that could be changed"},
    {"t.plugin=volumes", "has no option plugin"},
    {"t.text_file=/x", "has no option text_file"},
    {"t.deep=geheim", "has no option deep"},
    {"t.key=geheim", "--target t.key: key is a secret and does not stand on the command line"},
    {"t.key_file=rel", "--target t.key_file: expected an absolute path"},
    {"t.key_env=1x", "--target t.key_env: expected the name of an environment variable"},
    {"t.count=5x", "--target t.count: expected an integer, found \"5x\""},
    {"t.count=", "expected an integer"},
    {"t.count= 5", "expected an integer"},
    {"t.count=99999999999999999999", "expected an integer"},
    {"t.ratio=nan", "--target t.ratio: expected a number"},
    {"t.ratio=1e999", "expected a number"},
    {"t.flag=yes", "--target t.flag: expected true or false, found \"yes\""},
    {"t.room=lots", "--target t.room: \"lots\" is not a size"},
    {"t.wait=30", "--target t.wait: the duration \"30\" has a number without unit"},
    {"t.place=tmp", "--target t.place: expected an absolute path, found \"tmp\""},
    {"t.place=", "expected an absolute path"},
    {"t.places=/a,b", "--target t.places: expected an absolute path, found \"b\""},
    {"t.words=a,,b", "--target t.words: value 2 of the list is empty"},
    {"v.paths=", "--target v.paths: the list is empty"},
    {"d.conninfo=postgres://u:geheim@h/d", "--target d.conninfo: a URL with a password in it"},
    {"t.text=\xff", "--target t.text: the value is not UTF-8"},
};

/* A wrong one is refused, shows no value that may be a secret, and leaves everything as it was. */
/* What a restore would replace, and whether a repository would go with it; by name alone. */
static const struct {
    const char *targets[3];
    const char *says; /* NULL: nothing */
} places[] = {
    {{"v.paths=/x,/data"}, "component v, paths: a restore replaces /data, and repository main"},
    {{"v.paths=/"}, "a restore replaces /, and repository main (/data/./repo/)"},
    {{"v.paths=//data//repo"}, "a restore replaces //data//repo, and"},
    {{"v.paths=/data/repo/packs/0a"}, "one must not lie in the other"},
    {{"v.paths=/data/repository,/dat,/repo"}, NULL},
    {{"v.paths=/srv/file"}, "repository other (/srv)"},
    {{"v.paths=/srv/../x"}, NULL},
    {{"h.path=/cache"}, NULL},
    {{"h.path=/repo", "h.root=/data"}, "component h, path: a restore replaces /data/repo, and"},
    {{"h.path=/data/repo", "h.root=/look"}, NULL},
};

START_TEST(test_places)
{
    struct orch_error err = ORCH_ERROR_INIT;
    fixture_write(&f, "b.conf",
                  "repositories: { main: { url = \"/data/./repo/\"; encryption = \"none\"; };\n"
                  "  other: { url = \"file:///srv\"; encryption = \"none\"; }; };\n"
                  "components: { h: { plugin = \"l1-memory\"; path = \"/cache\"; }; };");
    config_free(config);
    config = fixture_load(&f);
    for (size_t i = 0; places[_i].targets[i] != NULL; i++) {
        apply(places[_i].targets[i]);
    }
    const char *name = places[_i].targets[0][0] == 'h' ? "h" : "v";
    int32_t rc = config_check_places(config, config_component(config, name), &err);
    ck_assert_int_eq(rc, places[_i].says == NULL ? ORCH_OK : ORCH_E_REFUSED);
    if (places[_i].says != NULL) {
        ck_assert_msg(strstr(err.message, places[_i].says) != NULL, "%s", err.message);
        ck_assert_ptr_nonnull(strstr(err.message, name[0] == 'h' ? "b.conf:3: " : "a.conf:2: "));
    }
}
END_TEST

START_TEST(test_wrong)
{
    struct orch_error err = ORCH_ERROR_INIT;
    ck_assert_int_eq(config_override(config, wrong[_i].text, &err), ORCH_E_CONFIG);
    ck_assert_int_eq(err.code, ORCH_E_CONFIG);
    ck_assert_msg(strstr(err.message, wrong[_i].fragment) != NULL, "%s", err.message);
    ck_assert_ptr_null(strstr(err.message, "geheim"));
    ck_assert_str_eq(fixture_option(config, "t", "text")->value.string, "old");
    ck_assert_str_eq(fixture_option(config, "t", "key")->secret.file, "/old");
    ck_assert_int_eq(fixture_option(config, "t", "count")->value.integer, 7);
    ck_assert_str_eq(fixture_option(config, "v", "paths")->value.strings[0], "/old");
    ck_assert_ptr_null(fixture_option(config, "t", "places"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("override");
    TCase *tcase = tcase_create("override");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_values);
    tcase_add_test(tcase, test_secrets);
    tcase_add_loop_test(tcase, test_places, 0, sizeof(places) / sizeof(places[0]));
    tcase_add_loop_test(tcase, test_wrong, 0, sizeof(wrong) / sizeof(wrong[0]));
    suite_add_tcase(suite, tcase);
    return fixture_run(suite);
}
