/*
 * place.h: which database of a part goes to which database of the server, and where it is built.
 *
 * The part's scope and the url decide the targets:
 *   part of one database M, url with /N      M goes to N
 *   part of one database M, url without      M goes to M
 *   part of all, url with /N                 N alone is restored, from N
 *   part of all, url without                 all; databases that the part does not have become
 * empty A database that holds the marker of another restore is never a target and never a spare.
 */
#ifndef REDIS_PLACE_H
#define REDIS_PLACE_H

#include "facts.h"
#include "mark.h"
#include "redis.h"

struct place_job {
    uint32_t part_db;
    uint32_t target;
    uint64_t old_keys; /* that the target has now */
    int has_spare;
    uint32_t spare; /* where it is loaded before the swap */
    int has_aside;  /* an earlier attempt of this run has set the old data aside */
    uint32_t aside;
};

struct place {
    struct place_job *jobs;
    uint32_t count;
    uint32_t databases; /* of the server */
    struct marks marks;
};

/* Works out the jobs. Reads from the server, changes nothing. */
int32_t place_plan(const struct redis *redis, struct conn *conn, const struct server *server,
                   const struct facts *facts, const char *run_id, struct place *place,
                   struct orch_error *err) ORCH_CHECKED;
void place_free(struct place *place);
#define CLEANUP_PLACE __attribute__((cleanup(place_free)))

/* The job of a database of the part, or NULL: not restored. */
struct place_job *place_job_of(const struct place *place, uint32_t part_db);

/* How many empty databases may serve as spares. */
uint32_t place_spares(const struct server *server, const struct place *place);
/* 1 when old and new data fit side by side, by the server's maxmemory. */
int place_fits(const struct server *server, const struct facts *facts,
               const struct orch_restore *restore);
/* 1 when the new data fits once the targets' old data is gone. */
int place_fits_alone(const struct server *server, const struct facts *facts,
                     const struct orch_restore *restore);

/* Takes a spare database for every job, from the highest number down; *all is 0 when there are not
 * enough. Those taken keep their marker. */
int32_t place_take_spares(struct conn *conn, const struct server *server, const char *run_id,
                          struct place *place, int *all, struct orch_error *err) ORCH_CHECKED;
/* Empties what a run has loaded and not swapped, wherever it is. */
int32_t place_drop_loading(struct conn *conn, const struct marks *marks, const char *run_id,
                           struct orch_error *err) ORCH_CHECKED;

#endif
