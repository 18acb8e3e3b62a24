/*
 * plan.h: a plan file: named steps, checked against the configuration.
 */
#ifndef CORE_PLAN_PLAN_H
#define CORE_PLAN_PLAN_H

#include "plan/config.h"

enum plan_step_kind { PLAN_BACKUP, PLAN_VERIFY, PLAN_RESTORE, PLAN_CHECK, PLAN_PRUNE };

struct plan_step {
    enum plan_step_kind kind;
    char **components;  /* NULL-terminated; empty: all (backup, restore) */
    char *type;         /* backup: "full", "incremental", "differential", "snapshot" */
    char *label;        /* backup; or NULL */
    char *level;        /* verify */
    char *strategy;     /* restore: "replace" */
    char *command;      /* check: run by /bin/sh -c, must exit with 0 */
    int64_t timeout_ms; /* check; default 10 minutes */
    struct config_retention retention; /* prune; without a rule: as the repository has them */
    uint32_t repack_above;             /* prune: percent; 0: the default */
    int64_t wait_ms;                   /* prune; < 0: the default */
    int line;
};

struct plan {
    char *name;
    char *file;
    char *set;        /* default "latest" */
    char *repository; /* or NULL */
    struct plan_step *steps;
    size_t step_count;
    char *hash; /* hex SHA-256 of the file */
};

/*
 * Reads a plan: a path (with a '/' or ending in .plan), or the name of DIR/plans/NAME.plan. Unknown
 * keys, components, step kinds; a component restored twice; a restore step before a step that
 * restores something it depends on: ORCH_E_CONFIG with file and line. Steps of kinds that are not
 * built yet (copy, drill) say so.
 */
int32_t plan_load(const struct config *config, const char *name, struct plan **out,
                  struct orch_error *err) ORCH_CHECKED;
/* What a label of a backup must be, on the command line too: ORCH_E_CONFIG without a place. */
int32_t plan_check_label(const char *label, struct orch_error *err) ORCH_CHECKED;
void plan_free(struct plan *plan);
void plan_cleanup(struct plan **slot);

#endif
