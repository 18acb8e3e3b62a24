/*
 * checkimpl.h: what the files of a check share.
 *
 * check.c          the order of things: documents, index, packs, parts; findings
 * checkpacks.c     reads packs
 * checkparts.c     walks parts and tells which items are hurt
 *
 * Damage is found in packs first and kept as places (pack, frame); then one walk over the parts
 * tells what lies there. Memory is bounded by the number of packs, of damaged frames, and of blocks
 * of catalogues and their trees (some 80 bytes each).
 */
#ifndef CORE_ENGINE_CHECKIMPL_H
#define CORE_ENGINE_CHECKIMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/byteset.h"
#include "engine/check.h"
#include "engine/mark.h"
#include "engine/pack.h"

struct check_pack {
    uint8_t id[PACK_ID_BYTES];
    uint64_t size_bytes;
    bool indexed;
    bool wanted; /* to be looked at in this check */
};

struct check {
    struct repo *repo;
    const struct check_options *options;
    struct check_result *result;
    pthread_mutex_t lock; /* over findings, result and progress */

    struct index *index;  /* what restores see */
    struct index *rescue; /* with the footers of packs that no segment names; may be `index` */
    struct byteset *bad;  /* damaged places: pack id and frame; under `lock` */
    struct check_pack *packs;
    size_t pack_count, pack_capacity;
    uint64_t total_bytes, done_bytes;

    struct mark_list marks;
    struct byteset *condemned; /* the packs of all marks */
    struct set_list sets;
};

/* Tells of a finding; any of the names may be NULL. Thread-safe. */
void check_report(struct check *check, const char *file, const char *set, const char *component,
                  const char *object, const char *format, ...) ORCH_PRINTF(6, 7);

/* Is the set among those asked for? */
bool check_wants_set(const struct check *check, const struct set *set);

#define CHECK_WHOLE_PACK UINT32_MAX
/* Marks a frame, or the whole pack. */
int32_t check_mark_bad(struct check *check, const uint8_t pack[PACK_ID_BYTES], uint32_t frame,
                       struct orch_error *err) ORCH_CHECKED;
bool check_is_bad(struct check *check, const struct chunk_location *place);

/* Nobody would miss the pack: no segment names it, or it is condemned. */
bool check_is_let_go(struct check *check, const uint8_t pack[PACK_ID_BYTES]);

/* Looks at all wanted packs: footers, and with `data` every byte. */
int32_t checkpacks_run(struct check *check, bool data, struct orch_error *err) ORCH_CHECKED;
/* Adds the footers of packs that no segment names to an index of their own. */
int32_t checkpacks_rescue(struct check *check, struct orch_error *err) ORCH_CHECKED;

/* Walks the parts of all sets that are asked for. `deep`: chunk by chunk; else the parts are only
 * opened. `collect`: finds which packs they need, and tells nothing. */
int32_t checkparts_run(struct check *check, bool deep, bool collect,
                       struct orch_error *err) ORCH_CHECKED;

#endif
