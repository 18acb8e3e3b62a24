/* partwriter.c: takes the events of one component; see writer.h and writerimpl.h. */
#include <stdlib.h>
#include <string.h>

#include "engine/escape.h"
#include "engine/writerimpl.h"

int32_t part_writer_open(struct writer *writer, const struct part *earlier,
                         struct part_writer **out, struct orch_error *err)
{
    struct part_writer *part = calloc(1, sizeof(*part));
    if (part == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the content of a component");
    }
    part->writer = writer;
    part->earlier.part = earlier;
    int32_t rc = chunk_cutter_new(&writer->gear, partstore_cut, part, &part->cutter, err);
    if (rc == ORCH_OK) {
        rc = reflist_writer_new(partstore_node, part, &part->content, err);
    }
    if (rc == ORCH_OK) {
        rc = reflist_writer_new(partstore_node, part, &part->key, err);
    }
    if (rc == ORCH_OK) {
        rc = catalogue_writer_new(partstore_node, part, &part->catalogue, err);
    }
    if (rc == ORCH_OK) {
        rc = digest_new(&part->digest, err);
    }
    if (rc != ORCH_OK) {
        part_writer_close(part);
        return rc;
    }
    *out = part;
    return ORCH_OK;
}

void part_writer_trust(struct part_writer *part, struct content_reader *reader)
{
    part->earlier.reader = reader;
}

void part_writer_close(struct part_writer *part)
{
    if (part == NULL) {
        return;
    }
    /* Others may rely on chunks that lie in our open frames: those are written in any case. */
    partlog_clear(part);
    int32_t rc = partstore_flush(part, NULL);
    rc = pipeline_wait(part->writer->pipeline, &part->owner, NULL);
    (void)rc;
    chunk_cutter_free(part->cutter);
    reflist_writer_free(part->content);
    reflist_writer_free(part->key);
    catalogue_writer_free(part->catalogue);
    records_writer_free(part->records);
    digest_free(part->digest);
    partearlier_clear(&part->earlier);
    buffer_free(&part->name);
    buffer_free(&part->now.name);
    buffer_free(&part->now.meta);
    buffer_free(&part->record_key);
    buffer_free(&part->record_extra);
    buffer_free(&part->value);
    free(part);
}

static int32_t no_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory for the content of a component");
}

/* ---- objects ------------------------------------------------------------------------------- */

static int32_t check_object(const struct part_writer *part, const struct orch_object *object,
                            struct orch_error *err)
{
    char text[ESCAPE_TEXT];
    if (object->name_len == 0 || object->name_len > TREE_KEY_MAX || object->name == NULL) {
        return orch_fail(err, ORCH_E_PROTOCOL, "the plugin sent an object with a name of %u bytes",
                         object->name_len);
    }
    if (object->meta_len > CATALOGUE_META_MAX || (object->meta_len > 0 && object->meta == NULL)) {
        return orch_fail(err, ORCH_E_PROTOCOL,
                         "object \"%s\" has %u bytes of metadata, more than 1 MiB",
                         escape_name(object->name, object->name_len, text), object->meta_len);
    }
    if (object->profile > ORCH_PROFILE_PAGES ||
        (object->profile != ORCH_PROFILE_CONTENT && object->row_bytes == 0)) {
        return orch_fail(
            err, ORCH_E_PROTOCOL, "object \"%s\" asks for cutting profile %u with rows of %u bytes",
            escape_name(object->name, object->name_len, text), object->profile, object->row_bytes);
    }
    if (part->name.len > 0 &&
        tree_key_compare(part->name.data, part->name.len, object->name, object->name_len) >= 0) {
        char before[ESCAPE_TEXT];
        return orch_fail(err, ORCH_E_PROTOCOL,
                         "object \"%s\" came after \"%s\": names must ascend bytewise",
                         escape_name(object->name, object->name_len, text),
                         escape_name(part->name.data, part->name.len, before));
    }
    return ORCH_OK;
}

/* Checks the object, and keeps its name for the next check and for messages. */
static int32_t take_object(struct part_writer *part, const struct orch_object *object,
                           struct orch_error *err)
{
    int32_t rc = check_object(part, object, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    buffer_clear(&part->name);
    buffer_append(&part->name, object->name, object->name_len);
    part->object_size = 0;
    return part->name.failed ? no_memory(err) : ORCH_OK;
}

static int32_t begin_object(struct part_writer *part, const struct orch_object *object,
                            struct orch_error *err)
{
    int32_t rc = take_object(part, object, err);
    part->state = PART_OBJECT;
    return rc == ORCH_OK ? partlog_begin(part, object, err) : rc;
}

static int32_t unchanged(struct part_writer *part, const struct orch_object *object,
                         struct orch_error *err)
{
    int32_t rc = take_object(part, object, err);
    return rc == ORCH_OK ? partlog_unchanged(part, object, err) : rc;
}

static int32_t end_object(struct part_writer *part, struct orch_error *err)
{
    part->state = PART_IDLE;
    return partlog_end(part, err);
}

static int32_t hole(struct part_writer *part, uint64_t len, struct orch_error *err)
{
    char text[ESCAPE_TEXT];
    if (part->state != PART_OBJECT) {
        return orch_fail(err, ORCH_E_PROTOCOL, "the plugin sent a hole outside an object");
    }
    if (len > (uint64_t)INT64_MAX || part->object_size > (uint64_t)INT64_MAX - len) {
        return orch_fail(err, ORCH_E_PROTOCOL, "object \"%s\" has a hole of %llu bytes",
                         escape_name(part->name.data, part->name.len, text),
                         (unsigned long long)len);
    }
    part->object_size += len;
    return len == 0 ? ORCH_OK : partlog_hole(part, len, err);
}

/* ---- records ------------------------------------------------------------------------------- */

static int32_t check_record(const struct orch_record *record, struct orch_error *err)
{
    char text[ESCAPE_TEXT];
    if (record->key_len > RECORDS_KEY_MAX || (record->key_len > 0 && record->key == NULL)) {
        return orch_fail(err, ORCH_E_PROTOCOL, "the plugin sent a record with a key of %u bytes",
                         record->key_len);
    }
    if (record->extra_len > RECORDS_EXTRA_MAX || (record->extra_len > 0 && record->extra == NULL)) {
        return orch_fail(err, ORCH_E_PROTOCOL, "record \"%s\" has %u extra bytes, more than 64 KiB",
                         escape_name(record->key, record->key_len, text), record->extra_len);
    }
    if (record->value_len > (uint64_t)INT64_MAX) {
        return orch_fail(err, ORCH_E_PROTOCOL, "record \"%s\" tells of %llu bytes",
                         escape_name(record->key, record->key_len, text),
                         (unsigned long long)record->value_len);
    }
    return ORCH_OK;
}

/* A key too long to stand in a block goes into chunks of its own. */
static int32_t store_key(struct part_writer *part, struct orch_error *err)
{
    struct record_entry *entry = &part->record;
    entry->key_by_refs = entry->record.key_len > RECORDS_INLINE_MAX;
    if (!entry->key_by_refs) {
        return ORCH_OK;
    }
    chunk_cutter_start(part->cutter, ORCH_PROFILE_CONTENT, 0, 0);
    reflist_writer_start(part->key);
    part->target = part->key;
    int32_t rc = chunk_cutter_feed(part->cutter, entry->record.key, entry->record.key_len, err);
    if (rc == ORCH_OK) {
        rc = chunk_cutter_flush(part->cutter, err);
    }
    return rc == ORCH_OK ? reflist_writer_finish(part->key, &entry->key_refs, err) : rc;
}

static int32_t begin_record(struct part_writer *part, const struct orch_record *record,
                            struct orch_error *err)
{
    struct record_entry *entry = &part->record;
    int32_t rc = check_record(record, err);
    if (rc == ORCH_OK) {
        rc = partlog_drain(part, err);
    }
    if (rc == ORCH_OK && part->records == NULL) {
        rc = records_writer_new(partstore_block, partstore_node, part, &part->records, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    buffer_clear(&part->record_key);
    buffer_clear(&part->record_extra);
    buffer_clear(&part->value);
    buffer_append(&part->record_key, record->key, record->key_len);
    buffer_append(&part->record_extra, record->extra, record->extra_len);
    if (part->record_key.failed || part->record_extra.failed) {
        return no_memory(err);
    }
    entry->record = *record;
    entry->record.key = part->record_key.data;
    entry->record.extra = part->record_extra.data;
    part->value_left = record->value_len;
    part->stats.bytes_read += record->key_len;
    rc = store_key(part, err);
    entry->value_by_refs = record->value_len > RECORDS_INLINE_MAX;
    if (rc == ORCH_OK && entry->value_by_refs) {
        chunk_cutter_start(part->cutter, ORCH_PROFILE_CONTENT, 0, 0);
        reflist_writer_start(part->content);
        part->target = part->content;
    }
    part->state = PART_RECORD;
    return rc;
}

static int32_t end_record(struct part_writer *part, struct orch_error *err)
{
    struct record_entry *entry = &part->record;
    int32_t rc = ORCH_OK;
    if (part->value_left > 0) {
        char text[ESCAPE_TEXT];
        escape_name(entry->record.key, entry->record.key_len, text);
        return orch_fail(err, ORCH_E_PROTOCOL, "record \"%s\" ended %llu bytes before its length",
                         text, (unsigned long long)part->value_left);
    }
    entry->value = part->value.data;
    if (entry->value_by_refs) {
        rc = chunk_cutter_flush(part->cutter, err);
        if (rc == ORCH_OK) {
            rc = reflist_writer_finish(part->content, &entry->value_refs, err);
        }
    }
    if (rc == ORCH_OK) {
        rc = records_writer_add(part->records, entry, err);
    }
    part->stats.items_read++;
    part->state = PART_IDLE;
    return rc;
}

static int32_t record_data(struct part_writer *part, const uint8_t *data, uint64_t len,
                           struct orch_error *err)
{
    if (len > part->value_left) {
        char text[ESCAPE_TEXT];
        escape_name(part->record.record.key, part->record.record.key_len, text);
        return orch_fail(err, ORCH_E_PROTOCOL, "record \"%s\" has more bytes than it told of",
                         text);
    }
    part->value_left -= len;
    if (part->record.value_by_refs) {
        return chunk_cutter_feed(part->cutter, data, (size_t)len, err);
    }
    buffer_append(&part->value, data, (size_t)len);
    return part->value.failed ? no_memory(err) : ORCH_OK;
}

/* ---- events -------------------------------------------------------------------------------- */

static int32_t data(struct part_writer *part, const struct orch_event *event,
                    struct orch_error *err)
{
    if (part->state != PART_OBJECT && part->state != PART_RECORD) {
        return orch_fail(err, ORCH_E_PROTOCOL, "the plugin sent data outside an object or record");
    }
    if (event->data_len > 0 && event->data == NULL) {
        return orch_fail(err, ORCH_E_PROTOCOL, "the plugin sent data without bytes");
    }
    part->stats.bytes_read += event->data_len;
    if (part->state == PART_RECORD) {
        return record_data(part, event->data, event->data_len, err);
    }
    part->object_size += event->data_len;
    return partlog_data(part, event->data, (size_t)event->data_len, err);
}

static int32_t end_item(struct part_writer *part, struct orch_error *err)
{
    switch (part->state) {
    case PART_OBJECT:
        return end_object(part, err);
    case PART_RECORD:
        return end_record(part, err);
    default:
        return orch_fail(err, ORCH_E_PROTOCOL, "the plugin ended an item that it had not begun");
    }
}

/* Events that stand between items. */
static int32_t between(struct part_writer *part, const struct orch_event *event,
                       struct orch_error *err)
{
    if (part->state != PART_IDLE) {
        const struct buffer *name = part->state == PART_OBJECT ? &part->name : &part->record_key;
        char text[ESCAPE_TEXT];
        escape_name(name->data, name->len, text);
        return orch_fail(err, ORCH_E_PROTOCOL, "the plugin did not end \"%s\" before it went on",
                         text);
    }
    switch (event->type) {
    case ORCH_EVENT_OBJECT:
        return begin_object(part, &event->object, err);
    case EVENT_UNCHANGED:
        return unchanged(part, &event->object, err);
    case ORCH_EVENT_RECORD:
        return begin_record(part, &event->record, err);
    default:
        part->state = PART_ENDED;
        return partlog_drain(part, err);
    }
}

int32_t part_writer_put(struct part_writer *part, const struct orch_event *event,
                        struct orch_error *err)
{
    int32_t rc = pipeline_failure(part->writer->pipeline, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (part->state == PART_ENDED || part->state == PART_BROKEN) {
        return orch_fail(err, ORCH_E_PROTOCOL, "the plugin sent more after the end of its stream");
    }
    switch (event->type) {
    case ORCH_EVENT_OBJECT:
    case ORCH_EVENT_RECORD:
    case ORCH_EVENT_END:
    case EVENT_UNCHANGED:
        rc = between(part, event, err);
        break;
    case ORCH_EVENT_DATA:
        rc = data(part, event, err);
        break;
    case ORCH_EVENT_HOLE:
        rc = hole(part, event->data_len, err);
        break;
    case ORCH_EVENT_ITEM_END:
        rc = end_item(part, err);
        break;
    default:
        rc = orch_fail(err, ORCH_E_PROTOCOL, "the plugin sent an event of unknown type %u",
                       event->type);
    }
    if (rc != ORCH_OK) {
        part->state = PART_BROKEN;
    }
    return rc;
}

static int32_t finish_layer(struct part_writer *part, struct part_content *content,
                            struct orch_error *err)
{
    if (part->records == NULL) {
        return ORCH_OK;
    }
    content->layers = calloc(1, sizeof(*content->layers));
    if (content->layers == NULL) {
        return no_memory(err);
    }
    content->layer_count = 1;
    int32_t rc = records_writer_finish(part->records, content->layers, err);
    content->records = content->layers->records;
    content->record_bytes = content->layers->bytes;
    digest_layer(part->digest, content->layers);
    return rc;
}

int32_t part_writer_finish(struct part_writer *part, struct part_content *content,
                           struct part_stats *stats, struct orch_error *err)
{
    if (part->state != PART_ENDED) {
        return orch_fail(err, ORCH_E_PROTOCOL, "the plugin's stream has not come to its end");
    }
    struct part_content made = {.objects = part->objects, .object_bytes = part->object_bytes};
    part->state = PART_BROKEN; /* once only */
    int32_t rc = catalogue_writer_finish(part->catalogue, made.catalogue_root, err);
    if (rc == ORCH_OK) {
        rc = finish_layer(part, &made, err);
    }
    if (rc == ORCH_OK) {
        rc = partstore_flush(part, err);
    }
    if (rc == ORCH_OK) {
        rc = pipeline_wait(part->writer->pipeline, &part->owner, err);
    }
    if (rc == ORCH_OK) {
        rc = digest_finish(part->digest, made.digest, err);
    }
    if (rc != ORCH_OK) {
        free(made.layers);
        return rc;
    }
    part->stats.bytes_stored = part->owner.stored_bytes;
    *content = made;
    *stats = part->stats;
    return ORCH_OK;
}
