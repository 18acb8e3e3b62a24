/* fault_rule.c: see fault_rule.h. Empty in builds without test hooks. */
#include "storage/fault_rule.h"

#ifdef ORCHESTRATE_TEST_HOOKS

#include <stdlib.h>
#include <string.h>

#define OP(name) (1u << FAULT_##name)
#define OPS_PUT (OP(CREATE) | OP(MKDIR) | OP(WRITE) | OP(SYNC) | OP(RENAME) | OP(SYNCDIR))
#define OPS_GET (OP(OPEN) | OP(READ) | OP(STAT) | OP(LIST))
#define OPS_ALL ((1u << FAULT_OP_COUNT) - 1u)

static const char *const op_names[] = {"create", "mkdir", "write", "sync", "rename", "syncdir",
                                       "open",   "read",  "stat",  "list", "remove"};

/* What a kind can do, and what it does when no op is given. */
static const struct {
    const char *name;
    uint32_t possible;
    uint32_t usual;
} kinds[] = {
    [FAULT_EIO] = {"eio", OPS_ALL, OPS_ALL},
    [FAULT_ENOSPC] = {"enospc", OPS_PUT, OP(CREATE) | OP(MKDIR) | OP(WRITE)},
    [FAULT_SHORT] = {"short", OP(WRITE) | OP(READ), OP(WRITE) | OP(READ)},
    [FAULT_CUT] = {"cut", OP(READ), OP(READ)},
    [FAULT_LOST] = {"lost", OP(SYNC) | OP(SYNCDIR), OP(SYNC) | OP(SYNCDIR)},
    [FAULT_KILL] = {"kill", OPS_ALL, OPS_ALL},
};

const char *fault_rule_op(enum fault_op op)
{
    return op_names[op];
}

const char *fault_rule_kind(enum fault_kind kind)
{
    return kinds[kind].name;
}

/* A piece of the text. */
struct piece {
    const char *at;
    size_t len;
};

static bool piece_is(struct piece piece, const char *word)
{
    return strlen(word) == piece.len && memcmp(piece.at, word, piece.len) == 0;
}

/* The piece up to the next byte of `ends`, which stays in front of the rest. */
static struct piece piece_until(const char **text, const char *ends)
{
    struct piece piece = {*text, strcspn(*text, ends)};
    *text += piece.len;
    return piece;
}

static bool piece_number(struct piece piece, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < piece.len; i++) {
        unsigned digit = (unsigned)(piece.at[i] - '0');
        if (digit > 9 || value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return piece.len > 0;
}

static bool piece_ops(struct piece piece, uint32_t *out)
{
    const char *text = piece.at;
    *out = 0;
    for (;;) {
        struct piece word = piece_until(&text, "+, \t\n");
        uint32_t found = 0;
        found |= piece_is(word, "put") ? OPS_PUT : 0;
        found |= piece_is(word, "get") ? OPS_GET : 0;
        found |= piece_is(word, "all") ? OPS_ALL : 0;
        for (unsigned op = 0; op < FAULT_OP_COUNT; op++) {
            found |= piece_is(word, op_names[op]) ? 1u << op : 0;
        }
        *out |= found;
        if (found == 0 || *text != '+') {
            return found != 0;
        }
        text++;
    }
}

static bool rule_field(struct fault_rule *rule, struct piece key, struct piece value)
{
    uint64_t number = 0;
    if (piece_is(key, "op")) {
        return piece_ops(value, &rule->ops);
    }
    if (piece_is(key, "name")) {
        if (value.len >= sizeof rule->name) {
            return false;
        }
        memcpy(rule->name, value.at, value.len);
        rule->name[value.len] = '\0';
        return true;
    }
    if (piece_is(key, "for") && piece_is(value, "all")) {
        rule->times = UINT64_MAX;
        return true;
    }
    if (!piece_number(value, &number)) {
        return false;
    }
    if (piece_is(key, "at")) {
        rule->at = number;
    } else if (piece_is(key, "for")) {
        rule->times = number;
    } else if (piece_is(key, "p")) {
        rule->chance = number;
    } else if (piece_is(key, "seed")) {
        rule->seed = number;
    } else if (piece_is(key, "bytes")) {
        rule->bytes = number;
    } else if (piece_is(key, "done")) {
        rule->done = number == 1;
    } else {
        return false;
    }
    return true;
}

static bool rule_kind(struct fault_rule *rule, struct piece word)
{
    for (unsigned kind = 0; kind < FAULT_KIND_COUNT; kind++) {
        if (piece_is(word, kinds[kind].name)) {
            rule->kind = (enum fault_kind)kind;
            rule->ops = kinds[kind].usual;
            rule->times = kind == FAULT_ENOSPC ? UINT64_MAX : 1;
            return true;
        }
    }
    return false;
}

/* Fields that do not go together, or that the kind has no use for. */
static bool rule_sound(struct fault_rule *rule)
{
    if (rule->ops != OPS_ALL && (rule->ops & ~kinds[rule->kind].possible) != 0) {
        return false;
    }
    rule->ops &= kinds[rule->kind].possible;
    if (rule->bytes != UINT64_MAX) {
        rule->ops &= OP(WRITE);
    }
    return rule->ops != 0 && rule->at > 0 && rule->times > 0 && rule->chance <= 1000000 &&
           (rule->bytes == UINT64_MAX || rule->kind == FAULT_ENOSPC) &&
           (!rule->done || rule->kind == FAULT_EIO || rule->kind == FAULT_KILL);
}

int32_t fault_rule_parse(const char *text, struct fault_rule *out, struct orch_error *err)
{
    const char *at = text;
    *out = (struct fault_rule){.at = 1, .bytes = UINT64_MAX};
    bool good = rule_kind(out, piece_until(&at, ": \t\n"));
    char before = ':';
    while (good && *at == before) {
        at++;
        struct piece key = piece_until(&at, "=, \t\n");
        good = *at == '=';
        at += good;
        good = good && rule_field(out, key, piece_until(&at, ", \t\n"));
        before = ',';
    }
    if (good && strchr(" \t\n", *at) != NULL && rule_sound(out)) { /* the final zero is found too */
        return ORCH_OK;
    }
    return orch_fail(err, ORCH_E_INVALID,
                     "ORCHESTRATE_STORAGE_FAULT: \"%.*s\" is no rule; see core/storage/fault.h",
                     (int)strcspn(text, " \t\n"), text);
}

/* A number that depends on both and looks random (splitmix64). */
static uint64_t mix(uint64_t seed, uint64_t call)
{
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + call * UINT64_C(0xd1342543de82ef95);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static bool rule_fits(const struct fault_rule *rule, enum fault_op op, const char *name)
{
    return (rule->ops & (1u << op)) != 0 && strncmp(name, rule->name, strlen(rule->name)) == 0;
}

bool fault_rule_hits(struct fault_rule *rule, enum fault_op op, const char *name)
{
    if (rule->bytes != UINT64_MAX || !rule_fits(rule, op, name)) {
        return false;
    }
    uint64_t call = atomic_fetch_add(&rule->calls, 1) + 1;
    if (rule->chance != 0) {
        return mix(rule->seed, call) % 1000000 < rule->chance;
    }
    return call >= rule->at && call - rule->at < rule->times;
}

uint64_t fault_rule_room(struct fault_rule *rule, const char *name, uint64_t len)
{
    if (rule->bytes == UINT64_MAX || !rule_fits(rule, FAULT_WRITE, name)) {
        return len;
    }
    uint64_t before = atomic_fetch_add(&rule->written, len);
    uint64_t room = before < rule->bytes ? rule->bytes - before : 0;
    return room < len ? room : len;
}

#else
/* ISO C wants at least one declaration in a file. */
typedef int fault_rule_not_built;
#endif
