/* refusal.c: error replies, by their first word. */
#include "refusal.h"

#include <string.h>

struct refusal {
    const char *start;
    int32_t code;
    const char *advice;
};

static const struct refusal REFUSALS[] = {
    {"WRONGPASS", ORCH_E_ACCESS,
     "the user or the password is wrong: see the options user and password"},
    {"ERR invalid password", ORCH_E_ACCESS, "the password is wrong: see the option password"},
    {"ERR AUTH <password> called without", ORCH_E_ACCESS,
     "the server has no password: remove the option password"},
    {"NOAUTH", ORCH_E_ACCESS, "the server wants a password: set the option password (and user)"},
    {"NOPERM", ORCH_E_ACCESS, "the user's ACL does not allow it: the README lists what is needed"},
    {"ERR unknown command", ORCH_E_UNSUPPORTED, "this server does not offer the command"},
    {"LOADING", ORCH_E_BUSY, "the server is still loading its data: wait and run again"},
    {"BUSY ", ORCH_E_BUSY, "a script is running on the server: wait and run again"},
    {"TRYAGAIN", ORCH_E_BUSY, "wait and run again"},
    {"MASTERDOWN", ORCH_E_UNREACHABLE,
     "it is a replica that has lost its primary: repair that, or name the primary in the url"},
    {"NOMASTERLINK", ORCH_E_UNREACHABLE,
     "it is a replica that has lost its primary: repair that, or name the primary in the url"},
    {"READONLY", ORCH_E_INCOMPATIBLE, "it is a read-only replica: name the primary in the url"},
    {"OOM", ORCH_E_NO_SPACE,
     "the data does not fit into the server's maxmemory: raise it or free memory"},
    {"MISCONF", ORCH_E_NO_SPACE,
     "the server cannot save to its disk and refuses writes: repair its disk first"},
    {"NOREPLICAS", ORCH_E_BUSY, "too few replicas are connected for writes"},
    {"CLUSTERDOWN", ORCH_E_UNREACHABLE, "the cluster is down"},
    {"MOVED", ORCH_E_UNSUPPORTED, "the key lives on another node of a cluster"},
    {"ERR DUMP payload version or checksum", ORCH_E_INCOMPATIBLE,
     "the part was written by a newer server than this one, or is damaged: restore to a server of "
     "the same version or newer"},
    {"ERR Bad data format", ORCH_E_INCOMPATIBLE, "the server does not understand the value"},
    {"ERR Protocol error: invalid bulk length", ORCH_E_INCOMPATIBLE,
     "a value is longer than the server's proto-max-bulk-len: raise that"},
    {"ERR max number of clients", ORCH_E_BUSY, "the server has too many clients"},
};

static const struct refusal *find(const char *text)
{
    for (size_t i = 0; i < sizeof(REFUSALS) / sizeof(REFUSALS[0]); i++) {
        if (strncmp(text, REFUSALS[i].start, strlen(REFUSALS[i].start)) == 0) {
            return &REFUSALS[i];
        }
    }
    return NULL;
}

int32_t refusal_map(const char *server, const char *what, const char *text, struct orch_error *err)
{
    const struct refusal *refusal = find(text);
    if (refusal == NULL) {
        return orch_fail(err, ORCH_E_FAILED, "Redis at %s refused %s: %.200s", server, what, text);
    }
    return orch_fail(err, refusal->code, "Redis at %s refused %s: %.200s; %s", server, what, text,
                     refusal->advice);
}

int refusal_is_forbidden(const char *text)
{
    return strncmp(text, "NOPERM", 6) == 0 || strncmp(text, "ERR unknown command", 19) == 0 ||
           strncmp(text, "ERR command is not", 18) == 0;
}
