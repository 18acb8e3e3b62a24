/*
 * restore.c: a restore into a new database and its swap with the live one, and what follows.
 *
 * Until the swap nothing but the new database is touched. The swap is one transaction: the live
 * database becomes `aside` (the first time in a run) or `spent` (when an earlier attempt of the run
 * had swapped already: what is live then is its product, and `aside` holds the original).
 */
#include "postgres.h"

#include <stdlib.h>
#include <string.h>

#include <orchestrate/support.h>

#include "cleanup.h"
#include "clients.h"
#include "database.h"
#include "facts.h"
#include "load.h"
#include "names.h"

static int32_t open_maintenance(struct postgres *pg, int persist, struct link **out,
                                struct orch_error *err)
{
    struct link_limits limits = pg->limits;
    limits.persist = persist;
    return link_open(pg->host, pg->conninfo, pg->maintenance_db, &limits, out, err);
}

/* An empty database `fresh`; what an earlier attempt left half-made goes. */
static int32_t make_fresh(struct postgres *pg, const struct names *names, const json_t *facts,
                          struct orch_error *err)
{
    struct link CLEANUP_LINK *link = NULL;
    int32_t rc = open_maintenance(pg, 0, &link, err);
    if (rc == ORCH_OK) {
        rc = database_drop(link, names->fresh, err);
    }
    if (rc == ORCH_OK) {
        rc = database_drop(link, names->spent, err);
    }
    return rc == ORCH_OK ? database_create(link, names->fresh, facts, err) : rc;
}

static int32_t put_in_place(struct postgres *pg, const struct names *names, const json_t *facts,
                            struct orch_error *err)
{
    const struct orch_host *host = pg->host;
    struct link CLEANUP_LINK *link = NULL;
    struct link CLEANUP_LINK *helper = NULL;
    int live = 0;
    int aside = 0;
    int32_t rc = open_maintenance(pg, 0, &link, err);
    if (rc == ORCH_OK) {
        rc = open_maintenance(pg, 0, &helper, err);
    }
    if (rc == ORCH_OK) {
        rc = database_dress(link, names->fresh, facts, err);
    }
    if (rc == ORCH_OK) {
        rc = database_exists(link, names->live, &live, err);
    }
    if (rc == ORCH_OK) {
        rc = database_exists(link, names->aside, &aside, err);
    }
    if (rc == ORCH_OK) {
        rc = host->intent(host->ctx, "rename", names->live, live || aside ? names->aside : NULL,
                          err);
    }
    if (rc == ORCH_OK) {
        const char *away = !live ? NULL : aside ? names->spent : names->aside;
        rc = database_swap(link, helper, names->live, away, names->fresh, err);
    }
    if (rc == ORCH_OK) {
        rc = host->done(host->ctx, "rename", names->live, err);
    }
    if (rc == ORCH_OK && live && aside) {
        rc = database_drop(link, names->spent, err);
    }
    return rc;
}

/* After a failure: best effort, since the failure itself is what counts. */
static void drop_fresh(struct postgres *pg, const struct names *names)
{
    struct link CLEANUP_LINK *link = NULL;
    struct orch_error why = ORCH_ERROR_INIT;
    int32_t rc = open_maintenance(pg, 1, &link, &why);
    if (rc == ORCH_OK) {
        rc = database_drop(link, names->fresh, &why);
    }
    if (rc != ORCH_OK) {
        orch_log(pg->host, ORCH_LOG_WARNING,
                 "the half-made database %s is left until the restore is resumed or settled: %s",
                 names->fresh, why.message);
    }
}

int32_t restore_run(void *instance, const struct orch_restore *restore, struct orch_error *err)
{
    struct postgres *pg = instance;
    struct names names;
    CLEANUP_JSON json_t *facts = NULL;
    if (restore->strategy != ORCH_STRATEGY_REPLACE || restore->select_count > 0) {
        return orch_fail(err, ORCH_E_UNSUPPORTED,
                         "a database is restored whole, by strategy replace; nothing else is "
                         "built");
    }
    int32_t rc = facts_parse(restore->facts_json, &facts, err);
    if (rc == ORCH_OK) {
        rc = names_make(conninfo_database(pg->conninfo), restore->run_id, &names, err);
    }
    if (rc == ORCH_OK) {
        rc = make_fresh(pg, &names, facts, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    rc = load_run(pg, names.fresh, facts, err);
    if (rc == ORCH_OK) {
        rc = put_in_place(pg, &names, facts, err);
    }
    if (rc != ORCH_OK) {
        drop_fresh(pg, &names);
    }
    return rc;
}

/* ---- settle ----------------------------------------------------------------------------- */

/* Lets go of the original. */
static int32_t drop_aside(struct postgres *pg, struct link *link, const struct names *names,
                          struct orch_error *err)
{
    const struct orch_host *host = pg->host;
    int aside = 0;
    int32_t rc = database_exists(link, names->aside, &aside, err);
    if (rc != ORCH_OK || !aside) {
        return rc;
    }
    rc = host->intent(host->ctx, "drop", names->aside, NULL, err);
    if (rc == ORCH_OK) {
        rc = database_drop(link, names->aside, err);
    }
    return rc == ORCH_OK ? host->done(host->ctx, "drop", names->aside, err) : rc;
}

int32_t restore_settle(void *instance, const struct orch_restore *restore, uint32_t outcome,
                       struct orch_error *err)
{
    struct postgres *pg = instance;
    struct names names;
    struct link CLEANUP_LINK *link = NULL;
    int32_t rc = names_make(conninfo_database(pg->conninfo), restore->run_id, &names, err);
    if (rc == ORCH_OK) {
        rc = open_maintenance(pg, 1, &link, err);
    }
    if (rc == ORCH_OK) {
        rc = database_drop(link, names.fresh, err);
    }
    if (rc == ORCH_OK) {
        rc = database_drop(link, names.spent, err);
    }
    if (rc == ORCH_OK && outcome == ORCH_SETTLE_VERIFIED) {
        rc = drop_aside(pg, link, &names, err);
    }
    int aside = 0;
    if (rc == ORCH_OK && outcome != ORCH_SETTLE_VERIFIED) {
        rc = database_exists(link, names.aside, &aside, err);
    }
    if (rc == ORCH_OK && aside) {
        orch_log(pg->host, ORCH_LOG_WARNING, "the original of database %s is kept as %s",
                 names.live, names.aside);
    }
    return rc;
}
