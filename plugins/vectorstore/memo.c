/* memo.c: see memo.h. A JSON file: stamp, and name -> token, sha256, store. */
#include "memo.h"

#include "cleanup.h"

#include <orchestrate/support.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MEMO_NAME "memo.json"

struct memo {
    json_t *before; /* name -> entry */
    json_t *now;
    char stamp[128];
};

static void token_text(const struct orch_token *token, char *text, size_t size)
{
    (void)snprintf(text, size, "%" PRIu64 ":%" PRId64 ":%" PRId64 ":%" PRIu64, token->size_bytes,
                   token->mtime_ns, token->ctime_ns, token->inode);
}

static json_t *load(const char *work_dir, const char *stamp)
{
    char path[4200];
    (void)snprintf(path, sizeof(path), "%s/" MEMO_NAME, work_dir);
    CLEANUP_FD int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    CLEANUP_JSON json_t *json = fd < 0 ? NULL : json_loadfd(fd, 0, NULL);
    const char *was = json_string_value(json_object_get(json, "stamp"));
    json_t *files = json_object_get(json, "files");
    return was != NULL && strcmp(was, stamp) == 0 && json_is_object(files) ? json_incref(files)
                                                                           : NULL;
}

struct memo *memo_load(const char *work_dir, const char *stamp)
{
    struct memo *memo = calloc(1, sizeof(*memo));
    if (memo == NULL) {
        return NULL;
    }
    (void)snprintf(memo->stamp, sizeof(memo->stamp), "%s", stamp);
    memo->before = work_dir == NULL ? NULL : load(work_dir, memo->stamp);
    memo->now = json_object();
    return memo;
}

void memo_free(struct memo *memo)
{
    if (memo != NULL) {
        json_decref(memo->before);
        json_decref(memo->now);
        free(memo);
    }
}

static const json_t *find(const struct memo *memo, const char *name, const struct orch_token *token)
{
    char text[128];
    const json_t *entry = json_object_get(memo->before, name);
    const char *was = json_string_value(json_object_get(entry, "token"));
    token_text(token, text, sizeof(text));
    return was != NULL && strcmp(was, text) == 0 ? entry : NULL;
}

const char *memo_digest(const struct memo *memo, const char *name, const struct orch_token *token)
{
    const char *digest = json_string_value(json_object_get(find(memo, name, token), "sha256"));
    return digest != NULL && strlen(digest) == 64 ? digest : NULL;
}

json_t *memo_store(const struct memo *memo, const char *name, const struct orch_token *token)
{
    json_t *store = json_object_get(find(memo, name, token), "store");
    return json_is_object(store) ? store : NULL;
}

void memo_note(struct memo *memo, const char *name, const struct orch_token *token,
               const char *digest, json_t *store)
{
    char text[128];
    token_text(token, text, sizeof(text));
    json_t *entry = json_pack("{s:s, s:s}", "token", text, "sha256", digest);
    if (entry != NULL && store != NULL) {
        (void)json_object_set(entry, "store", store);
    }
    if (entry != NULL) {
        (void)json_object_set_new(memo->now, name, entry);
    }
}

void memo_save(const struct memo *memo, const struct orch_host *host, const char *work_dir)
{
    char path[4200], fresh[4200];
    if (work_dir == NULL) {
        return;
    }
    (void)mkdir(work_dir, 0700);
    (void)snprintf(path, sizeof(path), "%s/" MEMO_NAME, work_dir);
    (void)snprintf(fresh, sizeof(fresh), "%s/" MEMO_NAME ".new", work_dir);
    CLEANUP_JSON json_t *json = json_pack("{s:s, s:O}", "stamp", memo->stamp, "files", memo->now);
    (void)unlink(fresh);
    CLEANUP_FD int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (json == NULL || fd < 0 || json_dumpfd(json, fd, JSON_COMPACT) != 0 ||
        rename(fresh, path) != 0) {
        orch_log(host, ORCH_LOG_DEBUG, "cannot keep %s: %s; the next backup reads all files again",
                 path, strerror(errno));
        (void)unlink(fresh);
    }
}

void memo_drop(const char *work_dir)
{
    char path[4200];
    if (work_dir != NULL) {
        (void)snprintf(path, sizeof(path), "%s/" MEMO_NAME, work_dir);
        (void)unlink(path);
    }
}
