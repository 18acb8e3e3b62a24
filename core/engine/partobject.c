/* partobject.c: objects whose content is known, into the catalogue; see writerimpl.h. */
#include "engine/writerimpl.h"

static int32_t take(struct part_writer *part, const struct orch_object *object,
                    struct orch_error *err)
{
    struct part_object *now = &part->now;
    buffer_clear(&now->name);
    buffer_clear(&now->meta);
    buffer_append(&now->name, object->name, object->name_len);
    buffer_append(&now->meta, object->meta, object->meta_len);
    if (now->name.failed || now->meta.failed) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the content of a component");
    }
    now->object = *object;
    now->object.name = now->name.data;
    now->object.meta = now->meta.data;
    now->object.size_bytes = 0;
    return ORCH_OK;
}

static int32_t finish(struct part_writer *part, const struct reflist *refs, struct orch_error *err)
{
    struct catalogue_entry entry = {.object = part->now.object, .refs = *refs};
    int32_t rc = catalogue_writer_add(part->catalogue, &entry, err);
    digest_object(part->digest, &entry);
    part->objects++;
    part->object_bytes += entry.object.size_bytes;
    return rc;
}

int32_t partobject_begin(struct part_writer *part, const struct orch_object *object,
                         struct orch_error *err)
{
    reflist_writer_start(part->content);
    return take(part, object, err);
}

int32_t partobject_add(struct part_writer *part, const struct ref *ref, struct orch_error *err)
{
    part->now.object.size_bytes += ref->len;
    return reflist_writer_add(part->content, ref, err);
}

int32_t partobject_end(struct part_writer *part, struct orch_error *err)
{
    struct reflist refs;
    int32_t rc = reflist_writer_finish(part->content, &refs, err);
    part->stats.items_read++;
    return rc == ORCH_OK ? finish(part, &refs, err) : rc;
}

int32_t partobject_unchanged(struct part_writer *part, const struct orch_object *object,
                             struct orch_error *err)
{
    struct reflist refs;
    int32_t rc = take(part, object, err);
    if (rc == ORCH_OK) {
        rc = partearlier_find(part, &part->now.object, &part->now.object.size_bytes, &refs, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    part->stats.items_unchanged++;
    return finish(part, &refs, err);
}
