/*
 * jsonmut.c: how the fuzzer changes inputs that are JSON: one value is replaced, removed, copied
 * elsewhere or given another name, so that what comes out parses and reaches the checks of the
 * fields. Now and then the bytes are changed as of any other input.
 */
#include <jansson.h>
#include <string.h>

#include "fuzz.h"

#define NODES_MAX 512

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* A value and where it stands. */
struct place {
    json_t *parent;  /* NULL: the root */
    const char *key; /* of an object */
    size_t index;    /* of an array */
    json_t *value;
};

struct mutation {
    uint64_t state;
    struct place places[NODES_MAX];
    size_t count;
};

static unsigned pick(struct mutation *m, size_t below)
{
    m->state ^= m->state << 13;
    m->state ^= m->state >> 7;
    m->state ^= m->state << 17;
    return below == 0 ? 0 : (unsigned)(m->state % below);
}

static void collect(struct mutation *m, json_t *parent, const char *key, size_t index,
                    json_t *value, unsigned depth)
{
    if (m->count == NODES_MAX || depth == 64) {
        return;
    }
    m->places[m->count++] = (struct place){parent, key, index, value};
    const char *name = NULL;
    json_t *child = NULL;
    size_t i = 0;
    json_object_foreach(value, name, child)
    {
        collect(m, value, name, 0, child, depth + 1);
    }
    json_array_foreach(value, i, child)
    {
        collect(m, value, NULL, i, child, depth + 1);
    }
}

static json_t *repeated(char c, size_t len)
{
    char text[600];
    memset(text, c, len);
    return json_stringn(text, len);
}

/* Values that sit at the edges of what fields allow. */
static json_t *edge_number(struct mutation *m)
{
    static const json_int_t numbers[] = {0,
                                         1,
                                         2,
                                         -1,
                                         3,
                                         8,
                                         9,
                                         16,
                                         20,
                                         21,
                                         31,
                                         32,
                                         63,
                                         64,
                                         127,
                                         128,
                                         255,
                                         256,
                                         1024,
                                         4096,
                                         65535,
                                         65536,
                                         1 << 20,
                                         INT32_MAX,
                                         UINT32_MAX,
                                         (json_int_t)UINT32_MAX + 1,
                                         INT64_MAX,
                                         INT64_MIN,
                                         INT64_MAX - 1,
                                         1000000000,
                                         1700000000000000000};
    return json_integer(numbers[pick(m, sizeof(numbers) / sizeof(numbers[0]))]);
}

static json_t *edge_text(struct mutation *m)
{
    static const char *const texts[] = {"",
                                        "a",
                                        "0",
                                        "none",
                                        "aes-256-gcm",
                                        "scrypt",
                                        "keyfile",
                                        "clear",
                                        "completed",
                                        "partial",
                                        "full",
                                        "incremental",
                                        "snapshot",
                                        "data",
                                        "start",
                                        "end",
                                        "in-progress",
                                        "backup",
                                        "prune",
                                        "latest",
                                        "20260131_120000",
                                        "20260131_120000-2",
                                        "20261399_999999",
                                        "../x",
                                        "a/b",
                                        "\xc3\xa4",
                                        "\xf0\x9f\x98\x80",
                                        "%s%n",
                                        "00112233445566778899aabbccddeeff",
                                        "planned",
                                        "begun",
                                        "verified",
                                        "finished",
                                        "step-passed"};
    static const size_t lengths[] = {15, 16, 31, 32, 33, 62, 63, 64, 65, 127, 128, 255, 256, 512};
    if (pick(m, 3) > 0) {
        return json_string(texts[pick(m, sizeof(texts) / sizeof(texts[0]))]);
    }
    return repeated("0af9gA"[pick(m, 6)], lengths[pick(m, sizeof(lengths) / sizeof(lengths[0]))]);
}

static json_t *edge_value(struct mutation *m)
{
    json_t *deep = NULL;
    switch (pick(m, 12)) {
    case 0:
        return json_null();
    case 1:
        return json_boolean(pick(m, 2));
    case 2:
        return json_object();
    case 3:
        return json_array();
    case 4:
        return json_real(pick(m, 2) == 0 ? 1.5 : 1e300);
    case 5:
        deep = json_array();
        for (unsigned i = pick(m, 40); i > 0; i--) {
            json_t *around = json_array();
            (void)json_array_append_new(around, deep);
            deep = around;
        }
        return deep;
    case 6:
    case 7:
    case 8:
        return edge_number(m);
    default:
        return edge_text(m);
    }
}

/* The value, changed a little: the bytes of a text, a number by one or by a bit. */
static json_t *changed(struct mutation *m, const json_t *value)
{
    if (json_is_integer(value)) {
        json_int_t number = json_integer_value(value);
        uint64_t bit = UINT64_C(1) << pick(m, 64);
        switch (pick(m, 3)) {
        case 0:
            return json_integer((json_int_t)((uint64_t)number + 1));
        case 1:
            return json_integer((json_int_t)((uint64_t)number - 1));
        default:
            return json_integer((json_int_t)((uint64_t)number ^ bit));
        }
    }
    if (json_is_string(value)) {
        uint8_t text[1024];
        size_t len = json_string_length(value);
        len = len > sizeof(text) / 2 ? sizeof(text) / 2 : len;
        memcpy(text, json_string_value(value), len);
        len = LLVMFuzzerMutate(text, len, sizeof(text));
        for (size_t i = 0; i < len; i++) {
            text[i] &= 0x7f;
        }
        return json_stringn((const char *)text, len);
    }
    return edge_value(m);
}

/* Takes over `value`. */
static void put(json_t **root, const struct place *at, json_t *value)
{
    if (at->parent == NULL) {
        json_decref(*root);
        *root = value;
    } else if (at->key != NULL) {
        (void)json_object_set_new(at->parent, at->key, value);
    } else {
        (void)json_array_set_new(at->parent, at->index, value);
    }
}

static void drop(const struct place *at)
{
    if (at->parent != NULL && at->key != NULL) {
        (void)json_object_del(at->parent, at->key);
    } else if (at->parent != NULL) {
        (void)json_array_remove(at->parent, at->index);
    }
}

/* Adds a copy of `value` to the array or object at `at`; in others' place it stands itself. */
static void add(struct mutation *m, json_t **root, const struct place *at, const json_t *value,
                const char *key)
{
    json_t *copy = json_deep_copy(value);
    if (json_is_array(at->value)) {
        (void)json_array_insert_new(at->value, pick(m, json_array_size(at->value) + 1), copy);
    } else if (json_is_object(at->value)) {
        (void)json_object_set_new(at->value, key == NULL ? "other" : key, copy);
    } else {
        put(root, at, copy);
    }
}

static void mutate(struct mutation *m, json_t **root)
{
    m->count = 0;
    collect(m, NULL, NULL, 0, *root, 0);
    struct place at = m->places[pick(m, m->count)];
    struct place other = m->places[pick(m, m->count)];
    switch (pick(m, 8)) {
    case 0:
        drop(&at);
        break;
    case 1:
        add(m, root, &at, other.value, other.key);
        break;
    case 2:
        put(root, &at, json_deep_copy(other.value));
        break;
    case 3:
    case 4:
        put(root, &at, edge_value(m));
        break;
    default:
        put(root, &at, changed(m, at.value));
        break;
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static struct mutation m;
    m.state = ((uint64_t)seed << 20 | size) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    json_t *root =
        pick(&m, 8) == 0 ? NULL : json_loadb((const char *)data, size, JSON_DECODE_ANY, NULL);
    if (root == NULL) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    for (unsigned i = pick(&m, 3) + 1; i > 0; i--) {
        mutate(&m, &root);
    }
    char *text = json_dumps(root, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(root);
    size_t len = text == NULL ? 0 : strlen(text);
    if (len == 0 || len > max_size) {
        free(text);
        return LLVMFuzzerMutate(data, size, max_size);
    }
    memcpy(data, text, len);
    free(text);
    return len;
}
