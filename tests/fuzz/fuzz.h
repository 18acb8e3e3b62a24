/* fuzz.h: what all fuzz targets share: the entry point, and a check that ends the process. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Called by libFuzzer for each input. One thread. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void must(int holds)
{
    if (!holds) {
        abort();
    }
}

/* Lays `size` bytes of input over `bytes` by exclusive or: where they are zero, nothing changes.
 * True: something did. */
static inline int overlay(uint8_t *bytes, size_t len, const uint8_t *data, size_t size)
{
    int changed = 0;
    for (size_t i = 0; i < len && i < size; i++) {
        bytes[i] ^= data[i];
        changed |= data[i];
    }
    return changed != 0;
}

#endif
