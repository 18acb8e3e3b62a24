/* estimate.c: see estimate.h. */
#include "run/estimate.h"

#include <string.h>

/* What the newest verified restore of the component took per byte, its fixed share included; one
 * that was too small beside `size_bytes` is passed over. */
static bool measured_rate(const json_t *history, const char *component, uint64_t size_bytes,
                          double *bytes_per_ms)
{
    uint64_t tenth = size_bytes / 10;
    json_int_t least = tenth < ESTIMATE_LEAST_BYTES ? (json_int_t)tenth : ESTIMATE_LEAST_BYTES;
    for (size_t i = json_array_size(history); i > 0; i--) {
        const json_t *components = json_object_get(json_array_get(history, i - 1), "components");
        const json_t *entry = json_object_get(components, component);
        const char *state = json_string_value(json_object_get(entry, "state"));
        json_int_t ms = json_integer_value(json_object_get(entry, "elapsed_ms"));
        json_int_t bytes = json_integer_value(json_object_get(entry, "size_bytes"));
        if (state != NULL && strcmp(state, "verified") == 0 && ms > 0 && bytes > 0 &&
            bytes >= least) {
            *bytes_per_ms = (double)bytes / (double)ms;
            return true;
        }
    }
    return false;
}

struct estimate estimate_restore(const json_t *history, const char *component, uint64_t size_bytes)
{
    double rate = ESTIMATE_DEFAULT_RATE / 1000.0;
    struct estimate estimate = {.measured = measured_rate(history, component, size_bytes, &rate)};
    double ms = (double)size_bytes / rate;
    estimate.ms = ms < 1e15 ? (int64_t)ms + 1 : INT64_C(1000000000000000);
    return estimate;
}
