/* fault.c: see fault.h. Empty in builds without test hooks. */
#include "storage/fault.h"

#ifdef ORCHESTRATE_TEST_HOOKS

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t fault_number(const char *text, const char *key)
{
    size_t len = strlen(key);
    for (const char *p = text; p != NULL; p = strchr(p, ',')) {
        p += *p == ',';
        if (strncmp(p, key, len) == 0) {
            return strtoull(p + len, NULL, 10);
        }
    }
    return 0;
}

void fault_init(struct fault *fault)
{
    const char *text = getenv("ORCHESTRATE_STORAGE_FAULT");
    if (text != NULL) {
        fault->no_space_at = fault_number(text, "enospc:");
        fault->put_fails_at = fault_number(text, "eio:");
        fault->get_fails_at = fault_number(text, "eio-get:");
    }
}

int32_t fault_put(struct fault *fault, struct orch_error *err)
{
    uint64_t count = atomic_fetch_add(&fault->puts, 1) + 1;
    if (fault->no_space_at != 0 && count >= fault->no_space_at) {
        return orch_fail_errno(err, ENOSPC, "cannot write to the repository (injected fault)");
    }
    if (count == fault->put_fails_at) {
        return orch_fail_errno(err, EIO, "cannot write to the repository (injected fault)");
    }
    return ORCH_OK;
}

int32_t fault_get(struct fault *fault, const char *name, struct orch_error *err)
{
    uint64_t count = atomic_fetch_add(&fault->gets, 1) + 1;
    if (count == fault->get_fails_at) {
        return orch_fail_errno(err, EIO, "cannot read %s (injected fault)", name);
    }
    return ORCH_OK;
}

#else
/* ISO C wants at least one declaration in a file. */
typedef int fault_not_built;
#endif
