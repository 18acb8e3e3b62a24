/* prunesegments.c: the index segments of the store, one after the other; see pruneimpl.h. */
#include <stdlib.h>
#include <string.h>

#include "engine/pruneimpl.h"

static int32_t each_name(void *ctx, const char *name, const struct storage_stat *stat,
                         struct orch_error *err)
{
    struct prune_segments *segments = ctx;
    struct prune_segment segment = {.superseded = false};
    (void)stat;
    if (strlen(name) != sizeof("index/") - 1 + (size_t)2 * SEGMENT_ID_BYTES ||
        hex_decode(name + sizeof("index/") - 1, (size_t)2 * SEGMENT_ID_BYTES, segment.id,
                   sizeof(segment.id)) != ORCH_OK) {
        return ORCH_OK;
    }
    (void)snprintf(segment.name, sizeof(segment.name), "%s", name);
    if (segments->count == segments->capacity) {
        size_t capacity = segments->capacity * 2 + 64;
        struct prune_segment *list = reallocarray(segments->list, capacity, sizeof(*list));
        if (list == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory for the list of index segments");
        }
        segments->list = list;
        segments->capacity = capacity;
    }
    segments->list[segments->count++] = segment;
    return ORCH_OK;
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, SEGMENT_ID_BYTES); /* the first field */
}

int32_t prunesegments_list(struct prune *prune, struct prune_segments *out, struct orch_error *err)
{
    *out = (struct prune_segments){NULL, 0, 0};
    int32_t rc = storage_list(repo_storage(prune->repo), "index", each_name, out, err);
    if (out->count > 1) {
        qsort(out->list, out->count, sizeof(*out->list), by_id);
    }
    return rc;
}

struct prune_segment *prunesegments_find(const struct prune_segments *segments,
                                         const uint8_t id[SEGMENT_ID_BYTES])
{
    return segments->count == 0
               ? NULL
               : bsearch(id, segments->list, segments->count, sizeof(*segments->list), by_id);
}

void prunesegments_clear(struct prune_segments *segments)
{
    free(segments->list);
    *segments = (struct prune_segments){NULL, 0, 0};
}

static void note_superseded(struct prune_segments *segments, const struct segment *content)
{
    for (size_t i = 0; i < content->supersedes_count; i++) {
        struct prune_segment *old = prunesegments_find(segments, content->supersedes[i]);
        if (old != NULL) {
            old->superseded = true;
        }
    }
}

int32_t prunesegments_each(struct prune *prune, struct prune_segments *segments,
                           int32_t (*each)(void *ctx, struct prune_segment *segment,
                                           const struct segment *content, struct orch_error *err),
                           void *ctx, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < segments->count; i++) {
        struct prune_segment *segment = &segments->list[i];
        struct segment content = {.count = 0};
        struct orch_error why = ORCH_ERROR_INIT;
        rc = prune_stopped(prune, &why);
        if (rc == ORCH_OK) {
            rc = segment_load(prune->repo, segment->name, &content, &why);
        }
        if (rc == ORCH_OK) {
            note_superseded(segments, &content);
            if (!segment->superseded) {
                rc = each(ctx, segment, &content, &why);
            }
        } else if (rc == ORCH_E_CORRUPT) {
            segment->damaged = true;
            rc = ORCH_OK;
        } else if (rc == ORCH_E_NOT_FOUND) { /* a prune that woke late has removed it */
            segment->superseded = true;
            rc = ORCH_OK;
        }
        segment_clear(&content);
        if (rc != ORCH_OK && err != NULL) {
            *err = why;
        }
    }
    return rc;
}
