/* partearlier.c: the merge-join with an earlier part's catalogue; see writerimpl.h. */
#include <string.h>

#include "engine/escape.h"
#include "engine/writerimpl.h"

void partearlier_clear(struct part_earlier *earlier)
{
    catalogue_cursor_free(earlier->cursor);
    fetch_free(earlier->fetch);
    memset(earlier, 0, sizeof(*earlier));
}

static int32_t start(struct part_writer *part, struct orch_error *err)
{
    struct part_earlier *earlier = &part->earlier;
    if (earlier->cursor != NULL) {
        return ORCH_OK;
    }
    int32_t rc = fetch_new(part->writer->repo, part->writer->index, &earlier->fetch, err);
    if (rc == ORCH_OK) {
        rc = catalogue_cursor_new(earlier->part->content.catalogue_root, fetch_chunk,
                                  earlier->fetch, &earlier->cursor, err);
    }
    return rc;
}

/* Moves to the first entry that is not before `object`; *found when it has the same name. */
static int32_t advance(struct part_earlier *earlier, const struct orch_object *object, bool *found,
                       struct orch_error *err)
{
    *found = false;
    while (!earlier->ended) {
        if (earlier->have) {
            const struct orch_object *at = &earlier->entry.object;
            int order = tree_key_compare(at->name, at->name_len, object->name, object->name_len);
            if (order >= 0) {
                *found = order == 0;
                return ORCH_OK;
            }
        }
        bool more = false;
        int32_t rc = catalogue_cursor_next(earlier->cursor, &earlier->entry, &more, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        earlier->number += more;
        earlier->have = more;
        earlier->ended = !more;
    }
    return ORCH_OK;
}

/* Every chunk must still be there; *stored counts them without holes. Who offered the object has
 * looked them up already, as a rule. */
static int32_t check_refs(struct part_writer *part, const struct reflist *refs, uint64_t *stored,
                          bool *all, struct orch_error *err)
{
    struct part_earlier *earlier = &part->earlier;
    struct reflist_cursor cursor;
    bool known = earlier->reader != NULL && content_has_whole(earlier->reader, earlier->number - 1);
    *all = true;
    *stored = 0;
    int32_t rc = reflist_cursor_init(&cursor, refs, fetch_chunk, part->earlier.fetch, err);
    bool more = rc == ORCH_OK;
    while (more && *all) {
        struct ref ref;
        rc = reflist_cursor_next(&cursor, &ref, &more, err);
        more = more && rc == ORCH_OK;
        if (more && !ref.hole) {
            *all = known || index_knows(part->writer->index, ref.id);
            *stored += ref.len;
        }
    }
    reflist_cursor_clear(&cursor);
    if (rc == ORCH_E_NOT_FOUND) { /* a piece of a long list */
        *all = false;
        rc = ORCH_OK;
    }
    return rc;
}

int32_t partearlier_find(struct part_writer *part, const struct orch_object *object,
                         uint64_t *size_bytes, struct reflist *refs, struct orch_error *err)
{
    struct part_earlier *earlier = &part->earlier;
    char text[ESCAPE_TEXT];
    bool found = false;
    bool all = false;
    uint64_t stored = 0;
    if (earlier->part != NULL) {
        int32_t rc = start(part, err);
        if (rc == ORCH_OK) {
            rc = advance(earlier, object, &found, err);
        }
        if (rc == ORCH_OK && found) {
            rc = check_refs(part, &earlier->entry.refs, &stored, &all, err);
        }
        if (rc != ORCH_OK) {
            return orch_wrap(err, "the earlier part, at object \"%s\"",
                             escape_name(object->name, object->name_len, text));
        }
    }
    if (!found) {
        return orch_fail(err, ORCH_E_PROTOCOL,
                         "object \"%s\" is said to be unchanged, but no earlier part has it",
                         escape_name(object->name, object->name_len, text));
    }
    if (!all) {
        return orch_fail(err, ORCH_E_PROTOCOL,
                         "object \"%s\" is said to be unchanged, but the repository no longer has "
                         "all of its content; take a full backup",
                         escape_name(object->name, object->name_len, text));
    }
    *size_bytes = earlier->entry.object.size_bytes;
    *refs = earlier->entry.refs;
    part->stats.bytes_reused += stored;
    return ORCH_OK;
}
