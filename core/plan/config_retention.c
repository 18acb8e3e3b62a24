/*
 * config_retention.c: what is kept of a repository's sets: `retention` of a repository, and the
 * prune step of a plan, which has the same keys.
 */
#include "plan/config_internal.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "plan/document.h"

#define COUNT_MAX 1000000
#define RULES_MAX 256
#define LABEL_MAX 127 /* bytes, as in a manifest */

/* The rules that are counts; where each is kept. */
static const struct {
    const char *key;
    size_t offset;
} counts[] = {
    {"keep_last", offsetof(struct config_retention, keep_last)},
    {"keep_hourly", offsetof(struct config_retention, keep_hourly)},
    {"keep_daily", offsetof(struct config_retention, keep_daily)},
    {"keep_weekly", offsetof(struct config_retention, keep_weekly)},
    {"keep_monthly", offsetof(struct config_retention, keep_monthly)},
    {"keep_yearly", offsetof(struct config_retention, keep_yearly)},
    {"max_count", offsetof(struct config_retention, max_count)},
};
#define COUNTS (sizeof(counts) / sizeof(counts[0]))

static const char *const names[] = {
    "label",        "components",  "keep_last", "keep_hourly", "keep_daily", "keep_weekly",
    "keep_monthly", "keep_yearly", "max_age",   "max_count",   "max_size",
};

const char *const *config_retention_names(size_t *count)
{
    *count = sizeof(names) / sizeof(names[0]);
    return names;
}

void config_retention_clear(struct config_retention *rule)
{
    free(rule->label);
    document_texts_free(rule->components);
    *rule = (struct config_retention){0};
}

void config_retention_clear_all(struct config_retention *rules, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        config_retention_clear(&rules[i]);
    }
    free(rules);
}

bool config_retention_has_rule(const struct config_retention *rule)
{
    for (size_t i = 0; i < COUNTS; i++) {
        if (*(const int64_t *)(const void *)((const char *)rule + counts[i].offset) > 0) {
            return true;
        }
    }
    return rule->max_age_ms > 0 || rule->max_size_bytes > 0;
}

/* Components need not be configured any more: the sets that hold them are. */
static int32_t take_components(const config_setting_t *member, char ***out, struct orch_error *err)
{
    size_t count = 0;
    int32_t rc = document_texts(member, out, &count, err);
    if (rc == ORCH_OK && count == 0) {
        return document_fail(member, err,
                             "components: the list is empty; leave components out to mean sets "
                             "of any components");
    }
    for (size_t i = 0; rc == ORCH_OK && i < count; i++) {
        const config_setting_t *element = config_setting_get_elem(member, (unsigned int)i);
        if (!document_name_ok((*out)[i])) {
            rc = document_fail(element, err,
                               "components: \"%.80s\" cannot be the name of a "
                               "component",
                               (*out)[i]);
        }
        for (size_t k = 0; rc == ORCH_OK && k < i; k++) {
            if (strcmp((*out)[k], (*out)[i]) == 0) {
                rc = document_fail(element, err, "components: %s is named twice", (*out)[i]);
            }
        }
    }
    return rc;
}

/* A limit of nothing would take everything. */
static int32_t check_limit(const config_setting_t *member, int64_t value, struct orch_error *err)
{
    return value > 0 ? ORCH_OK
                     : document_fail(member, err, "%s: give more than 0, or leave it out",
                                     config_setting_name(member));
}

int32_t config_retention_take_member(const config_setting_t *member, struct config_retention *rule,
                                     bool *known, struct orch_error *err)
{
    const char *name = config_setting_name(member);
    *known = true;
    for (size_t i = 0; i < COUNTS; i++) {
        if (strcmp(name, counts[i].key) == 0) {
            int64_t *slot = (int64_t *)(void *)((char *)rule + counts[i].offset);
            return document_integer(member, 1, COUNT_MAX, slot, err);
        }
    }
    int32_t rc = ORCH_OK;
    if (strcmp(name, "max_age") == 0) {
        rc = document_duration(member, &rule->max_age_ms, err);
        return rc == ORCH_OK ? check_limit(member, rule->max_age_ms, err) : rc;
    }
    if (strcmp(name, "max_size") == 0) {
        rc = document_size(member, &rule->max_size_bytes, err);
        return rc == ORCH_OK ? check_limit(member, rule->max_size_bytes, err) : rc;
    }
    if (strcmp(name, "components") == 0) {
        return take_components(member, &rule->components, err);
    }
    if (strcmp(name, "label") == 0) {
        rc = document_text(member, &rule->label, err);
        return rc == ORCH_OK && strlen(rule->label) > LABEL_MAX
                   ? document_fail(member, err, "label: a label has at most %d bytes", LABEL_MAX)
                   : rc;
    }
    *known = false;
    return ORCH_OK;
}

static int32_t take_rule(const config_setting_t *group, struct config_retention *rule,
                         struct orch_error *err)
{
    int32_t rc = document_group(group, err);
    rc = rc != ORCH_OK
             ? rc
             : document_only(group, "retention", names, sizeof(names) / sizeof(names[0]), err);
    for (int i = 0; rc == ORCH_OK && i < config_setting_length(group); i++) {
        bool known = false;
        rc = config_retention_take_member(config_setting_get_elem(group, (unsigned int)i), rule,
                                          &known, err);
    }
    return rc;
}

int32_t config_retention_take(const config_setting_t *setting, struct config_retention **out,
                              size_t *count, struct orch_error *err)
{
    bool is_group = config_setting_is_group(setting);
    if (!is_group && !config_setting_is_list(setting)) {
        char found[64];
        return document_fail(
            setting, err,
            "retention: expected a group such as { keep_daily = 14; } or a list "
            "of them ( { label = \"nightly\"; keep_daily = 7; }, { … } ), found %s",
            document_found(setting, found));
    }
    int length = is_group ? 1 : config_setting_length(setting);
    if (length < 1 || length > RULES_MAX) {
        return document_fail(setting, err, "retention: a list has 1 to %d groups, found %d",
                             RULES_MAX, length);
    }
    *out = calloc((size_t)length, sizeof(**out));
    if (*out == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the configuration");
    }
    int32_t rc = ORCH_OK;
    for (int i = 0; rc == ORCH_OK && i < length; i++) {
        *count = (size_t)i + 1;
        rc = take_rule(is_group ? setting : config_setting_get_elem(setting, (unsigned int)i),
                       &(*out)[i], err);
    }
    return rc;
}
