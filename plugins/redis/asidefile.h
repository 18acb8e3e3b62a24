/* asidefile.h: the old keys of a restore's targets, written to an RDB file. */
#ifndef REDIS_ASIDEFILE_H
#define REDIS_ASIDEFILE_H

#include "place.h"

/* Writes the keys of all targets that have no aside yet, and the function libraries, to `path`. The
 * file is whole and on disk when this returns 0, and not there when it fails. */
int32_t asidefile_write(const struct redis *redis, struct conn *conn, const struct server *server,
                        const struct place *place, const char *path,
                        struct orch_error *err) ORCH_CHECKED;

#endif
