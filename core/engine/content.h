/*
 * content.h: reads the content of a part: fetch, open, decompress, check hash.
 */
#ifndef CORE_ENGINE_CONTENT_H
#define CORE_ENGINE_CONTENT_H

#include "base/event.h"
#include "engine/index.h"
#include "engine/part.h"

struct content_reader;

/* Catalogue only: OBJECT events without their data, tokens included, then END. */
#define CONTENT_ENTRIES_ONLY 1u
/* Leave out objects of which a chunk is not in the index, and tokens that are not safely older than
 * `frozen_ns` of the part: what may be offered as "earlier" to an incremental backup. Implies
 * CONTENT_ENTRIES_ONLY. */
#define CONTENT_FOR_EARLIER 2u

/* How many threads fetch and open what is read ahead, up to 256; 0: one per core. */
#define CONTENT_JOBS(n) ((uint32_t)(n) << 16)

/* `index` and `part` are borrowed. `flags`: of the above. */
int32_t content_open(struct repo *repo, struct index *index, const struct part *part,
                     uint32_t flags, struct content_reader **out,
                     struct orch_error *err) ORCH_CHECKED;
/*
 * The next event: objects in name order, then records, then END. No byte is delivered before its
 * chunk's id was checked: damage is ORCH_E_CORRUPT and names the object and the file that is hurt.
 */
int32_t content_next(struct content_reader *reader, struct orch_event *event,
                     struct orch_error *err) ORCH_CHECKED;
void content_close(struct content_reader *reader); /* NULL is fine */

/*
 * Of a reader with CONTENT_FOR_EARLIER: whether object `number` of the catalogue (from 0) has come by
 * and every chunk of it is in the index. One thread may ask, in ascending order, while another
 * calls content_next().
 */
bool content_has_whole(struct content_reader *reader, uint64_t number);

/* Reads one object whole. ORCH_E_NOT_FOUND when the part has none by that name. */
int32_t content_read_object(struct repo *repo, struct index *index, const struct part *part,
                            const void *name, size_t name_len, size_t max, struct buffer *out,
                            struct orch_error *err) ORCH_CHECKED;

#endif
