/* parallel.h: runs one function over several items, each on a thread of its own. */
#ifndef CORE_RUN_PARALLEL_H
#define CORE_RUN_PARALLEL_H

#include <stddef.h>

/* Calls work(items[i]) for all, side by side, and returns when the last has ended. Where a thread
 * cannot be had, the item is worked on by the calling thread. */
void parallel_run(void *const *items, size_t count, void (*work)(void *item));

#endif
