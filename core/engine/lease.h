/*
 * lease.h: who is at work in a repository. File leases/ID, renewed while the work goes on.
 *
 * A lease is judged by the reader's own monotonic clock: one that has not changed for longer than
 * its own time to live, as watched by this process, has lapsed. Nobody unlocks by hand.
 */
#ifndef CORE_ENGINE_LEASE_H
#define CORE_ENGINE_LEASE_H

#include "engine/repo.h"

struct lease;

/* How long a lease lasts and how often it is renewed. */
struct lease_timing {
    uint32_t ttl_ms;
    uint32_t renew_ms; /* well below ttl_ms */
};
#define LEASE_TTL_MS 120000u
#define LEASE_RENEW_MS 30000u

/* Puts a lease (durably) and starts renewing it from a thread. `work` is "backup", "restore" … */
int32_t lease_take(struct repo *repo, const char *run_id, const char *work, struct lease **out,
                   struct orch_error *err) ORCH_CHECKED;
/* The same with another timing (NULL: the usual one); for tests. */
int32_t lease_take_timed(struct repo *repo, const char *run_id, const char *work,
                         const struct lease_timing *timing, struct lease **out,
                         struct orch_error *err) ORCH_CHECKED;
/* ORCH_E_TIMEOUT when it could not be renewed in time, by our monotonic clock (which also counts
 * while the machine sleeps). Once lost, a lease stays lost. Thread-safe. */
int32_t lease_check(struct lease *lease, struct orch_error *err) ORCH_CHECKED;
/* Says in the lease, at once, that its holder obeys these marks (ids, zero-terminated list), from
 * the beginning of its work. Thread-safe. */
int32_t lease_acknowledge(struct lease *lease, const char *const *marks,
                          struct orch_error *err) ORCH_CHECKED;
const char *lease_id(const struct lease *lease);
/* Stops the thread and removes the file. NULL is fine. */
void lease_end(struct lease *lease);

/*
 * Watching others: who was at work at one instant, and whether they still are. A lease is gone when
 * its file is, when its process is known to be dead (the file is then removed), when it has
 * acknowledged all of the marks given, or when it has lapsed: unchanged for longer than its own
 * time to live since this watch first saw it so. Then lapsed_put() is called and the file removed.
 * A lease file that cannot be read is watched by its bytes, with LEASE_TTL_MS.
 */
struct lease_watch;

/* Lists the leases now, without our own (NULL: without none). `marks` is copied. */
int32_t lease_watch_new(struct repo *repo, const struct lease *own, const char *const *marks,
                        struct lease_watch **out, struct orch_error *err) ORCH_CHECKED;
void lease_watch_free(struct lease_watch *watch); /* NULL is fine */
/* Looks again. *left: how many still stand in the way. */
int32_t lease_watch_poll(struct lease_watch *watch, size_t *left,
                         struct orch_error *err) ORCH_CHECKED;
/* One of those left, for messages and decisions; false past the end. Valid until the next poll. */
struct lease_seen {
    const char *id, *run_id, *work, *host;
    int64_t pid;
};
bool lease_watch_at(const struct lease_watch *watch, size_t number, struct lease_seen *out);

/*
 * Who is at work: an array of {id, run_id, work, host, pid, started, started_ns, ttl_ms, renewals,
 * stale}. Left out are leases whose process is known to be dead: it ran on this machine, and its
 * pid is gone or another process's now. `stale`: not renewed for three times its time to live, as
 * far as the clocks of this host and of the store agree; for display only. A damaged lease is
 * logged and left out.
 */
int32_t lease_list(struct repo *repo, json_t **out, struct orch_error *err) ORCH_CHECKED;

#endif
