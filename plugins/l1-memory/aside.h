/* aside.h: the old content of the cache, kept beside it until the new one is verified. */
#ifndef L1_MEMORY_ASIDE_H
#define L1_MEMORY_ASIDE_H

#include <stddef.h>

#include "instance.h"

/* PATH.orch-aside-RUN (the first 8 digits of the run's id). */
int32_t l1_aside_name(const struct l1_instance *self, const struct orch_restore *restore,
                      char *name, size_t size, struct orch_error *err) ORCH_CHECKED;
/* Copies the cache there, once per run: an aside that exists is the original and stays. A cache
 * that cannot be opened is moved there as it is. Nothing to do when there is no cache. */
int32_t l1_aside_keep(struct l1_instance *self, const char *aside,
                      struct orch_error *err) ORCH_CHECKED;
/* Removes it; none is fine. */
int32_t l1_aside_drop(const char *aside, struct orch_error *err) ORCH_CHECKED;

#endif
