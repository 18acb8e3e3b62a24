/* storagetest.h: a private folder for a test, and checks that print the error's message. */
#ifndef TESTS_STORAGE_STORAGETEST_H
#define TESTS_STORAGE_STORAGETEST_H

#include <check.h>
#include <stdbool.h>

#include "base/buffer.h"
#include "orchestrate/error.h"
#include "storage/storage.h"

#define st_ok(rc, err)                                                                             \
    do {                                                                                           \
        int32_t st_rc_ = (rc);                                                                     \
        ck_assert_msg(st_rc_ == ORCH_OK, "%s: %s", orch_error_name(st_rc_), (err).message);        \
    } while (0)

/* Makes a folder below /tmp; `dir` takes 64 bytes. */
void st_make_dir(char dir[64]);
void st_remove_dir(const char *dir);
/* "dir/name", in a buffer of the caller's. */
const char *st_path(char out[512], const char *dir, const char *name);
bool st_exists(const char *dir, const char *name);
/* The whole file as text, or "(none)"; `out` takes 256 bytes. */
const char *st_text(const char *dir, const char *name, char out[256]);
void st_write(const char *dir, const char *name, const void *data, size_t len);
/* Puts a text. */
int32_t st_put(struct storage *storage, const char *name, const char *text, uint32_t flags,
               struct orch_error *err);
/* All names below a prefix, sorted and joined by blanks. */
const char *st_list(struct storage *storage, const char *prefix, char out[1024]);
/* How many entries the folder has. */
int st_count(const char *dir, const char *name);

#endif
