/*
 * postgres.h: the instance, and the callbacks that plugin.c puts into the descriptor.
 */
#ifndef POSTGRES_POSTGRES_H
#define POSTGRES_POSTGRES_H

#include <orchestrate/plugin.h>

#include "catalog.h"
#include "conninfo.h"
#include "link.h"

struct postgres {
    const struct orch_host *host;
    struct conninfo *conninfo;
    struct link_limits limits;
    const char *pg_dump;        /* the option, or NULL */
    const char *maintenance_db; /* where databases are created and renamed from */
    int analyze;

    /* From freeze to thaw: the transaction that exported the snapshot, and what it saw. */
    struct link *leader;
    char *snapshot;
    struct catalog catalog;
};

/* Names of the objects that are no table; they frame CATALOG_DATA_PREFIX in restore order. */
#define POSTGRES_PRE_DATA "1-pre-data.sql"
#define POSTGRES_BLOB_PREFIX "3-large-objects/"
#define POSTGRES_SEQUENCES "4-sequences.json"
#define POSTGRES_POST_DATA "5-post-data.sql"

int32_t probe_run(void *instance, struct orch_probe *probe, struct orch_error *err);
int32_t backup_freeze(void *instance, struct orch_freeze *freeze, struct orch_error *err);
int32_t backup_thaw(void *instance, struct orch_error *err);
int32_t backup_run(void *instance, struct orch_error *err);
int32_t check_run(void *instance, const struct orch_restore *restore, struct orch_error *err);
int32_t restore_run(void *instance, const struct orch_restore *restore, struct orch_error *err);
int32_t restore_settle(void *instance, const struct orch_restore *restore, uint32_t outcome,
                       struct orch_error *err);
int32_t verify_run(void *instance, const struct orch_restore *restore, struct orch_error *err);

#endif
