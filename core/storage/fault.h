/*
 * fault.h: storage faults on demand, in test builds only.
 *
 * ORCHESTRATE_STORAGE_FAULT holds one or more of these, joined by commas; N counts from 1, per
 * open store:
 *
 *   enospc:N    the Nth piece of data put into the store, and all after it, finds the disk full
 *   eio:N       the Nth piece of data put fails with an input/output error, once
 *   eio-get:N   the Nth read fails with an input/output error, once
 */
#ifndef CORE_STORAGE_FAULT_H
#define CORE_STORAGE_FAULT_H

#include <stdatomic.h>
#include <stdint.h>

#include <orchestrate/error.h>

struct fault {
    uint64_t no_space_at; /* 0: never */
    uint64_t put_fails_at;
    uint64_t get_fails_at;
    atomic_uint_fast64_t puts;
    atomic_uint_fast64_t gets;
};

#ifdef ORCHESTRATE_TEST_HOOKS
void fault_init(struct fault *fault);
int32_t fault_put(struct fault *fault, struct orch_error *err) ORCH_CHECKED;
int32_t fault_get(struct fault *fault, const char *name, struct orch_error *err) ORCH_CHECKED;
#else
static inline void fault_init(struct fault *fault)
{
    (void)fault;
}

static inline int32_t fault_put(struct fault *fault, struct orch_error *err)
{
    (void)fault;
    (void)err;
    return ORCH_OK;
}

static inline int32_t fault_get(struct fault *fault, const char *name, struct orch_error *err)
{
    (void)fault;
    (void)name;
    (void)err;
    return ORCH_OK;
}
#endif

#endif
