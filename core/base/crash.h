/*
 * crash.h: named crash points, for tests.
 *
 * In a test build (-Dtest_hooks=true), `ORCHESTRATE_CRASH_AT=name` or `name:N` kills the process
 * with SIGKILL when it comes to that point (the Nth time, counted from 1), and
 * `ORCHESTRATE_CRASH_TRACE=file` appends the name of each point that is reached. In other builds
 * crash_point() is nothing.
 *
 * Every point is in the list below, which `orchestrate --crash-points` prints in test builds.
 */
#ifndef CORE_BASE_CRASH_H
#define CORE_BASE_CRASH_H

/* X(name, text): the name in code is CRASH_<name>. */
#define CRASH_POINTS(X)                                                                            \
    /* a storage put, in the directory driver */                                                   \
    X(PUT_CREATED, "put-created")                                                                  \
    X(PUT_WRITTEN, "put-written")                                                                  \
    X(PUT_SYNCED, "put-synced")                                                                    \
    X(PUT_RENAMED, "put-renamed")                                                                  \
    /* a backup */                                                                                 \
    X(BACKUP_LEASED, "backup-leased")                                                              \
    X(BACKUP_FROZEN, "backup-frozen")                                                              \
    X(PACK_STARTED, "pack-started")                                                                \
    X(PACK_STORED, "pack-stored")                                                                  \
    X(INDEX_BEFORE, "index-before")                                                                \
    X(INDEX_STORED, "index-stored")                                                                \
    X(PART_BEFORE, "part-before")                                                                  \
    X(PART_STORED, "part-stored")                                                                  \
    X(SET_BEFORE, "set-before")                                                                    \
    X(SET_STORED, "set-stored")                                                                    \
    X(BACKUP_VERIFIED, "backup-verified")                                                          \
    X(BACKUP_LEASE_ENDED, "backup-lease-ended")                                                    \
    /* a restore, in the runner */                                                                 \
    X(RESTORE_PREFLIGHTED, "restore-preflighted")                                                  \
    X(RESTORE_JOURNALLED, "restore-journalled")                                                    \
    X(RESTORE_COMPONENT_STARTED, "restore-component-started")                                      \
    X(RESTORE_INTENT, "restore-intent")                                                            \
    X(RESTORE_DONE, "restore-done")                                                                \
    X(RESTORE_APPLIED, "restore-applied")                                                          \
    X(RESTORE_VERIFIED, "restore-verified")                                                        \
    X(RESTORE_SETTLED, "restore-settled")                                                          \
    X(RESTORE_STAGE_ENDED, "restore-stage-ended")                                                  \
    X(RESTORE_FINISHED, "restore-finished")                                                        \
    /* removing a set, and a prune (docs/prune-protocol.md) */                                     \
    X(DELETE_BEFORE, "delete-before")                                                              \
    X(DELETE_DONE, "delete-done")                                                                  \
    X(LAPSED_STORED, "lapsed-stored")                                                              \
    X(PRUNE_LEASED, "prune-leased")                                                                \
    X(PRUNE_SET_REMOVED, "prune-set-removed")                                                      \
    X(PRUNE_WALKED, "prune-walked")                                                                \
    X(PRUNE_REPACKED, "prune-repacked")                                                            \
    X(PRUNE_MARKED, "prune-marked")                                                                \
    X(PRUNE_WAITED, "prune-waited")                                                                \
    X(PRUNE_SEGMENT_STORED, "prune-segment-stored")                                                \
    X(PRUNE_SEGMENT_REMOVED, "prune-segment-removed")                                              \
    X(PRUNE_PACK_REMOVED, "prune-pack-removed")                                                    \
    X(PRUNE_PART_REMOVED, "prune-part-removed")                                                    \
    X(PRUNE_MARK_REMOVED, "prune-mark-removed")                                                    \
    X(PRUNE_FINISHED, "prune-finished")

enum crash_id {
#define X(name, text) CRASH_##name,
    CRASH_POINTS(X)
#undef X
        CRASH_COUNT
};

#ifdef ORCHESTRATE_TEST_HOOKS
void crash_point(enum crash_id id);
#else
static inline void crash_point(enum crash_id id)
{
    (void)id;
}
#endif

/* The name of a point. */
const char *crash_name(enum crash_id id);

#endif
