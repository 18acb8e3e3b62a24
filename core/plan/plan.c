/* plan.c: reads a plan file into steps. Its order against the graph is judged in plan_order.c. */
#include "plan/plan.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/id.h"
#include "base/text.h"
#include "plan/config_internal.h"
#include "plan/document.h"
#include "plan/plan_internal.h"
#include "plan/suggest.h"

#define CHECK_TIMEOUT_MS (INT64_C(10) * 60 * 1000)
#define STEPS_MAX 1000
#define LABEL_MAX 100

/* What is at work while a plan is read. */
struct reading {
    const struct config *config;
    struct plan *plan;
    struct orch_error *err;
};

void plan_free(struct plan *plan)
{
    if (plan == NULL) {
        return;
    }
    for (size_t i = 0; i < plan->step_count; i++) {
        struct plan_step *step = &plan->steps[i];
        document_texts_free(step->components);
        free(step->type);
        free(step->label);
        free(step->level);
        free(step->strategy);
        free(step->command);
        config_retention_clear(&step->retention);
    }
    free(plan->steps);
    free(plan->name);
    free(plan->file);
    free(plan->set);
    free(plan->repository);
    free(plan->hash);
    free(plan);
}

void plan_cleanup(struct plan **slot)
{
    plan_free(*slot);
}

static int32_t fail_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory for the plan");
}

/* ---- the keys of steps -------------------------------------------------------------------- */

/* A word of a fixed list. Words of `later` are right, but not built yet. */
struct words {
    const char *const *now;
    size_t now_count;
    const char *const *later;
    size_t later_count;
};

static int32_t take_word(const struct reading *r, const config_setting_t *setting,
                         const struct words *words, char **out)
{
    CLEANUP_FREE char *text = NULL;
    int32_t rc = document_text(setting, &text, r->err);
    if (rc != ORCH_OK) {
        return rc;
    }
    for (size_t i = 0; i < words->now_count; i++) {
        if (strcmp(text, words->now[i]) == 0) {
            *out = steal_ptr(&text);
            return ORCH_OK;
        }
    }
    for (size_t i = 0; i < words->later_count; i++) {
        if (strcmp(text, words->later[i]) == 0) {
            return document_fail(setting, r->err,
                                 "%s \"%s\" is not built yet; it comes in a later "
                                 "version",
                                 config_setting_name(setting), text);
        }
    }
    CLEANUP_BUFFER struct buffer hint = BUFFER_INIT;
    suggest_append(&hint, text, words->now, words->now_count);
    const char *end = buffer_string(&hint);
    return document_fail(setting, r->err, "%s: \"%.80s\" is not known%s",
                         config_setting_name(setting), text, end == NULL ? "" : end);
}

static int32_t take_components(const struct reading *r, const config_setting_t *setting,
                               char ***out)
{
    CLEANUP(document_texts_cleanup) char **list = NULL;
    const struct config *config = r->config;
    size_t count = 0;
    int32_t rc = document_texts(setting, &list, &count, r->err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (count == 0) {
        return document_fail(setting, r->err,
                             "the list of components is empty; leave components out to mean all");
    }
    for (size_t i = 0; i < count; i++) {
        const config_setting_t *element = config_setting_get_elem(setting, (unsigned int)i);
        if (config_component(config, list[i]) == NULL) {
            CLEANUP_BUFFER struct buffer hint = BUFFER_INIT;
            config_suggest_component(config, list[i], &hint);
            const char *end = buffer_string(&hint);
            return document_fail(element, r->err, "there is no component %.80s in %s%s", list[i],
                                 config->dir, end == NULL ? "" : end);
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(list[k], list[i]) == 0) {
                return document_fail(element, r->err, "%s is named twice in this step", list[i]);
            }
        }
    }
    *out = steal_ptr(&list);
    return ORCH_OK;
}

int32_t plan_check_label(const char *label, struct orch_error *err)
{
    const uint8_t *p = (const uint8_t *)label;
    size_t left = strlen(label);
    bool ok = left >= 1 && left <= LABEL_MAX;
    while (ok && left > 0) {
        size_t n = text_printable(p, left);
        ok = n > 0;
        p += n;
        left -= n;
    }
    return ok ? ORCH_OK
              : orch_fail(err, ORCH_E_CONFIG,
                          "label: expected 1 to %d bytes of text without control characters",
                          LABEL_MAX);
}

static int32_t take_label(const config_setting_t *setting, char **out, struct orch_error *err)
{
    int32_t rc = document_text(setting, out, err);
    if (rc == ORCH_OK && plan_check_label(*out, err) != ORCH_OK) {
        rc = document_wrap(setting, err);
    }
    return rc;
}

/* ---- steps -------------------------------------------------------------------------------- */

static int32_t take_backup(const struct reading *r, const config_setting_t *group,
                           struct plan_step *step)
{
    static const char *const keys[] = {"components", "type", "label"};
    static const char *const now[] = {"full", "incremental", "differential", "snapshot"};
    static const struct words types = {now, 4, NULL, 0};
    int32_t rc = document_only(group, "a backup step", keys, 3, r->err);
    for (int i = 0; rc == ORCH_OK && i < config_setting_length(group); i++) {
        const config_setting_t *member = config_setting_get_elem(group, (unsigned int)i);
        const char *name = config_setting_name(member);
        if (strcmp(name, "components") == 0) {
            rc = take_components(r, member, &step->components);
        } else if (strcmp(name, "type") == 0) {
            rc = take_word(r, member, &types, &step->type);
        } else {
            rc = take_label(member, &step->label, r->err);
        }
    }
    if (rc == ORCH_OK && step->type == NULL) {
        step->type = strdup("full");
        rc = step->type == NULL ? fail_memory(r->err) : ORCH_OK;
    }
    return rc;
}

static int32_t take_verify(const struct reading *r, const config_setting_t *group,
                           struct plan_step *step)
{
    static const char *const keys[] = {"level"};
    static const char *const now[] = {"manifest", "index", "data"};
    static const char *const later[] = {"restore"};
    static const struct words levels = {now, 3, later, 1};
    int32_t rc = document_only(group, "a verify step", keys, 1, r->err);
    const config_setting_t *level = config_setting_get_member(group, "level");
    if (rc == ORCH_OK && level != NULL) {
        rc = take_word(r, level, &levels, &step->level);
    }
    if (rc == ORCH_OK && step->level == NULL) {
        step->level = strdup("data");
        rc = step->level == NULL ? fail_memory(r->err) : ORCH_OK;
    }
    return rc;
}

static int32_t take_restore(const struct reading *r, const config_setting_t *group,
                            struct plan_step *step)
{
    static const char *const keys[] = {"components", "strategy"};
    static const char *const now[] = {"replace"};
    static const char *const later[] = {"merge-preserve", "merge-overwrite"};
    static const struct words strategies = {now, 1, later, 2};
    int32_t rc = document_only(group, "a restore step", keys, 2, r->err);
    for (int i = 0; rc == ORCH_OK && i < config_setting_length(group); i++) {
        const config_setting_t *member = config_setting_get_elem(group, (unsigned int)i);
        rc = strcmp(config_setting_name(member), "components") == 0
                 ? take_components(r, member, &step->components)
                 : take_word(r, member, &strategies, &step->strategy);
    }
    if (rc == ORCH_OK && step->strategy == NULL) {
        step->strategy = strdup("replace");
        rc = step->strategy == NULL ? fail_memory(r->err) : ORCH_OK;
    }
    return rc;
}

static int32_t take_check(const struct reading *r, const config_setting_t *group,
                          struct plan_step *step)
{
    static const char *const keys[] = {"command", "timeout"};
    int32_t rc = document_only(group, "a check step", keys, 2, r->err);
    step->timeout_ms = CHECK_TIMEOUT_MS;
    for (int i = 0; rc == ORCH_OK && i < config_setting_length(group); i++) {
        const config_setting_t *member = config_setting_get_elem(group, (unsigned int)i);
        if (strcmp(config_setting_name(member), "timeout") == 0) {
            rc = document_duration(member, &step->timeout_ms, r->err);
            if (rc == ORCH_OK && step->timeout_ms == 0) {
                rc = document_fail(member, r->err, "timeout: a check needs time; give more than 0");
            }
        } else {
            rc = document_text(member, &step->command, r->err);
        }
    }
    if (rc == ORCH_OK &&
        (step->command == NULL || step->command[strspn(step->command, " \t\n")] == 0)) {
        rc = document_fail(group, r->err,
                           "a check step lacks command: what /bin/sh runs, and must exit with 0");
    }
    return rc;
}

#define PRUNE_OWN_KEYS 2

static int32_t take_prune(const struct reading *r, const config_setting_t *group,
                          struct plan_step *step)
{
    size_t count = 0;
    const char *const *rules = config_retention_names(&count);
    CLEANUP_FREE const char **keys = calloc(count + PRUNE_OWN_KEYS, sizeof(*keys));
    if (keys == NULL) {
        return fail_memory(r->err);
    }
    keys[0] = "repack_above";
    keys[1] = "wait";
    memcpy((void *)(keys + PRUNE_OWN_KEYS), rules, count * sizeof(*keys));
    int32_t rc = document_only(group, "a prune step", keys, count + PRUNE_OWN_KEYS, r->err);
    step->wait_ms = -1;
    for (int i = 0; rc == ORCH_OK && i < config_setting_length(group); i++) {
        const config_setting_t *member = config_setting_get_elem(group, (unsigned int)i);
        int64_t percent = 0;
        bool known = false;
        if (strcmp(config_setting_name(member), "wait") == 0) {
            rc = document_duration(member, &step->wait_ms, r->err);
        } else if (strcmp(config_setting_name(member), "repack_above") == 0) {
            rc = document_integer(member, 1, 100, &percent, r->err);
            step->repack_above = (uint32_t)percent;
        } else {
            rc = config_retention_take_member(member, &step->retention, &known, r->err);
        }
    }
    return rc;
}

static const struct kind {
    const char *name;
    enum plan_step_kind kind;
    int32_t (*take)(const struct reading *r, const config_setting_t *group, struct plan_step *step);
} kinds[] = {
    {"backup", PLAN_BACKUP, take_backup},    {"verify", PLAN_VERIFY, take_verify},
    {"restore", PLAN_RESTORE, take_restore}, {"check", PLAN_CHECK, take_check},
    {"prune", PLAN_PRUNE, take_prune},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static int32_t fail_kind(const struct reading *r, const config_setting_t *setting)
{
    static const char *const later[] = {"copy", "drill"};
    const char *names[KINDS];
    const char *name = config_setting_name(setting);
    for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
        if (strcmp(name, later[i]) == 0) {
            return document_fail(setting, r->err,
                                 "steps of kind %s are not built yet; they come "
                                 "in a later version",
                                 name);
        }
    }
    for (size_t i = 0; i < KINDS; i++) {
        names[i] = kinds[i].name;
    }
    CLEANUP_BUFFER struct buffer hint = BUFFER_INIT;
    suggest_append(&hint, name, names, KINDS);
    const char *end = buffer_string(&hint);
    return document_fail(setting, r->err, "unknown kind of step '%.80s'%s", name,
                         end == NULL ? "" : end);
}

static int32_t take_step(const struct reading *r, const config_setting_t *setting,
                         struct plan_step *step)
{
    char found[64];
    if (!config_setting_is_group(setting)) {
        return document_fail(setting, r->err,
                             "a step is a group such as { restore: { components = [ \"a\" ]; } }, "
                             "found %s",
                             document_found(setting, found));
    }
    if (config_setting_length(setting) != 1) {
        return document_fail(setting, r->err,
                             "a step has exactly one key, its kind (backup, verify, restore, check "
                             "or prune), and this one has %d; put each into braces of its own",
                             config_setting_length(setting));
    }
    const config_setting_t *body = config_setting_get_elem(setting, 0);
    for (size_t i = 0; i < KINDS; i++) {
        if (strcmp(config_setting_name(body), kinds[i].name) == 0) {
            step->kind = kinds[i].kind;
            step->line = document_line(body);
            int32_t rc = document_group(body, r->err);
            rc = rc != ORCH_OK ? rc : kinds[i].take(r, body, step);
            if (rc == ORCH_OK && step->components == NULL) {
                step->components = calloc(1, sizeof(*step->components));
                rc = step->components == NULL ? fail_memory(r->err) : ORCH_OK;
            }
            return rc;
        }
    }
    return fail_kind(r, body);
}

static int32_t take_steps(const struct reading *r, const config_setting_t *setting)
{
    char found[64];
    if (!config_setting_is_list(setting)) {
        return document_fail(setting, r->err, "steps: expected a list ( { … }, { … } ), found %s",
                             document_found(setting, found));
    }
    int count = config_setting_length(setting);
    if (count == 0 || count > STEPS_MAX) {
        return document_fail(setting, r->err, "steps: a plan has 1 to %d steps, found %d",
                             STEPS_MAX, count);
    }
    r->plan->steps = calloc((size_t)count, sizeof(*r->plan->steps));
    if (r->plan->steps == NULL) {
        return fail_memory(r->err);
    }
    for (int i = 0; i < count; i++) {
        r->plan->step_count++;
        int32_t rc =
            take_step(r, config_setting_get_elem(setting, (unsigned int)i), &r->plan->steps[i]);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return ORCH_OK;
}

/* ---- the plan ----------------------------------------------------------------------------- */

static int32_t take_head(const struct reading *r, const config_setting_t *member)
{
    const char *name = config_setting_name(member);
    struct plan *plan = r->plan;
    if (strcmp(name, "name") == 0) {
        int32_t rc = document_text(member, &plan->name, r->err);
        return rc == ORCH_OK && !document_name_ok(plan->name)
                   ? document_fail(member, r->err,
                                   "name: \"%.80s\" cannot be the name of a plan: small letters, "
                                   "digits and -, a letter first, 63 at most",
                                   plan->name)
                   : rc;
    }
    if (strcmp(name, "set") == 0) {
        int32_t rc = document_text(member, &plan->set, r->err);
        return rc == ORCH_OK && plan->set[0] == 0
                   ? document_fail(member, r->err,
                                   "set: expected \"latest\", a timestamp or the id of a set")
                   : rc;
    }
    int32_t rc = document_text(member, &plan->repository, r->err);
    const struct config_repository *ignored = NULL;
    if (rc == ORCH_OK && config_repository(r->config, plan->repository, &ignored, r->err) != 0) {
        rc = document_wrap(member, r->err);
    }
    return rc;
}

/* Without `name`, a plan is called like its file. */
static int32_t complete(struct plan *plan, struct orch_error *err)
{
    if (plan->name == NULL) {
        const char *slash = strrchr(plan->file, '/');
        const char *base = slash == NULL ? plan->file : slash + 1;
        size_t len = strlen(base);
        bool has_end = len > 5 && strcmp(base + len - 5, ".plan") == 0;
        plan->name = strndup(base, has_end ? len - 5 : len);
    }
    if (plan->set == NULL) {
        plan->set = strdup("latest");
    }
    return plan->name == NULL || plan->set == NULL ? fail_memory(err) : ORCH_OK;
}

static int32_t take_plan(const struct reading *r, const config_setting_t *root)
{
    static const char *const top[] = {"plan"};
    static const char *const keys[] = {"name", "set", "repository", "steps"};
    int32_t rc = document_only(root, "a plan file", top, 1, r->err);
    if (rc != ORCH_OK) {
        return rc;
    }
    const config_setting_t *group = config_setting_get_member(root, "plan");
    if (group == NULL) {
        return document_fail(root, r->err, "a plan file holds  plan: { steps = ( … ); };");
    }
    rc = document_group(group, r->err);
    rc = rc != ORCH_OK ? rc : document_only(group, "a plan", keys, 4, r->err);
    for (int i = 0; rc == ORCH_OK && i < config_setting_length(group); i++) {
        const config_setting_t *member = config_setting_get_elem(group, (unsigned int)i);
        rc = strcmp(config_setting_name(member), "steps") == 0 ? take_steps(r, member)
                                                               : take_head(r, member);
    }
    if (rc == ORCH_OK && r->plan->step_count == 0) {
        rc = document_fail(group, r->err, "the plan lacks steps = ( … );");
    }
    rc = rc != ORCH_OK ? rc : complete(r->plan, r->err);
    return rc != ORCH_OK ? rc : plan_order_check(r->config, r->plan, r->err);
}

static int32_t hash_bytes(const struct buffer *bytes, char **out, struct orch_error *err)
{
    uint8_t digest[32];
    unsigned int len = sizeof(digest);
    if (EVP_Digest(bytes->len == 0 ? (const uint8_t *)"" : bytes->data, bytes->len, digest, &len,
                   EVP_sha256(), NULL) != 1) {
        return orch_fail(err, ORCH_E_FAILED, "cannot hash the plan");
    }
    *out = malloc(2 * sizeof(digest) + 1);
    if (*out == NULL) {
        return fail_memory(err);
    }
    hex_encode(digest, sizeof(digest), *out);
    return ORCH_OK;
}

int32_t plan_from_document(const struct config *config, const struct document *document,
                           struct plan **out, struct orch_error *err)
{
    CLEANUP(plan_cleanup) struct plan *plan = calloc(1, sizeof(*plan));
    if (plan == NULL) {
        return fail_memory(err);
    }
    plan->file = strdup(document->path);
    if (plan->file == NULL) {
        return fail_memory(err);
    }
    struct reading r = {config, plan, err};
    int32_t rc = take_plan(&r, document_root(document));
    rc = rc != ORCH_OK ? rc : hash_bytes(&document->bytes, &plan->hash, err);
    if (rc == ORCH_OK) {
        *out = steal_ptr(&plan);
    }
    return rc;
}

/* ---- finding it --------------------------------------------------------------------------- */

/* "there is no plan x; did you mean y?" from what DIR/plans holds. */
static int32_t fail_missing(const char *folder, const char *name, struct orch_error *err)
{
    CLEANUP_DIR DIR *dir = opendir(folder);
    CLEANUP(document_texts_cleanup) char **names = calloc(65, sizeof(*names));
    size_t count = 0;
    const struct dirent *entry;
    while (dir != NULL && names != NULL && count < 64 && (entry = readdir(dir)) != NULL) {
        size_t len = strlen(entry->d_name);
        if (entry->d_name[0] != '.' && len > 5 && strcmp(entry->d_name + len - 5, ".plan") == 0) {
            names[count] = strndup(entry->d_name, len - 5);
            count += names[count] != NULL;
        }
    }
    CLEANUP_BUFFER struct buffer hint = BUFFER_INIT;
    if (names != NULL) {
        suggest_append(&hint, name, (const char *const *)names, count);
    }
    const char *end = buffer_string(&hint);
    return orch_fail(err, ORCH_E_CONFIG, "there is no plan %.80s in %s%s", name, folder,
                     end == NULL ? "" : end);
}

static int32_t find_plan(const struct config *config, const char *name, char **path,
                         struct orch_error *err)
{
    size_t len = strlen(name);
    if (strchr(name, '/') != NULL || (len > 5 && strcmp(name + len - 5, ".plan") == 0)) {
        *path = strdup(name);
        return *path == NULL ? fail_memory(err) : ORCH_OK;
    }
    CLEANUP_FREE char *folder = file_join(config->dir, "plans");
    CLEANUP_FREE char *file = NULL;
    if (folder == NULL || asprintf(&file, "%s/%s.plan", folder, name) < 0) {
        file = NULL;
        return fail_memory(err);
    }
    if (access(file, F_OK) != 0 && errno == ENOENT) {
        return fail_missing(folder, name, err);
    }
    *path = steal_ptr(&file);
    return ORCH_OK;
}

int32_t plan_load(const struct config *config, const char *name, struct plan **out,
                  struct orch_error *err)
{
    CLEANUP_FREE char *path = NULL;
    CLEANUP(document_cleanup) struct document *document = NULL;
    int32_t rc = find_plan(config, name, &path, err);
    rc = rc != ORCH_OK ? rc : document_load(path, &document, err);
    return rc != ORCH_OK ? rc : plan_from_document(config, document, out, err);
}
