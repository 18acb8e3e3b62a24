/*
 * facts.h: what is stated about the database, and reading it back.
 *
 *   server          {version, major}
 *   database        {name, encoding, collate, ctype, provider, locale, rules, owner, connections,
 *                    comment, acl, tablespace, settings: [{role, setting}], public, size_bytes}
 *   extensions      {name: version}
 *   roles           [names that own something or stand in an access list]
 *   tablespaces     [names]
 *   tables          {"schema.table": {rows}}       "tables.2", "tables.3" … when there are many
 *   sequences       {"schema.name": {last, called}}  "sequences.2" … likewise
 *   large_objects   how many
 *   skipped         {"schema.table": reason}
 */
#ifndef POSTGRES_FACTS_H
#define POSTGRES_FACTS_H

#include <jansson.h>
#include <orchestrate/plugin.h>

#include "link.h"

/* States `value` under `name`. */
int32_t facts_state(const struct orch_host *host, const char *name, const json_t *value,
                    struct orch_error *err) ORCH_CHECKED;
/* States an object of any size as `name`, "name.2", … of bounded size each. */
int32_t facts_state_many(const struct orch_host *host, const char *name, json_t *object,
                         struct orch_error *err) ORCH_CHECKED;
/* States server, database, extensions, roles and tablespaces. */
int32_t facts_describe(struct link *link, const struct orch_host *host,
                       struct orch_error *err) ORCH_CHECKED;

/* Parses a part's facts: an object that has `database` and `server`. */
int32_t facts_parse(const char *text, json_t **out, struct orch_error *err) ORCH_CHECKED;
/* All of `name`, "name.2", … as one new object. NULL when memory ran out. */
json_t *facts_gather(const json_t *facts, const char *name);
/* A text in `database`, or NULL. Belongs to the facts. */
const char *facts_database(const json_t *facts, const char *key);

#endif
