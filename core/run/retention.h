/*
 * retention.h: which sets a retention policy keeps. Pure: sets and a policy in, a decision for each
 * set out.
 *
 * Sets are taken in groups of equal components (by name, in any order) and equal label; the policy
 * holds for each group by itself.
 */
#ifndef CORE_RUN_RETENTION_H
#define CORE_RUN_RETENTION_H

#include "engine/set.h"

/* Zero or negative: the rule is not given. */
struct retention_policy {
    int64_t keep_last;
    /* The newest set of each of so many hours, days, weeks (ISO, from Monday), months, years (UTC)
     * that have one. */
    int64_t keep_hourly, keep_daily, keep_weekly, keep_monthly, keep_yearly;
    /* Limits: what is older, beyond so many sets, or beyond so many stored bytes (the newest count
     * first) goes, also if a keep rule would hold it. */
    int64_t max_age_ms, max_count, max_size_bytes;
};
bool retention_is_empty(const struct retention_policy *policy);

/* What is known of a set beside its manifest. */
struct retention_fact {
    uint64_t stored_bytes; /* what its backup added to the repository */
    bool verified;         /* read back whole, and found good */
};

struct retention_decision {
    bool keep;
    /* Why: "last 3", "daily 2026-01-31", "newest completed", "newest verified", "older than 30d",
     * "no rule keeps it" … */
    char reason[64];
};

/*
 * Decides for each of `sets` (newest first). `facts` and `out` have one element for each. With no
 * keep rule every set within the limits is kept. Partial sets are judged by the same rules, but
 * never count towards keep_last of completed ones: a rule's place is given to a completed set where
 * there is one. In each group the newest completed and the newest verified set are always kept; an
 * empty policy keeps all.
 */
int32_t retention_decide(const struct retention_policy *policy, const struct set_list *sets,
                         const struct retention_fact *facts, int64_t now_ns,
                         struct retention_decision *out, struct orch_error *err) ORCH_CHECKED;

#endif
