/* place.c: targets and spares. */
#include "place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATABASES_DEFAULT 16u
#define OVERHEAD_PER_KEY 96u /* bytes that a server needs beside the value, roughly */

static uint64_t keys_of(const struct server *server, uint32_t db)
{
    return server_keys(server, (int64_t)db);
}

static int32_t add(struct place *place, const struct server *server, const char *run_id,
                   uint32_t part_db, uint32_t target, struct orch_error *err)
{
    const struct mark *mark = mark_in(&place->marks, target);
    if (mark != NULL) {
        return orch_fail(
            err, ORCH_E_BUSY,
            "database %u holds what the restore %s has %s; drop it (FLUSHDB) or put it "
            "back (SWAPDB %u %u) first",
            target, mark->run, mark->role == MARK_ASIDE ? "set aside" : "begun to load", target,
            mark->target);
    }
    if (target >= place->databases) {
        return orch_fail(err, ORCH_E_INCOMPATIBLE,
                         "the part has keys of database %u, and the server has databases 0 to %u "
                         "only: raise its setting 'databases'",
                         target, place->databases - 1);
    }
    struct place_job *grown = realloc(place->jobs, (place->count + 1) * sizeof(*grown));
    if (grown == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "out of memory");
    }
    place->jobs = grown;
    struct place_job *job = &grown[place->count++];
    const struct mark *aside = mark_aside_of(&place->marks, run_id, target);
    *job = (struct place_job){.part_db = part_db,
                              .target = target,
                              .old_keys = keys_of(server, target),
                              .has_aside = aside != NULL,
                              .aside = aside != NULL ? aside->db : 0};
    return ORCH_OK;
}

struct place_job *place_job_of(const struct place *place, uint32_t part_db)
{
    for (uint32_t i = 0; i < place->count; i++) {
        if (place->jobs[i].part_db == part_db) {
            return &place->jobs[i];
        }
    }
    return NULL;
}

/* A part of everything to a whole server: what it has, and what the server has beside it. */
static int32_t plan_all(const struct server *server, const struct facts *facts, const char *run_id,
                        struct place *place, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (uint32_t i = 0; rc == ORCH_OK && i < facts->tally.count; i++) {
        uint32_t db = facts->tally.dbs[i].db;
        rc = add(place, server, run_id, db, db, err);
    }
    for (uint32_t i = 0; rc == ORCH_OK && i < server->db_count; i++) {
        uint32_t db = server->dbs[i].db;
        if (mark_in(&place->marks, db) == NULL && place_job_of(place, db) == NULL) {
            rc = add(place, server, run_id, db, db, err);
        }
    }
    return rc;
}

int32_t place_plan(const struct redis *redis, struct conn *conn, const struct server *server,
                   const struct facts *facts, const char *run_id, struct place *place,
                   struct orch_error *err)
{
    char databases[16];
    memset(place, 0, sizeof(*place));
    place->databases = DATABASES_DEFAULT;
    if (server->cluster) {
        place->databases = 1;
    } else if (server_config(conn, "databases", databases, sizeof(databases))) {
        unsigned long count = strtoul(databases, NULL, 10);
        place->databases = count >= 1 && count <= INT32_MAX ? (uint32_t)count : DATABASES_DEFAULT;
    } else if (redis->url.db >= (int64_t)DATABASES_DEFAULT) {
        place->databases = (uint32_t)redis->url.db + 1;
    }
    int32_t rc = mark_find(conn, server, &place->marks, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (redis->url.db != URL_ALL_DATABASES) {
        uint32_t target = (uint32_t)redis->url.db;
        uint32_t from = facts->scope_db == URL_ALL_DATABASES ? target : (uint32_t)facts->scope_db;
        return add(place, server, run_id, from, target, err);
    }
    if (facts->scope_db != URL_ALL_DATABASES) {
        uint32_t db = (uint32_t)facts->scope_db;
        return add(place, server, run_id, db, db, err);
    }
    return plan_all(server, facts, run_id, place, err);
}

void place_free(struct place *place)
{
    free(place->jobs);
    place->jobs = NULL;
    place->count = 0;
    mark_free(&place->marks);
}

static int is_target(const struct place *place, uint32_t db)
{
    for (uint32_t i = 0; i < place->count; i++) {
        if (place->jobs[i].target == db) {
            return 1;
        }
    }
    return 0;
}

uint32_t place_spares(const struct server *server, const struct place *place)
{
    uint32_t spares = 0;
    for (uint32_t db = place->databases; db > 0 && spares < place->count; db--) {
        spares += keys_of(server, db - 1) == 0 && !is_target(place, db - 1);
    }
    return spares;
}

/* What the part takes in a server's memory, roughly. */
static uint64_t need(const struct facts *facts, const struct orch_restore *restore)
{
    uint64_t payloads = restore->size_bytes + restore->size_bytes / 2; /* values are compressed */
    uint64_t guess = payloads + restore->items * OVERHEAD_PER_KEY;
    return facts->memory_bytes > guess ? facts->memory_bytes : guess;
}

int place_fits(const struct server *server, const struct facts *facts,
               const struct orch_restore *restore)
{
    return server->maxmemory == 0 ||
           (server->used_memory < server->maxmemory &&
            need(facts, restore) <= server->maxmemory - server->used_memory);
}

int place_fits_alone(const struct server *server, const struct facts *facts,
                     const struct orch_restore *restore)
{
    uint64_t rest =
        server->used_memory > server->dataset ? server->used_memory - server->dataset : 0;
    return server->maxmemory == 0 ||
           (rest < server->maxmemory && need(facts, restore) <= server->maxmemory - rest);
}

int32_t place_take_spares(struct conn *conn, const struct server *server, const char *run_id,
                          struct place *place, int *all, struct orch_error *err)
{
    uint32_t db = place->databases;
    for (uint32_t i = 0; i < place->count; i++) {
        struct place_job *job = &place->jobs[i];
        while (!job->has_spare && db > 0) {
            db--;
            if (keys_of(server, db) != 0 || is_target(place, db)) {
                continue;
            }
            int32_t rc = mark_take(conn, db, job->target, run_id, &job->has_spare, err);
            if (rc == ORCH_E_FAILED) { /* a number that this server does not have */
                job->has_spare = 0;
                continue;
            }
            if (rc != ORCH_OK) {
                return rc;
            }
            job->spare = db;
        }
        if (!job->has_spare) {
            *all = 0;
            return ORCH_OK;
        }
    }
    *all = 1;
    return ORCH_OK;
}

int32_t place_drop_loading(struct conn *conn, const struct marks *marks, const char *run_id,
                           struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (uint32_t i = 0; rc == ORCH_OK && i < marks->count; i++) {
        const struct mark *mark = &marks->list[i];
        int done = 0;
        if (mark->role == MARK_LOADING && strcmp(mark->run, run_id) == 0) {
            rc = mark_drop(conn, mark, &done, err);
        }
    }
    return rc;
}
