/*
 * ledger.h: lasting records in the state folder, one JSON object a line: history and audit.
 */
#ifndef CORE_RUN_LEDGER_H
#define CORE_RUN_LEDGER_H

#include <jansson.h>

#include "plan/config.h"

#define LEDGER_HISTORY "history.jsonl" /* every restore */
#define LEDGER_AUDIT "audit.jsonl"     /* every override and every destructive command */

/* Adds "time" and "user" to `entry`, takes over its reference, and appends it durably. */
int32_t ledger_append(const struct config *config, const char *ledger, json_t *entry,
                      struct orch_error *err) ORCH_CHECKED;

/* All entries, oldest first; a last line that was cut short is left out. None: an empty array. */
int32_t ledger_read(const struct config *config, const char *ledger, json_t **out,
                    struct orch_error *err) ORCH_CHECKED;

#endif
