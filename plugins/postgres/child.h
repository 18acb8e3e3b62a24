/*
 * child.h: a client program (pg_dump, psql) as a child process with one pipe for data and one for
 * its stderr, which becomes the error text. It is killed when the host says "cancelled", and stays
 * in the process group of the worker, so that it dies with that as well.
 */
#ifndef POSTGRES_CHILD_H
#define POSTGRES_CHILD_H

#include <stddef.h>
#include <stdint.h>

#include <orchestrate/plugin.h>

struct child;

#define CHILD_READ 1u  /* the child writes to us */
#define CHILD_WRITE 2u /* we write to the child */

/* Starts `argv[0]`, an absolute path. `passfile` is inherited as CONNINFO_PASSFILE_FD (-1: none).
 */
int32_t child_start(const struct orch_host *host, char *const *argv, unsigned direction,
                    int passfile, struct child **out, struct orch_error *err) ORCH_CHECKED;
/* Reads what there is, 1 byte or more; *got 0 at the end of the stream. */
int32_t child_read(struct child *child, void *space, size_t capacity, size_t *got,
                   struct orch_error *err) ORCH_CHECKED;
/* Writes all of it. Fails with the child's own words when it ended early. */
int32_t child_write(struct child *child, const void *data, size_t len,
                    struct orch_error *err) ORCH_CHECKED;
/* Ends the data, waits for the child and judges its exit status. */
int32_t child_finish(struct child *child, struct orch_error *err) ORCH_CHECKED;
/* Kills the child when it still runs, and waits for it. NULL is allowed. */
void child_free(struct child *child);

static inline void cleanup_child(struct child **slot)
{
    child_free(*slot);
}
#define CLEANUP_CHILD __attribute__((cleanup(cleanup_child)))

#endif
