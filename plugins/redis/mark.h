/*
 * mark.h: the key that tells which databases of a server belong to a restore.
 *
 * While a restore fills a spare database, that holds a marker "RUN loading TARGET 0"; the swap, in
 * the same transaction, removes it and puts "RUN aside TARGET KEYS" into the database that now
 * holds the old data. So the server itself tells, at every instant and whatever was killed, how far
 * it came: no marker or "loading" means that the target is still the old one.
 */
#ifndef REDIS_MARK_H
#define REDIS_MARK_H

#include "conn.h"
#include "server.h"

#define MARK_RUN_MAX 64

#define MARK_LOADING 1u
#define MARK_ASIDE 2u

struct mark {
    uint32_t db;     /* where it stands */
    uint32_t role;   /* MARK_* */
    uint32_t target; /* the database that it is the spare or the old data of */
    uint64_t keys;   /* of an aside: how many it had when it was set aside */
    char run[MARK_RUN_MAX + 1];
};

struct marks {
    struct mark *list;
    uint32_t count;
};

/* Looks for markers in all databases that have keys. */
int32_t mark_find(struct conn *conn, const struct server *server, struct marks *marks,
                  struct orch_error *err) ORCH_CHECKED;
void mark_free(struct marks *marks);
#define CLEANUP_MARKS __attribute__((cleanup(mark_free)))
/* The marker in a database, or NULL. */
const struct mark *mark_in(const struct marks *marks, uint32_t db);
/* The aside of `target` that a run made, or NULL. */
const struct mark *mark_aside_of(const struct marks *marks, const char *run, uint32_t target);

/* The value of a marker. */
void mark_text(const struct mark *mark, char *text, size_t size);
/* Takes an empty database for a restore: *taken is 0 when it is not empty or somebody was faster.
 */
int32_t mark_take(struct conn *conn, uint32_t db, uint32_t target, const char *run, int *taken,
                  struct orch_error *err) ORCH_CHECKED;
/* Empties a database, but only while it still holds this very marker; *done tells. Nothing of a
 * database that somebody else has begun to use (more keys than the aside had) is dropped. */
int32_t mark_drop(struct conn *conn, const struct mark *mark, int *done,
                  struct orch_error *err) ORCH_CHECKED;

/* DBSIZE of a database. */
int32_t mark_db_size(struct conn *conn, uint32_t db, uint64_t *keys,
                     struct orch_error *err) ORCH_CHECKED;

#endif
