/*
 * walk.h: visits the entries of file trees in bytewise order of their full names.
 *
 * Depth first and sorted per folder would not do: "a-b" comes before "a/c" but after "a". So each
 * folder stands in its parent's list twice, as the entry "a" and as the descent "a/".
 *
 * Nothing is followed; folders are opened relative to each other, so depth has no limit but the
 * length of a name (65,535 bytes). Memory: the names of the folders on the path.
 */
#ifndef PLUGINS_FILES_WALK_H
#define PLUGINS_FILES_WALK_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "pattern.h"
#include "roots.h"

struct dir_ref; /* dirs.h */

/* Valid during the callback only. */
struct walk_entry {
    const struct root *root;
    const uint8_t *name; /* the object's name */
    size_t name_len;
    int dir_fd;          /* with `base` for the ...at calls */
    struct dir_ref *dir; /* the same; may be held beyond the callback */
    const char *base;
    const struct stat *st;
    const uint8_t *xattrs; /* in the form of meta.h, when asked for */
    size_t xattrs_len;
    int xattrs_missing; /* they were left for later: the visitor reads them (look.h) or has them */
};

#define WALK_EXCLUDED 1u     /* by a pattern */
#define WALK_VANISHED 2u     /* gone between listing and looking */
#define WALK_UNREADABLE 3u   /* `os_errno` says why */
#define WALK_OTHER_SYSTEM 4u /* a mounted folder that is not entered */

struct walk_visitor {
    void *ctx;
    /* A failure stops the walk and is its result. */
    int32_t (*entry)(void *ctx, const struct walk_entry *entry, struct orch_error *err);
    /* Something was left out. A failure stops the walk. NULL: unreadable things are failures. */
    int32_t (*note)(void *ctx, uint32_t what, const uint8_t *name, size_t len, int os_errno,
                    struct orch_error *err);
    /* When given, in place of `entry`: entries as they are found, without `st` and attributes.
     * They are looked at later (look.h), and then told by walk_tell(). */
    int32_t (*found)(void *ctx, const struct walk_entry *entry, struct orch_error *err);
};

struct walk_options {
    const struct roots *roots;
    const struct patterns *exclude; /* NULL for none; never applied to a root itself */
    int one_file_system;
    int want_xattrs;
    const atomic_int *files_later; /* while not 0, those of regular files are left for later; the
                                      visitor sets it. NULL: never */
    int missing_root_ok;           /* a root that does not exist is no entry; else a failure */
    int skip_temporary; /* leave out names of name_temporary() in any folder, not only the bare
                           ones right in a root */
};

/* Walks all roots. */
int32_t walk_roots(const struct walk_options *options, const struct walk_visitor *visitor,
                   struct orch_error *err) ORCH_CHECKED;

/* Tells the visitor of an entry that was looked at; `error` is what the look gave. */
int32_t walk_tell(const struct walk_visitor *visitor, const struct walk_entry *entry, int error,
                  struct orch_error *err) ORCH_CHECKED;

/* As walk_roots(), while a thread lists and looks ahead: the visitor, on the caller's thread, is
 * told the same in the same order, of things as they were up to some hundred entries ago (ahead.c).
 */
int32_t walk_roots_ahead(const struct walk_options *options, const struct walk_visitor *visitor,
                         struct orch_error *err) ORCH_CHECKED;

#endif
