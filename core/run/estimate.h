/* estimate.h: how long a restore will take, by what the history says of earlier ones. */
#ifndef CORE_RUN_ESTIMATE_H
#define CORE_RUN_ESTIMATE_H

#include "run/ledger.h"

/* Where nothing was measured yet: a cautious guess, in bytes per second. */
#define ESTIMATE_DEFAULT_RATE (50u * 1000 * 1000)

struct estimate {
    int64_t ms;
    bool measured; /* by an earlier restore of the component; false: the guess */
};

/* `history` as ledger_read gives it; newest entries count first. */
struct estimate estimate_restore(const json_t *history, const char *component, uint64_t size_bytes);

#endif
