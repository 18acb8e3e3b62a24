/* link.c: see link.h. */
#include "link.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "text.h"

#define WAIT_MS 200

struct link {
    const struct orch_host *host;
    PGconn *pg;
    int persist;
    char sqlstate[8];
};

static int cancelled(const struct link *link)
{
    return !link->persist && link->host->cancelled(link->host->ctx);
}

static int64_t now_ms(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

PGconn *link_pg(struct link *link)
{
    return link->pg;
}

int link_major(struct link *link)
{
    return PQserverVersion(link->pg) / 10000;
}

void link_persist(struct link *link)
{
    link->persist = 1;
}

const char *link_sqlstate(const struct link *link)
{
    return link->sqlstate;
}

static int32_t code_of(const char *state, int connection_lost)
{
    static const struct {
        const char *prefix;
        int32_t code;
    } codes[] = {
        {"28", ORCH_E_ACCESS},         {"42501", ORCH_E_ACCESS},    {"55P03", ORCH_E_BUSY},
        {"40P01", ORCH_E_BUSY},        {"55006", ORCH_E_BUSY},      {"53100", ORCH_E_NO_SPACE},
        {"57P", ORCH_E_UNREACHABLE},   {"08", ORCH_E_UNREACHABLE},  {"3D000", ORCH_E_NOT_FOUND},
        {"53300", ORCH_E_UNREACHABLE}, {"57014", ORCH_E_CANCELLED}, {"XX001", ORCH_E_CORRUPT},
        {"XX002", ORCH_E_CORRUPT},     {"53200", ORCH_E_NOMEM},
    };
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (strncmp(state, codes[i].prefix, strlen(codes[i].prefix)) == 0) {
            return codes[i].code;
        }
    }
    return connection_lost ? ORCH_E_UNREACHABLE : ORCH_E_FAILED;
}

int32_t link_fail(struct link *link, const PGresult *result, struct orch_error *err)
{
    const char *state = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = result == NULL ? "" : PQresultErrorMessage(result);
    int lost = PQstatus(link->pg) == CONNECTION_BAD;
    (void)snprintf(link->sqlstate, sizeof(link->sqlstate), "%s", state == NULL ? "" : state);
    char line[800];
    text_one_line(*message != 0 ? message : PQerrorMessage(link->pg), line, sizeof(line));
    return orch_fail(err, code_of(link->sqlstate, lost), "%s",
                     *line != 0 ? line : "the server gave no reason");
}

/* ---- connecting ------------------------------------------------------------------------- */

static int32_t fail_connect(struct link *link, const char *database, struct orch_error *err)
{
    char line[700];
    text_one_line(PQerrorMessage(link->pg), line, sizeof(line));
    int32_t code = ORCH_E_UNREACHABLE;
    const char *hint = "is the server running, and is conninfo right?";
    if (PQconnectionNeedsPassword(link->pg)) {
        code = ORCH_E_ACCESS;
        hint = "the server asks for a password: give password_file, password_env or "
               "password_command";
    } else if (PQconnectionUsedPassword(link->pg)) {
        code = ORCH_E_ACCESS;
        hint = "check the user in conninfo and the password";
    }
    return orch_fail(err, code, "cannot connect to database %s: %s (%s)", database, line, hint);
}

static int32_t wait_connected(struct link *link, const char *database, int64_t timeout_ms,
                              struct orch_error *err)
{
    int64_t end = now_ms() + timeout_ms;
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    while (state != PGRES_POLLING_OK) {
        if (state == PGRES_POLLING_FAILED || PQstatus(link->pg) == CONNECTION_BAD) {
            return fail_connect(link, database, err);
        }
        if (cancelled(link)) {
            return orch_fail(err, ORCH_E_CANCELLED, "cancelled");
        }
        if (timeout_ms > 0 && now_ms() > end) {
            return orch_fail(err, ORCH_E_TIMEOUT,
                             "cannot connect to database %s at %s: no answer within %lld ms "
                             "(option connect_timeout)",
                             database, PQhost(link->pg), (long long)timeout_ms);
        }
        struct pollfd fd = {.fd = PQsocket(link->pg),
                            .events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        if (poll(&fd, 1, WAIT_MS) > 0) {
            state = PQconnectPoll(link->pg);
        }
    }
    return ORCH_OK;
}

/* Notices of the server are of use in its log, not on our stderr. */
static void drop_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

static int32_t settle_session(struct link *link, const struct link_limits *limits,
                              struct orch_error *err)
{
    if (link_major(link) < LINK_OLDEST_MAJOR) {
        return orch_fail(err, ORCH_E_VERSION,
                         "the server is PostgreSQL %d; this plugin works with %d and newer",
                         link_major(link), LINK_OLDEST_MAJOR);
    }
    struct text CLEANUP_TEXT sql = TEXT_INIT;
    text_add(&sql, "SELECT pg_catalog.set_config(name, value, false) FROM (VALUES"
                   " ('client_encoding', 'UTF8'), ('search_path', ''), ('lock_timeout', $1),"
                   " ('statement_timeout', '0'), ('idle_in_transaction_session_timeout', '0'),"
                   " ('row_security', 'off'), ('default_transaction_read_only', 'off'),"
                   " ('DateStyle', 'ISO, MDY'), ('IntervalStyle', 'postgres'),"
                   " ('TimeZone', 'UTC'), ('extra_float_digits', '3'), ('bytea_output', 'hex'),"
                   " ('xmloption', 'content'), ('lc_monetary', 'C'),"
                   " ('standard_conforming_strings', 'on'), ('synchronize_seqscans', 'off')");
    text_add(&sql, link_major(link) >= 14 ? ", ('idle_session_timeout', '0')" : "");
    text_add(&sql, link_major(link) >= 17 ? ", ('transaction_timeout', '0')" : "");
    text_add(&sql, ") AS s (name, value)");
    char timeout[32];
    (void)snprintf(timeout, sizeof(timeout), "%lld", (long long)limits->lock_timeout_ms);
    const char *params[] = {timeout};
    PGresult *result = NULL;
    int32_t rc = text_check(&sql, err);
    if (rc == ORCH_OK) {
        rc = link_query(link, sql.data, 1, params, &result, err);
    }
    PQclear(result);
    return rc;
}

int32_t link_open(const struct orch_host *host, const struct conninfo *info, const char *database,
                  const struct link_limits *limits, struct link **out, struct orch_error *err)
{
    struct link *link = calloc(1, sizeof(*link));
    if (link == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a connection");
    }
    link->host = host;
    link->persist = limits->persist;
    link->pg = conninfo_start(info, database);
    if (link->pg == NULL) {
        free(link);
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a connection");
    }
    (void)PQsetNoticeReceiver(link->pg, drop_notice, NULL);
    int32_t rc = wait_connected(link, database, limits->connect_timeout_ms, err);
    if (rc == ORCH_OK) {
        rc = settle_session(link, limits, err);
    }
    if (rc != ORCH_OK) {
        link_close(link);
        return rc;
    }
    *out = link;
    return ORCH_OK;
}

void link_close(struct link *link)
{
    if (link != NULL) {
        PQfinish(link->pg);
        free(link);
    }
}

/* ---- statements ------------------------------------------------------------------------- */

int32_t link_wait(struct link *link, int write, struct orch_error *err)
{
    if (cancelled(link)) {
        char ignored[256];
        PGcancel *cancel = PQgetCancel(link->pg);
        if (cancel != NULL) {
            (void)PQcancel(cancel, ignored, (int)sizeof(ignored));
            PQfreeCancel(cancel);
        }
        return orch_fail(err, ORCH_E_CANCELLED, "cancelled");
    }
    short events = (short)(write ? POLLIN | POLLOUT : POLLIN);
    struct pollfd fd = {.fd = PQsocket(link->pg), .events = events};
    int n = fd.fd < 0 ? -1 : poll(&fd, 1, WAIT_MS);
    if (n < 0 && (fd.fd < 0 || errno != EINTR)) {
        return link_fail(link, NULL, err);
    }
    if (n > 0 && (fd.revents & (POLLIN | POLLHUP | POLLERR)) != 0 &&
        PQconsumeInput(link->pg) == 0) {
        return link_fail(link, NULL, err);
    }
    return ORCH_OK;
}

int32_t link_finish(struct link *link, PGresult **out, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    PGresult *last = NULL;
    for (;;) {
        while (PQisBusy(link->pg)) {
            int32_t waited = link_wait(link, 0, err);
            if (waited != ORCH_OK) {
                PQclear(last);
                return waited;
            }
        }
        PGresult *result = PQgetResult(link->pg);
        if (result == NULL) {
            break;
        }
        ExecStatusType status = PQresultStatus(result);
        if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) {
            rc = rc == ORCH_OK ? link_fail(link, result, err) : rc;
        }
        PQclear(last);
        last = result;
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT) {
            break;
        }
        if (PQstatus(link->pg) == CONNECTION_BAD) {
            rc = rc == ORCH_OK ? link_fail(link, NULL, err) : rc;
            break;
        }
    }
    if (rc == ORCH_OK && out != NULL) {
        *out = last;
    } else {
        PQclear(last);
    }
    return rc;
}

int32_t link_query(struct link *link, const char *sql, int count, const char *const *params,
                   PGresult **out, struct orch_error *err)
{
    if (PQsendQueryParams(link->pg, sql, count, NULL, params, NULL, NULL, 0) == 0) {
        return link_fail(link, NULL, err);
    }
    return link_finish(link, out, err);
}

int32_t link_run(struct link *link, const char *sql, struct orch_error *err)
{
    return link_query(link, sql, 0, NULL, NULL, err);
}

int32_t link_value(struct link *link, const char *sql, int count, const char *const *params,
                   char **out, struct orch_error *err)
{
    CLEANUP_RESULT PGresult *result = NULL;
    *out = NULL;
    int32_t rc = link_query(link, sql, count, params, &result, err);
    if (rc != ORCH_OK || PQntuples(result) < 1 || PQgetisnull(result, 0, 0)) {
        return rc;
    }
    *out = strdup(PQgetvalue(result, 0, 0));
    return *out != NULL ? ORCH_OK : orch_fail(err, ORCH_E_NOMEM, "no memory for a value");
}

int32_t link_json(struct link *link, const char *sql, int count, const char *const *params,
                  json_t **out, struct orch_error *err)
{
    CLEANUP_FREE char *value = NULL;
    int32_t rc = link_value(link, sql, count, params, &value, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (value == NULL) {
        *out = json_null();
        return ORCH_OK;
    }
    json_error_t problem;
    *out = json_loads(value, JSON_DECODE_ANY | JSON_ALLOW_NUL, &problem);
    if (*out == NULL) {
        return orch_fail(err, ORCH_E_UNSUPPORTED,
                         "the server gave text that is not valid UTF-8 (%s): names in a SQL_ASCII "
                         "database must be UTF-8",
                         problem.text);
    }
    return ORCH_OK;
}
