/* leasefile.h: what a file leases/ID says. For lease.c, leaselist.c, leasewatch.c. */
#ifndef CORE_ENGINE_LEASEFILE_H
#define CORE_ENGINE_LEASEFILE_H

#include <stdbool.h>

#include "engine/process.h"
#include "engine/repo.h"

#define LEASE_FOLDER "leases"
#define LEASE_NAME (sizeof LEASE_FOLDER + ID_TEXT)
/* Marks that one lease can acknowledge. There are hardly ever more than two at a time; whoever
 * meets more has the others wait for him. */
#define LEASE_MARKS_MAX 64u

struct lease_file {
    char id[ID_TEXT];
    char run_id[ID_TEXT];
    char work[32];
    char host[256];
    struct process_identity process;
    int64_t started_ns;
    uint32_t ttl_ms;
    uint64_t renewals;
    char acknowledged[LEASE_MARKS_MAX][ID_TEXT]; /* ids of marks */
    size_t acknowledged_count;
};

/* Does the holder obey this mark? */
bool lease_file_obeys(const struct lease_file *file, const char *mark);

/* A new reference; NULL when memory ran out. */
json_t *lease_file_to_json(const struct lease_file *file);
int32_t lease_file_from_json(const json_t *json, const char *what, struct lease_file *out,
                             struct orch_error *err) ORCH_CHECKED;

/* Now, by a clock that all processes of a machine share and that counts while it sleeps. */
int64_t lease_clock_ms(void);

/* How long a lease lasts unless it says so. */
uint32_t lease_usual_ttl_ms(void);

/* Removes leases of dead processes of this machine, as far as that works. */
void lease_sweep(struct repo *repo);

#endif
