/*
 * load.h: takes the records of a part from the host and restores them, in a pipeline.
 */
#ifndef REDIS_LOAD_H
#define REDIS_LOAD_H

#include "bytes.h"
#include "conn.h"
#include "place.h"
#include "tally.h"

struct load {
    struct tally tally;     /* keys by database of the part; base_ms is set by the caller */
    struct bytes libraries; /* function libraries, as the inside of a FUNCTION DUMP payload */
    uint64_t library_count;
    uint64_t left_out; /* keys of databases that are not restored */
};

/*
 * Runs to the end of the part's stream. Keys go to their job's spare, or straight to its target
 * when it has none. The connection is of no more use after a failure.
 */
int32_t load_run(const struct redis *redis, struct conn *conn, const struct place *place,
                 const struct facts *facts, struct load *load, struct orch_error *err) ORCH_CHECKED;
void load_free(struct load *load);

#endif
