/* fixture.c: see fixture.h. */
#include "fixture.h"

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#define R ORCH_OPTION_REQUIRED
#define S ORCH_OPTION_SECRET

struct declared {
    const char *name;
    uint32_t type;
    uint32_t flags;
    const char *fallback;
    const char *help;
};

static const struct {
    const char *name;
    struct declared options[16];
} plugins[] = {
    {"volumes",
     {{"paths", ORCH_OPTION_PATH_LIST, R | ORCH_OPTION_REPLACED, NULL,
       "folders and files to protect"},
      {"exclude", ORCH_OPTION_STRING_LIST, 0, "", "patterns to leave out"},
      {"one_file_system", ORCH_OPTION_BOOLEAN, 0, "false", "stay on one file system"}}},
    {"config",
     {{"paths", ORCH_OPTION_PATH_LIST, R, NULL, "configuration files"},
      {"exclude", ORCH_OPTION_STRING_LIST, 0, "", "patterns to leave out"},
      {"check_command", ORCH_OPTION_STRING, 0, NULL, "run after a restore"},
      {"aside_keep", ORCH_OPTION_INTEGER, 0, "3", "how many old copies are kept"}}},
    {"postgres",
     {{"conninfo", ORCH_OPTION_STRING, R, NULL, "how libpq finds the database"},
      {"mode", ORCH_OPTION_STRING, 0, "logical", "how to back up"},
      {"password", ORCH_OPTION_STRING, S, NULL, "of the database user"},
      {"pg_dump", ORCH_OPTION_PATH, 0, NULL, "the program pg_dump"}}},
    {"redis",
     {{"url", ORCH_OPTION_STRING, R, NULL, "where the server listens"},
      {"password", ORCH_OPTION_STRING, S, NULL, "of the user"},
      {"user", ORCH_OPTION_STRING, 0, NULL, "the user"}}},
    {"l1-memory",
     {{"path", ORCH_OPTION_PATH, R | ORCH_OPTION_REPLACED, NULL, "folder of the cache"},
      {"root", ORCH_OPTION_PATH, 0, NULL, "put before the path"}}},
    {"vectorstore",
     {{"path", ORCH_OPTION_PATH, R, NULL, "folder of the stores"},
      {"embedding.provider", ORCH_OPTION_STRING, 0, NULL, "who computes the vectors"},
      {"embedding.model", ORCH_OPTION_STRING, 0, NULL, "the model"},
      {"embedding.revision", ORCH_OPTION_STRING, 0, NULL, "its revision or digest"},
      {"embedding.dimension", ORCH_OPTION_INTEGER, 0, NULL, "numbers per vector"},
      {"embedding.metric", ORCH_OPTION_STRING, 0, NULL, "cosine, l2 or ip"},
      {"embedding.normalised", ORCH_OPTION_BOOLEAN, 0, NULL, "vectors have length 1"},
      {"embedding.endpoint", ORCH_OPTION_STRING, 0, NULL, "where canaries are computed"},
      {"embedding.api_key", ORCH_OPTION_STRING, S, NULL, "for the endpoint"},
      {"embedding.identity_file", ORCH_OPTION_PATH, 0, NULL, "a file that says it"},
      {"embedding.identity_command", ORCH_OPTION_STRING, 0, NULL, "a command that says it"}}},
    {"types",
     {{"text", ORCH_OPTION_STRING, 0, "plain", "a text"},
      {"count", ORCH_OPTION_INTEGER, 0, "7", "an integer"},
      {"ratio", ORCH_OPTION_FLOAT, 0, "0.5", "a number"},
      {"flag", ORCH_OPTION_BOOLEAN, 0, "TRUE", "a switch"},
      {"room", ORCH_OPTION_SIZE, 0, "1KiB", "a size"},
      {"wait", ORCH_OPTION_DURATION, 0, "1h30m", "a duration"},
      {"words", ORCH_OPTION_STRING_LIST, 0, "a,b", "a list"},
      {"place", ORCH_OPTION_PATH, 0, "/tmp", "a path"},
      {"places", ORCH_OPTION_PATH_LIST, 0, NULL, "paths"},
      {"deep.er.still", ORCH_OPTION_STRING, 0, NULL, "three deep"},
      {"key", ORCH_OPTION_PATH, S, NULL, "a secret path"}}},
    {"needs-secret", {{"token", ORCH_OPTION_STRING, R | S, NULL, "the access token"}}},
    {"bad-default", {{"room", ORCH_OPTION_SIZE, 0, "much", "a size"}}},
    {"bad-name", {{"retries", ORCH_OPTION_INTEGER, 0, NULL, "a core key"}}},
    {"bad-secret", {{"pin", ORCH_OPTION_INTEGER, S, NULL, "a secret number"}}},
    {"bad-type", {{"odd", 99, 0, NULL, "of the future"}}},
};

static char *copy(const char *text)
{
    return text == NULL ? NULL : strdup(text);
}

int32_t fixture_describe(void *ctx, const struct config *config, const char *name,
                         struct plugin_info **out, struct orch_error *err)
{
    (void)config;
    int *count = ctx;
    (*count)++;
    for (size_t i = 0; i < sizeof(plugins) / sizeof(plugins[0]); i++) {
        if (strcmp(plugins[i].name, name) != 0) {
            continue;
        }
        struct plugin_info *info = calloc(1, sizeof(*info));
        info->name = strdup(name);
        info->options = calloc(16, sizeof(*info->options));
        for (const struct declared *d = plugins[i].options; d->name != NULL; d++) {
            info->options[info->option_count++] = (struct plugin_option){
                strdup(d->name), d->type, d->flags, copy(d->fallback), copy(d->help)};
        }
        *out = info;
        return ORCH_OK;
    }
    return orch_fail(err, ORCH_E_NOT_FOUND, "there is no file %s.so in /nowhere", name);
}

void fixture_setup(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/orchestrate-plan-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(f->dir));
    f->plugins = (struct config_plugins){&f->described, fixture_describe};
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void fixture_teardown(struct fixture *f)
{
    ck_assert_int_eq(nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

const char *fixture_path(const struct fixture *f, const char *name)
{
    static char paths[4][256];
    static size_t next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", f->dir, name);
    return path;
}

void fixture_write_bytes(const struct fixture *f, const char *name, const void *data, size_t len)
{
    const char *path = fixture_path(f, name);
    const char *slash = strchr(name, '/');
    if (slash != NULL) {
        char folder[64];
        (void)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - name), name);
        (void)mkdir(fixture_path(f, folder), 0700);
    }
    FILE *file = fopen(path, "w");
    ck_assert_msg(file != NULL, "%s", path);
    ck_assert_uint_eq(fwrite(data, 1, len, file), len);
    ck_assert_int_eq(fclose(file), 0);
}

void fixture_write(const struct fixture *f, const char *name, const char *text)
{
    fixture_write_bytes(f, name, text, strlen(text));
}

struct config *fixture_load(struct fixture *f)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct config *config = NULL;
    ck_assert_msg(config_load(f->dir, &f->plugins, &config, &err) == ORCH_OK, "%s", err.message);
    return config;
}

void fixture_fail(struct fixture *f, struct orch_error *err)
{
    struct config *config = NULL;
    *err = (struct orch_error)ORCH_ERROR_INIT;
    int32_t rc = config_load(f->dir, &f->plugins, &config, err);
    ck_assert_msg(rc == ORCH_E_CONFIG, "code %d: %s", rc, err->message);
    ck_assert_int_eq(err->code, ORCH_E_CONFIG);
    ck_assert_ptr_null(config);
}

void fixture_fail_text(const char *text, struct orch_error *err, char prefix[96])
{
    struct fixture f;
    fixture_setup(&f);
    fixture_write(&f, "t.conf", text);
    fixture_fail(&f, err);
    (void)snprintf(prefix, 96, "%s/t.conf", f.dir);
    fixture_teardown(&f);
}

const struct config_option *fixture_option(const struct config *config, const char *component,
                                           const char *name)
{
    const struct config_component *c = config_component(config, component);
    ck_assert_msg(c != NULL, "no component %s", component);
    for (size_t i = 0; i < c->option_count; i++) {
        if (strcmp(c->options[i].value.name, name) == 0) {
            return &c->options[i];
        }
    }
    return NULL;
}

void fixture_says(const struct orch_error *err, const char *path, int line, const char *fragment)
{
    char place[PATH_MAX + 16];
    (void)snprintf(place, sizeof(place), "%s:%d: ", path, line);
    ck_assert_msg(strncmp(err->message, place, strlen(place)) == 0, "want line %d: %s", line,
                  err->message);
    ck_assert_msg(strstr(err->message, fragment) != NULL, "want %s: %s", fragment, err->message);
}

int fixture_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
