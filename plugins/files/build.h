/*
 * build.h: makes new file trees from objects, each tree in a place of its own that nobody uses yet.
 *
 * Objects come from a repository and are not trusted: a name must be sound, lie below a configured
 * root, follow the one before it in order, and come after its folder. Only folders that this very
 * build made are entered, and never through a link.
 *
 * Small files are made by threads; links, and the metadata of folders (deepest first), come last.
 * Memory: name and metadata of each folder and hard link.
 */
#ifndef PLUGINS_FILES_BUILD_H
#define PLUGINS_FILES_BUILD_H

#include <orchestrate/plugin.h>

#include "apply.h"
#include "roots.h"

struct build;

/* Where the tree of a root goes: `base` in the folder `parent`, which exists; `base` does not. */
struct build_target {
    char *parent;
    char base[256];
};

/* `targets` has one for each of `roots`, in their order. Both must outlive the build. */
int32_t build_new(const struct roots *roots, const struct build_target *targets, struct build **out,
                  struct orch_error *err) ORCH_CHECKED;
void build_free(struct build *build); /* NULL is allowed; what was made stays */

/* The calls for one object, in this order; data and holes only for files. */
int32_t build_object(struct build *build, const struct orch_object *object,
                     struct orch_error *err) ORCH_CHECKED;
int32_t build_data(struct build *build, const void *data, uint64_t len,
                   struct orch_error *err) ORCH_CHECKED;
int32_t build_hole(struct build *build, uint64_t len, struct orch_error *err) ORCH_CHECKED;
int32_t build_item_end(struct build *build, struct orch_error *err) ORCH_CHECKED;

/* After the last object: waits for the threads, makes links, sets folders' metadata. */
int32_t build_finish(struct build *build, struct orch_error *err) ORCH_CHECKED;

/* All of that from what the host's `next` delivers. */
int32_t build_from_host(struct build *build, const struct orch_host *host,
                        struct orch_error *err) ORCH_CHECKED;

/* The kind of the object that a root was (META_KIND_…), 0 when none came for it. */
uint32_t build_root_kind(const struct build *build, size_t root);
/* Sets the metadata of that root on another open folder. */
int32_t build_apply_root(struct build *build, size_t root, int fd, const char *path,
                         struct orch_error *err) ORCH_CHECKED;
/* What could not be set, over all threads. */
const struct apply_report *build_report(const struct build *build);

#endif
