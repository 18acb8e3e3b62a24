/*
 * pruneimpl.h: what the files of a prune share. The steps are those of docs/prune-protocol.md.
 *
 * prune.c           the order of the steps
 * prunelease.c      1, 7: our lease, and waiting for others
 * prunefiles.c      which packs and parts there are
 * prunesets.c       which sets count, which go; walking them
 * prunesegments.c   the names of index segments
 * prunereindex.c    an index that lost a segment is made whole
 * prunepacks.c      what is copied, what is condemned
 * prunepardon.c     8: what is needed after all
 * sweep.c           10: deletes
 * sweepsegments.c   10: the index without what is deleted
 * sweepruns.c       10: logs of old runs
 */
#ifndef CORE_ENGINE_PRUNEIMPL_H
#define CORE_ENGINE_PRUNEIMPL_H

#include "engine/mark.h"
#include "engine/pack.h"
#include "engine/prune.h"
#include "engine/segment.h"

/* A pack or a part, by id. */
struct prune_file {
    uint8_t id[ID_BYTES];
    uint64_t size_bytes;
    bool stored;    /* it was listed; else only the index names it */
    bool pardoned;  /* of those condemned: it stays */
    bool deletable; /* nobody is in the way any more */
    bool gone;      /* it was deleted */
};

struct prune_files {
    struct prune_file *list; /* by id */
    size_t count, capacity;
};

struct prune {
    struct repo *repo;
    const struct prune_options *options;
    struct prune_result *result;
    struct lease *lease;
    int64_t deadline_ms; /* when waiting ends */

    struct mark_list marks;     /* of others, as they were in the beginning */
    struct prune_files foreign; /* packs that these name */
    struct mark own;            /* id "" while it is not put */
    struct index *index;
    bool *known; /* packs of the index that were there when it was opened, by number */
    size_t known_count;
    struct usage *usage;
    struct prune_files packs, parts; /* in the store */
    struct prune_files proofs;       /* by the id of their set */

    struct set_list sets; /* valid ones */
    struct set_list invalid;
    bool *chosen; /* of `sets`: these go */

    size_t damaged_segments; /* that the index could not read */
    bool reindexed;          /* once is enough */

    size_t *rewritten; /* numbers of packs of which everything needed was copied */
    size_t rewritten_count;
    struct prune_files condemned_packs, condemned_parts;
};

/* ---- prunelease.c ---- */
/* Waits until no other prune is at work, and takes our lease. *busy: one still is. */
int32_t prunelease_begin(struct prune *prune, bool *busy, struct orch_error *err) ORCH_CHECKED;
/* Waits for the others. *again: another prune is to go first, begin anew. What may be deleted is
 * marked so; *all: that is everything. */
int32_t prunelease_wait(struct prune *prune, bool *all, bool *again,
                        struct orch_error *err) ORCH_CHECKED;

/* ---- prunefiles.c ---- */
void prunefiles_clear(struct prune_files *files);
/* Files of other names are left alone. */
int32_t prunefiles_packs(struct prune *prune, struct orch_error *err) ORCH_CHECKED;
/* Those below `folder` that are named by an id. */
int32_t prunefiles_load(struct prune *prune, const char *folder, struct prune_files *out,
                        struct orch_error *err) ORCH_CHECKED;
int32_t prunefiles_add(struct prune_files *files, const uint8_t id[ID_BYTES], uint64_t size_bytes,
                       bool stored, struct orch_error *err) ORCH_CHECKED;
void prunefiles_sort(struct prune_files *files);
/* NULL when it is not there. */
struct prune_file *prunefiles_find(const struct prune_files *files, const uint8_t id[ID_BYTES]);

/* ---- prunesets.c ---- */
/* Lists the sets and has those chosen that go. */
int32_t prunesets_choose(struct prune *prune, struct orch_error *err) ORCH_CHECKED;
/* Walks what stays. */
int32_t prunesets_walk(struct prune *prune, struct orch_error *err) ORCH_CHECKED;
/* Removes the manifests of what goes and of what counts for nothing, durably. */
int32_t prunesets_remove(struct prune *prune, struct orch_error *err) ORCH_CHECKED;
/* Lists the sets again, refreshes the index and walks what is new. */
int32_t prunesets_again(struct prune *prune, struct orch_error *err) ORCH_CHECKED;
/* The parts that the sets name which stay. */
int32_t prunesets_parts(const struct prune *prune, struct prune_files *out,
                        struct orch_error *err) ORCH_CHECKED;

/* ---- prunesegments.c ---- */
struct prune_segment {
    uint8_t id[SEGMENT_ID_BYTES];
    char name[SEGMENT_NAME_BYTES];
    bool superseded; /* for whoever goes over them */
    bool damaged;
    bool rewrite;
    bool small;
};

struct prune_segments {
    struct prune_segment *list; /* by id */
    size_t count, capacity;
};

/* Files whose name no segment has are left alone. */
int32_t prunesegments_list(struct prune *prune, struct prune_segments *out,
                           struct orch_error *err) ORCH_CHECKED;
struct prune_segment *prunesegments_find(const struct prune_segments *segments,
                                         const uint8_t id[SEGMENT_ID_BYTES]);
void prunesegments_clear(struct prune_segments *segments);
/* Loads all of them in turn and marks those superseded and damaged ones. `each` is not asked of
 * damaged ones, and of superseded ones only as far as that is known already. */
int32_t prunesegments_each(struct prune *prune, struct prune_segments *segments,
                           int32_t (*each)(void *ctx, struct prune_segment *segment,
                                           const struct segment *content, struct orch_error *err),
                           void *ctx, struct orch_error *err) ORCH_CHECKED;

/* ---- prunereindex.c ---- */
/* Packs that no readable segment names are named by new ones, which supersede what cannot be read.
 */
int32_t prunereindex_run(struct prune *prune, struct orch_error *err) ORCH_CHECKED;

/* ---- prunepacks.c ---- */
/* Copies what is needed of packs that are hardly used, or in the way of another's mark. */
int32_t prunepacks_rewrite(struct prune *prune, struct orch_error *err) ORCH_CHECKED;
/* Decides what goes, and shuns it. */
int32_t prunepacks_condemn(struct prune *prune, struct orch_error *err) ORCH_CHECKED;
int32_t prunepacks_mark(struct prune *prune, struct orch_error *err) ORCH_CHECKED;
/* The packs that marks of others name; and shuns them. */
int32_t prunepacks_foreign(struct prune *prune, struct orch_error *err) ORCH_CHECKED;
/* Remembers which packs the index has now. */
int32_t prunepacks_know(struct prune *prune, struct orch_error *err) ORCH_CHECKED;

/* ---- prunepardon.c ---- */
int32_t prunepardon_run(struct prune *prune, struct orch_error *err) ORCH_CHECKED;

/* ---- sweep.c, sweepsegments.c, sweepruns.c ---- */
/* `all`: nothing is left to wait for, and our own mark goes too. */
int32_t sweep_run(struct prune *prune, bool all, struct orch_error *err) ORCH_CHECKED;
/* Is it about to be deleted? */
bool sweep_dooms(const struct prune_file *file);
int32_t sweepsegments_run(struct prune *prune, struct orch_error *err) ORCH_CHECKED;
int32_t sweepruns_run(struct prune *prune, struct orch_error *err) ORCH_CHECKED;

/* ---- prune.c ---- */
/* ORCH_E_CANCELLED when somebody asked to stop. */
int32_t prune_stopped(const struct prune *prune, struct orch_error *err) ORCH_CHECKED;
void prune_phase(const struct prune *prune, const char *format, ...) ORCH_PRINTF(2, 3);
void prune_warn(const struct prune *prune, const char *format, ...) ORCH_PRINTF(2, 3);

#endif
