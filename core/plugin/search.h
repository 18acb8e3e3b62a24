/*
 * search.h: finds plugin files: --plugin-path, then ORCHESTRATE_PLUGIN_PATH, then the installed
 * folder. A file or folder that group or others may write, or that neither root nor this user
 * owns, is refused.
 */
#ifndef CORE_PLUGIN_SEARCH_H
#define CORE_PLUGIN_SEARCH_H

#include <stddef.h>

#include <orchestrate/error.h>

/* `extra` is the value of --plugin-path (colon-separated) or NULL. *path: new memory. ORCH_E_CONFIG
 * when there is none (names the folders searched), ORCH_E_ACCESS when it is refused. */
int32_t plugin_search(const char *extra, const char *name, char **path,
                      struct orch_error *err) ORCH_CHECKED;

/* Every plugin name that can be found, sorted: *names is a new zero-terminated array. */
int32_t plugin_search_all(const char *extra, char ***names, struct orch_error *err) ORCH_CHECKED;
void plugin_names_free(char **names);

#endif
