/* reading.h: the lease of a run that only reads the repository. Internal to run/. */
#ifndef CORE_RUN_READING_H
#define CORE_RUN_READING_H

#include "engine/lease.h"
#include "run/context.h"

/* As lease_take; but where the repository cannot be written (a full disk, a read-only copy), *out
 * stays NULL and a warning says so: that must not keep anybody from recovering. */
int32_t reading_lease(const struct run_context *ctx, const char *run_id, const char *work,
                      struct lease **out, struct orch_error *err) ORCH_CHECKED;

#endif
