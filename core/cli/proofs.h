/* proofs.h: when and how a set was verified, as text and as JSON. */
#ifndef CORE_CLI_PROOFS_H
#define CORE_CLI_PROOFS_H

#include "cli/cli.h"
#include "engine/proof.h"
#include "engine/set.h"

#define PROOFS_TEXT 96

/* The proof of a set; false when there is none. One that cannot be read is told and counts as none.
 */
bool proofs_find(struct cli *cli, const struct set *set, struct proof *out);
/* "verified 3 hours ago", "own data read back 3 hours ago", "DAMAGED, found 2 days ago"; NULL:
 * "not verified". */
const char *proofs_text(const struct proof *proof, int64_t now_ns, char text[PROOFS_TEXT]);
/* {good, level, own, full, at, host}; null for none. */
json_t *proofs_json(const struct proof *proof);

#endif
