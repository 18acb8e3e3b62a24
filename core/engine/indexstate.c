/* indexstate.c: see indexstate.h. One line: format, "clean" or "dirty", boot id. */
#include "engine/indexstate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "engine/process.h"

#define STATE_MAX 256u

static void state_line(bool clean, char line[STATE_MAX])
{
    struct process_identity self;
    process_self(&self);
    (void)snprintf(line, STATE_MAX, "orchestrate index cache 1 %s %s\n", clean ? "clean" : "dirty",
                   clean ? "-" : self.boot_id);
}

enum index_state indexstate_read(const char *path)
{
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    CLEANUP_FREE char *name = file_join(path, "state");
    char line[STATE_MAX];
    struct process_identity self;
    if (name == NULL || file_read(name, STATE_MAX, &text, NULL) != ORCH_OK ||
        buffer_string(&text) == NULL) {
        return INDEX_STATE_BAD;
    }
    state_line(true, line);
    if (strcmp((const char *)text.data, line) == 0) {
        return INDEX_STATE_CLEAN;
    }
    state_line(false, line);
    process_self(&self); /* without a boot id nobody knows whether the machine went down */
    return self.boot_id[0] != '\0' && strcmp((const char *)text.data, line) == 0 ? INDEX_STATE_DIRTY
                                                                                 : INDEX_STATE_BAD;
}

int32_t indexstate_write(const char *path, bool clean, bool durable, struct orch_error *err)
{
    CLEANUP_FREE char *name = file_join(path, "state");
    char line[STATE_MAX];
    if (name == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a file name");
    }
    state_line(clean, line);
    if (durable) {
        return file_replace(name, line, strlen(line), 0600, err);
    }
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return orch_fail_errno(err, errno, "cannot create %s", name);
    }
    int32_t rc = file_write_all(fd, line, strlen(line), name, err);
    if (close(fd) != 0 && rc == ORCH_OK) {
        rc = orch_fail_errno(err, errno, "cannot write %s", name);
    }
    return rc;
}

void indexstate_spoil(const char *path)
{
    CLEANUP_FREE char *name = file_join(path, "state");
    if (name != NULL) {
        (void)unlink(name);
    }
}
