/* state.c: the files of a restore in the work folder. */
#include "state.h"

#include "cleanup.h"
#include "rdbfile.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int32_t state_paths(const struct redis *redis, const char *run_id, struct state *state,
                    struct orch_error *err)
{
    size_t len = run_id == NULL ? 0 : strlen(run_id);
    if (len == 0 || len > MARK_RUN_MAX || strspn(run_id, "0123456789abcdef") != len) {
        return orch_fail(err, ORCH_E_INVALID, "the run id is not 1 to %d characters of hex",
                         MARK_RUN_MAX);
    }
    if (redis->work_dir == NULL || strlen(redis->work_dir) > PATH_MAX - 128) {
        return orch_fail(err, ORCH_E_INVALID, "there is no work folder to keep the old state in");
    }
    (void)snprintf(state->json, PATH_MAX, "%s/restore-%s.json", redis->work_dir, run_id);
    (void)snprintf(state->aside, PATH_MAX, "%s/aside-%s.rdb", redis->work_dir, run_id);
    (void)snprintf(state->functions, PATH_MAX, "%s/functions-%s.dump", redis->work_dir, run_id);
    return ORCH_OK;
}

static json_t *jobs_to_json(const struct place *place)
{
    json_t *array = json_array();
    for (uint32_t i = 0; array != NULL && i < place->count; i++) {
        const struct place_job *job = &place->jobs[i];
        json_t *one = json_pack("{s:I, s:I}", "target", (json_int_t)job->target, "old_keys",
                                (json_int_t)job->old_keys);
        int bad = one == NULL;
        if (!bad && job->has_spare) {
            bad = json_object_set_new(one, "spare", json_integer(job->spare));
        }
        if (!bad && job->has_aside) {
            bad |= json_object_set_new(one, "aside", json_integer(job->aside));
        }
        if (bad || json_array_append_new(array, one) != 0) {
            json_decref(bad ? one : NULL);
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

int32_t state_save(const struct state *state, const struct redis *redis, const char *run_id,
                   const char *phase, const struct place *place, struct orch_error *err)
{
    char server[300];
    url_server(&redis->url, server, sizeof(server));
    json_t *jobs = jobs_to_json(place);
    CLEANUP_JSON json_t *root = jobs == NULL
                                    ? NULL
                                    : json_pack("{s:s, s:s, s:s, s:o}", "run", run_id, "server",
                                                server, "phase", phase, "databases", jobs);
    CLEANUP_FREE char *text = root == NULL ? NULL : json_dumps(root, JSON_INDENT(2));
    if (text == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "out of memory for the restore's state");
    }
    int32_t rc = rdbfile_folder(redis->work_dir, err);
    return rc == ORCH_OK ? rdbfile_small(state->json, text, strlen(text), err) : rc;
}

void state_phase(const struct state *state, char *phase, size_t size)
{
    CLEANUP_JSON json_t *root = json_load_file(state->json, 0, NULL);
    const char *text = json_string_value(json_object_get(root, "phase"));
    (void)snprintf(phase, size, "%s", text == NULL ? "" : text);
}

int state_exists(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISREG(info.st_mode);
}

void state_clear(const struct state *state)
{
    (void)unlink(state->aside);
    (void)unlink(state->functions);
    (void)unlink(state->json);
}
