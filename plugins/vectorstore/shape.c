/* shape.c: see shape.h. One function per structure of the file, in the order of the file. */
#include "shape.h"

#include "cursor.h"
#include "hnsw.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 4 /* a map over a graph over codes, with one to spare */

/* The header that every index begins with. */
struct head {
    char fourcc[5];
    int32_t d;
    int64_t ntotal;
    int32_t metric;
    uint8_t trained;
};

/* What a walked index says of itself to the one around it. */
struct part {
    struct head head;
    char type[SHAPE_TYPE_MAX];
    int walked;
    int lossless;
    uint64_t code_size; /* bytes of one vector, 0 when it has none of its own */
};

static int32_t walk(struct cursor *c, struct shape *shape, struct part *part, int depth,
                    struct orch_error *err);

const char *shape_metric_name(int32_t metric)
{
    static const char *const names[] = {"inner_product", "l2", "l1", "linf", "lp"};
    static const char *const more[] = {"canberra", "braycurtis", "jensenshannon"};
    if (metric >= 0 && metric < 5) {
        return names[metric];
    }
    return metric >= 20 && metric < 23 ? more[metric - 20] : "unknown";
}

static int32_t read_head(struct cursor *c, struct head *head, struct orch_error *err)
{
    int64_t dummy[2];
    float metric_arg = 0;
    int32_t rc = cursor_take(c, &head->d, sizeof(head->d), err);
    if (rc == ORCH_OK) {
        rc = cursor_take(c, &head->ntotal, sizeof(head->ntotal), err);
    }
    if (rc == ORCH_OK) {
        rc = cursor_take(c, dummy, sizeof(dummy), err);
    }
    if (rc == ORCH_OK) {
        rc = cursor_take(c, &head->trained, sizeof(head->trained), err);
    }
    if (rc == ORCH_OK) {
        rc = cursor_take(c, &head->metric, sizeof(head->metric), err);
    }
    if (rc == ORCH_OK && head->metric > 1) {
        rc = cursor_take(c, &metric_arg, sizeof(metric_arg), err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    if (head->d <= 0 || head->d > SHAPE_DIMENSION_MAX || head->ntotal < 0 ||
        head->ntotal > INT64_C(1) << 40 || head->metric < 0 || head->trained > 1) {
        return cursor_bad(err, "the header makes no sense");
    }
    return ORCH_OK;
}

static int32_t expect_vector(struct cursor *c, uint64_t each, uint64_t expected, const char *what,
                             struct orch_error *err)
{
    uint64_t count = 0;
    int32_t rc = cursor_skip_vector(c, each, &count, err);
    return rc == ORCH_OK && count != expected ? cursor_bad(err, what) : rc;
}

static int32_t walk_flat(struct cursor *c, struct shape *shape, struct part *part,
                         struct orch_error *err)
{
    uint64_t floats = 0;
    int32_t rc = cursor_take(c, &floats, sizeof(floats), err);
    if (rc != ORCH_OK) {
        return rc;
    }
    uint64_t at = cursor_at(c);
    if (floats != (uint64_t)part->head.ntotal * (uint64_t)part->head.d) {
        return cursor_bad(err, "the number of stored values is not vectors times dimension");
    }
    if (floats > 0 && shape->row_bytes == 0) {
        shape->row_offset = at;
        shape->row_bytes = (uint32_t)part->head.d * 4u;
    }
    part->code_size = (uint64_t)part->head.d * 4;
    part->lossless = 1;
    (void)snprintf(part->type, sizeof(part->type), "Flat");
    return cursor_skip(c, floats, 4, err);
}

/* A scalar quantiser; *code_size is what one vector takes. */
static int32_t read_sq(struct cursor *c, int32_t d, uint64_t *code_size, struct orch_error *err)
{
    int32_t kind[2];
    float argument = 0;
    uint64_t sizes[2];
    uint64_t trained = 0;
    int32_t rc = cursor_take(c, kind, sizeof(kind), err);
    if (rc == ORCH_OK) {
        rc = cursor_take(c, &argument, sizeof(argument), err);
    }
    if (rc == ORCH_OK) {
        rc = cursor_take(c, sizes, sizeof(sizes), err);
    }
    if (rc == ORCH_OK) {
        rc = cursor_skip_vector(c, 4, &trained, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    if (sizes[0] != (uint64_t)d || sizes[1] == 0 || sizes[1] > (uint64_t)d * 4 || kind[0] < 0 ||
        kind[0] > 16 || (trained != 0 && trained != 2 && trained != (uint64_t)d * 2)) {
        return cursor_bad(err, "the scalar quantiser makes no sense");
    }
    *code_size = sizes[1];
    return ORCH_OK;
}

static int32_t read_pq(struct cursor *c, int32_t d, uint64_t *code_size, struct orch_error *err)
{
    uint64_t sizes[3]; /* d, M, nbits */
    int32_t rc = cursor_take(c, sizes, sizeof(sizes), err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (sizes[0] != (uint64_t)d || sizes[1] == 0 || sizes[0] % sizes[1] != 0 || sizes[2] == 0 ||
        sizes[2] > 24) {
        return cursor_bad(err, "the product quantiser makes no sense");
    }
    *code_size = (sizes[1] * sizes[2] + 7) / 8;
    return expect_vector(c, 4, sizes[0] << sizes[2], "the product quantiser has too few centroids",
                         err);
}

static int32_t walk_sq(struct cursor *c, struct part *part, struct orch_error *err)
{
    int32_t rc = read_sq(c, part->head.d, &part->code_size, err);
    (void)snprintf(part->type, sizeof(part->type), "SQ");
    return rc != ORCH_OK ? rc
                         : expect_vector(c, 1, part->code_size * (uint64_t)part->head.ntotal,
                                         "the number of codes is not the number of vectors", err);
}

static int32_t walk_pq(struct cursor *c, struct part *part, struct orch_error *err)
{
    int32_t rc = read_pq(c, part->head.d, &part->code_size, err);
    (void)snprintf(part->type, sizeof(part->type), "PQ");
    if (rc == ORCH_OK) {
        rc = expect_vector(c, 1, part->code_size * (uint64_t)part->head.ntotal,
                           "the number of codes is not the number of vectors", err);
    }
    return rc != ORCH_OK ? rc : cursor_skip(c, 1, 4 + 1 + 4, err); /* search type and settings */
}

static int32_t walk_idmap(struct cursor *c, struct shape *shape, struct part *part, int depth,
                          struct orch_error *err)
{
    struct part child = {0};
    int32_t rc = walk(c, shape, &child, depth + 1, err);
    if (rc != ORCH_OK || !child.walked) {
        part->walked = 0;
        (void)snprintf(part->type, sizeof(part->type), "IDMap,%.40s", child.type);
        return rc;
    }
    if (child.head.ntotal != part->head.ntotal || child.head.d != part->head.d) {
        return cursor_bad(err, "the ID map and the index under it differ in size");
    }
    part->lossless = child.lossless;
    (void)snprintf(part->type, sizeof(part->type), "%s,%.40s",
                   strcmp(part->head.fourcc, "IxM2") == 0 ? "IDMap2" : "IDMap", child.type);
    return expect_vector(c, 8, (uint64_t)part->head.ntotal, "the ID map has not one id per vector",
                         err);
}

/* ---- HNSW ------------------------------------------------------------------------------- */

static int32_t walk_hnsw(struct cursor *c, struct shape *shape, struct part *part, int depth,
                         struct orch_error *err)
{
    int32_t rc = hnsw_walk(c, part->head.ntotal, err);
    struct part storage = {0};
    if (rc == ORCH_OK) {
        rc = walk(c, shape, &storage, depth + 1, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    if (storage.walked &&
        (storage.head.ntotal != part->head.ntotal || storage.head.d != part->head.d)) {
        return cursor_bad(err, "the graph and its storage differ in size");
    }
    part->walked = storage.walked;
    part->lossless = storage.lossless;
    (void)snprintf(part->type, sizeof(part->type), "HNSW,%.40s", storage.type);
    return ORCH_OK;
}

/* ---- IVF -------------------------------------------------------------------------------- */

static int32_t walk_direct_map(struct cursor *c, struct orch_error *err)
{
    uint8_t kind = 0;
    uint64_t count = 0;
    int32_t rc = cursor_take(c, &kind, sizeof(kind), err);
    if (rc == ORCH_OK && kind > 2) {
        return cursor_bad(err, "the direct map is of no known kind");
    }
    if (rc == ORCH_OK) {
        rc = cursor_skip_vector(c, 8, &count, err);
    }
    return rc == ORCH_OK && kind == 2 ? cursor_skip_vector(c, 16, &count, err) : rc;
}

/* Lists whose bytes follow in the file. */
static int32_t walk_array_lists(struct cursor *c, uint64_t nlist, uint64_t entry,
                                struct orch_error *err)
{
    char layout[4];
    uint64_t count = 0, total = 0;
    int32_t rc = cursor_take(c, layout, sizeof(layout), err);
    if (rc == ORCH_OK) {
        rc = cursor_take(c, &count, sizeof(count), err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    int full = memcmp(layout, "full", 4) == 0;
    if ((!full && memcmp(layout, "sprs", 4) != 0) || (full && count != nlist) ||
        (!full && (count % 2 != 0 || count / 2 > nlist))) {
        return cursor_bad(err, "the list sizes make no sense");
    }
    for (uint64_t i = 0; rc == ORCH_OK && i < count; i++) {
        uint64_t value = 0;
        rc = cursor_take(c, &value, sizeof(value), err);
        if (rc == ORCH_OK && !full && i % 2 == 0) {
            if (value >= nlist) {
                return cursor_bad(err, "a list number is out of range");
            }
        } else if (value > UINT64_C(1) << 40 || __builtin_add_overflow(total, value, &total)) {
            return cursor_bad(err, "a list size makes no sense");
        }
    }
    return rc != ORCH_OK ? rc : cursor_skip(c, total, entry, err);
}

/* Where each list lies in the external file: entries, room, offset. */
static int32_t walk_ondisk_table(struct cursor *c, uint64_t nlist, uint64_t entry, uint64_t *need,
                                 struct orch_error *err)
{
    uint64_t count = 0;
    int32_t rc = cursor_take(c, &count, sizeof(count), err);
    if (rc == ORCH_OK && count != nlist) {
        return cursor_bad(err, "the list table makes no sense");
    }
    for (uint64_t i = 0; rc == ORCH_OK && i < count; i++) {
        uint64_t list[3]; /* size, capacity, offset */
        uint64_t bytes = 0, end = 0;
        rc = cursor_take(c, list, sizeof(list), err);
        if (rc != ORCH_OK || list[0] == 0) {
            continue; /* an empty list is never read; its offset may be anything */
        }
        if (list[0] > list[1] || __builtin_mul_overflow(list[1], entry, &bytes) ||
            __builtin_add_overflow(list[2], bytes, &end)) {
            return cursor_bad(err, "a list's place makes no sense");
        }
        *need = end > *need ? end : *need;
    }
    return rc;
}

static int32_t walk_ondisk_lists(struct cursor *c, struct shape *shape, uint64_t nlist,
                                 uint64_t entry, struct orch_error *err)
{
    uint64_t slots = 0, name = 0, total = 0, need = 0;
    int32_t rc = walk_ondisk_table(c, nlist, entry, &need, err);
    if (rc == ORCH_OK) {
        rc = cursor_skip_vector(c, 16, &slots, err);
    }
    if (rc == ORCH_OK) {
        rc = cursor_take(c, &name, sizeof(name), err);
    }
    if (rc == ORCH_OK && (name == 0 || name >= sizeof(shape->ondisk))) {
        return cursor_bad(err, "the name of the list file is too long or missing");
    }
    if (rc == ORCH_OK) {
        rc = cursor_take(c, shape->ondisk, (size_t)name, err);
    }
    if (rc == ORCH_OK) {
        shape->ondisk[name] = 0;
        rc = cursor_take(c, &total, sizeof(total), err);
    }
    if (rc == ORCH_OK && (need > total || strlen(shape->ondisk) != name)) {
        return cursor_bad(err, "the list table reaches past the list file");
    }
    shape->ondisk_bytes = total;
    return rc;
}

static int32_t walk_lists(struct cursor *c, struct shape *shape, uint64_t nlist, uint64_t code_size,
                          struct orch_error *err)
{
    char kind[4];
    uint64_t sizes[2];
    int32_t rc = cursor_take(c, kind, sizeof(kind), err);
    if (rc != ORCH_OK || memcmp(kind, "il00", 4) == 0) {
        return rc;
    }
    rc = cursor_take(c, sizes, sizeof(sizes), err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (sizes[0] != nlist || sizes[1] != code_size) {
        return cursor_bad(err, "the inverted lists do not fit the index");
    }
    if (memcmp(kind, "ilar", 4) == 0) {
        return walk_array_lists(c, nlist, code_size + 8, err);
    }
    if (memcmp(kind, "ilod", 4) == 0) {
        return walk_ondisk_lists(c, shape, nlist, code_size + 8, err);
    }
    return cursor_bad(err, "the inverted lists are of no known kind");
}

/* What stands between the common part of an IVF index and its lists. */
static int32_t read_ivf_codes(struct cursor *c, struct part *part, struct orch_error *err)
{
    uint64_t code_size = 0;
    uint8_t by_residual = 0;
    int32_t rc = ORCH_OK;
    if (strcmp(part->head.fourcc, "IwFl") == 0) {
        part->code_size = (uint64_t)part->head.d * 4;
        part->lossless = 1;
        (void)snprintf(part->type, sizeof(part->type), "IVF,Flat");
        return ORCH_OK;
    }
    if (strcmp(part->head.fourcc, "IwSq") == 0) {
        (void)snprintf(part->type, sizeof(part->type), "IVF,SQ");
        rc = read_sq(c, part->head.d, &part->code_size, err);
        if (rc == ORCH_OK) {
            rc = cursor_take(c, &code_size, sizeof(code_size), err);
        }
        if (rc == ORCH_OK) {
            rc = cursor_take(c, &by_residual, sizeof(by_residual), err);
        }
    } else {
        (void)snprintf(part->type, sizeof(part->type), "IVF,PQ");
        rc = cursor_take(c, &by_residual, sizeof(by_residual), err);
        if (rc == ORCH_OK) {
            rc = cursor_take(c, &code_size, sizeof(code_size), err);
        }
        if (rc == ORCH_OK) {
            rc = read_pq(c, part->head.d, &part->code_size, err);
        }
    }
    if (rc == ORCH_OK && (code_size != part->code_size || by_residual > 1)) {
        return cursor_bad(err, "the size of a code makes no sense");
    }
    return rc;
}

static int32_t walk_ivf(struct cursor *c, struct shape *shape, struct part *part, int depth,
                        struct orch_error *err)
{
    uint64_t sizes[2]; /* nlist, nprobe */
    int32_t rc = cursor_take(c, sizes, sizeof(sizes), err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (sizes[0] == 0 || sizes[0] > UINT64_C(1) << 32 || sizes[1] == 0) {
        return cursor_bad(err, "the number of lists makes no sense");
    }
    struct shape inner = {0}; /* the quantiser's rows are not the index's */
    struct part quantizer = {0};
    rc = walk(c, &inner, &quantizer, depth + 1, err);
    if (rc != ORCH_OK || !quantizer.walked) {
        (void)snprintf(part->type, sizeof(part->type), "IVF");
        part->walked = 0;
        return rc;
    }
    if (quantizer.head.d != part->head.d || (uint64_t)quantizer.head.ntotal > sizes[0] ||
        (part->head.trained && (uint64_t)quantizer.head.ntotal != sizes[0])) {
        return cursor_bad(err, "the quantiser does not fit the number of lists");
    }
    shape->has_lists = 1;
    rc = walk_direct_map(c, err);
    if (rc == ORCH_OK) {
        rc = read_ivf_codes(c, part, err);
    }
    return rc != ORCH_OK ? rc : walk_lists(c, shape, sizes[0], part->code_size, err);
}

/* ---- all of it -------------------------------------------------------------------------- */

static int one_of(const char *fourcc, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(fourcc, names[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

#define ONE_OF(fourcc, names) one_of(fourcc, names, sizeof(names) / sizeof((names)[0]))

static int32_t walk(struct cursor *c, struct shape *shape, struct part *part, int depth,
                    struct orch_error *err)
{
    static const char *const flat[] = {"IxFI", "IxF2", "IxFl"};
    static const char *const map[] = {"IxMp", "IxM2"};
    static const char *const graph[] = {"IHNf", "IHNs", "IHNp"};
    static const char *const lists[] = {"IwFl", "IwSq", "IwPQ"};
    if (depth > DEPTH_MAX) {
        return cursor_bad(err, "indexes are nested too deep");
    }
    int32_t rc = cursor_take(c, part->head.fourcc, 4, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    for (int i = 0; i < 4; i++) {
        if (part->head.fourcc[i] < '!' || part->head.fourcc[i] > '~') {
            return cursor_bad(err, "it does not begin like a FAISS index");
        }
    }
    if (part->head.fourcc[0] != 'I') {
        return cursor_bad(err, "it does not begin like a FAISS index");
    }
    if (part->head.fourcc[1] == 'B') {
        return orch_fail(err, ORCH_E_UNSUPPORTED,
                         "it is a binary index (%s), which this plugin cannot load",
                         part->head.fourcc);
    }
    rc = read_head(c, &part->head, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    part->walked = 1;
    if (ONE_OF(part->head.fourcc, flat)) {
        return walk_flat(c, shape, part, err);
    }
    if (ONE_OF(part->head.fourcc, map)) {
        return walk_idmap(c, shape, part, depth, err);
    }
    if (ONE_OF(part->head.fourcc, graph)) {
        return walk_hnsw(c, shape, part, depth, err);
    }
    if (ONE_OF(part->head.fourcc, lists)) {
        return walk_ivf(c, shape, part, depth, err);
    }
    if (strcmp(part->head.fourcc, "IxSQ") == 0) {
        return walk_sq(c, part, err);
    }
    if (strcmp(part->head.fourcc, "IxPq") == 0) {
        return walk_pq(c, part, err);
    }
    part->walked = 0;
    (void)snprintf(part->type, sizeof(part->type), "%s", part->head.fourcc);
    return ORCH_OK;
}

int32_t shape_read(int fd, uint64_t size, struct shape *shape, struct orch_error *err)
{
    struct cursor *cursor = NULL;
    int32_t rc = cursor_new(fd, size, &cursor, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    memset(shape, 0, sizeof(*shape));
    struct part part = {0};
    rc = walk(cursor, shape, &part, 0, err);
    if (rc == ORCH_OK && part.walked && cursor_at(cursor) != size) {
        rc = cursor_bad(err, "there are bytes after its end");
    }
    cursor_free(cursor);
    if (rc != ORCH_OK) {
        return rc;
    }
    memcpy(shape->fourcc, part.head.fourcc, sizeof(shape->fourcc));
    (void)snprintf(shape->type, sizeof(shape->type), "%s", part.type);
    shape->dimension = part.head.d;
    shape->ntotal = part.head.ntotal;
    shape->metric = part.head.metric;
    shape->is_trained = part.head.trained;
    shape->walked = part.walked;
    shape->lossless = part.lossless;
    if (!part.walked || shape->has_lists) {
        shape->row_offset = 0;
        shape->row_bytes = 0;
    }
    return ORCH_OK;
}
