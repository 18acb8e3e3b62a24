/* ledger.c: see ledger.h. */
#include "run/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "run/context.h"

#define LEDGER_MAX (256u << 20)

/* A crash may have left half a line; the next entry must not be glued to it. */
static int32_t end_torn_line(int fd, const char *path, struct orch_error *err)
{
    struct stat st;
    char last = '\n';
    if (fstat(fd, &st) != 0) {
        return orch_fail_errno(err, errno, "cannot look at %s", path);
    }
    if (st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) != 1) {
        return orch_fail_errno(err, errno, "cannot read %s", path);
    }
    return last == '\n' ? ORCH_OK : file_write_all(fd, "\n", 1, path, err);
}

static int32_t append_text(const struct config *config, const char *ledger, const char *text,
                           struct orch_error *err)
{
    CLEANUP_FREE char *path = NULL;
    int32_t rc = context_state_path(config, NULL, ledger, &path, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) {
        return orch_fail_errno(err, errno, "cannot open %s", path);
    }
    CLEANUP_BUFFER struct buffer line = BUFFER_INIT;
    buffer_printf(&line, "%s\n", text);
    if (line.failed) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for an entry of %s", ledger);
    }
    rc = end_torn_line(fd, path, err);
    if (rc == ORCH_OK) {
        rc = file_write_all(fd, line.data, line.len, path, err);
    }
    if (rc == ORCH_OK && fsync(fd) != 0) {
        rc = orch_fail_errno(err, errno, "cannot sync %s", path);
    }
    return rc == ORCH_OK ? file_sync_dir(config->state_dir, err) : rc;
}

int32_t ledger_append(const struct config *config, const char *ledger, json_t *entry,
                      struct orch_error *err)
{
    char now[21];
    clock_iso(clock_wall_ns(), now);
    (void)json_object_set_new(entry, "time", json_string(now));
    (void)json_object_set_new(entry, "user", json_integer((json_int_t)getuid()));
    CLEANUP_FREE char *text = json_dumps(entry, JSON_COMPACT);
    json_decref(entry);
    if (text == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for an entry of %s", ledger);
    }
    return append_text(config, ledger, text, err);
}

int32_t ledger_read(const struct config *config, const char *ledger, json_t **out,
                    struct orch_error *err)
{
    CLEANUP_FREE char *path = file_join(config->state_dir, ledger);
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    *out = json_array();
    if (path == NULL || *out == NULL) {
        json_decref(*out);
        *out = NULL;
        return orch_fail(err, ORCH_E_NOMEM, "no memory to read %s", ledger);
    }
    int32_t rc = file_read(path, LEDGER_MAX, &text, err);
    if (rc == ORCH_E_NOT_FOUND) {
        return ORCH_OK;
    }
    if (rc != ORCH_OK) {
        json_decref(*out);
        *out = NULL;
        return rc;
    }
    const char *line = (const char *)text.data;
    const char *end = line + text.len;
    while (line < end) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t len = (size_t)((stop == NULL ? end : stop) - line);
        json_t *entry = json_loadb(line, len, 0, NULL);
        if (json_is_object(entry)) {
            (void)json_array_append(*out, entry);
        }
        json_decref(entry);
        line += len + 1;
    }
    return ORCH_OK;
}
