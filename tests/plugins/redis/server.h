/*
 * server.h: a private redis-server for tests, and a fake one that answers from a script.
 */
#ifndef TEST_REDIS_SERVER_H
#define TEST_REDIS_SERVER_H

#include <hiredis/hiredis.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct server {
    char dir[64];
    char url[128];  /* unix://…, all databases */
    char url0[128]; /* the same with ?db=0 */
    char socket[96];
    char work[96]; /* a work folder beside it (not made) */
    pid_t pid;
    redisContext *redis;
};

/* Starts a server with these settings, each "name value", the list ended by NULL. Aborts the test
 * when it does not come up. */
void server_start(struct server *server, const char *const *settings);
/* Starts it again in its folder after server_kill. */
void server_restart(struct server *server, const char *const *settings);
void server_kill(struct server *server); /* SIGKILL, waits */
void server_stop(struct server *server); /* the same, and removes the folder */

/*
 * A process that kills the server once the answer to `command` in database `db`, a number or a text
 * with the line "field:number", has come to `least`. Wait for it with waitpid.
 */
pid_t server_kill_when(struct server *server, int db, const char *command, const char *field,
                       long long least);

/* Runs a command; fails the test on an error reply. Free the reply. */
redisReply *server_ask(struct server *server, const char *format, ...);
/* The same without the reply, or with an integer one. */
void server_do(struct server *server, const char *format, ...);
int64_t server_number(struct server *server, const char *format, ...);

/* Keys of a database, and the sum of the digests of all of them: key, type, value, expiry. */
struct server_content {
    uint64_t keys;
    uint64_t digest;
};
struct server_content server_content(struct server *server, int db);

/* One of each: every type in several encodings, expiries, binary keys. Into database `db`. */
void server_fill(struct server *server, int db);

/* ---- a fake server ---- */

struct fake_answer {
    const char *command; /* a word that the command contains */
    const void *answer;
    size_t len;   /* 0: strlen(answer) */
    size_t piece; /* sent in pieces of this many bytes; 0: at once */
    int hang_up;  /* close afterwards */
};

struct fake {
    char dir[64];
    char url[128];
    pid_t pid;
};

/* Answers each command with the first answer whose word it contains, else with +OK. */
void fake_start(struct fake *fake, const struct fake_answer *answers, size_t count);
void fake_stop(struct fake *fake);

#endif
