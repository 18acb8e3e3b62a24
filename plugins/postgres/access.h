/*
 * access.h: puts an access list, as CATALOG_ACL_JSON wrote it, onto an object of the target.
 *
 * All grants are made in the owner's name: who once granted what is not kept.
 */
#ifndef POSTGRES_ACCESS_H
#define POSTGRES_ACCESS_H

#include <jansson.h>
#include <orchestrate/error.h>

#include "link.h"

/* `object` is SQL: 'DATABASE "app"', 'LARGE OBJECT 16400'. A null list: the defaults, untouched. */
int32_t access_apply(struct link *link, const char *object, const char *owner, const json_t *acl,
                     struct orch_error *err) ORCH_CHECKED;

#endif
