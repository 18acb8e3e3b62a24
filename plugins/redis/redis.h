/*
 * redis.h: the instance of this plugin, and its callbacks by file.
 */
#ifndef REDIS_REDIS_H
#define REDIS_REDIS_H

#include "conn.h"
#include "crc64.h"
#include "server.h"
#include "source.h"
#include "tally.h"

#include <orchestrate/plugin.h>
#include <orchestrate/support.h>

/* Records of function libraries: a space that no database has, and the type of their opcode. */
#define REDIS_SPACE_FUNCTIONS UINT32_MAX
#define REDIS_TYPE_FUNCTION 245u

/* The key that marks a database as ours while a restore is under way (and an aside after it). */
#define REDIS_MARKER "orchestrate:restore"

#define REDIS_METHOD_AUTO 0
#define REDIS_METHOD_SYNC 1
#define REDIS_METHOD_SCAN 2

#define REDIS_ASIDE_AUTO 0
#define REDIS_ASIDE_DATABASE 1
#define REDIS_ASIDE_FILE 2

struct redis {
    const struct orch_host *host;
    struct url url;
    char *user;     /* or NULL */
    char *password; /* or NULL */
    char *work_dir;
    int64_t connect_timeout_ms;
    int64_t silence_timeout_ms;
    uint32_t batch;
    int method;   /* REDIS_METHOD_* */
    int diskless; /* SYNC_DISKLESS_* */
    int aside;    /* REDIS_ASIDE_* */
    int functions;
    struct crc64 crc;
    struct sync *sync;     /* the snapshot taken by freeze */
    struct tally restored; /* what `restore` loaded, for `verify`; empty when it did not run here */
};

/* Opens a connection with the instance's options. */
int32_t redis_connect(const struct redis *redis, struct conn **out,
                      struct orch_error *err) ORCH_CHECKED;
/* The same parameters, for sources that open their own. */
struct conn_params redis_params(const struct redis *redis);

/* backup.c */
int32_t backup_freeze(void *instance, struct orch_freeze *freeze, struct orch_error *err);
int32_t backup_thaw(void *instance, struct orch_error *err);
int32_t backup_run(void *instance, struct orch_error *err);

/* check.c */
int32_t check_run(void *instance, const struct orch_restore *restore, struct orch_error *err);

/* restore.c */
int32_t restore_run(void *instance, const struct orch_restore *restore, struct orch_error *err);
int32_t restore_settle(void *instance, const struct orch_restore *restore, uint32_t outcome,
                       struct orch_error *err);

/* verify.c */
int32_t verify_run(void *instance, const struct orch_restore *restore, struct orch_error *err);

#endif
