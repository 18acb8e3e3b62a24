/* proofs.c: see proofs.h. */
#include "cli/proofs.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/render.h"

static const char *level_name(enum check_level level)
{
    static const char *const names[] = {"manifest", "index", "data"};
    return names[level <= CHECK_DATA ? level : 0];
}

bool proofs_find(struct cli *cli, const struct set *set, struct proof *out)
{
    struct orch_error why = ORCH_ERROR_INIT;
    int32_t rc = proof_load(cli->run.repo, set->id, out, &why);
    if (rc != ORCH_OK && rc != ORCH_E_NOT_FOUND) {
        report_text(cli->run.report, REPORT_WARNING, NULL,
                    "how set %s was verified is not known: %s", set->name, why.message);
    }
    return rc == ORCH_OK;
}

const char *proofs_text(const struct proof *proof, int64_t now_ns, char text[PROOFS_TEXT])
{
    char age[RENDER_TEXT];
    if (proof == NULL) {
        (void)snprintf(text, PROOFS_TEXT, "not verified");
        return text;
    }
    (void)render_age(proof->at_ns, now_ns, age);
    if (!proof->good) {
        (void)snprintf(text, PROOFS_TEXT, "DAMAGED, found %s", age);
    } else if (proof_is_full(proof)) {
        (void)snprintf(text, PROOFS_TEXT, "verified %s", age);
    } else if (proof->level == CHECK_DATA) {
        (void)snprintf(text, PROOFS_TEXT, "own data read back %s", age);
    } else {
        (void)snprintf(text, PROOFS_TEXT, "%s verified %s", level_name(proof->level), age);
    }
    return text;
}

json_t *proofs_json(const struct proof *proof)
{
    char at[21];
    if (proof == NULL) {
        return json_null();
    }
    clock_iso(proof->at_ns, at);
    return json_pack("{s:b, s:s, s:b, s:b, s:s, s:o}", "good", (int)proof->good, "level",
                     level_name(proof->level), "own", (int)proof->own, "full",
                     (int)proof_is_full(proof), "at", at, "host", text_json(proof->host));
}
