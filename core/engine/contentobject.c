/* contentobject.c: reads one object of a part by way of the block index; see content.h. */
#include <string.h>

#include "engine/catalogue.h"
#include "engine/content.h"
#include "engine/escape.h"
#include "engine/fetch.h"

static int32_t find(struct catalogue_cursor *cursor, const void *name, size_t name_len,
                    struct catalogue_entry *entry, bool *found, struct orch_error *err)
{
    int32_t rc = catalogue_cursor_seek(cursor, name, name_len, err);
    bool more = rc == ORCH_OK;
    *found = false;
    while (more && !*found) {
        rc = catalogue_cursor_next(cursor, entry, &more, err);
        more = more && rc == ORCH_OK;
        if (more) {
            int order =
                tree_key_compare(entry->object.name, entry->object.name_len, name, name_len);
            *found = order == 0;
            more = order < 0;
        }
    }
    return rc;
}

static int32_t read_all(struct fetch *fetch, const struct catalogue_entry *entry,
                        struct buffer *out, struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer chunk = BUFFER_INIT;
    struct reflist_cursor cursor;
    uint64_t left = entry->object.size_bytes;
    int32_t rc = reflist_cursor_init(&cursor, &entry->refs, fetch_chunk, fetch, err);
    bool more = rc == ORCH_OK;
    while (more) {
        struct ref ref;
        rc = reflist_cursor_next(&cursor, &ref, &more, err);
        more = more && rc == ORCH_OK;
        if (!more) {
            break;
        }
        if (ref.len > left) {
            rc = orch_fail(err, ORCH_E_CORRUPT, "its chunks are more than its bytes");
        } else if (ref.hole) {
            uint8_t *zeros = buffer_reserve(out, (size_t)ref.len);
            if (zeros != NULL) {
                memset(zeros, 0, (size_t)ref.len);
                out->len += (size_t)ref.len;
            }
        } else if ((rc = fetch_chunk(fetch, ref.id, &chunk, err)) == ORCH_OK) {
            buffer_append(out, chunk.data, chunk.len);
        }
        left -= ref.len <= left ? ref.len : left;
        more = rc == ORCH_OK;
    }
    reflist_cursor_clear(&cursor);
    if (rc == ORCH_OK && left != 0) {
        rc = orch_fail(err, ORCH_E_CORRUPT, "its chunks are fewer than its bytes");
    }
    if (rc == ORCH_OK && out->failed) {
        rc = orch_fail(err, ORCH_E_NOMEM, "no memory for its content");
    }
    return rc;
}

int32_t content_read_object(struct repo *repo, struct index *index, const struct part *part,
                            const void *name, size_t name_len, size_t max, struct buffer *out,
                            struct orch_error *err)
{
    char text[ESCAPE_TEXT];
    escape_name(name, name_len, text);
    struct orch_error own = ORCH_ERROR_INIT;
    struct fetch *fetch = NULL;
    struct catalogue_cursor *cursor = NULL;
    struct catalogue_entry entry;
    bool found = false;
    int32_t rc = fetch_new(repo, index, &fetch, &own);
    if (rc == ORCH_OK) {
        rc = catalogue_cursor_new(part->content.catalogue_root, fetch_chunk, fetch, &cursor, &own);
    }
    if (rc == ORCH_OK) {
        rc = find(cursor, name, name_len, &entry, &found, &own);
    }
    if (rc == ORCH_OK && found && entry.object.size_bytes > max) {
        rc = orch_fail(&own, ORCH_E_INVALID, "it has %llu bytes, more than the %zu expected here",
                       (unsigned long long)entry.object.size_bytes, max);
    } else if (rc == ORCH_OK && found) {
        rc = read_all(fetch, &entry, out, &own);
    }
    catalogue_cursor_free(cursor);
    fetch_free(fetch);
    if (rc == ORCH_E_NOT_FOUND) { /* a chunk that no segment names */
        own.code = rc = ORCH_E_CORRUPT;
    }
    if (rc == ORCH_OK && !found) {
        return orch_fail(err, ORCH_E_NOT_FOUND, "component %s has no object \"%s\"",
                         part->component, text);
    }
    if (rc != ORCH_OK) {
        rc = orch_wrap(&own, "component %s, object \"%s\"", part->component, text);
        if (err != NULL) {
            *err = own;
        }
    }
    return rc;
}
