/*
 * config_secret.c: secrets come from a file, an environment variable or a command, and are wiped
 * after use. No message of this file holds one.
 */
#include "plan/config_internal.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

size_t config_secret_suffix(const char *name, const char **suffix)
{
    static const char *const suffixes[] = {"_file", "_env", "_command"};
    size_t len = strlen(name);
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        size_t tail = strlen(suffixes[i]);
        if (len > tail && strcmp(name + len - tail, suffixes[i]) == 0) {
            *suffix = name + len - tail + 1;
            return len - tail;
        }
    }
    return 0;
}

bool config_secret_is_set(const struct config_secret *secret)
{
    return secret->file != NULL || secret->env != NULL || secret->command != NULL;
}

void config_secret_clear(struct config_secret *secret)
{
    free(secret->file);
    free(secret->env);
    free(secret->command);
    *secret = (struct config_secret){0};
}

static bool is_env_name(const char *text)
{
    for (const char *p = text; *p != 0; p++) {
        if (!isalnum((unsigned char)*p) && *p != '_') {
            return false;
        }
    }
    return text[0] != 0 && !isdigit((unsigned char)text[0]);
}

int32_t config_secret_assign(struct config_secret *secret, const char *suffix, const char *text,
                             struct orch_error *err)
{
    char **slot = strcmp(suffix, "file") == 0  ? &secret->file
                  : strcmp(suffix, "env") == 0 ? &secret->env
                                               : &secret->command;
    if (slot == &secret->file && text[0] != '/') {
        return orch_fail(err, ORCH_E_CONFIG, "expected an absolute path, found \"%.80s\"", text);
    }
    if (slot == &secret->env && !is_env_name(text)) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "expected the name of an environment variable (letters, digits and _), "
                         "not its value");
    }
    if (slot == &secret->command && text[strspn(text, " \t\n")] == 0) {
        return orch_fail(err, ORCH_E_CONFIG, "the command is empty");
    }
    if (config_secret_is_set(secret)) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "the secret is given in two ways; keep one of _file, _env and _command");
    }
    *slot = strdup(text);
    return *slot == NULL ? orch_fail(err, ORCH_E_NOMEM, "no memory for the configuration")
                         : ORCH_OK;
}

/* ---- reading ------------------------------------------------------------------------------ */

void config_secret_free(char *secret)
{
    if (secret != NULL) {
        explicit_bzero(secret, strlen(secret));
        free(secret);
    }
}

int32_t config_secret_first_line(const char *data, size_t len, const char *what, const char *source,
                                 char **out, struct orch_error *err)
{
    const char *end = len == 0 ? NULL : memchr(data, '\n', len);
    size_t line = end == NULL ? len : (size_t)(end - data);
    if (line > CONFIG_SECRET_MAX) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "%s: the first line from %s is longer than %zu KiB; is it the right one?",
                         what, source, CONFIG_SECRET_MAX / 1024);
    }
    if (line > 0 && data[line - 1] == '\r') {
        line--;
    }
    if (line == 0) {
        return orch_fail(err, ORCH_E_CONFIG, "%s: the first line from %s is empty", what, source);
    }
    if (memchr(data, 0, line) != NULL) {
        return orch_fail(
            err, ORCH_E_CONFIG,
            "%s: the first line from %s holds a NUL byte; a secret is one line of text", what,
            source);
    }
    char *secret = malloc(line + 1);
    if (secret == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for %s", what);
    }
    memcpy(secret, data, line);
    secret[line] = 0;
    *out = secret;
    return ORCH_OK;
}

/* Reads until `capacity`, the end, or the end of the first line. */
static int32_t read_line(int fd, char *data, size_t capacity, size_t *len)
{
    while (*len < capacity) {
        ssize_t n = read(fd, data + *len, capacity - *len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0 ? 0 : errno;
        }
        *len += (size_t)n;
        if (memchr(data, '\n', *len) != NULL) {
            return 0;
        }
    }
    return 0;
}

static int32_t read_file(const char *path, const char *what, char **out, struct orch_error *err)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "%s_file: cannot read %s: %s; the file that the configuration names must "
                         "be there and readable",
                         what, path, strerror(errno));
    }
    if (!S_ISREG(st.st_mode)) {
        return orch_fail(err, ORCH_E_CONFIG, "%s_file: %s is not a regular file", what, path);
    }
    if ((st.st_mode & (S_IRWXO | S_IWGRP)) != 0) {
        log_warning("config",
                    "%s_file: %s can be read or changed by others (mode %04o); chmod 600 it", what,
                    path, (unsigned int)(st.st_mode & 07777));
    }
    size_t capacity = CONFIG_SECRET_MAX + 2;
    char *data = malloc(capacity);
    if (data == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for %s", what);
    }
    size_t len = 0;
    int32_t failure = read_line(fd, data, capacity, &len);
    int32_t rc;
    if (failure != 0) {
        rc = orch_fail(err, ORCH_E_CONFIG, "%s_file: cannot read %s: %s", what, path,
                       strerror(failure));
    } else {
        rc = config_secret_first_line(data, len, what, path, out, err);
    }
    explicit_bzero(data, capacity);
    free(data);
    return rc;
}

static int32_t read_env(const char *name, const char *what, char **out, struct orch_error *err)
{
    const char *value = getenv(name);
    char source[128];
    if (value == NULL) {
        return orch_fail(err, ORCH_E_CONFIG, "%s_env: the environment variable %s is not set", what,
                         name);
    }
    (void)snprintf(source, sizeof(source), "the environment variable %.80s", name);
    return config_secret_first_line(value, strlen(value), what, source, out, err);
}

int32_t config_secret_read(const struct config_secret *secret, const char *what, char **out,
                           struct orch_error *err)
{
    if (secret->file != NULL) {
        return read_file(secret->file, what, out, err);
    }
    if (secret->env != NULL) {
        return read_env(secret->env, what, out, err);
    }
    if (secret->command != NULL) {
        return config_secret_run(secret->command, what, CONFIG_SECRET_COMMAND_MS, out, err);
    }
    return orch_fail(err, ORCH_E_CONFIG, "%s is not configured; give %s_file, %s_env or %s_command",
                     what, what, what, what);
}
