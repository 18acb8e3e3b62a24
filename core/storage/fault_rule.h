/* fault_rule.h: the rules of ORCHESTRATE_STORAGE_FAULT; fault.h says what they mean. For fault.c.
 */
#ifndef CORE_STORAGE_FAULT_RULE_H
#define CORE_STORAGE_FAULT_RULE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <orchestrate/error.h>

enum fault_op {
    FAULT_CREATE,
    FAULT_MKDIR,
    FAULT_WRITE,
    FAULT_SYNC,
    FAULT_RENAME,
    FAULT_SYNCDIR,
    FAULT_OPEN,
    FAULT_READ,
    FAULT_STAT,
    FAULT_LIST,
    FAULT_REMOVE,
    FAULT_OP_COUNT
};

enum fault_kind {
    FAULT_EIO,
    FAULT_ENOSPC,
    FAULT_SHORT,
    FAULT_CUT,
    FAULT_LOST,
    FAULT_KILL,
    FAULT_KIND_COUNT
};

#define FAULT_NAME_MAX 128

struct fault_rule {
    enum fault_kind kind;
    uint32_t ops; /* a bit for each operation */
    char name[FAULT_NAME_MAX];
    uint64_t at, times; /* times UINT64_MAX: for good */
    uint64_t chance;    /* in 1,000,000; 0: at and times count */
    uint64_t seed;
    uint64_t bytes; /* UINT64_MAX: not asked for */
    bool done;
    atomic_uint_fast64_t calls;   /* that fitted */
    atomic_uint_fast64_t written; /* bytes that were let through */
};

const char *fault_rule_op(enum fault_op op);
const char *fault_rule_kind(enum fault_kind kind);

/* Reads one rule: the text up to the next blank or the end. */
int32_t fault_rule_parse(const char *text, struct fault_rule *out,
                         struct orch_error *err) ORCH_CHECKED;
/* Counts the call if it fits; true when it is to be hit. */
bool fault_rule_hits(struct fault_rule *rule, enum fault_op op, const char *name);
/* For a write of `len` bytes under a rule with `bytes`: how many of them still get through. */
uint64_t fault_rule_room(struct fault_rule *rule, const char *name, uint64_t len);

#endif
