/*
 * describe.h: what a plugin says of itself, for the configuration, from a worker that is started
 * for that or from what one said before.
 *
 * A command must know the options of every plugin that is configured, and to start a process for
 * each takes longer than most commands. So a description is kept, in CACHE_DIR/plugins/NAME.json,
 * with what tells the plugin's file and this program's from others (device, inode, size and times
 * of both). Anything amiss with it, and the plugin is asked. What it says is believed until a
 * worker of the plugin is started: context_open_worker() compares.
 */
#ifndef CORE_RUN_DESCRIBE_H
#define CORE_RUN_DESCRIBE_H

#include <stdbool.h>

#include "plan/config.h"

struct describe {
    const char *plugin_path; /* --plugin-path, or NULL */
    bool in_process;         /* then the plugin is asked every time */
};

/* config_plugins.describe over real plugin files; ctx is a struct describe. `config` NULL: nothing
 * is kept. */
int32_t describe_plugin(void *ctx, const struct config *config, const char *plugin,
                        struct plugin_info **out, struct orch_error *err) ORCH_CHECKED;

#endif
