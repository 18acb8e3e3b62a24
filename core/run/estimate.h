/* estimate.h: how long a restore will take, by what the history says of earlier ones. */
#ifndef CORE_RUN_ESTIMATE_H
#define CORE_RUN_ESTIMATE_H

#include "run/ledger.h"

/* A restore of fewer bytes than this, and of less than a tenth of what is to be restored, took its
 * time for other things: it says nothing about a rate. */
#define ESTIMATE_LEAST_BYTES (1u << 20)
/* Where nothing was measured yet: a cautious guess, in bytes per second. */
#define ESTIMATE_DEFAULT_RATE (50u * 1000 * 1000)

struct estimate {
    int64_t ms;
    bool measured; /* by an earlier restore of the component; false: the guess */
};

/* `history` as ledger_read gives it; the newest entry that tells enough counts. */
struct estimate estimate_restore(const json_t *history, const char *component, uint64_t size_bytes);

#endif
