/*
 * load.c: RESTORE in a pipeline.
 *
 * Commands are appended and sent while replies are read, so neither side ever waits for the other
 * with a full buffer. What is under way is bounded twice: by count (the option `batch`) and by
 * bytes.
 */
#include "load.h"

#include "rdb_atom.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEND_AT (64u << 10) /* bytes gathered before they are sent */
#define DRAIN_AT (4u << 20) /* bytes unsent that make us wait */
#define LIBRARIES_MAX (64u << 20)
#define NAME_MAX_SHOWN 48u

/* A command under way: the key that it restores, for messages. */
struct sent {
    uint32_t db;
    uint32_t len;
    uint8_t name[NAME_MAX_SHOWN];
};

struct loader {
    const struct redis *redis;
    struct conn *conn;
    const struct place *place;
    const struct facts *facts;
    struct load *load;
    struct sent *ring; /* of `size` entries; `count` are under way from `first` on */
    uint32_t size, first, count;
    int64_t db; /* selected in the pipeline, or -1 */
    struct sent current;
    int skipping; /* the item at hand is not restored */
    int is_function;
    uint64_t expected, got; /* bytes of the item's value */
    uint8_t extra[16];
    uint32_t extra_len;
};

static int32_t refused(const struct loader *loader, const struct sent *sent, const char *text,
                       struct orch_error *err)
{
    char what[320];
    char name[4 * NAME_MAX_SHOWN + 1];
    size_t at = 0;
    for (uint32_t i = 0; i < sent->len; i++) { /* at most four characters each */
        at += (size_t)snprintf(name + at, sizeof(name) - at,
                               sent->name[i] >= ' ' && sent->name[i] < 127 ? "%c" : "\\x%02x",
                               sent->name[i]);
    }
    name[at] = '\0';
    (void)snprintf(what, sizeof(what), "RESTORE of key '%s' of database %u", name, sent->db);
    return conn_refused(loader->conn, text, what, err);
}

/* Takes all replies that are there. */
static int32_t take_replies(struct loader *loader, struct orch_error *err)
{
    while (loader->count > 0) {
        CLEANUP_REPLY redisReply *reply = NULL;
        int32_t rc = conn_take(loader->conn, &reply, err);
        if (rc != ORCH_OK || reply == NULL) {
            return rc;
        }
        const struct sent *sent = &loader->ring[loader->first];
        if (reply->type == REDIS_REPLY_ERROR) {
            return refused(loader, sent, reply->str, err);
        }
        loader->first = (loader->first + 1) % loader->size;
        loader->count--;
    }
    return ORCH_OK;
}

/* After the connection broke: what the server said before it hung up, if anything. */
static int32_t last_words(struct loader *loader, int32_t rc, struct orch_error *err)
{
    struct orch_error said = ORCH_ERROR_INIT;
    CLEANUP_REPLY redisReply *reply = NULL;
    int32_t refusal = take_replies(loader, &said);
    if (refusal == ORCH_OK && conn_take(loader->conn, &reply, &said) == ORCH_OK && reply != NULL &&
        reply->type == REDIS_REPLY_ERROR) {
        refusal = refused(loader, &loader->current, reply->str, &said);
    }
    if (refusal == ORCH_OK) {
        return rc;
    }
    if (err != NULL) {
        *err = said;
    }
    return refusal;
}

/* Sends and reads until at most `unsent` bytes and `under_way` commands are left. */
static int32_t drain(struct loader *loader, size_t unsent, uint32_t under_way,
                     struct orch_error *err)
{
    int32_t rc = take_replies(loader, err);
    while (rc == ORCH_OK && (conn_unsent(loader->conn) > unsent || loader->count > under_way)) {
        rc = conn_pump(loader->conn, 1, err);
        if (rc == ORCH_OK) {
            rc = take_replies(loader, err);
        } else {
            rc = last_words(loader, rc, err);
        }
    }
    return rc;
}

static int32_t remember(struct loader *loader, const struct sent *sent, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    if (loader->count == loader->size) {
        rc = drain(loader, DRAIN_AT, loader->size / 2, err);
    }
    if (rc == ORCH_OK) {
        loader->ring[(loader->first + loader->count) % loader->size] = *sent;
        loader->count++;
    }
    return rc;
}

static int32_t select_db(struct loader *loader, uint32_t db, struct orch_error *err)
{
    char number[16];
    static const struct sent SELECT = {.len = 6, .name = "SELECT"};
    if (loader->db == (int64_t)db) {
        return ORCH_OK;
    }
    (void)snprintf(number, sizeof(number), "%" PRIu32, db);
    int32_t rc = remember(loader, &SELECT, err);
    if (rc == ORCH_OK) {
        rc = conn_queue(loader->conn, err, "SELECT", number, NULL);
    }
    loader->db = (int64_t)db;
    return rc;
}

/* The value of IDLETIME or FREQ from a record's extra; NULL when there is none. */
static const char *usage(const struct loader *loader, char text[24])
{
    const uint8_t *extra = loader->extra;
    if (loader->extra_len == 9 && extra[0] == 'I') {
        uint64_t idle = 0;
        for (int i = 8; i >= 1; i--) {
            idle = idle << 8 | extra[i];
        }
        (void)snprintf(text, 24, "%" PRIu64, idle & INT32_MAX);
        return "IDLETIME";
    }
    if (loader->extra_len == 2 && extra[0] == 'F') {
        (void)snprintf(text, 24, "%u", extra[1]);
        return "FREQ";
    }
    return NULL;
}

static int32_t begin_key(struct loader *loader, const struct orch_record *record,
                         struct orch_error *err)
{
    const struct place_job *job = place_job_of(loader->place, record->space);
    if (job == NULL) {
        loader->skipping = 1;
        if (tally_find(&loader->facts->tally, record->space) == NULL) {
            return orch_fail(err, ORCH_E_CORRUPT,
                             "the part has a key of database %u, which its facts do not name",
                             record->space);
        }
        loader->load->left_out++;
        return ORCH_OK;
    }
    char expiry[24], ignored[24];
    int64_t expires = record->expires_ms == ORCH_NO_EXPIRY ? 0
                      : record->expires_ms < 1             ? 1 /* long past; 0 would be "never" */
                                                           : record->expires_ms;
    int len = snprintf(expiry, sizeof(expiry), "%" PRId64, expires);
    int32_t rc = select_db(loader, job->has_spare ? job->spare : job->target, err);
    if (rc == ORCH_OK) {
        rc = tally_add(&loader->load->tally, record->space, record->expires_ms, err);
    }
    if (rc == ORCH_OK) {
        rc = conn_begin(loader->conn, usage(loader, ignored) != NULL ? 8 : 6, err);
    }
    if (rc == ORCH_OK) {
        rc = conn_word(loader->conn, "RESTORE", 7, err);
    }
    if (rc == ORCH_OK) {
        rc = conn_word(loader->conn, record->key, record->key_len, err);
    }
    if (rc == ORCH_OK) {
        rc = conn_word(loader->conn, expiry, (size_t)len, err);
    }
    return rc == ORCH_OK ? conn_word_begin(loader->conn, record->value_len, err) : rc;
}

static int32_t on_record(struct loader *loader, const struct orch_record *record,
                         struct orch_error *err)
{
    loader->expected = record->value_len;
    loader->got = 0;
    loader->skipping = 0;
    loader->is_function = record->space == REDIS_SPACE_FUNCTIONS;
    loader->extra_len =
        record->extra_len <= sizeof(loader->extra) && !loader->is_function ? record->extra_len : 0;
    if (loader->extra_len > 0) {
        memcpy(loader->extra, record->extra, loader->extra_len);
    }
    if (!loader->is_function) {
        loader->current.db = record->space;
        loader->current.len = record->key_len < NAME_MAX_SHOWN ? record->key_len : NAME_MAX_SHOWN;
        if (record->key_len > 0) {
            memcpy(loader->current.name, record->key, loader->current.len);
        }
        return begin_key(loader, record, err);
    }
    if (record->value_len > LIBRARIES_MAX - loader->load->libraries.len) {
        return orch_fail(err, ORCH_E_CORRUPT, "the part's function libraries exceed %u bytes",
                         LIBRARIES_MAX);
    }
    uint8_t opcode = REDIS_TYPE_FUNCTION;
    loader->load->library_count++;
    int32_t rc = bytes_append(&loader->load->libraries, &opcode, 1, err);
    return rc == ORCH_OK ? rdb_atom_put_length(&loader->load->libraries, record->value_len, err)
                         : rc;
}

static int32_t on_data(struct loader *loader, const uint8_t *data, uint64_t len,
                       struct orch_error *err)
{
    if (len > loader->expected - loader->got) {
        return orch_fail(err, ORCH_E_CORRUPT, "a record's value is longer than it says");
    }
    loader->got += len;
    if (loader->skipping) {
        return ORCH_OK;
    }
    if (loader->is_function) {
        return bytes_append(&loader->load->libraries, data, (size_t)len, err);
    }
    int32_t rc = conn_word_piece(loader->conn, data, (size_t)len, err);
    return rc == ORCH_OK && conn_unsent(loader->conn) > DRAIN_AT
               ? drain(loader, SEND_AT, loader->size, err)
               : rc;
}

static int32_t on_item_end(struct loader *loader, struct orch_error *err)
{
    char value[24];
    if (loader->got != loader->expected) {
        return orch_fail(err, ORCH_E_CORRUPT, "a record's value is shorter than it says");
    }
    if (loader->skipping || loader->is_function) {
        return ORCH_OK;
    }
    const char *word = usage(loader, value);
    int32_t rc = conn_word_end(loader->conn, err);
    if (rc == ORCH_OK) {
        rc = conn_word(loader->conn, "ABSTTL", 6, err);
    }
    if (rc == ORCH_OK) {
        rc = conn_word(loader->conn, "REPLACE", 7, err);
    }
    if (rc == ORCH_OK && word != NULL) {
        rc = conn_word(loader->conn, word, strlen(word), err);
        if (rc == ORCH_OK) {
            rc = conn_word(loader->conn, value, strlen(value), err);
        }
    }
    if (rc == ORCH_OK) {
        rc = remember(loader, &loader->current, err);
    }
    if (rc != ORCH_OK || conn_unsent(loader->conn) < SEND_AT) {
        return rc;
    }
    rc = conn_pump(loader->conn, 0, err);
    return rc == ORCH_OK ? drain(loader, DRAIN_AT, loader->redis->batch, err) : rc;
}

static int32_t loop(struct loader *loader, struct orch_error *err)
{
    const struct orch_host *host = loader->redis->host;
    for (;;) {
        struct orch_event event = {.struct_size = sizeof(event)};
        int32_t rc = host->next(host->ctx, &event, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        switch (event.type) {
        case ORCH_EVENT_END:
            return drain(loader, 0, 0, err);
        case ORCH_EVENT_RECORD:
            rc = on_record(loader, &event.record, err);
            break;
        case ORCH_EVENT_DATA:
            rc = on_data(loader, event.data, event.data_len, err);
            break;
        case ORCH_EVENT_ITEM_END:
            rc = on_item_end(loader, err);
            break;
        default:
            rc = orch_fail(err, ORCH_E_CORRUPT, "the part holds something else than records");
            break;
        }
        if (rc != ORCH_OK) {
            return rc;
        }
    }
}

int32_t load_run(const struct redis *redis, struct conn *conn, const struct place *place,
                 const struct facts *facts, struct load *load, struct orch_error *err)
{
    struct loader loader = {.redis = redis,
                            .conn = conn,
                            .place = place,
                            .facts = facts,
                            .load = load,
                            .size = redis->batch * 2 + 16,
                            .db = -1};
    loader.ring = calloc(loader.size, sizeof(*loader.ring));
    if (loader.ring == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "out of memory for a pipeline of %u keys",
                         redis->batch);
    }
    int32_t rc = loop(&loader, err);
    free(loader.ring);
    return rc;
}

void load_free(struct load *load)
{
    tally_free(&load->tally);
    bytes_free(&load->libraries);
    memset(load, 0, sizeof(*load));
}
