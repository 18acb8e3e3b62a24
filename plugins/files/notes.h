/*
 * notes.h: things a backup wants to tell of: each kind counted, the first names kept.
 */
#ifndef PLUGINS_FILES_NOTES_H
#define PLUGINS_FILES_NOTES_H

#include <orchestrate/plugin.h>

#include "bytes.h"

#define NOTES_NAMES_MAX 100u

#define NOTES_CHANGED 0u
#define NOTES_VANISHED 1u
#define NOTES_UNREADABLE 2u
#define NOTES_EXCLUDED 3u
#define NOTES_OTHER_SYSTEM 4u
#define NOTES_SOCKETS 5u
#define NOTES_SPECIAL 6u
#define NOTES_KINDS 7u

struct notes {
    uint64_t counts[NOTES_KINDS];
    struct bytes names[NOTES_KINDS]; /* JSON strings, joined by commas */
};

/* -1: no memory. */
int notes_add(struct notes *notes, size_t kind, const uint8_t *name, size_t len) ORCH_CHECKED;

/* States each kind that occurred as a fact {"count": N, "names": […]}, and logs it. */
int32_t notes_state(const struct notes *notes, const struct orch_host *host,
                    struct orch_error *err) ORCH_CHECKED;
void notes_free(struct notes *notes);

#endif
