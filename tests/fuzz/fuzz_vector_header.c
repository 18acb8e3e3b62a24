/* fuzz_vector_header.c: the walk over a vector index file of any bytes. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "shape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1; /* one file for all inputs */
    struct orch_error err = ORCH_ERROR_INIT;
    struct shape shape;
    memset(&shape, 0, sizeof(shape));
    if (fd < 0) {
        fd = memfd_create("index", MFD_CLOEXEC);
        must(fd >= 0);
    }
    must(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    int32_t rc = shape_read(fd, size, &shape, &err);
    must(rc == ORCH_OK ||
         ((rc == ORCH_E_CORRUPT || rc == ORCH_E_UNSUPPORTED) && err.message[0] != 0));
    if (rc == ORCH_OK) {
        must(shape.dimension >= 0 && shape.dimension <= SHAPE_DIMENSION_MAX && shape.ntotal >= 0);
        must(memchr(shape.type, 0, sizeof(shape.type)) != NULL &&
             memchr(shape.ondisk, 0, sizeof(shape.ondisk)) != NULL);
        must(shape_metric_name(shape.metric) != NULL);
        must(shape.row_bytes == 0 || shape.row_offset < size);
    }
    return 0;
}
