/* proof.c: see proof.h. */
#include "engine/proof.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/field.h"

#define PROOF_DOCUMENT 1u /* version of the document */
#define PROOF_NAME 48u

static const char *const levels[] = {"manifest", "index", "data"};

static void cleanup_json(json_t **slot)
{
    json_decref(*slot);
}

/* Ids come from manifests that were opened, but also from callers: no path gets in by one. */
static int32_t proof_name(const char *set_id, char name[PROOF_NAME], struct orch_error *err)
{
    if (strlen(set_id) != ID_TEXT - 1 || strspn(set_id, "0123456789abcdef") != ID_TEXT - 1) {
        return orch_fail(err, ORCH_E_INVALID, "\"%.40s\" is no id of a set", set_id);
    }
    (void)snprintf(name, PROOF_NAME, "proofs/%s", set_id);
    return ORCH_OK;
}

int32_t proof_store(struct repo *repo, const struct proof *proof, struct orch_error *err)
{
    char name[PROOF_NAME];
    int32_t rc = proof_name(proof->set, name, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if ((unsigned)proof->level > CHECK_DATA) {
        return orch_fail(err, ORCH_E_INVALID, "a proof has no level %d", (int)proof->level);
    }
    CLEANUP(cleanup_json) json_t *json = json_object();
    bool whole = json != NULL && fields_put_u64(json, "document", PROOF_DOCUMENT) &&
                 fields_put_text(json, "set", proof->set) &&
                 json_object_set_new(json, "good", json_boolean(proof->good)) == 0 &&
                 fields_put_text(json, "level", levels[proof->level]) &&
                 json_object_set_new(json, "own", json_boolean(proof->own)) == 0 &&
                 fields_put_i64(json, "at_ns", proof->at_ns) &&
                 fields_put_text(json, "run_id", proof->run_id) &&
                 fields_put_text(json, "host", proof->host);
    if (!whole) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the proof of a set");
    }
    return repo_put_document(repo, name, KEY_CONTROL, json, STORAGE_DURABLE, err);
}

static int32_t proof_from_json(const json_t *json, const char *what, const char *set_id,
                               struct proof *out, struct orch_error *err)
{
    char level[16];
    struct fields f = fields_over(json, what);
    if (fields_u64(&f, "document") > PROOF_DOCUMENT) {
        return orch_fail(err, ORCH_E_VERSION,
                         "%s was written by a newer program; use a newer version of orchestrate",
                         what);
    }
    fields_id(&f, "set", out->set, false);
    out->good = fields_bool(&f, "good");
    fields_text(&f, "level", level, sizeof(level));
    out->own = fields_bool(&f, "own");
    out->at_ns = fields_i64(&f, "at_ns");
    fields_id(&f, "run_id", out->run_id, true);
    fields_text(&f, "host", out->host, sizeof(out->host));
    size_t i = 0;
    while (i < 3 && strcmp(level, levels[i]) != 0) {
        i++;
    }
    if (i == 3) {
        fields_reject(&f, "level", "is no level of a verification");
    } else {
        out->level = (enum check_level)i;
    }
    if (f.bad[0] == '\0' && strcmp(out->set, set_id) != 0) {
        fields_reject(&f, "set", "is another set");
    }
    return fields_end(&f, err);
}

int32_t proof_load(struct repo *repo, const char *set_id, struct proof *out, struct orch_error *err)
{
    char name[PROOF_NAME], what[PROOF_NAME + 32];
    CLEANUP(cleanup_json) json_t *json = NULL;
    *out = (struct proof){0};
    int32_t rc = proof_name(set_id, name, err);
    if (rc == ORCH_OK) {
        struct orch_error why = ORCH_ERROR_INIT;
        rc = repo_get_document(repo, name, KEY_CONTROL, &json, &why);
        if (rc != ORCH_OK && rc != ORCH_E_NOT_FOUND && err != NULL) {
            *err = why;
        }
    }
    if (rc == ORCH_OK) {
        (void)snprintf(what, sizeof(what), "repository file %s", name);
        rc = proof_from_json(json, what, set_id, out, err);
    }
    if (rc != ORCH_OK) {
        *out = (struct proof){0};
    }
    return rc;
}

int32_t proof_remove(struct repo *repo, const char *set_id, struct orch_error *err)
{
    char name[PROOF_NAME];
    struct orch_error why = ORCH_ERROR_INIT;
    int32_t rc = proof_name(set_id, name, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    rc = storage_remove(repo_storage(repo), name, &why);
    if (rc == ORCH_E_NOT_FOUND) {
        return ORCH_OK;
    }
    if (rc != ORCH_OK && err != NULL) {
        *err = why;
    }
    return rc;
}

bool proof_is_full(const struct proof *proof)
{
    return proof->good && proof->level == CHECK_DATA && !proof->own;
}
