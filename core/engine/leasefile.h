/* leasefile.h: what a file leases/ID says. For lease.c, leaselist.c. */
#ifndef CORE_ENGINE_LEASEFILE_H
#define CORE_ENGINE_LEASEFILE_H

#include "engine/process.h"
#include "engine/repo.h"

#define LEASE_FOLDER "leases"
#define LEASE_NAME (sizeof LEASE_FOLDER + ID_TEXT)

struct lease_file {
    char id[ID_TEXT];
    char run_id[ID_TEXT];
    char work[32];
    char host[256];
    struct process_identity process;
    int64_t started_ns;
    uint32_t ttl_ms;
    uint64_t renewals;
};

/* A new reference; NULL when memory ran out. */
json_t *lease_file_to_json(const struct lease_file *file);
int32_t lease_file_from_json(const json_t *json, const char *what, struct lease_file *out,
                             struct orch_error *err) ORCH_CHECKED;

/* Removes leases of dead processes of this machine, as far as that works. */
void lease_sweep(struct repo *repo);

#endif
