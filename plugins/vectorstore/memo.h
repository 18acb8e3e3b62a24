/*
 * memo.h: what an earlier backup found out about files that have not changed since.
 *
 * The digest of a file and the facts of an index cost a whole reading. They are kept, with the
 * file's token, in the component's work folder, so that an unchanged file is not read again. Losing
 * the memo costs time and nothing else.
 */
#ifndef VECTORSTORE_MEMO_H
#define VECTORSTORE_MEMO_H

#include <jansson.h>

#include <orchestrate/plugin.h>

struct memo;

/* Reads the memo in `work_dir` (may be NULL). `stamp` is what store facts depend on beside the
 * file: another one voids them all. Never fails: an unreadable memo is an empty one. NULL: no
 * memory. */
struct memo *memo_load(const char *work_dir, const char *stamp);
void memo_free(struct memo *memo); /* NULL is allowed */

/* The file's digest under that token, or NULL. `name` as names_escape gives it. */
const char *memo_digest(const struct memo *memo, const char *name, const struct orch_token *token);

/* The index's store facts under that token, or NULL. */
json_t *memo_store(const struct memo *memo, const char *name, const struct orch_token *token);

/* Notes them down (`store` may be NULL; it is referenced). */
void memo_note(struct memo *memo, const char *name, const struct orch_token *token,
               const char *digest, json_t *store);

/* Writes what was noted down, instead of what was there. Failures are logged and forgotten. */
void memo_save(const struct memo *memo, const struct orch_host *host, const char *work_dir);

/* Forgets all, also on disk. */
void memo_drop(const char *work_dir);

#endif
