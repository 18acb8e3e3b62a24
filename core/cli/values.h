/* values.h: what the values of flags mean. Each leaves *out as it is when the flag was not given;
 * ORCH_E_CONFIG names the flag. */
#ifndef CORE_CLI_VALUES_H
#define CORE_CLI_VALUES_H

#include "cli/cli.h"

/* A whole number from `min` to `max`. */
int32_t values_number(const struct cli *cli, const char *flag, int64_t min, int64_t max,
                      int64_t *out, struct orch_error *err) ORCH_CHECKED;
int32_t values_size(const struct cli *cli, const char *flag, int64_t *bytes,
                    struct orch_error *err) ORCH_CHECKED;
int32_t values_duration(const struct cli *cli, const char *flag, int64_t *ms,
                        struct orch_error *err) ORCH_CHECKED;
int32_t values_rate(const struct cli *cli, const char *flag, int64_t *bytes_per_second,
                    struct orch_error *err) ORCH_CHECKED;
/* --jobs, into cli->run.jobs. */
int32_t values_jobs(struct cli *cli, struct orch_error *err) ORCH_CHECKED;
/* The flag itself, for the lists of commands. */
#define VALUES_JOBS_FLAG                                                                           \
    {                                                                                              \
        "jobs", "N", false,                                                                        \
            "threads that compress, fetch or read, 1 to 256; overrides the repository's"           \
    }

#endif
