/*
 * indexfolder.h: where the caches of a repository's index lie:
 * CACHE_DIR/index/REPOSITORY_ID/index-N, N growing; the highest is the one that new openers use.
 * Older ones go when nobody has them open.
 */
#ifndef CORE_ENGINE_INDEXFOLDER_H
#define CORE_ENGINE_INDEXFOLDER_H

#include <stdbool.h>

#include "engine/indexcache.h"

struct indexfolder;

/* Makes the folder when it is missing. Fails when it is no good place: not ours, open to others, on
 * a network file system. */
int32_t indexfolder_open(const char *cache_dir, const char *repo_id, struct indexfolder **out,
                         struct orch_error *err) ORCH_CHECKED;
/* A private one below $TMPDIR, in which nothing stays. */
int32_t indexfolder_open_private(const char *repo_id, struct indexfolder **out,
                                 struct orch_error *err) ORCH_CHECKED;
void indexfolder_close(struct indexfolder *folder); /* NULL is fine */
struct indexfolder *indexfolder_copy(const struct indexfolder *folder, struct orch_error *err);

/* One writer at a time, of all processes. ORCH_E_BUSY when it cannot be had for two minutes: who
 * holds it has been stopped. */
int32_t indexfolder_lock(struct indexfolder *folder, struct orch_error *err) ORCH_CHECKED;
void indexfolder_unlock(struct indexfolder *folder);

/* Under the lock: opens the newest cache; *out is NULL when there is none that is any good (the
 * log says why). */
int32_t indexfolder_newest(struct indexfolder *folder, struct indexcache **out,
                           struct orch_error *err) ORCH_CHECKED;
/* Under the lock: an empty cache, not yet seen by others. */
int32_t indexfolder_begin(struct indexfolder *folder, struct indexcache **out,
                          struct orch_error *err) ORCH_CHECKED;
/* Under the lock: from now on it is the newest. */
int32_t indexfolder_publish(struct indexfolder *folder, struct indexcache *cache,
                            struct orch_error *err) ORCH_CHECKED;
/* Under the lock: removes what nobody has open, but for the newest. */
void indexfolder_sweep(struct indexfolder *folder);
/* For temporary files. */
const char *indexfolder_path(const struct indexfolder *folder);

/* flock(2), waiting up to `ms`; then ORCH_E_BUSY. */
int32_t indexfolder_flock(int fd, int operation, int64_t ms, const char *name,
                          struct orch_error *err) ORCH_CHECKED;

#endif
