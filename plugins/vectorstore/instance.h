/*
 * instance.h: one instance of the plugin, and the callbacks by file.
 */
#ifndef VECTORSTORE_INSTANCE_H
#define VECTORSTORE_INSTANCE_H

#include "settings.h"
#include "source.h"

struct vectorstore {
    const struct orch_host *host;
    struct settings settings;
    struct source *source; /* between freeze and thaw, else NULL */
};

int32_t backup_run(struct vectorstore *self, struct orch_error *err) ORCH_CHECKED;
int32_t check_run(struct vectorstore *self, const struct orch_restore *restore,
                  struct orch_error *err) ORCH_CHECKED;
int32_t restore_run(struct vectorstore *self, const struct orch_restore *restore,
                    struct orch_error *err) ORCH_CHECKED;
int32_t verify_run(struct vectorstore *self, const struct orch_restore *restore,
                   struct orch_error *err) ORCH_CHECKED;
int32_t settle_run(struct vectorstore *self, const struct orch_restore *restore, uint32_t outcome,
                   struct orch_error *err) ORCH_CHECKED;

#endif
