/* settings.c: see settings.h. */
#include "settings.h"

#include <orchestrate/support.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct orch_option settings_options[SETTINGS_OPTION_COUNT] = {
    {"path", ORCH_OPTION_PATH, ORCH_OPTION_REQUIRED | ORCH_OPTION_REPLACED, NULL,
     "The folder that holds the stores: index files with their side files."},
    {"pattern", ORCH_OPTION_STRING_LIST, 0, "*.faiss,*.index",
     "Names of index files, as shell patterns; each such file is a store."},
    {"exclude", ORCH_OPTION_STRING_LIST, 0, NULL,
     "Names or relative paths that are left out, as shell patterns."},
    {"allow_opaque", ORCH_OPTION_BOOLEAN, 0, "false",
     "Carry an index file that FAISS cannot load as plain bytes, instead of failing."},
    {"allow_empty", ORCH_OPTION_BOOLEAN, 0, "false",
     "Accept a folder without any index file, instead of failing."},
    {"samples", ORCH_OPTION_INTEGER, 0, "8",
     "Vectors sampled per store, whose nearest neighbours are recorded and searched again (0 to "
     "64)."},
    {"load_limit", ORCH_OPTION_SIZE, 0, "0",
     "An index larger than this is checked without loading it; 0 means three quarters of the "
     "memory that is free."},
    {"embedding.provider", ORCH_OPTION_STRING, 0, NULL, "Who serves the embedding model."},
    {"embedding.model", ORCH_OPTION_STRING, 0, NULL, "The embedding model's name."},
    {"embedding.revision", ORCH_OPTION_STRING, 0, NULL, "Its revision or digest."},
    {"embedding.dimension", ORCH_OPTION_INTEGER, 0, NULL,
     "The dimension of its vectors; an index of another one fails the backup."},
    {"embedding.metric", ORCH_OPTION_STRING, 0, NULL,
     "cosine, inner_product (ip, dot) or l2 (euclidean); an index of another one fails the "
     "backup."},
    {"embedding.normalised", ORCH_OPTION_BOOLEAN, 0, NULL,
     "Vectors have length 1; sampled vectors that do not fail the backup."},
    {"embedding.pooling", ORCH_OPTION_STRING, 0, NULL, "How token vectors are pooled."},
    {"embedding.prefix", ORCH_OPTION_STRING, 0, NULL,
     "Text put before every document; canaries get it too."},
    {"embedding.identity_file", ORCH_OPTION_PATH, 0, NULL,
     "A JSON, KEY=VALUE or INI file that names the model; what it says wins over the options "
     "above."},
    {"embedding.identity_key", ORCH_OPTION_STRING, 0, "",
     "The dotted key, section or prefix in that file under which the model's fields stand."},
    {"embedding.identity_command", ORCH_OPTION_STRING, 0, NULL,
     "A shell command that prints the model's fields as one JSON object."},
    {"embedding.identity_timeout", ORCH_OPTION_DURATION, 0, "30s",
     "How long that command may take."},
    {"embedding.endpoint", ORCH_OPTION_STRING, 0, NULL,
     "URL of an OpenAI-like /v1/embeddings, which is asked for canaries."},
    {"embedding.api_key", ORCH_OPTION_STRING, ORCH_OPTION_SECRET, NULL,
     "Sent to the endpoint as a bearer token."},
    {"embedding.timeout", ORCH_OPTION_DURATION, 0, "60s",
     "How long the endpoint may take in all; connecting may take 5 s."},
    {"embedding.canaries_required", ORCH_OPTION_BOOLEAN, 0, "false",
     "Fail the backup when the endpoint gives no canaries, instead of noting it."},
};

static int32_t read_path(const struct orch_options *options, struct settings *settings,
                         struct orch_error *err)
{
    const char *path = orch_option_string(options, "path", NULL);
    if (path == NULL || path[0] != '/') {
        return orch_fail(err, ORCH_E_CONFIG,
                         "option path is '%s'; it must be an absolute path of the folder that "
                         "holds the stores",
                         path == NULL ? "" : path);
    }
    settings->path = strdup(path);
    if (settings->path == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the options");
    }
    size_t len = strlen(settings->path);
    while (len > 1 && settings->path[len - 1] == '/') {
        settings->path[--len] = 0;
    }
    if (len == 1) {
        return orch_fail(err, ORCH_E_CONFIG, "option path is '/', which cannot hold stores alone");
    }
    return ORCH_OK;
}

static void read_list(const struct orch_options *options, const char *name,
                      const char *const **list, uint64_t *count)
{
    const struct orch_value *value = orch_option(options, name);
    *list = value == NULL ? NULL : value->strings;
    *count = value == NULL ? 0 : value->count;
}

/* The contract as the options alone declare it. */
static int32_t read_contract(const struct orch_options *options, struct contract *contract,
                             struct orch_error *err)
{
    static const char *const texts[] = {"provider", "model",   "revision",
                                        "metric",   "pooling", "prefix"};
    char name[64];
    contract_clear(contract);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        (void)snprintf(name, sizeof(name), "embedding.%s", texts[i]);
        const char *text = orch_option_string(options, name, NULL);
        if (text != NULL && contract_set(contract, texts[i], text, err) < 0) {
            return ORCH_E_CONFIG;
        }
    }
    const struct orch_value *dimension = orch_option(options, "embedding.dimension");
    if (dimension != NULL) {
        char text[32];
        (void)snprintf(text, sizeof(text), "%" PRId64, dimension->integer);
        if (contract_set(contract, "dimension", text, err) < 0) {
            return ORCH_E_CONFIG;
        }
    }
    const struct orch_value *normalised = orch_option(options, "embedding.normalised");
    if (normalised != NULL) {
        contract->normalised = normalised->integer != 0;
    }
    return contract_check(contract, err);
}

static int32_t read_identity(const struct orch_options *options, struct settings *settings,
                             struct orch_error *err)
{
    settings->identity_file = orch_option_string(options, "embedding.identity_file", NULL);
    settings->identity_key = orch_option_string(options, "embedding.identity_key", "");
    settings->identity_command = orch_option_string(options, "embedding.identity_command", NULL);
    settings->identity_timeout_ms =
        orch_option_integer(options, "embedding.identity_timeout", 30000);
    if (settings->identity_file != NULL && settings->identity_command != NULL) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "embedding.identity_file and embedding.identity_command are both set; "
                         "one source must say which model it is: remove one");
    }
    return ORCH_OK;
}

static int32_t read_endpoint(const struct orch_options *options, struct settings *settings,
                             struct orch_error *err)
{
    settings->endpoint = orch_option_string(options, "embedding.endpoint", NULL);
    settings->api_key = orch_option_string(options, "embedding.api_key", NULL);
    settings->endpoint_timeout_ms = orch_option_integer(options, "embedding.timeout", 60000);
    settings->canaries_required =
        orch_option_integer(options, "embedding.canaries_required", 0) != 0;
    if (settings->endpoint != NULL && strncmp(settings->endpoint, "http://", 7) != 0 &&
        strncmp(settings->endpoint, "https://", 8) != 0) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "embedding.endpoint must begin with http:// or https://");
    }
    if (settings->api_key != NULL && strpbrk(settings->api_key, "\r\n") != NULL) {
        return orch_fail(err, ORCH_E_CONFIG, "embedding.api_key contains a line break");
    }
    if (settings->endpoint == NULL && settings->canaries_required) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "embedding.canaries_required is set, but no embedding.endpoint");
    }
    return ORCH_OK;
}

int32_t settings_read(const struct orch_options *options, struct settings *settings,
                      struct orch_error *err)
{
    memset(settings, 0, sizeof(*settings));
    settings->component = options->component == NULL ? "" : options->component;
    settings->work_dir = options->work_dir;
    int32_t rc = read_path(options, settings, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    read_list(options, "pattern", &settings->patterns, &settings->pattern_count);
    read_list(options, "exclude", &settings->excludes, &settings->exclude_count);
    settings->allow_opaque = orch_option_integer(options, "allow_opaque", 0) != 0;
    settings->allow_empty = orch_option_integer(options, "allow_empty", 0) != 0;
    int64_t samples = orch_option_integer(options, "samples", 8);
    int64_t limit = orch_option_integer(options, "load_limit", 0);
    if (samples < 0 || samples > 64 || limit < 0) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "option samples must be 0 to 64, and load_limit not negative");
    }
    settings->samples = (int)samples;
    settings->load_limit = (uint64_t)limit;
    rc = read_contract(options, &settings->declared, err);
    if (rc == ORCH_OK) {
        rc = read_identity(options, settings, err);
    }
    return rc != ORCH_OK ? rc : read_endpoint(options, settings, err);
}

void settings_clear(struct settings *settings)
{
    free(settings->path);
    settings->path = NULL;
}
