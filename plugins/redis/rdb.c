/*
 * rdb.c: the parser of the RDB format.
 *
 * Opcodes that only prepare the next key (its expiry, its idle time) are taken one by one and
 * remembered. A key with its value is taken as a whole: until it is all there, nothing of it is
 * consumed, and a cursor keeps the place in the value, so that no byte is walked twice.
 */
#include "rdb.h"

#include "bytes.h"
#include "rdb_atom.h"
#include "rdb_value.h"

#include <endian.h>
#include <inttypes.h>
#include <orchestrate/plugin.h>
#include <stdlib.h>
#include <string.h>

#define OP_SLOT_INFO 244
#define OP_FUNCTION 245
#define OP_FUNCTION_OLD 246
#define OP_MODULE_AUX 247
#define OP_IDLE 248
#define OP_FREQUENCY 249
#define OP_AUX 250
#define OP_RESIZE 251
#define OP_EXPIRES_MS 252
#define OP_EXPIRES_S 253
#define OP_SELECT 254
#define OP_EOF 255

#define MAGIC_LEN 5
#define HEADER_LEN 9 /* REDIS0010 */
#define AUX_MAX (UINT64_C(1) << 20)

struct rdb {
    const struct crc64 *crc;
    uint64_t item_max;
    uint64_t offset;   /* bytes taken */
    uint64_t checksum; /* over them */
    uint32_t version;  /* 0 before the header */
    uint32_t db;
    struct rdb_event next; /* what the opcodes before the next key said */
    int in_value;          /* the key at the window's front was read; `cursor` is in its value */
    size_t key_len;        /* bytes of type and key as stored */
    struct rdb_cursor cursor;
    const uint8_t *text; /* the key when it was decoded into `room`, else NULL */
    size_t text_len;
    struct bytes room;  /* a decoded key or name */
    struct bytes spare; /* a second decoded string */
};

static void forget(struct rdb *rdb)
{
    memset(&rdb->next, 0, sizeof(rdb->next));
    rdb->next.expires_ms = ORCH_NO_EXPIRY;
    rdb->in_value = 0;
    rdb->text = NULL;
}

int32_t rdb_new(const struct crc64 *crc, uint64_t item_max, struct rdb **out,
                struct orch_error *err)
{
    struct rdb *rdb = calloc(1, sizeof(*rdb));
    if (rdb == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "out of memory for the RDB parser");
    }
    rdb->crc = crc;
    rdb->item_max = item_max;
    forget(rdb);
    *out = rdb;
    return ORCH_OK;
}

void rdb_free(struct rdb *rdb)
{
    if (rdb != NULL) {
        bytes_free(&rdb->room);
        bytes_free(&rdb->spare);
        free(rdb);
    }
}

uint64_t rdb_offset(const struct rdb *rdb)
{
    return rdb->offset;
}

static int32_t corrupt(const struct rdb *rdb, const char *what, struct orch_error *err)
{
    return orch_fail(err, ORCH_E_CORRUPT, "the RDB stream is damaged near byte %" PRIu64 ": %s",
                     rdb->offset, what);
}

static void take(struct rdb *rdb, const uint8_t *p, size_t len)
{
    rdb->checksum = crc64_update(rdb->crc, rdb->checksum, p, len);
    rdb->offset += len;
}

static int32_t header(struct rdb *rdb, const uint8_t *p, size_t len, size_t *used,
                      struct rdb_event *event, struct orch_error *err)
{
    size_t have = len < MAGIC_LEN ? len : MAGIC_LEN;
    if (memcmp(p, "REDIS", have) != 0) {
        if (memcmp(p, "VALKE", have) != 0) {
            return corrupt(rdb, "it does not begin with REDIS", err);
        }
        return have < MAGIC_LEN
                   ? RDB_MORE
                   : orch_fail(err, ORCH_E_VERSION,
                               "the server writes Valkey's own dump format (Valkey 9 and newer), "
                               "which this plugin does not read yet");
    }
    if (len < HEADER_LEN) {
        return RDB_MORE;
    }
    uint32_t version = 0;
    for (size_t i = 5; i < HEADER_LEN; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return corrupt(rdb, "its version is no number", err);
        }
        version = version * 10 + (uint32_t)(p[i] - '0');
    }
    if (version < 1) {
        return corrupt(rdb, "its version is 0", err);
    }
    if (version > RDB_VERSION_MAX) {
        return orch_fail(err, ORCH_E_VERSION,
                         "the server writes RDB version %u; this plugin reads up to %u", version,
                         RDB_VERSION_MAX);
    }
    take(rdb, p, HEADER_LEN);
    *used += HEADER_LEN;
    rdb->version = version;
    memset(event, 0, sizeof(*event));
    event->version = version;
    return RDB_HEADER;
}

/* The nine characters in the upper 54 bits of a module type's id. */
static void module_name(uint64_t id, char name[10])
{
    static const char SET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    id >>= 10;
    for (int i = 8; i >= 0; i--) {
        name[i] = SET[id & 63];
        id >>= 6;
    }
    name[9] = '\0';
}

static int32_t refuse_named(uint64_t id, const char *what, struct orch_error *err)
{
    char name[10];
    module_name(id, name);
    return orch_fail(err, ORCH_E_UNSUPPORTED,
                     "%s belongs to the module type '%s'; data of modules cannot be backed up key "
                     "by key, so this server is not supported while it holds any",
                     what, name);
}

static int32_t refuse_module(struct rdb *rdb, const uint8_t *p, size_t len, const char *what,
                             struct orch_error *err)
{
    uint64_t id = 0;
    int special = 0;
    int got = rdb_atom_length(p, len, &id, &special);
    if (got == RDB_ATOM_MORE) {
        return RDB_MORE;
    }
    if (got < 0 || special) {
        return corrupt(rdb, "a module's id is wrong", err);
    }
    return refuse_named(id, what, err);
}

/* Reads `count` lengths into `values`. Gives the bytes used, 0 for more, -1 for bad. */
static int lengths(const uint8_t *p, size_t len, uint64_t *values, int count)
{
    int total = 0;
    for (int i = 0; i < count; i++) {
        int special = 0;
        int used = rdb_atom_length(p + total, len - (size_t)total, &values[i], &special);
        if (used <= 0 || special) {
            return special ? -1 : used;
        }
        total += used;
    }
    return total;
}

/* Reads one whole string. Gives its bytes in *size; 1, 0 for more, -1 for bad. */
static int whole_string(const uint8_t *p, size_t len, uint64_t cap, struct rdb_atom_string *string,
                        size_t *size)
{
    int rc = rdb_atom_string(p, len, cap, string);
    if (rc != 1) {
        return rc;
    }
    if (len - string->head < string->stored) {
        return 0;
    }
    *size = string->head + (size_t)string->stored;
    return 1;
}

static int32_t aux(struct rdb *rdb, const uint8_t *p, size_t len, size_t *used,
                   struct rdb_event *event, struct orch_error *err)
{
    struct rdb_atom_string name, value;
    size_t name_size = 0, value_size = 0;
    int rc = whole_string(p + 1, len - 1, AUX_MAX, &name, &name_size);
    if (rc == 1) {
        rc = whole_string(p + 1 + name_size, len - 1 - name_size, AUX_MAX, &value, &value_size);
    }
    if (rc != 1) {
        return rc == 0 ? RDB_MORE : corrupt(rdb, "an auxiliary field is wrong", err);
    }
    memset(event, 0, sizeof(*event));
    event->version = rdb->version;
    int32_t code = rdb_atom_decode(p + 1, &name, &rdb->room, &event->key, &event->key_len, err);
    if (code == ORCH_OK) {
        code = rdb_atom_decode(p + 1 + name_size, &value, &rdb->spare, &event->value,
                               &event->value_len, err);
    }
    if (code != ORCH_OK) {
        return code;
    }
    take(rdb, p, 1 + name_size + value_size);
    *used += 1 + name_size + value_size;
    return RDB_AUX;
}

static int32_t function(struct rdb *rdb, const uint8_t *p, size_t len, size_t *used,
                        struct rdb_event *event, struct orch_error *err)
{
    struct rdb_atom_string code;
    size_t size = 0;
    int rc = whole_string(p + 1, len - 1, rdb->item_max, &code, &size);
    if (rc != 1) {
        return rc == 0 ? RDB_MORE : corrupt(rdb, "a function library is wrong", err);
    }
    memset(event, 0, sizeof(*event));
    event->version = rdb->version;
    event->type = OP_FUNCTION;
    int32_t failed =
        rdb_atom_decode(p + 1, &code, &rdb->spare, &event->value, &event->value_len, err);
    if (failed != ORCH_OK) {
        return failed;
    }
    take(rdb, p, 1 + size);
    *used += 1 + size;
    return RDB_FUNCTION;
}

static int32_t end(struct rdb *rdb, const uint8_t *p, size_t len, size_t *used,
                   struct rdb_event *event, struct orch_error *err)
{
    size_t tail = rdb->version >= 5 ? 8 : 0; /* older files have no checksum */
    if (len - 1 < tail) {
        return RDB_MORE;
    }
    take(rdb, p, 1);
    if (tail > 0) {
        uint64_t little;
        memcpy(&little, p + 1, 8);
        uint64_t stored = le64toh(little);
        if (stored != 0 && stored != rdb->checksum) { /* 0: the server has checksums switched off */
            return orch_fail(err, ORCH_E_CORRUPT,
                             "the RDB stream's checksum is %016" PRIx64
                             ", its bytes give %016" PRIx64 ": it was damaged on its way",
                             stored, rdb->checksum);
        }
        rdb->offset += tail;
    }
    *used += 1 + tail;
    memset(event, 0, sizeof(*event));
    event->version = rdb->version;
    return RDB_END;
}

/* Reads the key behind the type byte and puts the cursor at its value. 1, RDB_MORE or an error. */
static int32_t begin_key(struct rdb *rdb, const uint8_t *p, size_t len, struct orch_error *err)
{
    struct rdb_atom_string key;
    size_t size = 0;
    int rc = whole_string(p + 1, len - 1, RDB_KEY_MAX, &key, &size);
    if (rc != 1) {
        return rc == 0 ? RDB_MORE : corrupt(rdb, "a key's length is wrong", err);
    }
    if (p[0] == RDB_TYPE_MODULE || p[0] == RDB_TYPE_MODULE_2) {
        return refuse_module(rdb, p + 1 + size, len - 1 - size, "a key", err);
    }
    const uint8_t *text = NULL;
    int32_t failed = rdb_atom_decode(p + 1, &key, &rdb->room, &text, &rdb->text_len, err);
    if (failed != ORCH_OK) {
        return failed;
    }
    rdb->text = key.encoding == RDB_ATOM_PLAIN ? NULL : text;
    rdb->next.type = p[0];
    rdb->key_len = 1 + size;
    rdb_value_start(&rdb->cursor, p[0], rdb->item_max);
    rdb->in_value = 1;
    return 1;
}

static int32_t key_value(struct rdb *rdb, const uint8_t *p, size_t len, size_t *used,
                         struct rdb_event *event, struct orch_error *err)
{
    if (!rdb->in_value) {
        int32_t rc = begin_key(rdb, p, len, err);
        if (rc != 1) {
            return rc;
        }
    }
    const uint8_t *value = p + rdb->key_len;
    int rc = rdb_value_walk(&rdb->cursor, value, len - rdb->key_len);
    if (rc < 0) {
        return corrupt(rdb, "a value's length is wrong", err);
    }
    if (rdb->cursor.offset > rdb->item_max || (rc == 0 && len - rdb->key_len > rdb->item_max)) {
        return orch_fail(err, ORCH_E_CORRUPT,
                         "a value near byte %" PRIu64 " of the RDB stream is longer than %" PRIu64
                         " bytes, which no server takes back",
                         rdb->offset, rdb->item_max);
    }
    if (rc == 0) {
        return RDB_MORE;
    }
    *event = rdb->next;
    event->version = rdb->version;
    event->db = rdb->db;
    event->key = rdb->text != NULL ? rdb->text : p + rdb->key_len - rdb->text_len;
    event->key_len = rdb->text_len;
    event->value = value;
    event->value_len = rdb->cursor.offset;
    size_t size = rdb->key_len + rdb->cursor.offset;
    take(rdb, p, size);
    *used += size;
    forget(rdb);
    return RDB_KEY;
}

/* Opcodes with numbers behind them. Gives the bytes used, 0 for more, -1 for bad. */
static int prepare(struct rdb *rdb, const uint8_t *p, size_t len)
{
    uint64_t values[3] = {0, 0, 0};
    uint64_t wide;
    uint32_t narrow;
    int used;
    switch (p[0]) {
    case OP_IDLE:
        used = lengths(p + 1, len - 1, &rdb->next.idle_s, 1);
        rdb->next.flags |= used > 0 ? RDB_HAS_IDLE : 0;
        return used > 0 ? used + 1 : used;
    case OP_FREQUENCY:
        if (len < 2) {
            return 0;
        }
        rdb->next.frequency = p[1];
        rdb->next.flags |= RDB_HAS_FREQUENCY;
        return 2;
    case OP_EXPIRES_MS:
        if (len < 9) {
            return 0;
        }
        memcpy(&wide, p + 1, 8);
        rdb->next.expires_ms = (int64_t)le64toh(wide);
        return 9;
    case OP_EXPIRES_S:
        if (len < 5) {
            return 0;
        }
        memcpy(&narrow, p + 1, 4);
        rdb->next.expires_ms = (int64_t)(int32_t)le32toh(narrow) * 1000;
        return 5;
    case OP_SELECT:
        used = lengths(p + 1, len - 1, values, 1);
        if (used > 0 && values[0] > INT32_MAX) {
            return -1;
        }
        rdb->db = used > 0 ? (uint32_t)values[0] : rdb->db;
        return used > 0 ? used + 1 : used;
    default: /* OP_RESIZE and OP_SLOT_INFO are hints only */
        used = lengths(p + 1, len - 1, values, p[0] == OP_RESIZE ? 2 : 3);
        return used > 0 ? used + 1 : used;
    }
}

int32_t rdb_next(struct rdb *rdb, const uint8_t *window, size_t len, size_t *used,
                 struct rdb_event *event, struct orch_error *err)
{
    *used = 0;
    if (len == 0) {
        return RDB_MORE;
    }
    if (rdb->version == 0) {
        return header(rdb, window, len, used, event, err);
    }
    while (*used < len) {
        const uint8_t *p = window + *used;
        size_t left = len - *used;
        if (rdb_value_known(p[0]) || p[0] == RDB_TYPE_MODULE || p[0] == RDB_TYPE_MODULE_2) {
            return key_value(rdb, p, left, used, event, err);
        }
        switch (p[0]) {
        case OP_AUX:
            return aux(rdb, p, left, used, event, err);
        case OP_FUNCTION:
            return function(rdb, p, left, used, event, err);
        case OP_MODULE_AUX:
            return refuse_module(rdb, p + 1, left - 1, "data outside of keys", err);
        case OP_EOF:
            return end(rdb, p, left, used, event, err);
        case OP_FUNCTION_OLD:
            return orch_fail(
                err, ORCH_E_VERSION,
                "the server writes functions in the form of a pre-release of Redis 7.0");
        default:
            break;
        }
        if (p[0] < OP_SLOT_INFO) {
            return orch_fail(err, ORCH_E_VERSION,
                             "byte %" PRIu64
                             " of the RDB stream has the type %u, which this plugin "
                             "does not know: a newer server, or damage",
                             rdb->offset, p[0]);
        }
        int taken = prepare(rdb, p, left);
        if (taken <= 0) {
            return taken == 0 ? RDB_MORE : corrupt(rdb, "a number is wrong", err);
        }
        take(rdb, p, (size_t)taken);
        *used += (size_t)taken;
    }
    return RDB_MORE;
}

void rdb_footer(const struct crc64 *crc, uint32_t version, uint32_t type, const uint8_t *value,
                size_t len, uint8_t footer[RDB_FOOTER_LEN])
{
    uint8_t first = (uint8_t)type;
    footer[0] = (uint8_t)version;
    footer[1] = (uint8_t)(version >> 8);
    uint64_t checksum = crc64_update(crc, 0, &first, 1);
    checksum = crc64_update(crc, checksum, value, len);
    checksum = htole64(crc64_update(crc, checksum, footer, 2));
    memcpy(footer + 2, &checksum, 8);
}

int32_t rdb_payload(const struct crc64 *crc, const uint8_t *payload, size_t len,
                    struct rdb_event *event, struct orch_error *err)
{
    if (len < 1 + RDB_FOOTER_LEN) {
        return orch_fail(err, ORCH_E_CORRUPT, "a DUMP payload of %zu bytes is too short", len);
    }
    uint64_t stored;
    memcpy(&stored, payload + len - 8, 8);
    stored = le64toh(stored);
    if (stored != 0 && stored != crc64_update(crc, 0, payload, len - 8)) {
        return orch_fail(err, ORCH_E_CORRUPT, "the checksum of a DUMP payload is wrong");
    }
    uint64_t id = 0;
    int special = 0;
    if ((payload[0] == RDB_TYPE_MODULE || payload[0] == RDB_TYPE_MODULE_2) &&
        rdb_atom_length(payload + 1, len - 1, &id, &special) > 0) {
        return refuse_named(id, "a key", err);
    }
    if (!rdb_value_known(payload[0])) {
        return orch_fail(err, ORCH_E_VERSION,
                         "a DUMP payload has the type %u, which this plugin "
                         "does not know: a newer server",
                         payload[0]);
    }
    memset(event, 0, sizeof(*event));
    event->expires_ms = ORCH_NO_EXPIRY;
    event->type = payload[0];
    event->value = payload + 1;
    event->value_len = len - 1 - RDB_FOOTER_LEN;
    event->version = (uint32_t)payload[len - 10] | (uint32_t)payload[len - 9] << 8;
    return ORCH_OK;
}
