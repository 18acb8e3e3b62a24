/*
 * harness.h: a host in one process, for testing a plugin without orchestrate.
 *
 * It opens the shared object, hands it options, and keeps in memory what a backup sends (checking
 * the rules of plugin.h as it comes), to hand it back in a restore. Every failure is an error text,
 * not an abort. Not for use from more than one thread.
 */
#ifndef ORCHESTRATE_HARNESS_H
#define ORCHESTRATE_HARNESS_H

#include <orchestrate/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

struct harness;

/* One item that a backup sent. `record` tells which of the two it is. */
struct harness_item {
    int is_record;
    int unchanged;             /* told unchanged: content taken from the earlier items */
    struct orch_object object; /* pointers belong to the harness */
    struct orch_record rec;
    uint8_t *data; /* content; holes are zeros */
    uint64_t data_len;
    uint64_t hole_bytes;
};

struct harness_verdict {
    uint32_t severity, flags;
    char code[64];
    char subject[256];
    char message[1024];
};

/* Opens the plugin at `path`. */
int32_t harness_load(const char *path, struct harness **out, struct orch_error *err);
void harness_free(struct harness *harness); /* closes instance and plugin */
const struct orch_plugin *harness_plugin(const struct harness *harness);

/* Sets an option before harness_open; by the declared type: text is parsed as an integer for
 * INTEGER, SIZE, DURATION and BOOLEAN (plain numbers), lists are split at commas. */
int32_t harness_option(struct harness *harness, const char *name, const char *text,
                       struct orch_error *err);
void harness_work_dir(struct harness *harness, const char *path);
int32_t harness_open(struct harness *harness, struct orch_error *err);
void harness_close(struct harness *harness); /* the instance only; options stay */

/* probe, freeze, backup, thaw. What came is then in harness_items. The items of the backup before
 * are kept as the earlier ones, whose tokens make objects unchanged, when `incremental`. */
int32_t harness_backup(struct harness *harness, int incremental, struct orch_probe *probe,
                       struct orch_freeze *freeze, struct orch_error *err);
const struct harness_item *harness_items(const struct harness *harness, uint64_t *count);
const struct harness_item *harness_find(const struct harness *harness, const char *name);
/* The facts so far, as one JSON object. */
const char *harness_facts(struct harness *harness);
/* Overwrites the facts that the next check, restore and verify get. */
void harness_set_facts(struct harness *harness, const char *json);

/* The single steps of a restore of the last backup's items. Verdicts of check and verify are then
 * in harness_verdicts; a refusal is no error code. */
int32_t harness_check(struct harness *harness, const char *run_id, struct orch_error *err);
int32_t harness_restore(struct harness *harness, const char *run_id, uint32_t attempt,
                        struct orch_error *err);
int32_t harness_verify(struct harness *harness, const char *run_id, struct orch_error *err);
int32_t harness_settle(struct harness *harness, const char *run_id, uint32_t outcome,
                       struct orch_error *err);
const struct harness_verdict *harness_verdicts(const struct harness *harness, uint64_t *count);
/* The worst severity among them. */
uint32_t harness_worst(const struct harness *harness);

/* Failure injection: `next` fails with ORCH_E_CORRUPT after this many events of a restore. */
void harness_fail_next_after(struct harness *harness, uint64_t events);
/* cancelled() answers 1 from now on. */
void harness_cancel(struct harness *harness);
/* What future_file gives for `path`; NULL data: not found. */
void harness_future_file(struct harness *harness, const char *path, const char *data);

/* Intents journalled so far: "action target -> aside" lines. */
const char *harness_journal(struct harness *harness);

#ifdef __cplusplus
}
#endif

#endif
