/* reading.c: see reading.h. */
#include "run/reading.h"

int32_t reading_lease(const struct run_context *ctx, const char *run_id, const char *work,
                      struct lease **out, struct orch_error *err)
{
    struct orch_error why = ORCH_ERROR_INIT;
    *out = NULL;
    int32_t rc = lease_take(ctx->repo, run_id, work, out, &why);
    if (rc == ORCH_E_NO_SPACE || rc == ORCH_E_ACCESS) {
        report_text(ctx->report, REPORT_WARNING, NULL,
                    "the repository cannot be written, so that this %s goes on without a lease; "
                    "delete nothing from it meanwhile: %s",
                    work, why.message);
        return ORCH_OK;
    }
    if (rc != ORCH_OK) {
        *err = why;
    }
    return rc;
}
