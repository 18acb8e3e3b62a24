/* rootcase.c: see rootcase.h. */
#include "rootcase.h"

int32_t rootcase_open(struct roots *roots, const char *const *paths, uint64_t count,
                      const char *prefix, struct orch_error *err)
{
    struct orch_value values[2] = {
        {.name = "paths", .type = ORCH_OPTION_PATH_LIST, .strings = paths, .count = count},
        {.name = "root", .type = ORCH_OPTION_PATH, .string = prefix},
    };
    struct orch_options options = {.struct_size = sizeof(options),
                                   .value_size = sizeof(values[0]),
                                   .count = 2,
                                   .values = values};
    return roots_open(roots, &options, err);
}
