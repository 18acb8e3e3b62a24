/* names.c: see names.h. */
#include "names.h"

#include "cleanup.h"
#include "digest.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define NEW_MARK ".orch-new-"
#define ASIDE_MARK ".orch-aside-"

int names_valid(const char *name, size_t len)
{
    if (len == 0 || len >= NAMES_PATH_MAX || memchr(name, 0, len) != NULL) {
        return 0;
    }
    if (len == 1 && name[0] == '.') {
        return 1;
    }
    size_t start = 0;
    for (size_t i = 0; i <= len; i++) {
        if (i < len && name[i] != '/') {
            continue;
        }
        size_t part = i - start;
        if (part == 0 || part > 255 || (part == 1 && name[start] == '.') ||
            (part == 2 && name[start] == '.' && name[start + 1] == '.')) {
            return 0;
        }
        start = i + 1;
    }
    return 1;
}

const char *names_base(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash == NULL ? name : slash + 1;
}

int names_is_leftover(const char *base)
{
    return base[0] == '.' && (strstr(base, NEW_MARK) != NULL || strstr(base, ASIDE_MARK) != NULL);
}

static int32_t make_up(const char *base, const char *mark, const char *run_id, char out[256],
                       struct orch_error *err)
{
    char hash[DIGEST_TEXT];
    if (run_id == NULL || run_id[0] == 0 || strlen(run_id) > 64 || strchr(run_id, '/') != NULL) {
        return orch_fail(err, ORCH_E_INVALID, "the run has no usable id");
    }
    if (1 + strlen(base) + strlen(mark) + strlen(run_id) <= 255) {
        (void)snprintf(out, 256, ".%s%s%s", base, mark, run_id);
        return ORCH_OK;
    }
    int32_t rc = digest_bytes(base, strlen(base), hash, err);
    if (rc == ORCH_OK) {
        (void)snprintf(out, 256, ".%.40s-%.32s%s%s", base, hash, mark, run_id);
    }
    return rc;
}

int32_t names_new(const char *base, const char *run_id, char out[256], struct orch_error *err)
{
    return make_up(base, NEW_MARK, run_id, out, err);
}

int32_t names_aside(const char *base, const char *run_id, char out[256], struct orch_error *err)
{
    return make_up(base, ASIDE_MARK, run_id, out, err);
}

static int ends_with(const char *base, const char *mark, const char *run_id)
{
    size_t len = strlen(base), a = strlen(mark), b = strlen(run_id);
    return base[0] == '.' && b > 0 && len > a + b && strcmp(base + len - b, run_id) == 0 &&
           memcmp(base + len - b - a, mark, a) == 0;
}

int names_is_new_of(const char *base, const char *run_id)
{
    return ends_with(base, NEW_MARK, run_id);
}

int names_is_aside_of(const char *base, const char *run_id)
{
    return ends_with(base, ASIDE_MARK, run_id);
}

/* ---- opening ---------------------------------------------------------------------------- */

/* One step down from `dir`, which is closed. */
static int32_t step(int *dir, const char *part, int create, const char *name,
                    struct orch_error *err)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int next = openat(*dir, part, flags);
    if (next < 0 && errno == ENOENT && create) {
        if (mkdirat(*dir, part, 0700) != 0 && errno != EEXIST) {
            return orch_fail_errno(err, errno, "cannot make folder %s of %s", part, name);
        }
        next = openat(*dir, part, flags);
    }
    if (next < 0 && (errno == ENOTDIR || errno == ELOOP)) {
        return orch_fail(err, ORCH_E_EXISTS, "%s on the way to %s is no folder", part, name);
    }
    if (next < 0) {
        return orch_fail_errno(err, errno, "cannot open folder %s of %s", part, name);
    }
    (void)close(*dir);
    *dir = next;
    return ORCH_OK;
}

int32_t names_open_parent(int root, const char *name, int create, int *fd, struct orch_error *err)
{
    CLEANUP_FD int dir = fcntl(root, F_DUPFD_CLOEXEC, 3);
    *fd = -1;
    if (!names_valid(name, strlen(name))) {
        return orch_fail(err, ORCH_E_INVALID, "'%.200s' is no name of a file below the folder",
                         name);
    }
    if (dir < 0) {
        return orch_fail_errno(err, errno, "cannot open the folder of %s", name);
    }
    const char *at = name;
    for (const char *slash = strchr(at, '/'); slash != NULL; slash = strchr(at, '/')) {
        char part[256];
        (void)snprintf(part, sizeof(part), "%.*s", (int)(slash - at), at);
        int32_t rc = step(&dir, part, create, name, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        at = slash + 1;
    }
    *fd = steal_fd(&dir);
    return ORCH_OK;
}

int32_t names_open(int root, const char *name, int *fd, struct orch_error *err)
{
    CLEANUP_FD int dir = -1;
    *fd = -1;
    int32_t rc = names_open_parent(root, name, 0, &dir, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    CLEANUP_FD int file =
        openat(dir, names_base(name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0 && errno == ELOOP) {
        return orch_fail(err, ORCH_E_EXISTS, "%s is a symbolic link, not a file", name);
    }
    if (file < 0) {
        return orch_fail_errno(err, errno, "cannot open %s", name);
    }
    struct stat st;
    if (fstat(file, &st) != 0) {
        return orch_fail_errno(err, errno, "cannot look at %s", name);
    }
    if (!S_ISREG(st.st_mode)) {
        return orch_fail(err, ORCH_E_EXISTS, "%s is not a regular file", name);
    }
    *fd = steal_fd(&file);
    return ORCH_OK;
}

/* ---- showing and matching --------------------------------------------------------------- */

/* The length of the UTF-8 character at `p`, or 0 when there is none. Overlong forms, surrogates and
 * values past U+10FFFF are none. */
static size_t utf8_len(const unsigned char *p)
{
    size_t len = 0;
    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] >= 0xc2 && p[0] < 0xf5) {
        len = p[0] < 0xe0 ? 2 : (p[0] < 0xf0 ? 3 : 4);
    }
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f)) {
        return 0;
    }
    return len;
}

char *names_escape(const char *name)
{
    const unsigned char *p = (const unsigned char *)name;
    char *out = malloc(strlen(name) * 3 + 1);
    size_t n = 0;
    if (out == NULL) {
        return NULL;
    }
    while (*p != 0) {
        size_t len = utf8_len(p);
        if (len == 0 || *p < 0x20 || *p == '%' || *p == 0x7f) {
            n += (size_t)snprintf(out + n, 4, "%%%02X", *p);
            p++;
        } else {
            memcpy(out + n, p, len);
            n += len;
            p += len;
        }
    }
    out[n] = 0;
    return out;
}

void names_clean(char *text)
{
    unsigned char *p = (unsigned char *)text;
    while (*p != 0) {
        size_t len = utf8_len(p);
        if (len == 0 || *p < 0x20 || *p == 0x7f) {
            *p = '?';
            len = 1;
        }
        p += len;
    }
}

int names_match(const char *name, const char *const *patterns, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (fnmatch(patterns[i], name, 0) == 0 || fnmatch(patterns[i], names_base(name), 0) == 0) {
            return 1;
        }
    }
    return 0;
}
