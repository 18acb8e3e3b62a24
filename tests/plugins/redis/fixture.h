/* fixture.h: the plugin in the harness, and what the tests of backup and restore share. */
#ifndef TEST_REDIS_FIXTURE_H
#define TEST_REDIS_FIXTURE_H

#include "harness.h"
#include "server.h"

/* Options come as "name value" texts, ended by NULL. */
struct harness *fixture_open(const char *url, const char *work_dir, const char *const *options);
/* Sets the url anew, on the same items: what was backed up from one server goes to another. */
void fixture_move(struct harness *harness, const char *url, const char *work_dir,
                  const char *const *options);

/* A backup that must succeed; its freeze is handed out when wanted. */
void fixture_backup(struct harness *harness, struct orch_probe *probe, struct orch_freeze *freeze);
/* check, restore, verify, settle, which must all succeed without refusal. */
void fixture_restore(struct harness *harness, const char *run_id);
/* restore, verify; settle is left. */
void fixture_restore_only(struct harness *harness, const char *run_id, uint32_t attempt);
/* The verdict with this code, or NULL. */
const struct harness_verdict *fixture_verdict(struct harness *harness, const char *code);
/* The number of files in a folder (0 when it is not there). */
int fixture_files(const char *folder);

#define fixture_ok(call)                                                                           \
    do {                                                                                           \
        struct orch_error err = ORCH_ERROR_INIT;                                                   \
        int32_t rc_ = (call);                                                                      \
        ck_assert_msg(rc_ == ORCH_OK, "%s: %d %s", #call, rc_, err.message);                       \
    } while (0)

/* The call must fail with `code` and a message that has `word`. */
#define fixture_fails(call, wanted, word)                                                          \
    do {                                                                                           \
        struct orch_error err = ORCH_ERROR_INIT;                                                   \
        int32_t rc_ = (call);                                                                      \
        ck_assert_msg(rc_ == (wanted), "%s: %d %s", #call, rc_, err.message);                      \
        ck_assert_msg(strstr(err.message, word) != NULL, "%s", err.message);                       \
    } while (0)

#endif
