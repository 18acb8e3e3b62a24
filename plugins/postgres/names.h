/*
 * names.h: the databases that a restore works with. The names come from the run's id, so that a
 * later attempt of the same run finds what an earlier one left.
 */
#ifndef POSTGRES_NAMES_H
#define POSTGRES_NAMES_H

#include <stdint.h>

#include <orchestrate/error.h>

#define NAMES_MAX 64 /* PostgreSQL's NAMEDATALEN */

struct names {
    char live[NAMES_MAX];  /* the database itself */
    char fresh[NAMES_MAX]; /* what this attempt builds */
    char aside[NAMES_MAX]; /* where the original goes */
    char spent[NAMES_MAX]; /* where what an earlier attempt put in place goes, to be dropped */
};

int32_t names_make(const char *database, const char *run_id, struct names *out,
                   struct orch_error *err) ORCH_CHECKED;

#endif
