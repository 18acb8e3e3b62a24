/*
 * rdbfile.h: writes an RDB file, which any redis-server can load: the old data that a restore in
 * place sets aside.
 *
 * The file appears under its name only when it is whole and on disk.
 */
#ifndef REDIS_RDBFILE_H
#define REDIS_RDBFILE_H

#include "crc64.h"
#include "rdb.h"

#include <orchestrate/error.h>

struct rdbfile;

/* Begins PATH.tmp with mode 0600; one left by an earlier attempt is replaced. */
int32_t rdbfile_begin(const struct crc64 *crc, const char *path, uint32_t version,
                      struct rdbfile **out, struct orch_error *err) ORCH_CHECKED;
/* Keys of one database come together. */
int32_t rdbfile_key(struct rdbfile *file, const struct rdb_event *key,
                    struct orch_error *err) ORCH_CHECKED;
int32_t rdbfile_function(struct rdbfile *file, const struct rdb_event *library,
                         struct orch_error *err) ORCH_CHECKED;
/* Ends the file, syncs it and gives it its name. The structure is freed in any case. */
int32_t rdbfile_end(struct rdbfile *file, struct orch_error *err) ORCH_CHECKED;
/* Gives up: removes what was written. NULL is allowed. */
void rdbfile_abandon(struct rdbfile *file);

/* Writes a small file the same way: PATH.tmp, mode 0600, synced, renamed, folder synced. */
int32_t rdbfile_small(const char *path, const void *data, size_t len,
                      struct orch_error *err) ORCH_CHECKED;
/* Makes a folder and those above it, mode 0700. */
int32_t rdbfile_folder(const char *path, struct orch_error *err) ORCH_CHECKED;

#endif
