/*
 * names.h: names of files below the component's folder: checked, opened, shown, and made up.
 *
 * A name is a path relative to the folder: parts between single slashes, none of them empty, "." or
 * "..". The folder itself is ".". No part of a name is ever followed through a symbolic link.
 */
#ifndef VECTORSTORE_NAMES_H
#define VECTORSTORE_NAMES_H

#include <stddef.h>

#include <orchestrate/error.h>

#define NAMES_PATH_MAX 4096

/* Is it such a name, of `len` bytes and followed by no zero before that? */
int names_valid(const char *name, size_t len);

/* The part behind the last slash. */
const char *names_base(const char *name);

/* 1 for a name that a restore made up: new content, or what it set aside. Of any run. */
int names_is_leftover(const char *base);

/*
 * The name beside `base` under which a run puts new content, or sets the old aside. At most 255
 * bytes: of a long name only the beginning and a digest are kept.
 */
int32_t names_new(const char *base, const char *run_id, char out[256],
                  struct orch_error *err) ORCH_CHECKED;
int32_t names_aside(const char *base, const char *run_id, char out[256],
                    struct orch_error *err) ORCH_CHECKED;

/* Is `base` one of those two of this run? */
int names_is_new_of(const char *base, const char *run_id);
int names_is_aside_of(const char *base, const char *run_id);

/*
 * Opens the folder that `name` lies in, below `root`. With `create`, missing folders are made (mode
 * 0700). The descriptor is the caller's. ORCH_E_NOT_FOUND when there is none, ORCH_E_EXISTS when
 * something on the way is no folder.
 */
int32_t names_open_parent(int root, const char *name, int create, int *fd,
                          struct orch_error *err) ORCH_CHECKED;

/* Opens the file for reading. ORCH_E_NOT_FOUND, ORCH_E_EXISTS (something else) as above. */
int32_t names_open(int root, const char *name, int *fd, struct orch_error *err) ORCH_CHECKED;

/* The name as UTF-8 for facts and messages: bytes that are none, controls and '%' as %XX. Freed by
 * the caller; NULL: no memory. */
char *names_escape(const char *name);

/* Makes a text valid UTF-8 without control characters, in place: what is not becomes '?'. */
void names_clean(char *text);

/* Does `name`, or its last part, match one of the shell patterns? */
int names_match(const char *name, const char *const *patterns, uint64_t count);

#endif
