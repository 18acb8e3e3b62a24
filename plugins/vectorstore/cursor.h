/*
 * cursor.h: reads a file forwards in small pieces, never past its stated end.
 */
#ifndef VECTORSTORE_CURSOR_H
#define VECTORSTORE_CURSOR_H

#include <stddef.h>

#include <orchestrate/error.h>

struct cursor;

/* Over the first `size` bytes of `fd`, which stays the caller's and whose position is not moved. */
int32_t cursor_new(int fd, uint64_t size, struct cursor **out, struct orch_error *err) ORCH_CHECKED;
void cursor_free(struct cursor *cursor); /* NULL is allowed */

/* A second one over the same file, that begins at `at`. */
int32_t cursor_fork(const struct cursor *cursor, uint64_t at, struct cursor **out,
                    struct orch_error *err) ORCH_CHECKED;

/* Where the next byte comes from. */
uint64_t cursor_at(const struct cursor *cursor);

/* Copies the next `len` bytes. ORCH_E_CORRUPT when fewer are left. */
int32_t cursor_take(struct cursor *cursor, void *out, size_t len,
                    struct orch_error *err) ORCH_CHECKED;

/* Copies `len` bytes from `at`, without moving. ORCH_E_CORRUPT when they are not there. */
int32_t cursor_peek(const struct cursor *cursor, uint64_t at, void *out, size_t len,
                    struct orch_error *err) ORCH_CHECKED;

/* Passes over `count` elements of `each` bytes, unread. ORCH_E_CORRUPT when fewer are left. */
int32_t cursor_skip(struct cursor *cursor, uint64_t count, uint64_t each,
                    struct orch_error *err) ORCH_CHECKED;

/* Passes over a vector as FAISS writes it: a count (put into *count) and elements of `each` bytes.
 */
int32_t cursor_skip_vector(struct cursor *cursor, uint64_t each, uint64_t *count,
                           struct orch_error *err) ORCH_CHECKED;

/* ORCH_E_CORRUPT, with what is wrong. */
int32_t cursor_bad(struct orch_error *err, const char *what);

#endif
