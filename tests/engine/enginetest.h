/*
 * enginetest.h: what the engine's tests share: a private repository, items to feed into it, and the
 * comparison of what comes out.
 */
#ifndef TESTS_ENGINE_ENGINETEST_H
#define TESTS_ENGINE_ENGINETEST_H

#include <check.h>

#include "engine/content.h"
#include "engine/repo.h"
#include "engine/set.h"
#include "engine/writer.h"

/* Fails the test with the error's message. Outside of a test (the bench) it ends the program. */
#define et_ok(rc, err) et_ok_at((rc), &(err), __FILE__, __LINE__)
void et_ok_at(int32_t rc, const struct orch_error *err, const char *file, int line);
struct et_repo {
    char dir[64];
    struct storage *storage;
    struct repo *repo;
};

/* A new repository below /tmp, opened; removed by et_repo_remove. */
void et_repo_make(struct et_repo *r, bool encrypted);
void et_repo_remove(struct et_repo *r);
/* What opens it, or a copy of it. */
struct repo_unlock et_unlock(bool encrypted);

/* Changes one bit of a byte of a file where it stands. */
void et_flip(const struct et_repo *r, const char *name, uint64_t offset, unsigned bit);

/* A small fast generator, so that tests repeat. */
struct et_random {
    uint64_t state;
};
uint64_t et_random_next(struct et_random *random);
/* Bytes that do not compress, for a seed. */
void et_random_fill(uint64_t seed, uint8_t *data, size_t len);
/* Words, which do compress. */
void et_text_fill(uint64_t seed, uint8_t *data, size_t len);

/* One object as events; DATA comes in pieces of `piece` bytes (0: at once). */
int32_t et_put_object(struct part_writer *part, const struct orch_object *object,
                      const uint8_t *data, size_t len, size_t piece, struct orch_error *err);
/* An object with nothing but a name; `text` must stay while it is used. */
struct orch_object et_object(const char *text);
struct orch_event et_event(uint32_t type);
int32_t et_put_record(struct part_writer *part, uint32_t space, const void *key, size_t key_len,
                      const void *value, size_t len, int64_t expires_ms, struct orch_error *err);

/* A whole backup of one component by `feed`; the part (in memory) is filled. Uses its own index. */
typedef void (*et_feed)(struct part_writer *part, void *ctx);
void et_backup(struct repo *repo, const struct writer_options *options, const struct part *earlier,
               et_feed feed, void *ctx, struct part *out);
/* Stores the part and a set of it; gives the set's id. */
void et_store_set(struct repo *repo, struct part *part, const char *component, char id[ID_TEXT]);

#endif
