/* garbage.c: writes garbage into the socket to the host: "bytes", a frame that claims 4 GiB
 * ("huge"), a control frame that is no JSON ("json"), a block that was never given out ("slot"), or
 * closes it
 * ("close"). */
#include "bad.h"

#include <sys/socket.h>
#include <unistd.h>

#define SOCKET_FD 3

static int32_t backup(void *instance, struct orch_error *err)
{
    const struct bad *bad = instance;
    uint8_t frame[64];
    size_t len = sizeof(frame);
    (void)err;
    memset(frame, 0xa5, sizeof(frame));
    if (strcmp(bad->how, "huge") == 0) {
        memset(frame, 0, 24);
        memset(frame, 0xff, 4);
        frame[4] = 6; /* LOG */
    } else if (strcmp(bad->how, "json") == 0) {
        memset(frame, 0, 24);
        frame[0] = 40;
        frame[4] = 7; /* FACT */
    } else if (strcmp(bad->how, "slot") == 0) {
        memset(frame, 0, 24);
        frame[4] = 9;  /* DATA */
        frame[6] = 1;  /* of the backup */
        frame[12] = 3; /* load, open, backup: the third call */
        frame[16] = 200;
        frame[20] = 10;
        len = 24;
    } else if (strcmp(bad->how, "close") == 0) {
        (void)shutdown(SOCKET_FD, SHUT_WR);
        len = 0;
    }
    if (len > 0 && write(SOCKET_FD, frame, len) < 0) {
        _exit(9);
    }
    for (;;) {
        (void)pause();
    }
    return ORCH_OK;
}

ORCH_EXPORT const struct orch_plugin orch_plugin = {ORCH_PLUGIN_HEADER, BAD_COMMON,
                                                    .name = "garbage",  .probe = bad_probe,
                                                    .backup = backup,   .restore = bad_restore};
