/*
 * dump.h: data out of the database into objects: rows of tables, large objects, sequences.
 */
#ifndef POSTGRES_DUMP_H
#define POSTGRES_DUMP_H

#include <jansson.h>
#include <orchestrate/plugin.h>

#include "catalog.h"
#include "link.h"

/* Begins an object; `meta` (JSON) may be NULL. */
int32_t dump_begin(const struct orch_host *host, const char *name, char kind, const json_t *meta,
                   struct orch_error *err) ORCH_CHECKED;
/* A table's rows as COPY text in `encoding`, the database's own; *rows is their exact number. */
int32_t dump_table(const struct orch_host *host, struct link *link,
                   const struct catalog_table *table, const char *encoding, uint64_t *rows,
                   struct orch_error *err) ORCH_CHECKED;
/* Every large object with owner, access list and comment as metadata; *count of them. */
int32_t dump_blobs(const struct orch_host *host, struct link *link, uint64_t *count,
                   struct orch_error *err) ORCH_CHECKED;
/* All sequences as one object; `facts` gets {"schema.name": {last, called}}. */
int32_t dump_sequences(const struct orch_host *host, struct link *link, json_t *facts,
                       struct orch_error *err) ORCH_CHECKED;

#endif
