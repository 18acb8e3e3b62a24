/*
 * config.h: conf.d, read and checked against the model and against the options that plugins
 * declare.
 *
 * Every mistake is ORCH_E_CONFIG with "file:line: what, why, what to do".
 */
#ifndef CORE_PLAN_CONFIG_H
#define CORE_PLAN_CONFIG_H

#include <stdbool.h>

#include "base/buffer.h"
#include "graph/graph.h"
#include "plugin/info.h"

/* A secret as configured: exactly one is set. */
struct config_secret {
    char *file, *env, *command;
};

/* One rule of retention (run/retention.h says what each means), and the sets that it is for. */
struct config_retention {
    char *label;       /* only sets with this label ("": without one); NULL: any */
    char **components; /* only sets of exactly these; NULL: any */
    /* 0: not given. */
    int64_t keep_last, keep_hourly, keep_daily, keep_weekly, keep_monthly, keep_yearly;
    int64_t max_age_ms, max_count, max_size_bytes;
};
/* Does it say anything about what is kept? */
bool config_retention_has_rule(const struct config_retention *rule);

struct config_repository {
    char *name;
    char *url;
    bool encrypted;                  /* encryption = "aes-256-gcm" (default) or "none" */
    struct config_secret passphrase; /* passphrase_file, _env, _command */
    char *key_file;                  /* 32 bytes as 64 hex digits; instead of a passphrase */
    char *compression;               /* "zstd", "zstd:3", "gzip", "none"; default "zstd" */
    char *verify;  /* after a backup: "none", "manifest", "index", "data" (default) */
    uint32_t jobs; /* 0: one per core */
    struct config_retention *retention; /* the first that fits a set holds for it */
    size_t retention_count;
    char *file;
    int line;
};

/* One option of a component as configured or defaulted, checked against the declaration. A secret's
 * value is resolved by config_secrets(). */
struct config_option {
    struct orch_value value;     /* points into this structure's memory */
    struct config_secret secret; /* for ORCH_OPTION_SECRET options */
    bool is_secret;
    char **list; /* owner of value.strings */
    char *text;  /* owner of value.string */
};

struct config_component {
    char *name;
    char *plugin;
    const struct plugin_info *info; /* owned by the config */
    char **depends_on;              /* NULL-terminated */
    int64_t rto_ms, rpo_ms;         /* 0: none */
    int64_t timeout_ms;             /* "timeout": a whole job; 0: none */
    int64_t stall_timeout_ms;       /* "stall_timeout"; 0: default */
    uint32_t retries;               /* "retries": more tries of a failed backup; default 0 */
    int64_t rate_limit;             /* "rate_limit": bytes per second; 0: none */
    struct config_option *options;
    size_t option_count;
    char *file;
    int line;
};

struct config {
    char *dir;
    struct config_repository *repositories;
    size_t repository_count;
    struct config_component *components; /* in name order */
    size_t component_count;
    struct graph *graph;
    char *state_dir; /* top-level "state_dir", else ORCHESTRATE_STATE_DIR, /var/lib/orchestrate for
                        root, else $XDG_STATE_HOME/orchestrate, else ~/.local/state/orchestrate */
    char *cache_dir; /* likewise: "cache_dir", ORCHESTRATE_CACHE_DIR, /var/cache/orchestrate, … */
    char *hash;      /* hex SHA-256 over the configuration's files */
    struct config_private *priv;
};

/* Gives a plugin's declaration; new memory that the config takes over. `err` says why not. Of
 * `config`, state_dir and cache_dir are set by then. */
struct config_plugins {
    void *ctx;
    int32_t (*describe)(void *ctx, const struct config *config, const char *plugin,
                        struct plugin_info **out, struct orch_error *err);
};

/* Reads `dir` (conf.d): its *.conf in name order. A missing folder is an error. */
int32_t config_load(const char *dir, const struct config_plugins *plugins, struct config **out,
                    struct orch_error *err) ORCH_CHECKED;
void config_free(struct config *config);
void config_cleanup(struct config **slot);

const struct config_component *config_component(const struct config *config, const char *name);
/* ORCH_E_REFUSED, with file and line: an option that a restore replaces (ORCH_OPTION_REPLACED)
 * holds a repository, or lies in one. */
int32_t config_check_places(const struct config *config, const struct config_component *component,
                            struct orch_error *err) ORCH_CHECKED;
/* Appends "; did you mean …?" for the name of a component that there is not (plan/suggest.h). */
void config_suggest_component(const struct config *config, const char *name, struct buffer *hint);
/* ORCH_E_CONFIG: there is no component of that name, with what may be meant. */
int32_t config_fail_component(const struct config *config, const char *name,
                              struct orch_error *err);
/* `name` NULL: the only repository, or the one called "main"; else an error that lists them. */
int32_t config_repository(const struct config *config, const char *name,
                          const struct config_repository **out,
                          struct orch_error *err) ORCH_CHECKED;

/* Applies "component.option=value" (--target) to one component; value as in the configuration,
 * without quotes, list values joined by commas. Secrets: "component.option_file=path" and so on. */
int32_t config_override(struct config *config, const char *assignment,
                        struct orch_error *err) ORCH_CHECKED;

/* Resolved options for a worker: secrets read from file, environment or command (its first line);
 * work_dir is STATE_DIR/work/COMPONENT, which the plugin makes. It stands by itself: `config` may
 * go. *out and all it points to is freed, and secrets wiped, by config_options_free. */
int32_t config_options(const struct config *config, const struct config_component *component,
                       struct orch_options **out, struct orch_error *err) ORCH_CHECKED;
void config_options_free(struct orch_options *options);

/* Reads one secret into new memory that the caller wipes with config_secret_free. `what` names it.
 */
int32_t config_secret_read(const struct config_secret *secret, const char *what, char **out,
                           struct orch_error *err) ORCH_CHECKED;
void config_secret_free(char *secret);

/* "10GB", "1.5 GB", "512KiB", "100B", "0" to bytes: powers of 1000 for KB, MB, GB, TB and of 1024
 * for KiB …; "30m", "1h30m", "250ms" to milliseconds. ORCH_E_CONFIG with the reason, without a
 * place. */
int32_t config_parse_size(const char *text, int64_t *bytes, struct orch_error *err) ORCH_CHECKED;
/* A size above 0 with its unit and "/s" behind it: bytes per second. */
int32_t config_parse_rate(const char *text, int64_t *bytes, struct orch_error *err) ORCH_CHECKED;
int32_t config_parse_duration(const char *text, int64_t *ms, struct orch_error *err) ORCH_CHECKED;

#endif
