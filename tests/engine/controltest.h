/*
 * controltest.h: a private repository for tests of the control half of the engine: cheap scrypt, a
 * folder to look into, and a store that can be made to fail.
 */
#ifndef TESTS_ENGINE_CONTROLTEST_H
#define TESTS_ENGINE_CONTROLTEST_H

#include <check.h>

#include "base/buffer.h"
#include "engine/repo.h"

#define CT_PASSPHRASE "correct horse battery staple"

#define ct_ok(rc, err)                                                                             \
    do {                                                                                           \
        int32_t ct_rc_ = (rc);                                                                     \
        ck_assert_msg(ct_rc_ == ORCH_OK, "%s: %s", orch_error_name(ct_rc_), (err).message);        \
    } while (0)

enum ct_kind { CT_PLAIN, CT_PASSPHRASE_SLOT, CT_KEYFILE_SLOT, CT_KINDS };

struct ct_repo {
    char dir[64];
    enum ct_kind kind;
    struct storage *storage;
    struct repo *repo;
};

/* What unlocks a repository of that kind. */
struct repo_unlock ct_unlock(enum ct_kind kind);
/* A new repository below /tmp, opened. */
void ct_make(struct ct_repo *r, enum ct_kind kind);
void ct_remove(struct ct_repo *r);
/* Opens it once more, by what unlocks it. */
int32_t ct_open(const struct ct_repo *r, struct repo **out, struct orch_error *err);

/* The file's bytes, and writing them past the driver. */
void ct_read(const struct ct_repo *r, const char *name, struct buffer *out);
void ct_write(const struct ct_repo *r, const char *name, const void *data, size_t len);
/* Entries of a folder. */
int ct_count(const struct ct_repo *r, const char *folder);

#endif
