/* notes.c: see notes.h. */
#include "notes.h"

#include <inttypes.h>
#include <stdio.h>

#include <orchestrate/support.h>

#include "name.h"

struct note_kind {
    const char *fact;
    uint32_t level;
    const char *text;
};

static const struct note_kind kinds[NOTES_KINDS] = {
    {"changed_while_read", ORCH_LOG_WARNING, "changed while they were read; kept as read"},
    {"vanished", ORCH_LOG_WARNING, "vanished before they could be read"},
    {"unreadable", ORCH_LOG_WARNING, "could not be read and are not in the backup"},
    {"excluded", ORCH_LOG_INFO, "left out by exclude patterns"},
    {"other_file_systems", ORCH_LOG_WARNING, "are other file systems and were not entered"},
    {"sockets_skipped", ORCH_LOG_INFO, "are sockets, which have no content to keep"},
    {"special_skipped", ORCH_LOG_WARNING, "are devices or fifos, which are not kept here"},
};

int notes_add(struct notes *notes, size_t kind, const uint8_t *name, size_t len)
{
    struct bytes *names = &notes->names[kind];
    if (notes->counts[kind]++ >= NOTES_NAMES_MAX) {
        return 0;
    }
    if (names->len > 0 && bytes_add_text(names, ",") != 0) {
        return -1;
    }
    return name_add_json(names, name, len);
}

static int32_t state_one(const struct notes *notes, size_t kind, const struct orch_host *host,
                         struct orch_error *err)
{
    struct bytes json CLEANUP_BYTES = {0};
    char head[64];
    (void)snprintf(head, sizeof(head), "{\"count\":%" PRIu64 ",\"names\":[", notes->counts[kind]);
    if (bytes_add_text(&json, head) != 0 ||
        bytes_add(&json, notes->names[kind].data, notes->names[kind].len) != 0 ||
        bytes_add(&json, "]}", 3) != 0) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for notes");
    }
    return host->fact(host->ctx, kinds[kind].fact, (const char *)json.data, err);
}

int32_t notes_state(const struct notes *notes, const struct orch_host *host, struct orch_error *err)
{
    for (size_t kind = 0; kind < NOTES_KINDS; kind++) {
        if (notes->counts[kind] == 0) {
            continue;
        }
        int32_t rc = state_one(notes, kind, host, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        int shown = notes->names[kind].len > 600 ? 600 : (int)notes->names[kind].len;
        orch_log(host, kinds[kind].level, "%" PRIu64 " entries %s: %.*s%s", notes->counts[kind],
                 kinds[kind].text, shown, (const char *)notes->names[kind].data,
                 notes->names[kind].len > 600 ? "..." : "");
    }
    return ORCH_OK;
}

void notes_free(struct notes *notes)
{
    for (size_t kind = 0; kind < NOTES_KINDS; kind++) {
        bytes_free(&notes->names[kind]);
    }
}
