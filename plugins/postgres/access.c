/* access.c: see access.h. */
#include "access.h"

#include <string.h>

#include "text.h"

/* Privileges stand in SQL without quotes, so nothing but their alphabet may pass. */
static int is_privilege(const char *text)
{
    return text != NULL && *text != 0 && text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ ")] == 0;
}

static int32_t run(struct link *link, struct text *sql, struct orch_error *err)
{
    int32_t rc = text_check(sql, err);
    return rc == ORCH_OK ? link_run(link, sql->data, err) : rc;
}

static int32_t grant(struct link *link, const char *object, const json_t *entry,
                     struct orch_error *err)
{
    const char *privilege = json_string_value(json_object_get(entry, "privilege"));
    const char *role = json_string_value(json_object_get(entry, "role"));
    if (!is_privilege(privilege)) {
        return orch_fail(err, ORCH_E_CORRUPT, "the access list of %s is not one", object);
    }
    struct text CLEANUP_TEXT sql = TEXT_INIT;
    text_format(&sql, "GRANT %s ON %s TO ", privilege, object);
    if (role == NULL) {
        text_add(&sql, "PUBLIC");
    } else {
        text_identifier(&sql, role);
    }
    if (json_is_true(json_object_get(entry, "grantable"))) {
        text_add(&sql, " WITH GRANT OPTION");
    }
    return run(link, &sql, err);
}

int32_t access_apply(struct link *link, const char *object, const char *owner, const json_t *acl,
                     struct orch_error *err)
{
    if (!json_is_array(acl)) {
        return ORCH_OK;
    }
    struct text CLEANUP_TEXT sql = TEXT_INIT;
    text_format(&sql, "REVOKE ALL ON %s FROM PUBLIC, ", object);
    text_identifier(&sql, owner);
    int32_t rc = run(link, &sql, err);
    for (size_t i = 0; rc == ORCH_OK && i < json_array_size(acl); i++) {
        rc = grant(link, object, json_array_get(acl, i), err);
    }
    return rc == ORCH_OK ? rc : orch_wrap(err, "cannot set the privileges of %s", object);
}
