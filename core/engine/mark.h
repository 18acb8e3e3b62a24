/*
 * mark.h: what a prune has condemned (files marks/ID), and which leases were given up on (files
 * lapsed/LEASE). docs/prune-protocol.md says when they are written, read and removed.
 */
#ifndef CORE_ENGINE_MARK_H
#define CORE_ENGINE_MARK_H

#include "engine/index.h"

struct mark {
    char id[ID_TEXT];
    char lease[ID_TEXT]; /* of the prune that made it */
    uint8_t (*packs)[PACK_ID_BYTES];
    size_t pack_count;
    char (*parts)[ID_TEXT];
    size_t part_count;
};

/* Fills mark->id and puts the file, durably. */
int32_t mark_store(struct repo *repo, struct mark *mark, struct orch_error *err) ORCH_CHECKED;
/* A mark that is gone already is no error. */
int32_t mark_remove(struct repo *repo, const char *id, struct orch_error *err) ORCH_CHECKED;
void mark_clear(struct mark *mark);

/* All marks. A damaged one fails the call: what it condemns is not known. */
struct mark_list {
    struct mark *marks;
    size_t count;
};
int32_t mark_list_load(struct repo *repo, struct mark_list *out,
                       struct orch_error *err) ORCH_CHECKED;
void mark_list_clear(struct mark_list *list);
/* Shuns all packs of all marks. */
int32_t mark_list_shun(const struct mark_list *list, struct index *index,
                       struct orch_error *err) ORCH_CHECKED;

/* Gives up on a lease: lists the manifests, puts lapsed/LEASE (if absent, durably) with the sets
 * that were written under it. */
int32_t lapsed_put(struct repo *repo, const char *lease, struct orch_error *err) ORCH_CHECKED;
/* The holder gives up on a lease that it has lost: the same, with no set. *kept: somebody was
 * before it and keeps this set, which counts for good; else the set counts no more, for good. */
int32_t lapsed_withdraw(struct repo *repo, const char *lease, const char *set_id, bool *kept,
                        struct orch_error *err) ORCH_CHECKED;

/* The leases that were given up on. Load it *after* listing sets/. */
struct lapsed_list;
int32_t lapsed_list_load(struct repo *repo, struct lapsed_list **out,
                         struct orch_error *err) ORCH_CHECKED;
void lapsed_list_free(struct lapsed_list *list); /* NULL is fine */
/* *valid: does a set written under `lease` ("": none is known) count? Reads the lease's file when
 * it is on the list. */
int32_t lapsed_list_check(const struct lapsed_list *list, const char *lease, const char *set_id,
                          bool *valid, struct orch_error *err) ORCH_CHECKED;

#endif
