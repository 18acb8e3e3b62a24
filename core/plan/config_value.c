/* config_value.c: the value of an option that a plugin declares, checked against the declaration.
 */
#include "plan/config_internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "plan/document.h"
#include "plan/scan.h"

void config_value_clear(struct config_option *value)
{
    document_texts_free(value->list);
    free(value->text);
    config_secret_clear(&value->secret);
    *value = (struct config_option){0};
}

bool config_value_has_password(const char *text)
{
    const char *authority = strstr(text, "://");
    if (authority == NULL) {
        return false;
    }
    authority += 3;
    size_t len = strcspn(authority, "/?# \t");
    /* The last '@' ends the user part, which may itself hold an '@' that was not escaped. */
    const char *at = memrchr(authority, '@', len);
    const char *colon = memchr(authority, ':', len);
    return at != NULL && colon != NULL && colon + 1 < at;
}

static int32_t refuse_password(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_CONFIG,
                     "a URL with a password in it is refused, since the configuration is no place "
                     "for secrets; leave it out of the URL and put the password in password_file "
                     "(or password_env, password_command), where the plugin has such an option");
}

/* Checks one text by itself. `listed` is true for an element of a list. */
static int32_t check_text(uint32_t type, const char *text, struct orch_error *err)
{
    bool is_path = type == ORCH_OPTION_PATH || type == ORCH_OPTION_PATH_LIST;
    if (is_path && text[0] != '/') {
        return orch_fail(err, ORCH_E_CONFIG, "expected an absolute path, found \"%.80s\"", text);
    }
    return config_value_has_password(text) ? refuse_password(err) : ORCH_OK;
}

/* A text of any type but the lists and the bare words; SIZE and DURATION are texts too. */
static int32_t take_text(uint32_t type, const char *text, struct config_option *out,
                         struct orch_error *err)
{
    if (type == ORCH_OPTION_SIZE) {
        return config_parse_size(text, &out->value.integer, err);
    }
    if (type == ORCH_OPTION_DURATION) {
        return config_parse_duration(text, &out->value.integer, err);
    }
    int32_t rc = check_text(type, text, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    out->text = strdup(text);
    if (out->text == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the configuration");
    }
    out->value.string = out->text;
    return ORCH_OK;
}

static void take_list(char **list, size_t count, struct config_option *out)
{
    out->list = list;
    out->value.strings = (const char *const *)list;
    out->value.count = count;
}

/* The options that must have a value cannot be satisfied by a list of nothing. */
static int32_t check_count(const struct plugin_option *option, size_t count, struct orch_error *err)
{
    if (count == 0 && (option->flags & ORCH_OPTION_REQUIRED) != 0) {
        return orch_fail(err, ORCH_E_CONFIG, "the list is empty, but needs one value at least");
    }
    return ORCH_OK;
}

/* Puts "name: " before a message and the place before that. */
static int32_t wrap(const config_setting_t *setting, const char *name, struct orch_error *err)
{
    if (err != NULL && err->code != ORCH_E_NOMEM) {
        (void)orch_wrap(err, "%.80s", name);
    }
    return document_wrap(setting, err);
}

static int32_t list_from_setting(const struct plugin_option *option,
                                 const config_setting_t *setting, struct config_option *out,
                                 struct orch_error *err)
{
    CLEANUP(document_texts_cleanup) char **list = NULL;
    size_t count = 0;
    int32_t rc = document_texts(setting, &list, &count, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (check_count(option, count, err) != ORCH_OK) {
        return wrap(setting, option->name, err);
    }
    for (size_t i = 0; i < count; i++) {
        if (check_text(option->type, list[i], err) != ORCH_OK) {
            return wrap(config_setting_get_elem(setting, (unsigned int)i), option->name, err);
        }
    }
    take_list(steal_ptr(&list), count, out);
    return ORCH_OK;
}

static int32_t number_from_setting(const struct plugin_option *option,
                                   const config_setting_t *setting, struct config_option *out,
                                   struct orch_error *err)
{
    int type = config_setting_type(setting);
    char found[64];
    if (type == CONFIG_TYPE_FLOAT) {
        out->value.number = config_setting_get_float(setting);
    } else if (type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64) {
        out->value.number = (double)config_setting_get_int64(setting);
    } else {
        return document_fail(setting, err, "%.80s: expected a number, found %s", option->name,
                             document_found(setting, found));
    }
    return ORCH_OK;
}

static int32_t fail_found(const struct plugin_option *option, const config_setting_t *setting,
                          const char *expected, struct orch_error *err)
{
    char found[64];
    return document_fail(setting, err, "%.80s: expected %s, found %s", option->name, expected,
                         document_found(setting, found));
}

int32_t config_value_from_setting(const struct plugin_option *option,
                                  const config_setting_t *setting, struct config_option *out,
                                  struct orch_error *err)
{
    out->value.type = option->type;
    switch (option->type) {
    case ORCH_OPTION_INTEGER:
        return document_integer(setting, INT64_MIN, INT64_MAX, &out->value.integer, err);
    case ORCH_OPTION_FLOAT:
        return number_from_setting(option, setting, out, err);
    case ORCH_OPTION_BOOLEAN:
        if (config_setting_type(setting) != CONFIG_TYPE_BOOL) {
            return fail_found(option, setting, "true or false (without quotes)", err);
        }
        out->value.integer = config_setting_get_bool(setting) != 0;
        return ORCH_OK;
    case ORCH_OPTION_SIZE:
        return document_size(setting, &out->value.integer, err);
    case ORCH_OPTION_DURATION:
        return document_duration(setting, &out->value.integer, err);
    case ORCH_OPTION_STRING_LIST:
    case ORCH_OPTION_PATH_LIST:
        return list_from_setting(option, setting, out, err);
    default:
        break;
    }
    CLEANUP_FREE char *text = NULL;
    if (config_setting_type(setting) != CONFIG_TYPE_STRING) {
        return fail_found(option, setting,
                          option->type == ORCH_OPTION_PATH ? "an absolute path in quotes"
                                                           : "a text in quotes",
                          err);
    }
    int32_t rc = document_text(setting, &text, err);
    if (rc == ORCH_OK && take_text(option->type, text, out, err) != ORCH_OK) {
        rc = wrap(setting, option->name, err);
    }
    return rc;
}

/* "a,b,c" to a list; "" is the empty list. */
static int32_t list_from_text(const struct plugin_option *option, const char *text,
                              struct config_option *out, struct orch_error *err)
{
    size_t count = text[0] == 0 ? 0 : 1;
    for (const char *p = text; *p != 0; p++) {
        count += *p == ',';
    }
    CLEANUP(document_texts_cleanup) char **list = calloc(count + 1, sizeof(*list));
    if (list == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the configuration");
    }
    const char *p = text;
    for (size_t i = 0; i < count; i++) {
        size_t len = strcspn(p, ",");
        list[i] = strndup(p, len);
        if (list[i] == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory for the configuration");
        }
        if (len == 0) {
            return orch_fail(err, ORCH_E_CONFIG, "value %zu of the list is empty", i + 1);
        }
        int32_t rc = check_text(option->type, list[i], err);
        if (rc != ORCH_OK) {
            return rc;
        }
        p += len + (p[len] == ',');
    }
    int32_t rc = check_count(option, count, err);
    if (rc == ORCH_OK) {
        take_list(steal_ptr(&list), count, out);
    }
    return rc;
}

static int32_t word_from_text(uint32_t type, const char *text, struct config_option *out,
                              struct orch_error *err)
{
    char *end = NULL;
    bool ok = text[0] != 0 && strchr(" \t\n", text[0]) == NULL;
    errno = 0;
    if (type == ORCH_OPTION_INTEGER) {
        bool is_hex = strncasecmp(text, "0x", 2) == 0;
        out->value.integer = strtoll(text, &end, is_hex ? 16 : 10);
        if (!ok || errno != 0 || *end != 0) {
            return orch_fail(err, ORCH_E_CONFIG, "expected an integer, found \"%.80s\"", text);
        }
    } else if (type == ORCH_OPTION_FLOAT) {
        out->value.number = strtod(text, &end);
        if (!ok || *end != 0 || !isfinite(out->value.number)) {
            return orch_fail(err, ORCH_E_CONFIG, "expected a number, found \"%.80s\"", text);
        }
    } else if (strcasecmp(text, "true") == 0 || strcasecmp(text, "false") == 0) {
        out->value.integer = strcasecmp(text, "true") == 0;
    } else {
        return orch_fail(err, ORCH_E_CONFIG, "expected true or false, found \"%.80s\"", text);
    }
    return ORCH_OK;
}

int32_t config_value_from_text(const struct plugin_option *option, const char *text,
                               struct config_option *out, struct orch_error *err)
{
    if (!scan_utf8(text, strlen(text))) {
        return orch_fail(err, ORCH_E_CONFIG, "the value is not UTF-8");
    }
    out->value.type = option->type;
    switch (option->type) {
    case ORCH_OPTION_INTEGER:
    case ORCH_OPTION_FLOAT:
    case ORCH_OPTION_BOOLEAN:
        return word_from_text(option->type, text, out, err);
    case ORCH_OPTION_STRING_LIST:
    case ORCH_OPTION_PATH_LIST:
        return list_from_text(option, text, out, err);
    default:
        return take_text(option->type, text, out, err);
    }
}
