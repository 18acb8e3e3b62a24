/* identity.c: see identity.h. */
#include "identity.h"

#include "cleanup.h"
#include "command.h"

#include <orchestrate/support.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define IDENTITY_MAX (1u << 20) /* bytes of an identity file or of a command's answer */
#define NAME_TEXT 256

/* ---- JSON ------------------------------------------------------------------------------- */

static int32_t fields_from_json(const json_t *object, const char *origin, struct contract *contract,
                                int *found, struct orch_error *err)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        char number[32];
        const char *text = json_string_value(value);
        if (json_is_integer(value)) {
            (void)snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT,
                           json_integer_value(value));
            text = number;
        } else if (json_is_boolean(value)) {
            text = json_is_true(value) ? "true" : "false";
        }
        if (text == NULL) {
            continue; /* not of a kind that any field has */
        }
        int32_t rc = contract_set(contract, name, text, err);
        if (rc < 0) {
            return orch_wrap(err, "%s", origin);
        }
        *found += rc;
    }
    return ORCH_OK;
}

/* Follows a dotted key. A member whose own name has the dots is found first. */
static const json_t *follow(const json_t *json, const char *key)
{
    if (key[0] == 0) {
        return json;
    }
    const json_t *whole = json_object_get(json, key);
    if (whole != NULL) {
        return whole;
    }
    const char *dot = strchr(key, '.');
    char first[NAME_TEXT];
    if (dot == NULL || (size_t)(dot - key) >= sizeof(first)) {
        return NULL;
    }
    (void)snprintf(first, sizeof(first), "%.*s", (int)(dot - key), key);
    return follow(json_object_get(json, first), dot + 1);
}

static int32_t parse_json(const char *text, size_t len, const char *key, const char *origin,
                          struct contract *contract, int *found, struct orch_error *err)
{
    json_error_t where;
    CLEANUP_JSON json_t *json = json_loadb(text, len, 0, &where);
    if (json == NULL) {
        return orch_fail(err, ORCH_E_CONFIG, "%s is no valid JSON (line %d): %s", origin,
                         where.line, where.text);
    }
    const json_t *at = follow(json, key);
    if (json_is_string(at)) {
        int32_t rc = contract_set(contract, "model", json_string_value(at), err);
        *found = rc == 1;
        return rc < 0 ? orch_wrap(err, "%s", origin) : ORCH_OK;
    }
    return json_is_object(at) ? fields_from_json(at, origin, contract, found, err) : ORCH_OK;
}

/* ---- lines ------------------------------------------------------------------------------ */

/* Cuts blanks off both ends, in place. */
static char *trim(char *text)
{
    while (isspace((unsigned char)*text)) {
        text++;
    }
    size_t len = strlen(text);
    while (len > 0 && isspace((unsigned char)text[len - 1])) {
        text[--len] = 0;
    }
    return text;
}

/* Takes off a closing ';' or ',' and one pair of quotes. */
static char *unquote(char *value)
{
    size_t len = strlen(value);
    if (len > 0 && (value[len - 1] == ';' || value[len - 1] == ',')) {
        value[--len] = 0;
        value = trim(value);
        len = strlen(value);
    }
    if (len >= 2 && (value[0] == '"' || value[0] == '\'') && value[len - 1] == value[0]) {
        value[len - 1] = 0;
        value++;
    }
    return value;
}

/* The field that `name` (with its section) stands for under `key`: the rest behind it. NULL: none.
 * A name that is the key itself stands for the model. */
static const char *field_of(const char *name, const char *key)
{
    size_t len = strlen(key);
    if (len == 0) {
        return name;
    }
    if (strncasecmp(name, key, len) != 0) {
        return NULL;
    }
    const char *rest = name + len;
    if (*rest == 0) {
        return "model";
    }
    int parted = key[len - 1] == '.' || key[len - 1] == '_' || key[len - 1] == '-';
    if (!parted && *rest != '.' && *rest != '_' && *rest != '-') {
        return NULL;
    }
    return parted ? rest : rest + 1;
}

static int32_t parse_line(char *line, char section[NAME_TEXT], const char *key,
                          struct contract *contract, int *found, struct orch_error *err)
{
    line = trim(line);
    size_t len = strlen(line);
    if (len == 0 || line[0] == '#' || line[0] == ';' || strncmp(line, "//", 2) == 0) {
        return ORCH_OK;
    }
    if (line[0] == '[' && line[len - 1] == ']') {
        line[len - 1] = 0;
        (void)snprintf(section, NAME_TEXT, "%s", trim(line + 1));
        return ORCH_OK;
    }
    char *equals = strchr(line, '=');
    if (equals == NULL) {
        return ORCH_OK; /* prose, braces: not ours to judge */
    }
    *equals = 0;
    char *name = trim(line);
    if (strncmp(name, "export ", 7) == 0) {
        name = trim(name + 7);
    }
    char full[NAME_TEXT * 2];
    (void)snprintf(full, sizeof(full), "%s%s%.255s", section, section[0] == 0 ? "" : ".", name);
    const char *field = field_of(full, key);
    if (field == NULL) {
        return ORCH_OK;
    }
    int32_t rc = contract_set(contract, field, unquote(trim(equals + 1)), err);
    *found += rc > 0;
    return rc < 0 ? rc : ORCH_OK;
}

static int32_t parse_lines(char *text, const char *key, const char *origin,
                           struct contract *contract, int *found, struct orch_error *err)
{
    char section[NAME_TEXT] = "";
    char *rest = text;
    int number = 0;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        number++;
        if (parse_line(line, section, key, contract, found, err) != ORCH_OK) {
            return orch_wrap(err, "%s, line %d", origin, number);
        }
    }
    return ORCH_OK;
}

int32_t identity_parse(const char *text, size_t len, const char *key, const char *origin,
                       struct contract *contract, struct orch_error *err)
{
    struct contract parsed = *contract;
    int found = 0;
    int32_t rc = ORCH_OK;
    size_t start = 0;
    while (start < len && isspace((unsigned char)text[start])) {
        start++;
    }
    if (memchr(text, 0, len) != NULL) {
        return orch_fail(err, ORCH_E_CONFIG, "%s contains a zero byte; it is no text", origin);
    }
    if (start < len && text[start] == '{') {
        rc = parse_json(text, len, key, origin, &parsed, &found, err);
    } else {
        CLEANUP_FREE char *copy = strndup(text, len);
        if (copy == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory to read %s", origin);
        }
        rc = parse_lines(copy, key, origin, &parsed, &found, err);
    }
    if (rc == ORCH_OK && found == 0) {
        return orch_fail(err, ORCH_E_NOT_FOUND,
                         "%s names no embedding model%s%s; set embedding.identity_key to where the "
                         "fields stand",
                         origin, key[0] == 0 ? "" : " under ", key);
    }
    if (rc == ORCH_OK) {
        rc = contract_check(&parsed, err);
    }
    if (rc == ORCH_OK) {
        *contract = parsed;
    }
    return rc;
}

/* ---- where the text comes from ---------------------------------------------------------- */

static int32_t read_live(const char *path, char *text, size_t size, size_t *len,
                         struct orch_error *err)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *len = 0;
    if (fd < 0) {
        return orch_fail_errno(err, errno, "cannot open the identity file %s", path);
    }
    for (;;) {
        ssize_t n = read(fd, text + *len, size - *len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return orch_fail_errno(err, errno, "cannot read the identity file %s", path);
        }
        if (n == 0) {
            return ORCH_OK;
        }
        *len += (size_t)n;
        if (*len == size) {
            return orch_fail(err, ORCH_E_CONFIG,
                             "the identity file %s is larger than 1 MiB; it should hold settings",
                             path);
        }
    }
}

static int32_t read_file(const struct orch_host *host, const char *path, int future, char *text,
                         size_t size, size_t *len, struct orch_error *err)
{
    if (future) {
        uint64_t whole = 0;
        struct orch_error ignored = ORCH_ERROR_INIT;
        int32_t rc = host->future_file(host->ctx, path, text, size, &whole, &ignored);
        if (rc == ORCH_OK) {
            *len = (size_t)whole;
            return whole < size ? ORCH_OK
                                : orch_fail(err, ORCH_E_CONFIG,
                                            "the identity file %s that this run brings is larger "
                                            "than 1 MiB; it should hold settings",
                                            path);
        }
        if (rc != ORCH_E_NOT_FOUND) {
            *err = ignored;
            return orch_wrap(err, "cannot tell what %s will hold after this run", path);
        }
    }
    return read_live(path, text, size, len, err);
}

/* Puts what the source says over what the options declare. A revision belongs to its model: that of
 * the options does not go with another model. */
static void merge(const struct contract *said, struct contract *contract)
{
    if (said->model[0] != 0 && strcmp(said->model, contract->model) != 0) {
        contract->revision[0] = 0;
    }
    const struct {
        const char *from;
        char *to;
    } texts[] = {
        {said->provider, contract->provider}, {said->model, contract->model},
        {said->revision, contract->revision}, {said->pooling, contract->pooling},
        {said->prefix, contract->prefix},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i].from[0] != 0) {
            memcpy(texts[i].to, texts[i].from, CONTRACT_TEXT);
        }
    }
    contract->dimension = said->dimension < 0 ? contract->dimension : said->dimension;
    contract->metric = said->metric < 0 ? contract->metric : said->metric;
    contract->normalised = said->normalised < 0 ? contract->normalised : said->normalised;
}

/* An identity source that says something else than the options do is worth a line. */
static void compare(const struct orch_host *host, const struct settings *settings,
                    const struct contract *contract)
{
    const struct contract *declared = &settings->declared;
    if ((declared->model[0] != 0 && strcmp(declared->model, contract->model) != 0) ||
        (declared->revision[0] != 0 && strcmp(declared->revision, contract->revision) != 0)) {
        orch_log(host, ORCH_LOG_WARNING,
                 "the identity source names embedding model %s@%s, the options %s@%s; the identity "
                 "source counts",
                 contract->model, contract->revision, declared->model, declared->revision);
    }
}

int32_t identity_resolve(const struct orch_host *host, const struct settings *settings, int future,
                         struct contract *contract, struct orch_error *err)
{
    *contract = settings->declared;
    const char *origin = settings->identity_file;
    if (origin == NULL && settings->identity_command == NULL) {
        return ORCH_OK;
    }
    CLEANUP_FREE char *text = malloc(IDENTITY_MAX);
    size_t len = 0;
    if (text == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to read the identity source");
    }
    int32_t rc = ORCH_OK;
    if (origin != NULL) {
        rc = read_file(host, origin, future, text, IDENTITY_MAX, &len, err);
    } else {
        origin = "the answer of embedding.identity_command";
        rc = command_run(settings->identity_command, settings->identity_timeout_ms, text,
                         IDENTITY_MAX, &len, err);
    }
    struct contract said;
    contract_clear(&said);
    if (rc == ORCH_OK) {
        rc = identity_parse(text, len, settings->identity_key, origin, &said, err);
    }
    if (rc == ORCH_OK) {
        merge(&said, contract);
        rc = contract_check(contract, err);
    }
    if (rc == ORCH_OK) {
        compare(host, settings, contract);
    }
    return rc;
}
