/* runfile.h: what runlog.c and runlist.c share about the files runs/ID/N. */
#ifndef CORE_ENGINE_RUNFILE_H
#define CORE_ENGINE_RUNFILE_H

#include "engine/repo.h"

#define RUN_FOLDER "runs"
#define RUN_NAME (sizeof RUN_FOLDER + ID_TEXT + 24)
#define RUN_DOCUMENT 1u
#define RUN_SHA_BYTES 32
#define RUN_EVENT_START "start"
#define RUN_EVENT_END "end"

/* SHA-256 of an event's file, which the next event names. */
bool run_file_digest(const void *bytes, size_t len, char hex[2 * RUN_SHA_BYTES + 1]) ORCH_CHECKED;

/* The highest number of an event of that run; 0: it has none. */
int32_t run_last_number(struct repo *repo, const char *run_id, uint64_t *out,
                        struct orch_error *err) ORCH_CHECKED;

/* Checks event `number`, whose predecessor's file has the digest `previous` ("" for the first), and
 * appends it to the list that runlog_read() gives. */
int32_t run_event_add(json_t *list, const json_t *json, const char *what, uint64_t number,
                      const char *previous, struct orch_error *err) ORCH_CHECKED;

#endif
