/* meta.c: see meta.h. "mode uid gid mtime_ns target", the target in hexadecimal. */
#include "meta.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int32_t meta_write(const struct tree_entry *entry, char text[META_MAX], struct orch_error *err)
{
    const struct stat *st = &entry->st;
    int64_t mtime = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
    int n = snprintf(text, META_MAX, "%o %u %u %" PRId64 " ", (unsigned)(st->st_mode & 07777),
                     st->st_uid, st->st_gid, mtime);
    const char *target = entry->target == NULL ? "" : entry->target;
    if (n < 0 || (size_t)n + strlen(target) * 2 >= META_MAX) {
        return orch_fail(err, ORCH_E_INVALID, "the target of symbolic link %s is too long",
                         entry->name);
    }
    for (const char *p = target; *p != 0; p++) {
        n += snprintf(text + n, 3, "%02x", (unsigned char)*p);
    }
    return ORCH_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int read_target(const char *hex, char *target)
{
    size_t n = 0;
    for (; hex[0] != 0; hex += 2) {
        int high = hex_digit(hex[0]);
        int low = high < 0 ? -1 : hex_digit(hex[1]);
        if (low < 0 || high + low == 0 || n + 1 >= NAMES_PATH_MAX) {
            return -1;
        }
        target[n++] = (char)(high * 16 + low);
    }
    target[n] = 0;
    return 0;
}

int32_t meta_read(const uint8_t *text, uint32_t len, struct meta *meta, struct orch_error *err)
{
    char copy[META_MAX];
    int used = 0;
    memset(meta, 0, sizeof(*meta));
    if (text != NULL && len > 0 && len < sizeof(copy)) {
        memcpy(copy, text, len);
        copy[len] = 0;
        if (sscanf(copy, "%" SCNo32 " %" SCNu32 " %" SCNu32 " %" SCNd64 " %n", &meta->mode,
                   &meta->uid, &meta->gid, &meta->mtime_ns, &used) == 4 &&
            used > 0 && meta->mode <= 07777 && read_target(copy + used, meta->target) == 0) {
            return ORCH_OK;
        }
    }
    return orch_fail(err, ORCH_E_CORRUPT, "an object of the part has no usable metadata");
}
