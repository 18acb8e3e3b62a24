/* config_dirs.c: where state and cache live when the configuration does not say. */
#include "plan/config_internal.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

static const char *env_value(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != 0 ? value : NULL;
}

/* The home folder: $HOME, else the user database's; new memory or NULL. */
static char *home(void)
{
    const char *value = env_value("HOME");
    if (value != NULL && value[0] == '/') {
        return strdup(value);
    }
    struct passwd entry;
    struct passwd *found = NULL;
    char text[4096];
    if (getpwuid_r(geteuid(), &entry, text, sizeof(text), &found) != 0 || found == NULL ||
        found->pw_dir == NULL || found->pw_dir[0] != '/') {
        return NULL;
    }
    return strdup(found->pw_dir);
}

/* One of the two folders. `own` is our variable, `xdg` the one of the desktop standard. */
static int32_t fill(char **slot, const char *key, const char *own, const char *system,
                    const char *xdg, const char *below_home, struct orch_error *err)
{
    const char *value = env_value(own);
    if (*slot != NULL) {
        return ORCH_OK;
    }
    if (value != NULL && value[0] != '/') {
        return orch_fail(err, ORCH_E_CONFIG, "%s: expected an absolute path, found \"%.200s\"", own,
                         value);
    }
    if (value != NULL) {
        *slot = strdup(value);
    } else if (geteuid() == 0) {
        *slot = strdup(system);
    } else if ((value = env_value(xdg)) != NULL && value[0] == '/') {
        *slot = file_join(value, "orchestrate");
    } else {
        CLEANUP_FREE char *dir = home();
        if (dir == NULL) {
            return orch_fail(err, ORCH_E_CONFIG,
                             "there is no home folder to keep state in; set %s in the "
                             "configuration, or %s",
                             key, own);
        }
        *slot = file_join(dir, below_home);
    }
    return *slot == NULL ? orch_fail(err, ORCH_E_NOMEM, "no memory for the configuration")
                         : ORCH_OK;
}

int32_t config_dirs_default(struct config *config, struct orch_error *err)
{
    int32_t rc = fill(&config->state_dir, "state_dir", "ORCHESTRATE_STATE_DIR",
                      "/var/lib/orchestrate", "XDG_STATE_HOME", ".local/state/orchestrate", err);
    if (rc == ORCH_OK) {
        rc = fill(&config->cache_dir, "cache_dir", "ORCHESTRATE_CACHE_DIR",
                  "/var/cache/orchestrate", "XDG_CACHE_HOME", ".cache/orchestrate", err);
    }
    return rc;
}
