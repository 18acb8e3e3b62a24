/*
 * source.h: what a backup reads from: the folder as it stood at one moment.
 *
 * Every file is opened at once, so that a writer who replaces it by rename takes nothing away from
 * the backup; where the file system can share extents (Btrfs, XFS …) each is cloned, so that a
 * writer in place does not either. The folder is read again behind it: when nothing moved between,
 * all of it is of one moment. What changes in place later is seen, and fails the store.
 */
#ifndef VECTORSTORE_SOURCE_H
#define VECTORSTORE_SOURCE_H

#include "settings.h"
#include "stores.h"
#include "tree.h"

struct source_file {
    int fd;     /* -1: not a file, or more files than may be open at once */
    int cloned; /* fd is a clone of its own */
};

struct source {
    struct tree tree;
    struct stores stores;
    struct source_file *files; /* one per entry of the tree */
    const char *path;
    int64_t taken_ns; /* when it began, on the wall clock */
    int cloned;       /* all files were */
    int stable;       /* nothing moved while it was taken */
};

int32_t source_take(const struct orch_host *host, const struct settings *settings,
                    struct source **out, struct orch_error *err) ORCH_CHECKED;
void source_free(struct source *source); /* NULL is allowed */

/*
 * A descriptor for reading entry `entry`, the source's; read it with pread. `*own` becomes one that
 * the caller has to close, or -1. ORCH_E_CHANGED when the file is not the one it was.
 */
int32_t source_fd(const struct source *source, size_t entry, int *fd, int *own,
                  struct orch_error *err) ORCH_CHECKED;

/* ORCH_E_CHANGED when the file behind `fd` was written to since the source was taken. */
int32_t source_same(const struct source *source, size_t entry, int fd,
                    struct orch_error *err) ORCH_CHECKED;

/* The entry's token. */
struct orch_token source_token(const struct source *source, size_t entry);

/* Can the entry's token be believed for ever: was its file at rest well before the source was
 * taken? */
int source_settled(const struct source *source, size_t entry);

#endif
