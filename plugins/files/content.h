/*
 * content.h: sends the bytes of an open regular file into the current object.
 */
#ifndef PLUGINS_FILES_CONTENT_H
#define PLUGINS_FILES_CONTENT_H

#include <sys/stat.h>

#include <orchestrate/plugin.h>

struct content_sent {
    uint64_t size_bytes; /* bytes and holes: the file's length as sent */
    uint64_t data_bytes; /* bytes that were read */
    int read_errno;      /* not 0: the failure was the file's, not the host's */
};

/*
 * Sends the first st->st_size bytes of `fd`; what is appended meanwhile is left for the next time,
 * and a file that gets shorter ends where it ends. Gaps that the file system does not store are
 * sent as holes. `st` is of this descriptor.
 */
int32_t content_send(const struct orch_host *host, int fd, const struct stat *st,
                     struct content_sent *sent, struct orch_error *err) ORCH_CHECKED;

#endif
