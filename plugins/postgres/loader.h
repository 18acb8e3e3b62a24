/*
 * loader.h: the parts that load.c dispatches to, one for each sort of object: begin, data, end.
 */
#ifndef POSTGRES_LOADER_H
#define POSTGRES_LOADER_H

#include <jansson.h>

#include "child.h"
#include "link.h"
#include "postgres.h"
#include "text.h"

struct loader {
    struct postgres *pg;
    const char *database;
    struct link *link; /* to the new database */
    json_t *rows;      /* the facts' tables: {"schema.table": {"rows": n}} */
    char *user;        /* who we are there */

    /* The object under way. */
    char *object; /* its name */
    json_t *meta; /* its metadata, or NULL */
    struct child *psql;
    struct text sequences;
    struct text piece;    /* of a large object */
    uint64_t blob_offset; /* of `piece` */
    unsigned long blob_oid;
    int blob_made;
    unsigned blobs_open; /* large objects in the open transaction */
};

/* A script goes to psql: it runs what pg_dump wrote for it, and stops at the first error. */
int32_t load_script_begin(struct loader *loader, struct orch_error *err) ORCH_CHECKED;
int32_t load_script_data(struct loader *loader, const void *data, size_t len,
                         struct orch_error *err) ORCH_CHECKED;
int32_t load_script_end(struct loader *loader, struct orch_error *err) ORCH_CHECKED;

int32_t load_table_begin(struct loader *loader, struct orch_error *err) ORCH_CHECKED;
int32_t load_table_data(struct loader *loader, const void *data, size_t len,
                        struct orch_error *err) ORCH_CHECKED;
int32_t load_table_end(struct loader *loader, struct orch_error *err) ORCH_CHECKED;

int32_t load_blob_begin(struct loader *loader, struct orch_error *err) ORCH_CHECKED;
int32_t load_blob_data(struct loader *loader, const void *data, size_t len,
                       struct orch_error *err) ORCH_CHECKED;
int32_t load_blob_end(struct loader *loader, struct orch_error *err) ORCH_CHECKED;
/* Ends the transaction that large objects share; before anything else is loaded. */
int32_t load_blob_commit(struct loader *loader, struct orch_error *err) ORCH_CHECKED;

int32_t load_sequences_begin(struct loader *loader, struct orch_error *err) ORCH_CHECKED;
int32_t load_sequences_data(struct loader *loader, const void *data, size_t len,
                            struct orch_error *err) ORCH_CHECKED;
int32_t load_sequences_end(struct loader *loader, struct orch_error *err) ORCH_CHECKED;

#endif
