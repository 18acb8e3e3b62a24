/* loader.h: opens a plugin's shared object. In the worker only: its code runs from here on. */
#ifndef CORE_PLUGIN_LOADER_H
#define CORE_PLUGIN_LOADER_H

#include "plugin/info.h"

/*
 * Opens `path`, checks the descriptor, copies it into *plugin (zeroed where it is shorter than
 * ours) and makes *info from it. ORCH_E_INVALID: not a plugin, or one that breaks the rules;
 * ORCH_E_VERSION: of another ABI. The object stays loaded until the process ends: threads of the
 * plugin or of its libraries may still run.
 */
int32_t loader_open(const char *path, struct orch_plugin *plugin, struct plugin_info **info,
                    struct orch_error *err) ORCH_CHECKED;

#endif
