/* crc64.c: CRC-64/Jones, eight bytes at a time (slicing by eight). */
#include "crc64.h"

#include <endian.h>
#include <string.h>

#define POLYNOMIAL UINT64_C(0x95ac9329ac4bc9b5) /* 0xad93d23594c935a9 with its bits reversed */

void crc64_init(struct crc64 *crc)
{
    for (unsigned i = 0; i < 256; i++) {
        uint64_t value = i;
        for (int bit = 0; bit < 8; bit++) {
            value = (value & 1) != 0 ? (value >> 1) ^ POLYNOMIAL : value >> 1;
        }
        crc->table[0][i] = value;
    }
    for (unsigned i = 0; i < 256; i++) {
        uint64_t value = crc->table[0][i];
        for (int slice = 1; slice < 8; slice++) {
            value = crc->table[0][value & 0xff] ^ (value >> 8);
            crc->table[slice][i] = value;
        }
    }
}

uint64_t crc64_update(const struct crc64 *crc, uint64_t value, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        value ^= le64toh(word);
        value = crc->table[7][value & 0xff] ^ crc->table[6][(value >> 8) & 0xff] ^
                crc->table[5][(value >> 16) & 0xff] ^ crc->table[4][(value >> 24) & 0xff] ^
                crc->table[3][(value >> 32) & 0xff] ^ crc->table[2][(value >> 40) & 0xff] ^
                crc->table[1][(value >> 48) & 0xff] ^ crc->table[0][value >> 56];
        p += 8;
        len -= 8;
    }
    while (len > 0) {
        value = crc->table[0][(value ^ *p) & 0xff] ^ (value >> 8);
        p++;
        len--;
    }
    return value;
}
