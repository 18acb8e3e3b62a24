/*
 * embedding.h: the embedding identity in a backup and in a check.
 */
#ifndef VECTORSTORE_EMBEDDING_H
#define VECTORSTORE_EMBEDDING_H

#include <jansson.h>

#include "instance.h"

/* Does what the index really is fit what is declared? `store` are its facts. ORCH_E_INCOMPATIBLE
 * names the store. */
int32_t embedding_fits(const struct contract *contract, const char *name, const json_t *store,
                       struct orch_error *err) ORCH_CHECKED;

/* States the facts contract, canaries and canary_note. */
int32_t embedding_record(struct vectorstore *self, const struct contract *contract,
                         struct orch_error *err) ORCH_CHECKED;

/* Judges the part's identity against the live one, as it will be after the run. */
int32_t embedding_check(struct vectorstore *self, const struct orch_restore *restore,
                        const json_t *facts, struct orch_error *err) ORCH_CHECKED;

#endif
