/*
 * judge.h: what both file plugins judge in `check`. Each gives verdicts and touches nothing.
 */
#ifndef PLUGINS_FILES_JUDGE_H
#define PLUGINS_FILES_JUDGE_H

#include <orchestrate/plugin.h>

#include "roots.h"

/* Strategy, selection and data format. `plugin` is its name, for messages. */
int32_t judge_request(const struct orch_host *host, const struct orch_restore *restore,
                      const char *plugin, uint32_t data_format,
                      struct orch_error *err) ORCH_CHECKED;

/* Paths of the backup that are not configured (refused), and the other way round (a warning). */
int32_t judge_paths(const struct orch_host *host, const char *facts_json, const struct roots *roots,
                    struct orch_error *err) ORCH_CHECKED;

/* A root and the work folder that lie inside each other. `work_dir` NULL: nothing to judge.
 * *refused becomes 1. */
int32_t judge_work_dir(const struct orch_host *host, const struct root *root, const char *work_dir,
                       int *refused, struct orch_error *err) ORCH_CHECKED;

#endif
