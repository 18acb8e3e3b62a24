/* config_repository.c: one repository of the configuration. */
#include "plan/config_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "plan/document.h"

#define JOBS_MAX 256

static const char *const keys[] = {
    "url",      "encryption",  "passphrase_file", "passphrase_env", "passphrase_command",
    "key_file", "compression", "verify",          "jobs",           "retention",
};

void config_repository_clear(struct config_repository *repository)
{
    free(repository->name);
    free(repository->url);
    config_secret_clear(&repository->passphrase);
    free(repository->key_file);
    free(repository->compression);
    free(repository->verify);
    config_retention_clear_all(repository->retention, repository->retention_count);
    free(repository->file);
    *repository = (struct config_repository){0};
}

/* "none", "gzip", "zstd", the latter two with an optional level. */
static bool compression_ok(const char *text)
{
    static const struct {
        const char *name;
        long most;
    } codecs[] = {{"none", 0}, {"gzip", 9}, {"zstd", 19}};
    size_t len = strcspn(text, ":");
    for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++) {
        if (strlen(codecs[i].name) != len || strncmp(text, codecs[i].name, len) != 0) {
            continue;
        }
        if (text[len] == 0) {
            return true;
        }
        const char *level = text + len + 1;
        size_t digits = strspn(level, "0123456789");
        long value = digits >= 1 && digits <= 2 && level[digits] == 0 ? strtol(level, NULL, 10) : 0;
        return value >= 1 && value <= codecs[i].most;
    }
    return false;
}

/* Only folders are built; what comes later says so. */
static int32_t check_kind(const config_setting_t *setting, const char *url, struct orch_error *err)
{
    if (strncmp(url, "file:///", 8) == 0) {
        return ORCH_OK;
    }
    if (strncmp(url, "s3://", 5) == 0) {
        return document_fail(setting, err,
                             "url: repositories at s3:// are not built yet; they come in a later "
                             "version. Use an absolute path or file:///path");
    }
    return document_fail(setting, err,
                         "url: a repository at \"%.80s\" is of no kind that this program can "
                         "open; use an absolute path or file:///path",
                         url);
}

static int32_t check_url(const config_setting_t *setting, const char *url, struct orch_error *err)
{
    if (config_value_has_password(url)) {
        return document_fail(setting, err,
                             "url: a password in a URL is refused, since the "
                             "configuration is no place for secrets");
    }
    if (url[0] != '/' && strstr(url, "://") == NULL) {
        return document_fail(setting, err,
                             "url: expected an absolute path such as \"/var/backups/app\", found "
                             "\"%.80s\"",
                             url);
    }
    return url[0] == '/' ? ORCH_OK : check_kind(setting, url, err);
}

static int32_t check_word(const config_setting_t *setting, const char *text,
                          const char *const *words, size_t count, struct orch_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text, words[i]) == 0) {
            return ORCH_OK;
        }
    }
    char list[128] = "";
    for (size_t i = 0; i < count; i++) {
        size_t at = strlen(list);
        (void)snprintf(list + at, sizeof(list) - at, "%s\"%s\"",
                       i == 0           ? ""
                       : i == count - 1 ? " or "
                                        : ", ",
                       words[i]);
    }
    return document_fail(setting, err, "%s: expected %s, found \"%.80s\"",
                         config_setting_name(setting), list, text);
}

static int32_t take_secret(const config_setting_t *member, struct config_repository *out,
                           struct orch_error *err)
{
    CLEANUP_FREE char *text = NULL;
    const char *suffix = NULL;
    int32_t rc = document_text(member, &text, err);
    if (rc == ORCH_OK && config_secret_suffix(config_setting_name(member), &suffix) > 0) {
        rc = config_secret_assign(&out->passphrase, suffix, text, err);
        if (rc != ORCH_OK) {
            (void)orch_wrap(err, "%s", config_setting_name(member));
            rc = document_wrap(member, err);
        }
    }
    return rc;
}

/* A member whose value is a text. */
static int32_t take_text(const config_setting_t *member, struct config_repository *out,
                         struct orch_error *err)
{
    static const char *const levels[] = {"none", "manifest", "index", "data"};
    static const char *const ciphers[] = {"aes-256-gcm", "none"};
    const char *name = config_setting_name(member);
    CLEANUP_FREE char *text = NULL;
    int32_t rc = document_text(member, &text, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    char **slot = NULL;
    if (strcmp(name, "url") == 0) {
        slot = &out->url;
        rc = check_url(member, text, err);
    } else if (strcmp(name, "encryption") == 0) {
        rc = check_word(member, text, ciphers, 2, err);
        out->encrypted = strcmp(text, "none") != 0;
    } else if (strcmp(name, "verify") == 0) {
        slot = &out->verify;
        rc = check_word(member, text, levels, 4, err);
    } else if (strcmp(name, "key_file") == 0) {
        slot = &out->key_file;
        if (text[0] != '/') {
            rc = document_fail(member, err, "key_file: expected an absolute path, found \"%.80s\"",
                               text);
        }
    } else {
        slot = &out->compression;
        if (!compression_ok(text)) {
            rc = document_fail(member, err,
                               "compression: expected \"zstd\", \"zstd:1\" to \"zstd:19\", "
                               "\"gzip\", \"gzip:1\" to \"gzip:9\" or \"none\", found \"%.80s\"",
                               text);
        }
    }
    if (rc == ORCH_OK && slot != NULL) {
        *slot = steal_ptr(&text);
    }
    return rc;
}

/* What must hold between the keys. */
static int32_t check_keys(const config_setting_t *setting, const struct config_repository *r,
                          struct orch_error *err)
{
    bool secret = config_secret_is_set(&r->passphrase);
    if (r->url == NULL) {
        return document_fail(setting, err,
                             "repository %s lacks url: where it lives, such as "
                             "\"/var/backups/app\"",
                             r->name);
    }
    if (secret && r->key_file != NULL) {
        return document_fail(setting, err,
                             "repository %s has both a passphrase and a key_file; keep one of them",
                             r->name);
    }
    if (r->encrypted && !secret && r->key_file == NULL) {
        return document_fail(setting, err,
                             "repository %s lacks passphrase_file (or passphrase_env, "
                             "passphrase_command, key_file): what it is encrypted with; encryption "
                             "= \"none\" goes without",
                             r->name);
    }
    if (!r->encrypted && (secret || r->key_file != NULL)) {
        return document_fail(setting, err,
                             "repository %s has encryption = \"none\" and yet a passphrase or "
                             "key_file; take one of them away",
                             r->name);
    }
    return ORCH_OK;
}

/* Puts the defaults in. */
static int32_t complete(struct config_repository *out, struct orch_error *err)
{
    if (out->compression == NULL) {
        out->compression = strdup("zstd");
    }
    if (out->verify == NULL) {
        out->verify = strdup("data");
    }
    return out->compression == NULL || out->verify == NULL
               ? orch_fail(err, ORCH_E_NOMEM, "no memory for the configuration")
               : ORCH_OK;
}

int32_t config_repository_take(const config_setting_t *setting, struct config_repository *out,
                               struct orch_error *err)
{
    out->encrypted = true;
    out->line = document_line(setting);
    out->name = strdup(config_setting_name(setting));
    out->file = strdup(document_path(setting));
    if (out->name == NULL || out->file == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the configuration");
    }
    char what[96];
    (void)snprintf(what, sizeof(what), "repository %s", out->name);
    const config_setting_t *open = config_setting_get_member(setting, "passphrase");
    if (open != NULL) {
        return document_fail(open, err,
                             "passphrase is a secret and does not stand in the configuration; give "
                             "passphrase_file, passphrase_env or passphrase_command");
    }
    int32_t rc = document_only(setting, what, keys, sizeof(keys) / sizeof(keys[0]), err);
    for (int i = 0; rc == ORCH_OK && i < config_setting_length(setting); i++) {
        const config_setting_t *member = config_setting_get_elem(setting, (unsigned int)i);
        const char *name = config_setting_name(member);
        int64_t jobs = 0;
        if (strcmp(name, "jobs") == 0) {
            rc = document_integer(member, 0, JOBS_MAX, &jobs, err);
            out->jobs = (uint32_t)jobs;
        } else if (strcmp(name, "retention") == 0) {
            rc = config_retention_take(member, &out->retention, &out->retention_count, err);
        } else if (strncmp(name, "passphrase_", 11) == 0) {
            rc = take_secret(member, out, err);
        } else {
            rc = take_text(member, out, err);
        }
    }
    if (rc == ORCH_OK) {
        rc = check_keys(setting, out, err);
    }
    return rc == ORCH_OK ? complete(out, err) : rc;
}
