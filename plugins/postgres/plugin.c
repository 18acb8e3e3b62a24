/* plugin.c: the descriptor of the plugin postgres, its options, open and close. */
#include "postgres.h"

#include <stdlib.h>
#include <string.h>

#include <orchestrate/support.h>

static const struct orch_option options[] = {
    {"conninfo", ORCH_OPTION_STRING, ORCH_OPTION_REQUIRED, NULL,
     "Where the database is: a libpq connection string or URI with dbname and without a password."},
    {"password", ORCH_OPTION_STRING, ORCH_OPTION_SECRET, NULL,
     "The password of the user in conninfo (~/.pgpass works too)."},
    {"mode", ORCH_OPTION_STRING, 0, "logical",
     "How the database is backed up; logical is the only mode built."},
    {"pg_dump", ORCH_OPTION_PATH, 0, NULL,
     "The pg_dump to use; psql is taken from the same folder. Default: that of the server's major "
     "version."},
    {"maintenance_db", ORCH_OPTION_STRING, 0, "postgres",
     "The database from which a restore creates and renames databases."},
    {"connect_timeout", ORCH_OPTION_DURATION, 0, "10s",
     "How long to wait for a connection; 0 waits for ever."},
    {"lock_timeout", ORCH_OPTION_DURATION, 0, "60s",
     "How long to wait for a table that somebody has locked; 0 waits for ever."},
    {"analyze", ORCH_OPTION_BOOLEAN, 0, "true",
     "Gather planner statistics at the end of a restore, before the swap."},
};

static void postgres_close(void *instance)
{
    struct postgres *pg = instance;
    if (pg == NULL) {
        return;
    }
    link_close(pg->leader);
    free(pg->snapshot);
    catalog_free(&pg->catalog);
    conninfo_free(pg->conninfo);
    free(pg);
}

static int32_t take_options(struct postgres *pg, const struct orch_options *given,
                            struct orch_error *err)
{
    const char *mode = orch_option_string(given, "mode", "logical");
    if (strcmp(mode, "logical") != 0) {
        return orch_fail(err, ORCH_E_CONFIG, "option mode: \"%s\" is not built; use \"logical\"",
                         mode);
    }
    int32_t rc = conninfo_parse(orch_option_string(given, "conninfo", ""),
                                orch_option_string(given, "password", NULL), &pg->conninfo, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    pg->pg_dump = orch_option_string(given, "pg_dump", NULL);
    pg->limits.connect_timeout_ms = orch_option_integer(given, "connect_timeout", 10000);
    pg->limits.lock_timeout_ms = orch_option_integer(given, "lock_timeout", 60000);
    pg->analyze = orch_option_integer(given, "analyze", 1) != 0;
    if (pg->limits.connect_timeout_ms < 0 || pg->limits.lock_timeout_ms < 0 ||
        pg->limits.lock_timeout_ms > INT32_MAX) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "options connect_timeout and lock_timeout: 0 to 24 days");
    }
    const struct orch_value *maintenance = orch_option(given, "maintenance_db");
    pg->maintenance_db = orch_option_string(given, "maintenance_db", "postgres");
    if (strcmp(pg->maintenance_db, conninfo_database(pg->conninfo)) == 0) {
        if (maintenance != NULL && !maintenance->is_default) {
            return orch_fail(err, ORCH_E_CONFIG,
                             "option maintenance_db: %s is the database that is protected; a "
                             "restore renames it, and needs another one to do so from",
                             pg->maintenance_db);
        }
        pg->maintenance_db = "template1";
    }
    return ORCH_OK;
}

static int32_t postgres_open(const struct orch_host *host, const struct orch_options *given,
                             void **instance, struct orch_error *err)
{
    struct postgres *pg = calloc(1, sizeof(*pg));
    if (pg == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the plugin postgres");
    }
    pg->host = host;
    int32_t rc = take_options(pg, given, err);
    if (rc != ORCH_OK) {
        postgres_close(pg);
        return rc;
    }
    *instance = pg;
    return ORCH_OK;
}

const struct orch_plugin orch_plugin = {
    ORCH_PLUGIN_HEADER,
    .capabilities = ORCH_CAP_OBJECTS,
    .name = "postgres",
    .version = ORCHESTRATE_VERSION,
    .summary = "One PostgreSQL database: a consistent logical backup, restored by swap",
    .data_format = 1,
    .data_format_oldest = 1,
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .open = postgres_open,
    .close = postgres_close,
    .probe = probe_run,
    .freeze = backup_freeze,
    .thaw = backup_thaw,
    .backup = backup_run,
    .check = check_run,
    .restore = restore_run,
    .verify = verify_run,
    .settle = restore_settle,
};
