/*
 * uncached.h: reads large ranges past the page cache (O_DIRECT) where they are not in it.
 *
 * Packs are written past it, and a restore reads them once: through the cache each byte would be
 * copied into pages that have to be found first, and push out what the applications have there.
 * What is cached is read from the cache. Thread-safe.
 */
#ifndef CORE_STORAGE_UNCACHED_H
#define CORE_STORAGE_UNCACHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "storage/fault.h"

struct uncached;

struct uncached *uncached_new(void);           /* NULL when memory ran out */
void uncached_free(struct uncached *uncached); /* NULL is fine */

/* Is the range so large, and so little of it cached, that uncached_read() is better than pread? */
bool uncached_wanted(struct uncached *uncached, int fd, uint64_t offset, size_t len);
/* As fault_read(), of the file `fd`, which is open for reading: fewer bytes than asked for, 0 at
 * the file's end, or -1 and errno. Where O_DIRECT cannot be, it reads the usual way. */
ssize_t uncached_read(struct uncached *uncached, struct fault *fault, const char *name, int fd,
                      void *data, size_t len, uint64_t offset);

#endif
