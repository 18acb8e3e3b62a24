/*
 * fuzz_journal.c: journals of restores (STATE/journals/RUN.jsonl), as one is found by a run that
 * resumes it, lists it, or gives it up.
 *
 * The input is an array of lines: objects are written as they stand, of texts their bytes. A last
 * text stands without a newline, as a crash leaves a line.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "fuzz.h"
#include "run/journal.h"
#include "tempdir.h"

#define RUN "0102030405060708090a0b0c0d0e0f10"

static const char *const components[] = {"a", "b"};

static void write_file(const char *path, const struct buffer *text)
{
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0 && (text->len == 0 || write(fd, text->data, text->len) == (ssize_t)text->len));
}

/* What must be thought of the lines, where that is plain. */
enum verdict { SOUND, DAMAGED, UNCLEAR };

static enum verdict put_lines(const char *path, const json_t *lines)
{
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    size_t i = 0;
    json_t *line = NULL;
    enum verdict verdict = SOUND;
    json_array_foreach(lines, i, line)
    {
        bool last = i + 1 == json_array_size(lines);
        if (json_is_string(line)) {
            buffer_append(&text, json_string_value(line), json_string_length(line));
            bool torn = last && strchr(json_string_value(line), '\n') == NULL;
            verdict = torn ? verdict : UNCLEAR;
        } else {
            char *bytes = json_dumps(line, JSON_COMPACT | JSON_ENCODE_ANY);
            must(bytes != NULL);
            buffer_append(&text, bytes, strlen(bytes));
            free(bytes);
            verdict = verdict == UNCLEAR || json_is_object(line) ? verdict : DAMAGED;
        }
        if (!last || !json_is_string(line)) {
            buffer_u8(&text, '\n');
        }
    }
    must(!text.failed);
    write_file(path, &text);
    return verdict;
}

/* Goes on with the journal, and finds afterwards what was added. */
static void use(const struct config *config, struct journal *journal, const json_t *request)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct journal *again = NULL;
    must(strcmp(journal_run_id(journal), RUN) == 0);
    (void)journal_resolved(journal);
    struct journal_component before = journal_component(journal, "a");
    (void)journal_step_passed(journal, 1);
    must(journal_append(journal, "begun", "a", NULL, &err) == ORCH_OK);
    must(journal_append(journal, "step-passed", NULL, json_pack("{s:i}", "step", 7), &err) ==
         ORCH_OK);
    must(journal_resume(config, request, &again, &err) == ORCH_E_BUSY);
    journal_close(journal);
    must(journal_resume(config, request, &again, &err) == ORCH_OK);
    struct journal_component after = journal_component(again, "a");
    must(after.attempts == before.attempts + 1 && after.verified == before.verified);
    must(journal_step_passed(again, 7));
    journal_close(again);
}

/* `resume`: it is gone on with before it is given up. */
static void try_lines(const struct config *config, const char *path, const json_t *lines,
                      bool resume)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct journal *journal = NULL;
    CLEANUP_FREE char *text = NULL;
    const json_t *request = json_object_get(json_array_get(lines, 0), "request");
    enum verdict verdict = put_lines(path, lines);
    int32_t judged = journal_unfinished(config, components, 2, &text, &err);
    must(judged == ORCH_OK || judged == ORCH_E_CORRUPT);
    must(verdict == UNCLEAR || (judged == ORCH_OK) == (verdict == SOUND));
    int32_t rc = journal_resume(config, request, &journal, &err);
    must(judged == ORCH_OK ? rc == ORCH_OK || rc == ORCH_E_NOT_FOUND : rc == ORCH_E_CORRUPT);
    if (rc == ORCH_OK && resume) {
        use(config, journal, request);
    } else {
        journal_close(journal);
        (void)put_lines(path, lines);
    }
    must(journal_abandon(config, components, 2, &err) == judged);
    if (judged == ORCH_OK) {
        CLEANUP_FREE char *left = NULL;
        must(journal_unfinished(config, components, 2, &left, &err) == ORCH_OK && left[0] == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char folder[300], path[400];
    static char state[256];
    const struct config config = {.state_dir = state};
    if (path[0] == 0) {
        (void)snprintf(state, sizeof(state), "%s", tempdir_path());
        (void)snprintf(folder, sizeof(folder), "%s/journals", state);
        (void)snprintf(path, sizeof(path), "%s/%s.jsonl", folder, RUN);
        must(mkdir(folder, 0700) == 0);
    }
    json_t *json = json_loadb((const char *)data, size, 0, NULL);
    if (json_is_array(json)) {
        try_lines(&config, path, json, true);
        try_lines(&config, path, json, false);
    }
    json_decref(json);
    return 0;
}
