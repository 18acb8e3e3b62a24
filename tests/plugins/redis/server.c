/* server.c: private servers for the tests of the redis plugin. */
#include "server.h"

#include "rdb.h"
#include "rdb_value.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define STARTS_WITHIN_MS 10000
#define ARGS_MAX 64

static void connect_to(struct server *server)
{
    for (int waited = 0; waited < STARTS_WITHIN_MS; waited += 10) {
        redisContext *redis = redisConnectUnix(server->socket);
        redisReply *reply = redis != NULL && redis->err == 0 ? redisCommand(redis, "PING") : NULL;
        int ready = reply != NULL && reply->type == REDIS_REPLY_STATUS;
        if (reply != NULL) {
            freeReplyObject(reply);
        }
        if (ready) {
            server->redis = redis;
            return;
        }
        if (redis != NULL) {
            redisFree(redis);
        }
        ck_assert_int_eq(waitpid(server->pid, NULL, WNOHANG), 0);
        (void)poll(NULL, 0, 10);
    }
    ck_abort_msg("redis-server did not come up");
}

void server_restart(struct server *server, const char *const *settings)
{
    char words[ARGS_MAX][128];
    char *argv[ARGS_MAX + 16];
    int argc = 0;
    int used = 0;
    char *const fixed[] = {"redis-server", "--port",    "0",         "--unixsocket",
                           server->socket, "--dir",     server->dir, "--daemonize",
                           "no",           "--logfile", "log",       "--enable-debug-command",
                           "yes"};
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        argv[argc++] = fixed[i];
    }
    for (; settings != NULL && *settings != NULL; settings++) {
        const char *space = strchr(*settings, ' ');
        ck_assert(space != NULL && used + 2 <= ARGS_MAX);
        (void)snprintf(words[used], sizeof(words[0]), "--%.*s", (int)(space - *settings),
                       *settings);
        (void)snprintf(words[used + 1], sizeof(words[0]), "%s", space + 1);
        argv[argc++] = words[used];
        argv[argc++] = words[used + 1];
        used += 2;
    }
    argv[argc] = NULL;
    server->pid = fork();
    ck_assert_int_ge(server->pid, 0);
    if (server->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)unsetenv("LD_PRELOAD");
        (void)execvp("redis-server", argv);
        _exit(127);
    }
    connect_to(server);
}

void server_start(struct server *server, const char *const *settings)
{
    memset(server, 0, sizeof(*server));
    (void)snprintf(server->dir, sizeof(server->dir), "/tmp/test-redis-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(server->dir));
    (void)snprintf(server->socket, sizeof(server->socket), "%s/socket", server->dir);
    (void)snprintf(server->work, sizeof(server->work), "%s/state/work", server->dir);
    (void)snprintf(server->url, sizeof(server->url), "unix://%s", server->socket);
    (void)snprintf(server->url0, sizeof(server->url0), "unix://%s?db=0", server->socket);
    server_restart(server, settings);
}

void server_kill(struct server *server)
{
    if (server->redis != NULL) {
        redisFree(server->redis);
        server->redis = NULL;
    }
    if (server->pid > 0) {
        (void)kill(server->pid, SIGKILL);
        (void)waitpid(server->pid, NULL, 0);
        server->pid = 0;
    }
}

static void watch_and_kill(const char *path, pid_t victim, int db, const char *command,
                           const char *field, long long least)
{
    redisContext *redis = redisConnectUnix(path);
    freeReplyObject(redisCommand(redis, "SELECT %d", db));
    for (;;) {
        redisReply *reply = redisCommand(redis, command);
        if (reply == NULL) {
            _exit(1);
        }
        long long value = reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
        const char *line = reply->type == REDIS_REPLY_STRING ? strstr(reply->str, field) : NULL;
        if (line != NULL) {
            value = strtoll(line + strlen(field) + 1, NULL, 10);
        }
        freeReplyObject(reply);
        if (value >= least) {
            (void)kill(victim, SIGKILL);
            _exit(0);
        }
        (void)poll(NULL, 0, 5);
    }
}

pid_t server_kill_when(struct server *server, int db, const char *command, const char *field,
                       long long least)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        watch_and_kill(server->socket, server->pid, db, command, field, least);
    }
    return pid;
}

static void remove_folder(const char *dir)
{
    pid_t pid = fork();
    if (pid == 0) {
        (void)execlp("rm", "rm", "-rf", "--", dir, (char *)NULL);
        _exit(127);
    }
    (void)waitpid(pid, NULL, 0);
}

void server_stop(struct server *server)
{
    server_kill(server);
    remove_folder(server->dir);
}

static redisReply *ask(struct server *server, const char *format, va_list list)
{
    redisReply *reply = redisvCommand(server->redis, format, list);
    ck_assert_msg(reply != NULL, "%s: %s", format, server->redis->errstr);
    ck_assert_msg(reply->type != REDIS_REPLY_ERROR, "%s: %s", format, reply->str);
    return reply;
}

redisReply *server_ask(struct server *server, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    redisReply *reply = ask(server, format, list);
    va_end(list);
    return reply;
}

void server_do(struct server *server, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    freeReplyObject(ask(server, format, list));
    va_end(list);
}

int64_t server_number(struct server *server, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    redisReply *reply = ask(server, format, list);
    va_end(list);
    ck_assert_int_eq(reply->type, REDIS_REPLY_INTEGER);
    int64_t number = reply->integer;
    freeReplyObject(reply);
    return number;
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 31)) * UINT64_C(0x7fb5d329728ea185);
    x = (x ^ (x >> 27)) * UINT64_C(0x81dadef4bc2dd44d);
    return x ^ (x >> 33);
}

static uint64_t key_digest(struct server *server, const struct crc64 *crc, const redisReply *key)
{
    redisReply *dump = server_ask(server, "DUMP %b", key->str, (size_t)key->len);
    int64_t expiry = server_number(server, "PEXPIRETIME %b", key->str, (size_t)key->len);
    struct rdb_event event;
    struct orch_error err = ORCH_ERROR_INIT;
    ck_assert_int_eq(dump->type, REDIS_REPLY_STRING);
    ck_assert_int_eq(rdb_payload(crc, (const uint8_t *)dump->str, (size_t)dump->len, &event, &err),
                     ORCH_OK);
    uint64_t digest =
        mix(crc64_update(crc, 1, key->str, (size_t)key->len) ^ mix((uint64_t)expiry)) ^
        rdb_value_digest(crc, event.type, event.value, event.value_len);
    freeReplyObject(dump);
    return mix(digest);
}

struct server_content server_content(struct server *server, int db)
{
    struct server_content content = {0, 0};
    struct crc64 crc;
    crc64_init(&crc);
    server_do(server, "SELECT %d", db);
    redisReply *keys = server_ask(server, "KEYS *");
    for (size_t i = 0; i < keys->elements; i++) {
        content.keys++;
        content.digest += key_digest(server, &crc, keys->element[i]);
    }
    freeReplyObject(keys);
    return content;
}

static void fill_strings(struct server *server)
{
    static const char *const NUMBERS[] = {"0",          "-1",          "127",
                                          "-128",       "32767",       "-40000",
                                          "2147483647", "-2147483648", "9223372036854775807",
                                          "3.25",       "007"};
    char *long_text = malloc(100001);
    ck_assert_ptr_nonnull(long_text);
    for (size_t i = 0; i < sizeof(NUMBERS) / sizeof(NUMBERS[0]); i++) {
        server_do(server, "SET number:%d %s", (int)i, NUMBERS[i]);
        server_do(server, "SET %s number-as-key", NUMBERS[i]);
    }
    memset(long_text, 'a', 100000);
    long_text[100000] = '\0';
    server_do(server, "SET compressible %s", long_text);
    for (int i = 0; i < 100000; i++) {
        long_text[i] = (char)(mix((uint64_t)i) & 0xff);
    }
    server_do(server, "SET incompressible %b", long_text, (size_t)100000);
    server_do(server, "SET empty-value %b", "", (size_t)0);
    server_do(server, "SET %b empty-key", "", (size_t)0);
    server_do(server, "SET %b binary-key", "\0\r\n\xff\xfe*$", (size_t)7);
    server_do(server, "SET %s long-compressible-key",
              "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk");
    free(long_text);
}

static void fill_collections(struct server *server)
{
    for (int i = 0; i < 2000; i++) {
        server_do(server, "RPUSH list:long element-number-%d-%d", i, i * i);
        server_do(server, "SADD set:table member-%d", i);
        server_do(server, "HSET hash:table field-%d value-%d", i, i);
        server_do(server, "ZADD zset:skiplist %d.25 member-%d", i, i);
        server_do(server, "SADD set:intset-large %d", i * 1000000);
        if (i < 20) {
            server_do(server, "RPUSH list:short %d", i);
            server_do(server, "SADD set:intset %d", i);
            server_do(server, "HSET hash:small f%d v%d", i, i);
            server_do(server, "ZADD zset:small %d m%d", i - 5, i);
        }
    }
    server_do(server, "SADD set:intset64 1 70000 9223372036854775807");
    server_do(server, "ZADD zset:small +inf top -inf bottom 0.1 tenth");
    server_do(server, "ZADD zset:skiplist +inf top -inf bottom");
    server_do(server, "DEBUG QUICKLIST-PACKED-THRESHOLD 100b");
    for (int i = 0; i < 10; i++) {
        server_do(server, "RPUSH list:plain %0200d short", i);
    }
    server_do(server, "DEBUG QUICKLIST-PACKED-THRESHOLD 0");
}

static void fill_streams(struct server *server)
{
    server_do(server, "XGROUP CREATE stream:empty group $ MKSTREAM");
    for (int i = 1; i <= 500; i++) {
        server_do(server, "XADD stream:groups %d-1 name value-%d other %d", i, i, i * 7);
    }
    server_do(server, "XDEL stream:groups 17-1 500-1");
    server_do(server, "XGROUP CREATE stream:groups readers 0");
    server_do(server, "XGROUP CREATE stream:groups writers 100-1 ENTRIESREAD 100");
    server_do(server, "XGROUP CREATECONSUMER stream:groups readers idle");
    server_do(server, "XREADGROUP GROUP readers alice COUNT 30 STREAMS stream:groups >");
    server_do(server, "XREADGROUP GROUP readers bob COUNT 3 STREAMS stream:groups >");
    server_do(server, "XREADGROUP GROUP writers carol COUNT 5 STREAMS stream:groups >");
    server_do(server, "XACK stream:groups readers 1-1 2-1");
}

void server_fill(struct server *server, int db)
{
    server_do(server, "SELECT %d", db);
    fill_strings(server);
    fill_collections(server);
    fill_streams(server);
    for (int i = 0; i < 50; i++) {
        server_do(server, "SET expiring:%d value-%d PXAT %lld", i, i, 4102444800000LL + i * 1001);
    }
    server_do(server, "PEXPIREAT hash:table 4102444812345");
    server_do(server, "PEXPIREAT stream:empty 4102444812346");
    server_do(server, "PEXPIREAT list:short 4102444812347");
}

/* ---- the fake ---- */

static void send_pieces(int fd, const struct fake_answer *answer)
{
    const char *p = answer->answer;
    size_t len = answer->len != 0 ? answer->len : strlen(p);
    size_t piece = answer->piece != 0 ? answer->piece : len;
    while (len > 0) {
        size_t now = len < piece ? len : piece;
        ssize_t put = send(fd, p, now, MSG_NOSIGNAL);
        if (put <= 0) {
            return;
        }
        p += put;
        len -= (size_t)put;
    }
}

static void converse(int fd, const struct fake_answer *answers, size_t count)
{
    static const struct fake_answer OK = {"", "+OK\r\n", 0, 0, 0};
    char command[4096];
    for (;;) {
        ssize_t got = recv(fd, command, sizeof(command) - 1, 0);
        if (got <= 0) {
            return;
        }
        command[got] = '\0';
        const struct fake_answer *answer = &OK;
        for (size_t i = 0; i < count; i++) {
            if (memmem(command, (size_t)got, answers[i].command, strlen(answers[i].command))) {
                answer = &answers[i];
                break;
            }
        }
        send_pieces(fd, answer);
        if (answer->hang_up) {
            return;
        }
    }
}

static void serve(int listener, const struct fake_answer *answers, size_t count)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            _exit(0);
        }
        if (fork() == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            (void)close(listener);
            converse(fd, answers, count);
            _exit(0);
        }
        (void)close(fd);
    }
}

void fake_start(struct fake *fake, const struct fake_answer *answers, size_t count)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(fake->dir, sizeof(fake->dir), "/tmp/test-redis-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(fake->dir));
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%.60s/socket", fake->dir);
    (void)snprintf(fake->url, sizeof(fake->url), "unix://%s", address.sun_path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(listener, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(listener, 16), 0);
    fake->pid = fork();
    ck_assert_int_ge(fake->pid, 0);
    if (fake->pid == 0) {
        serve(listener, answers, count);
    }
    (void)close(listener);
}

void fake_stop(struct fake *fake)
{
    (void)kill(fake->pid, SIGKILL);
    (void)waitpid(fake->pid, NULL, 0);
    remove_folder(fake->dir);
}
