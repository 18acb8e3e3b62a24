/* output.h: runs a backup, a restore or a verification and prints what came of it. Shared by the
 * commands of the same names and by `run`. */
#ifndef CORE_CLI_OUTPUT_H
#define CORE_CLI_OUTPUT_H

#include "cli/cli.h"
#include "run/backup.h"
#include "run/restore.h"
#include "run/verify.h"

/* Each gives the exit code. In JSON mode the document is printed, or, when `collect` is not NULL,
 * appended to that array. */
int output_backup(struct cli *cli, const struct backup_options *options);
int output_backup_into(struct cli *cli, const struct backup_options *options, json_t *collect);
int output_restore_into(struct cli *cli, struct restore_options *options, json_t *collect);
int output_verify_into(struct cli *cli, const char *set, enum check_level level, json_t *collect);

/* An error in the place of a document: as cli_fail, but in a plan the results of earlier steps
 * stay. */
int output_fail(struct cli *cli, const struct orch_error *err, json_t *collect);

/* Fills the confirmation of a restore: --yes, or a question at the terminal. ORCH_E_CONFIG when
 * there is neither. */
int32_t output_confirmation(struct cli *cli, struct restore_options *options,
                            struct orch_error *err) ORCH_CHECKED;

/* A set as JSON. */
json_t *output_set_json(const struct set *set);
const char *output_consistency(uint32_t consistency);

#endif
