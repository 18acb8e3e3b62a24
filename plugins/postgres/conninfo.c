/* conninfo.c: see conninfo.h. */
#include "conninfo.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "text.h"

struct conninfo {
    PQconninfoOption *given;
    char *password; /* or NULL */
    const char *database;
    int passfile; /* a memfd, or -1 */
};

/* The connection string's own words must not get into an error text: a misplaced password may be
 * among them. */
static int32_t parse_given(struct conninfo *info, const char *text, struct orch_error *err)
{
    char *problem = NULL;
    info->given = PQconninfoParse(text, &problem);
    PQfreemem(problem);
    if (info->given == NULL) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "option conninfo is not a valid connection string: write keyword=value "
                         "pairs (host=db dbname=app) or a postgresql:// URI");
    }
    for (const PQconninfoOption *o = info->given; o->keyword != NULL; o++) {
        if (o->val == NULL || *o->val == 0) {
            continue;
        }
        if (strcmp(o->keyword, "password") == 0 || strcmp(o->keyword, "sslpassword") == 0) {
            return orch_fail(
                err, ORCH_E_CONFIG,
                "option conninfo holds a password: take it out and give password_file, "
                "password_env or password_command instead");
        }
        if (strcmp(o->keyword, "dbname") == 0) {
            info->database = o->val;
        }
    }
    if (info->database == NULL) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "option conninfo names no database: add dbname=NAME to it");
    }
    if (strlen(info->database) > 63) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "option conninfo: the database name is longer than 63 bytes");
    }
    return ORCH_OK;
}

/* libpq wants a regular file that only its owner may read; a memfd with mode 0600 is one. */
static int32_t make_passfile(struct conninfo *info, struct orch_error *err)
{
    struct text CLEANUP_TEXT line = TEXT_INIT;
    text_add(&line, "*:*:*:*:");
    for (const char *p = info->password; *p != 0; p++) {
        if (*p == ':' || *p == '\\') {
            text_add(&line, "\\");
        }
        text_bytes(&line, p, 1);
    }
    text_add(&line, "\n");
    int32_t rc = text_check(&line, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    int fd = memfd_create("pgpass", MFD_CLOEXEC);
    if (fd >= 0 && fchmod(fd, 0600) == 0 && write(fd, line.data, line.len) == (ssize_t)line.len) {
        /* Above the numbers that a child's standard streams and this file itself get there. */
        info->passfile = fcntl(fd, F_DUPFD_CLOEXEC, 10);
    }
    int failed = info->passfile < 0 ? errno : 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    explicit_bzero(line.data, line.len);
    return failed == 0 ? ORCH_OK : orch_fail_errno(err, failed, "cannot make a password file");
}

int32_t conninfo_parse(const char *text, const char *password, struct conninfo **out,
                       struct orch_error *err)
{
    struct conninfo *info = calloc(1, sizeof(*info));
    if (info == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the connection's options");
    }
    info->passfile = -1;
    int32_t rc = parse_given(info, text, err);
    if (rc == ORCH_OK && password != NULL && *password != 0) {
        info->password = strdup(password);
        if (info->password == NULL) {
            rc = orch_fail(err, ORCH_E_NOMEM, "no memory for the connection's options");
        } else if (strpbrk(password, "\r\n") != NULL) {
            rc = orch_fail(err, ORCH_E_CONFIG, "option password holds a line break");
        } else {
            rc = make_passfile(info, err);
        }
    }
    if (rc != ORCH_OK) {
        conninfo_free(info);
        return rc;
    }
    *out = info;
    return ORCH_OK;
}

void conninfo_free(struct conninfo *info)
{
    if (info == NULL) {
        return;
    }
    PQconninfoFree(info->given);
    if (info->password != NULL) {
        explicit_bzero(info->password, strlen(info->password));
        free(info->password);
    }
    if (info->passfile >= 0) {
        (void)close(info->passfile);
    }
    free(info);
}

const char *conninfo_database(const struct conninfo *info)
{
    return info->database;
}

int conninfo_passfile(const struct conninfo *info)
{
    return info->passfile;
}

PGconn *conninfo_start(const struct conninfo *info, const char *database)
{
    size_t count = 0;
    for (const PQconninfoOption *o = info->given; o->keyword != NULL; o++) {
        count++;
    }
    CLEANUP_FREE const char **keys = calloc(count + 4, sizeof(*keys));
    CLEANUP_FREE const char **values = calloc(count + 4, sizeof(*values));
    if (keys == NULL || values == NULL) {
        return NULL;
    }
    size_t n = 0;
    for (const PQconninfoOption *o = info->given; o->keyword != NULL; o++) {
        if (o->val != NULL && *o->val != 0 && strcmp(o->keyword, "dbname") != 0) {
            keys[n] = o->keyword;
            values[n++] = o->val;
        }
    }
    keys[n] = "dbname";
    values[n++] = database;
    keys[n] = "fallback_application_name";
    values[n++] = "orchestrate";
    if (info->password != NULL) {
        keys[n] = "password";
        values[n++] = info->password;
    }
    return PQconnectStartParams(keys, values, 0);
}

static void add_pair(struct text *text, const char *key, const char *value)
{
    text_format(text, "%s%s='", text->len > 0 ? " " : "", key);
    for (const char *p = value; *p != 0; p++) {
        if (*p == '\'' || *p == '\\') {
            text_add(text, "\\");
        }
        text_bytes(text, p, 1);
    }
    text_add(text, "'");
}

char *conninfo_text(const struct conninfo *info, const char *database)
{
    struct text CLEANUP_TEXT text = TEXT_INIT;
    for (const PQconninfoOption *o = info->given; o->keyword != NULL; o++) {
        int replaced = strcmp(o->keyword, "dbname") == 0 ||
                       (info->passfile >= 0 && strcmp(o->keyword, "passfile") == 0);
        if (o->val != NULL && *o->val != 0 && !replaced) {
            add_pair(&text, o->keyword, o->val);
        }
    }
    add_pair(&text, "dbname", database);
    add_pair(&text, "fallback_application_name", "orchestrate");
    if (info->passfile >= 0) {
        text_format(&text, " passfile='/proc/self/fd/%d'", CONNINFO_PASSFILE_FD);
    }
    return text_steal(&text);
}
