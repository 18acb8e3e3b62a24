/*
 * crc64.h: the checksum of Redis: CRC-64 with Jones' polynomial, reflected, start value 0.
 *
 * The tables are computed once into memory of the caller, so that nothing here is global.
 */
#ifndef REDIS_CRC64_H
#define REDIS_CRC64_H

#include <stddef.h>
#include <stdint.h>

struct crc64 {
    uint64_t table[8][256];
};

void crc64_init(struct crc64 *crc);
/* Goes on from `value` (0 to begin with) over `len` bytes. Threads may share an initialised table.
 */
uint64_t crc64_update(const struct crc64 *crc, uint64_t value, const void *data, size_t len);

#endif
