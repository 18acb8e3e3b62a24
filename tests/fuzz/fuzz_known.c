/*
 * fuzz_known.c: what a client remembers of a repository (STATE/known/NAME.json). Only a file that
 * tells of this very repository lets it be opened.
 *
 * Where the input has the id of memstore.h, it gets that of the repository that is opened.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "memstore.h"
#include "run/context.h"
#include "tempdir.h"

struct fixture {
    struct config_repository repository;
    struct config config;
    char id[ID_TEXT];
    char state[256], path[300], url[300];
};

static void make(struct fixture *fixture)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct run_context ctx = {.config = &fixture->config};
    (void)snprintf(fixture->state, sizeof(fixture->state), "%s", tempdir_path());
    (void)snprintf(fixture->path, sizeof(fixture->path), "%s/known/main.json", fixture->state);
    (void)snprintf(fixture->url, sizeof(fixture->url), "%s/repository", fixture->state);
    fixture->repository = (struct config_repository){.name = (char *)"main", .url = fixture->url};
    fixture->config = (struct config){
        .repositories = &fixture->repository, .repository_count = 1, .state_dir = fixture->state};
    must(context_create_repository(&ctx, NULL, &err) == ORCH_OK);
    memcpy(fixture->id, repo_id(ctx.repo), ID_TEXT);
    context_close_repository(&ctx);
}

/* Whether the text says what is true, as far as this program reads it. */
static bool is_true(const char *text, size_t len, const char *id)
{
    json_t *json = json_loadb(text, len, 0, NULL);
    const char *known = json_string_value(json_object_get(json, "id"));
    bool same = known != NULL && strcmp(known, id) == 0 &&
                json_is_false(json_object_get(json, "encrypted"));
    json_decref(json);
    return same;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fixture fixture;
    struct orch_error err = ORCH_ERROR_INIT;
    if (fixture.id[0] == 0) {
        make(&fixture);
    }
    char *text = malloc(size + 1);
    must(text != NULL);
    memcpy(text, data, size);
    text[size] = 0;
    char *at = memmem(text, size, MEMSTORE_REPO_ID, ID_TEXT - 1);
    if (at != NULL) {
        memcpy(at, fixture.id, ID_TEXT - 1);
    }
    int fd = open(fixture.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0 && write(fd, text, size) == (ssize_t)size && close(fd) == 0);
    struct run_context ctx = {.config = &fixture.config};
    int32_t rc = context_open_repository(&ctx, NULL, &err);
    must(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_REFUSED);
    must((rc == ORCH_OK) == is_true(text, size, fixture.id));
    context_close_repository(&ctx);
    free(text);
    return 0;
}
