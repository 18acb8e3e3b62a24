/* load_script.c: a script of pg_dump into psql. See loader.h. */
#include "loader.h"

#include <stdlib.h>

#include "cleanup.h"
#include "clients.h"

int32_t load_script_begin(struct loader *loader, struct orch_error *err)
{
    struct postgres *pg = loader->pg;
    CLEANUP_FREE char *program = NULL;
    CLEANUP_FREE char *connect = conninfo_text(pg->conninfo, loader->database);
    if (connect == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the arguments of psql");
    }
    int32_t rc = clients_find("psql", pg->pg_dump, link_major(loader->link), &program, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    char *const argv[] = {program,
                          (char[]){"--no-psqlrc"},
                          (char[]){"--quiet"},
                          (char[]){"--no-password"},
                          (char[]){"--set=ON_ERROR_STOP=1"},
                          (char[]){"--dbname"},
                          connect,
                          (char[]){"--file=-"},
                          NULL};
    return child_start(pg->host, argv, CHILD_WRITE, conninfo_passfile(pg->conninfo), &loader->psql,
                       err);
}

int32_t load_script_data(struct loader *loader, const void *data, size_t len,
                         struct orch_error *err)
{
    int32_t rc = child_write(loader->psql, data, len, err);
    return rc == ORCH_OK ? rc : orch_wrap(err, "cannot run %s", loader->object);
}

int32_t load_script_end(struct loader *loader, struct orch_error *err)
{
    int32_t rc = child_finish(loader->psql, err);
    child_free(loader->psql);
    loader->psql = NULL;
    return rc == ORCH_OK ? rc : orch_wrap(err, "cannot run %s", loader->object);
}
