/*
 * fuzz_ledger.c: the ledgers of this host (STATE/history.jsonl, STATE/audit.jsonl): any bytes are
 * read without an error, and what is appended behind them is found.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "run/ledger.h"
#include "tempdir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[300], state[256];
    const struct config config = {.state_dir = state};
    struct orch_error err = ORCH_ERROR_INIT;
    json_t *before = NULL, *after = NULL;
    if (path[0] == 0) {
        (void)snprintf(state, sizeof(state), "%s", tempdir_path());
        (void)snprintf(path, sizeof(path), "%s/%s", state, LEDGER_HISTORY);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0 && write(fd, data, size) == (ssize_t)size && close(fd) == 0);
    must(ledger_read(&config, LEDGER_HISTORY, &before, &err) == ORCH_OK);
    must(ledger_append(&config, LEDGER_HISTORY, json_pack("{s:s}", "what", "restore"), &err) ==
         ORCH_OK);
    must(ledger_read(&config, LEDGER_HISTORY, &after, &err) == ORCH_OK);
    size_t count = json_array_size(before);
    must(json_array_size(after) == count + 1);
    for (size_t i = 0; i < count; i++) {
        must(json_equal(json_array_get(before, i), json_array_get(after, i)));
    }
    const json_t *last = json_array_get(after, count);
    must(strcmp(json_string_value(json_object_get(last, "what")), "restore") == 0);
    json_decref(before);
    json_decref(after);
    return 0;
}
