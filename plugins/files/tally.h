/*
 * tally.h: what a file tree adds up to: counts by kind, bytes, and digests over every entry's
 * metadata in name order. A backup states it as facts; a verification measures it again.
 *
 * Five SHA-256 digests, so that a difference has a name: "entries" (name, kind, size, link target,
 * device), "owners", "modes", "times" and "xattrs" (user.*, POSIX ACLs and file capabilities).
 */
#ifndef PLUGINS_FILES_TALLY_H
#define PLUGINS_FILES_TALLY_H

#include <orchestrate/plugin.h>

#include "meta.h"

#define TALLY_ENTRIES 0u
#define TALLY_OWNERS 1u
#define TALLY_MODES 2u
#define TALLY_TIMES 3u
#define TALLY_XATTRS 4u
#define TALLY_DIGESTS 5u

#define TALLY_HEX_SIZE 65u

struct tally;

/* The sums of one tree; also what facts say. */
struct tally_sums {
    uint64_t files;
    uint64_t folders;
    uint64_t symlinks;
    uint64_t hard_links;
    uint64_t devices;
    uint64_t fifos;
    uint64_t bytes;      /* lengths of the files */
    uint64_t data_bytes; /* bytes that are stored: without holes */
    uint64_t xattrs;     /* entries that have extended attributes */
    char digests[TALLY_DIGESTS][TALLY_HEX_SIZE];
};

int32_t tally_new(struct tally **out, struct orch_error *err) ORCH_CHECKED;
void tally_free(struct tally *tally); /* NULL is allowed */

/* Adds an entry; `size_bytes` is the length of a file, 0 for others. -1: no memory. */
int tally_add(struct tally *tally, const uint8_t *name, size_t name_len, uint32_t kind,
              const struct meta *meta, uint64_t size_bytes, uint64_t data_bytes) ORCH_CHECKED;

/* Ends the digests and gives the sums; the tally takes no more. */
int32_t tally_end(struct tally *tally, struct tally_sums *sums,
                  struct orch_error *err) ORCH_CHECKED;

/* States the sums as facts. */
int32_t tally_state(const struct tally_sums *sums, const struct orch_host *host,
                    struct orch_error *err) ORCH_CHECKED;

/* Reads them back from a part's facts; ORCH_E_CORRUPT when one is missing. */
int32_t tally_from_facts(const char *facts_json, struct tally_sums *sums,
                         struct orch_error *err) ORCH_CHECKED;

/* Gives a verdict for each difference. `lenient` has a bit (1 << TALLY_…) for each digest whose
 * difference is a warning only; `why` says the reason in it. */
int32_t tally_judge(const struct tally_sums *expected, const struct tally_sums *found,
                    uint32_t lenient, const char *why, const struct orch_host *host,
                    struct orch_error *err) ORCH_CHECKED;

#endif
