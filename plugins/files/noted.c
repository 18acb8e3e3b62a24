/* noted.c: see noted.h. The facts come from a repository: their names are only looked for. */
#include "noted.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "cleanup.h"

/* Is there an entry `name` below one of the roots? Then *path, for free(), is where. */
static int32_t find_name(const struct roots *roots, const char *name, size_t len, char **path,
                         struct orch_error *err)
{
    const uint8_t *bytes = (const uint8_t *)name;
    const struct root *root = name_is_valid(bytes, len) ? roots_find(roots, bytes, len) : NULL;
    if (root == NULL) {
        return ORCH_OK;
    }
    size_t rel_len = 0;
    const uint8_t *rel = roots_relative(root, bytes, len, &rel_len);
    CLEANUP_FREE char *live = NULL;
    if (asprintf(&live, "%s%s%.*s", root->path, rel_len > 0 ? "/" : "", (int)rel_len,
                 (const char *)rel) < 0) {
        live = NULL;
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a path");
    }
    struct stat st;
    if (lstat(live, &st) == 0 || (errno != ENOENT && errno != ENOTDIR)) {
        *path = live;
        live = NULL;
    }
    return ORCH_OK;
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Makes bytes of the \xHH that name_add_json wrote for what is no UTF-8. The new length. */
static size_t decode(char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len;) {
        int is_coded = len - i >= 4 && text[i] == '\\' && text[i + 1] == 'x';
        int high = is_coded ? hex_value(text[i + 2]) : -1;
        int low = is_coded ? hex_value(text[i + 3]) : -1;
        if (high >= 8 && low >= 0) {
            text[n++] = (char)(high * 16 + low);
            i += 4;
        } else {
            text[n++] = text[i++];
        }
    }
    return n;
}

/* Looks for a name as the facts write it. A text with \xHH may mean that or the byte. */
static int32_t find_text(const struct roots *roots, const json_t *item, char **path,
                         struct orch_error *err)
{
    const char *text = json_string_value(item);
    size_t len = json_string_length(item);
    if (text == NULL) {
        return ORCH_OK;
    }
    int32_t rc = find_name(roots, text, len, path, err);
    if (rc != ORCH_OK || *path != NULL) {
        return rc;
    }
    CLEANUP_FREE char *name = strdup(text);
    if (name == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a path");
    }
    size_t name_len = decode(name, len);
    return name_len < len ? find_name(roots, name, name_len, path, err) : ORCH_OK;
}

int32_t noted_live(const char *facts_json, const struct roots *roots, struct noted *noted,
                   struct orch_error *err)
{
    *noted = (struct noted){0};
    json_t *facts = facts_json == NULL ? NULL : json_loads(facts_json, 0, NULL);
    json_t *fact = json_object_get(facts, "unreadable");
    json_t *names = json_object_get(fact, "names");
    int32_t rc = ORCH_OK;
    for (size_t i = 0; i < json_array_size(names) && rc == ORCH_OK; i++) {
        CLEANUP_FREE char *path = NULL;
        rc = find_text(roots, json_array_get(names, i), &path, err);
        if (path != NULL && noted->live++ == 0) {
            (void)name_shown(noted->first, path, strlen(path));
        }
    }
    noted->more =
        json_integer_value(json_object_get(fact, "count")) > (json_int_t)json_array_size(names);
    json_decref(facts);
    return rc;
}
