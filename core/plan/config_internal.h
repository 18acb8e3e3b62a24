/*
 * config_internal.h: what the parts of the configuration share, and nobody else needs.
 *
 *   config.c            merging, the order of things, the graph
 *   config_files.c      the files of conf.d
 *   config_component.c  one component: core keys, then the options that its plugin declares
 *   config_repository.c one repository
 *   config_retention.c  what is kept of its sets
 *   config_value.c      a declared option's value, from a setting or from text
 *   config_secret.c     where secrets come from, and reading them
 *   config_command.c    a secret from a command
 *   config_options.c    resolved options for a worker
 *   config_override.c   --target
 *   config_dirs.c       state and cache folders
 *   config_units.c      sizes and durations
 */
#ifndef CORE_PLAN_CONFIG_INTERNAL_H
#define CORE_PLAN_CONFIG_INTERNAL_H

#include <libconfig.h>

#include "plan/config.h"

#define CONFIG_SECRET_MAX ((size_t)64 * 1024)
#define CONFIG_SECRET_COMMAND_MS 30000

/* A plugin that was described once, for all components that use it. */
struct config_plugin {
    char *name;
    struct plugin_info *info;
};

struct config_private {
    struct config_plugin *plugins;
    size_t plugin_count;
};

/* The keys that every component has; `defaults` may give those after CONFIG_KEY_RTO. */
struct config_common {
    int64_t rto_ms, rpo_ms, timeout_ms, stall_timeout_ms;
    uint32_t retries;
    int64_t rate_limit;
};

struct document;

/* ---- config_files.c -- */

/* The parsed files in name order. Initialise with {0}. */
struct config_files {
    struct document **documents;
    size_t count;
    char hash[65]; /* hex SHA-256 over names, lengths and bytes */
};

int32_t config_files_load(const char *dir, struct config_files *files,
                          struct orch_error *err) ORCH_CHECKED;
void config_files_free(struct config_files *files); /* also a half-filled one */

/* ---- config.c -- */

/* The model of files that were parsed; they may be freed afterwards. */
int32_t config_build(const char *dir, const struct config_files *files,
                     const struct config_plugins *plugins, struct config **out,
                     struct orch_error *err) ORCH_CHECKED;

/* ---- config_component.c -- */

/* Takes one of rto, rpo, timeout, stall_timeout, retries and rate_limit; *known is false for other
 * names. */
int32_t config_common_take(const config_setting_t *setting, struct config_common *common,
                           bool *known, struct orch_error *err) ORCH_CHECKED;
/* The names that config_common_take knows; *count of them. */
const char *const *config_common_names(size_t *count);
/* Fills `out`, which the caller has zeroed and frees whatever happens. depends_on is checked by the
 * caller, once all names are known. */
int32_t config_component_take(const config_setting_t *setting, const struct config_common *defaults,
                              const struct plugin_info *info, struct config_component *out,
                              struct orch_error *err) ORCH_CHECKED;
void config_component_clear(struct config_component *component);
/* What is wrong with the plugin's own declaration, if anything: dotted and core names, defaults. */
int32_t config_plugin_check(const struct plugin_info *info, struct orch_error *err) ORCH_CHECKED;

/* ---- config_repository.c -- */

int32_t config_repository_take(const config_setting_t *setting, struct config_repository *out,
                               struct orch_error *err) ORCH_CHECKED;
void config_repository_clear(struct config_repository *repository);

/* ---- config_retention.c -- */

/* `retention`: a group or a list of groups. Also a half-filled array is to be cleared. */
int32_t config_retention_take(const config_setting_t *setting, struct config_retention **out,
                              size_t *count, struct orch_error *err) ORCH_CHECKED;
/* Takes one key of a rule; *known is false for other names. */
int32_t config_retention_take_member(const config_setting_t *member, struct config_retention *rule,
                                     bool *known, struct orch_error *err) ORCH_CHECKED;
/* The keys of a rule; *count of them. */
const char *const *config_retention_names(size_t *count);
void config_retention_clear(struct config_retention *rule);
/* Frees the array too. */
void config_retention_clear_all(struct config_retention *rules, size_t count);

/* ---- config_value.c -- */

int32_t config_value_from_setting(const struct plugin_option *option,
                                  const config_setting_t *setting, struct config_option *out,
                                  struct orch_error *err) ORCH_CHECKED;
/* A message without place. */
int32_t config_value_from_text(const struct plugin_option *option, const char *text,
                               struct config_option *out, struct orch_error *err) ORCH_CHECKED;
void config_value_clear(struct config_option *value);
/* Whether `text` is a URL with a password in it: "scheme://user:password@…". */
bool config_value_has_password(const char *text);

/* ---- config_secret.c -- */

/* The length of `name` without "_file", "_env" or "_command"; *suffix is the part cut off without
 * its underscore. 0 when it has none of them. */
size_t config_secret_suffix(const char *name, const char **suffix);
/* Sets the one of three that `suffix` names. A message without place. */
int32_t config_secret_assign(struct config_secret *secret, const char *suffix, const char *text,
                             struct orch_error *err) ORCH_CHECKED;
void config_secret_clear(struct config_secret *secret);
bool config_secret_is_set(const struct config_secret *secret);
/* The first line of `len` bytes as a new secret; wipes nothing. */
int32_t config_secret_first_line(const char *data, size_t len, const char *what, const char *source,
                                 char **out, struct orch_error *err) ORCH_CHECKED;

/* ---- config_command.c -- */

/* Runs `command` and gives the first line it prints; killed after `limit_ms`. */
int32_t config_secret_run(const char *command, const char *what, int64_t limit_ms, char **out,
                          struct orch_error *err) ORCH_CHECKED;
/* ---- config_dirs.c -- */

/* Fills state_dir and cache_dir where they are not configured. */
int32_t config_dirs_default(struct config *config, struct orch_error *err) ORCH_CHECKED;

#endif
