/* values.c: see values.h. */
#include "cli/values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define JOBS_MAX 256

int32_t values_number(const struct cli *cli, const char *flag, int64_t min, int64_t max,
                      int64_t *out, struct orch_error *err)
{
    const char *text = cli_value(cli, flag);
    if (text == NULL) {
        return ORCH_OK;
    }
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    bool digits = text[strspn(text, "0123456789")] == 0 && text[0] != 0;
    if (!digits || errno != 0 || *end != 0 || value < min || value > max) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "--%s: expected a whole number from %lld to %lld, found \"%.40s\"", flag,
                         (long long)min, (long long)max, text);
    }
    *out = value;
    return ORCH_OK;
}

static int32_t take(const struct cli *cli, const char *flag,
                    int32_t (*parse)(const char *text, int64_t *out, struct orch_error *err),
                    int64_t *out, struct orch_error *err)
{
    const char *text = cli_value(cli, flag);
    if (text == NULL) {
        return ORCH_OK;
    }
    int32_t rc = parse(text, out, err);
    return rc == ORCH_OK ? rc : orch_wrap(err, "--%s", flag);
}

int32_t values_size(const struct cli *cli, const char *flag, int64_t *bytes, struct orch_error *err)
{
    return take(cli, flag, config_parse_size, bytes, err);
}

int32_t values_duration(const struct cli *cli, const char *flag, int64_t *ms,
                        struct orch_error *err)
{
    return take(cli, flag, config_parse_duration, ms, err);
}

int32_t values_rate(const struct cli *cli, const char *flag, int64_t *bytes_per_second,
                    struct orch_error *err)
{
    return take(cli, flag, config_parse_rate, bytes_per_second, err);
}

int32_t values_jobs(struct cli *cli, struct orch_error *err)
{
    int64_t jobs = cli->run.jobs;
    int32_t rc = values_number(cli, "jobs", 1, JOBS_MAX, &jobs, err);
    cli->run.jobs = (uint32_t)jobs;
    return rc;
}
