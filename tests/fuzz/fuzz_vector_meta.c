/* fuzz_vector_meta.c: the metadata of an object of the vectorstore plugin. */
#include <string.h>

#include "fuzz.h"
#include "meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct meta meta;
    memset(&meta, 0, sizeof(meta));
    if (size > UINT32_MAX) {
        return 0;
    }
    int32_t rc = meta_read(data, (uint32_t)size, &meta, &err);
    must(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION);
    must(rc != ORCH_OK || memchr(meta.target, 0, sizeof(meta.target)) != NULL);
    return 0;
}
