/* check.c: proves that sets are whole; see check.h and checkimpl.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/checkimpl.h"

void check_report(struct check *check, const char *file, const char *set, const char *component,
                  const char *object, const char *format, ...)
{
    char problem[ORCH_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(problem, sizeof(problem), format, args);
    va_end(args);
    struct check_finding finding = {
        .file = file, .set = set, .component = component, .object = object, .problem = problem};
    (void)pthread_mutex_lock(&check->lock);
    check->result->findings++;
    if (check->options->finding != NULL) {
        check->options->finding(check->options->ctx, &finding);
    }
    (void)pthread_mutex_unlock(&check->lock);
}

bool check_wants_set(const struct check *check, const struct set *set)
{
    const char *const *ids = check->options->set_ids;
    bool wanted = ids == NULL;
    for (size_t i = 0; !wanted && ids[i] != NULL; i++) {
        wanted = strcmp(ids[i], set->id) == 0;
    }
    return wanted;
}

#define PLACE_BYTES (PACK_ID_BYTES + 4u)

static void place_key(const uint8_t pack[PACK_ID_BYTES], uint32_t frame, uint8_t key[PLACE_BYTES])
{
    memcpy(key, pack, PACK_ID_BYTES);
    put_le32(key + PACK_ID_BYTES, frame);
}

int32_t check_mark_bad(struct check *check, const uint8_t pack[PACK_ID_BYTES], uint32_t frame,
                       struct orch_error *err)
{
    uint8_t key[PLACE_BYTES];
    place_key(pack, frame, key);
    (void)pthread_mutex_lock(&check->lock);
    int32_t rc = byteset_add(check->bad, key, err);
    (void)pthread_mutex_unlock(&check->lock);
    return rc;
}

bool check_is_bad(struct check *check, const struct chunk_location *place)
{
    uint8_t whole[PLACE_BYTES];
    uint8_t frame[PLACE_BYTES];
    place_key(place->pack, CHECK_WHOLE_PACK, whole);
    place_key(place->pack, place->frame_number, frame);
    (void)pthread_mutex_lock(&check->lock);
    bool bad = byteset_has(check->bad, whole) || byteset_has(check->bad, frame);
    (void)pthread_mutex_unlock(&check->lock);
    return bad;
}

bool check_is_let_go(struct check *check, const uint8_t pack[PACK_ID_BYTES])
{
    return index_pack_find(check->index, pack) == SIZE_MAX || byteset_has(check->condemned, pack);
}

/* ---- documents ----------------------------------------------------------------------------- */

static void damaged_file(void *ctx, const char *name, const struct orch_error *why)
{
    check_report(ctx, name, NULL, NULL, NULL, "%s", why->message);
}

static int32_t each_part(void *ctx, const char *name, const struct storage_stat *stat,
                         struct orch_error *err)
{
    struct check *check = ctx;
    struct part *part = NULL;
    struct orch_error why = ORCH_ERROR_INIT;
    (void)stat;
    (void)err;
    int32_t rc = part_load(check->repo, strrchr(name, '/') + 1, &part, &why);
    if (rc != ORCH_OK && rc != ORCH_E_NOT_FOUND) { /* a prune may have removed it */
        check_report(check, name, NULL, NULL, NULL, "%s", why.message);
    }
    part_free(part);
    return ORCH_OK;
}

/* Documents of runs, leases and the like: a lease may go away while it is looked at. */
static int32_t each_control(void *ctx, const char *name, const struct storage_stat *stat,
                            struct orch_error *err)
{
    struct check *check = ctx;
    json_t *document = NULL;
    struct orch_error why = ORCH_ERROR_INIT;
    (void)stat;
    (void)err;
    int32_t rc = repo_get_document(check->repo, name, KEY_CONTROL, &document, &why);
    if (rc != ORCH_OK && rc != ORCH_E_NOT_FOUND) {
        check_report(check, name, NULL, NULL, NULL, "%s", why.message);
    }
    json_decref(document);
    return ORCH_OK;
}

static int32_t check_documents(struct check *check, struct orch_error *err)
{
    struct orch_error why = ORCH_ERROR_INIT;
    if (repo_verify_config(check->repo, &why) != ORCH_OK) {
        check_report(check, "config", NULL, NULL, NULL, "%s", why.message);
    }
    int32_t rc = set_list_load(check->repo, damaged_file, check, &check->sets, err);
    if (rc != ORCH_OK || check->options->set_ids != NULL) {
        return rc;
    }
    struct storage *storage = repo_storage(check->repo);
    rc = storage_list(storage, "parts", each_part, check, err);
    if (rc == ORCH_OK && check->options->level == CHECK_DATA) {
        static const char *const folders[] = {"runs", "leases", "lapsed", "proofs"};
        for (size_t i = 0; rc == ORCH_OK && i < sizeof(folders) / sizeof(folders[0]); i++) {
            rc = storage_list(storage, folders[i], each_control, check, err);
        }
    }
    return rc;
}

static int32_t check_set_ids(const struct check *check, struct orch_error *err)
{
    const char *const *ids = check->options->set_ids;
    for (size_t i = 0; ids != NULL && ids[i] != NULL; i++) {
        bool found = false;
        for (size_t j = 0; !found && j < check->sets.count; j++) {
            found = strcmp(check->sets.sets[j]->id, ids[i]) == 0;
        }
        if (!found) {
            return orch_fail(err, ORCH_E_NOT_FOUND,
                             "set %s is not in the repository, or its manifest is damaged", ids[i]);
        }
    }
    return ORCH_OK;
}

/* ---- packs that there are ------------------------------------------------------------------ */

static int32_t each_pack(void *ctx, const char *name, const struct storage_stat *stat,
                         struct orch_error *err)
{
    struct check *check = ctx;
    struct check_pack pack = {.size_bytes = stat->size_bytes};
    if (pack_name_id(name, pack.id) != ORCH_OK) {
        return ORCH_OK; /* not one of ours */
    }
    if (check->pack_count == check->pack_capacity) {
        size_t wanted = check->pack_capacity == 0 ? 256 : check->pack_capacity * 2;
        struct check_pack *grown = reallocarray(check->packs, wanted, sizeof(*grown));
        if (grown == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory for the list of packs");
        }
        check->packs = grown;
        check->pack_capacity = wanted;
    }
    pack.indexed = index_pack_find(check->index, pack.id) != SIZE_MAX;
    check->packs[check->pack_count++] = pack;
    return ORCH_OK;
}

static int by_id(const void *a, const void *b)
{
    const struct check_pack *left = a;
    const struct check_pack *right = b;
    return memcmp(left->id, right->id, PACK_ID_BYTES);
}

/* The frames that a pack, cut short to `size` bytes, has lost. */
static int32_t mark_lost(struct check *check, const struct index_pack *pack, uint64_t size,
                         struct orch_error *err)
{
    struct chunk_location place;
    int32_t rc = ORCH_OK;
    for (uint64_t i = 0; rc == ORCH_OK && index_frame_at(check->index, pack, i, &place); i++) {
        if (place.frame_offset > size || place.frame_len > size - place.frame_offset) {
            rc = check_mark_bad(check, pack->id, place.frame_number, err);
        }
    }
    return rc;
}

/* Every pack that segments name must be there, as long as it was. */
static int32_t compare_packs(struct check *check, struct orch_error *err)
{
    struct index_pack pack;
    if (check->pack_count > 0) {
        qsort(check->packs, check->pack_count, sizeof(*check->packs), by_id);
    }
    for (size_t i = 0; index_pack_at(check->index, i, &pack); i++) {
        struct check_pack key;
        char name[PACK_NAME_BYTES];
        memcpy(key.id, pack.id, PACK_ID_BYTES);
        pack_name(pack.id, name);
        if (pack.gone) {
            continue;
        }
        const struct check_pack *found =
            check->pack_count == 0
                ? NULL
                : bsearch(&key, check->packs, check->pack_count, sizeof(key), by_id);
        if (found == NULL) {
            if (!check_is_let_go(check, pack.id)) {
                check_report(check, name, NULL, NULL, NULL, "the pack is missing");
            }
            int32_t rc = check_mark_bad(check, pack.id, CHECK_WHOLE_PACK, err);
            if (rc != ORCH_OK) {
                return rc;
            }
        } else if (found->size_bytes != pack.size_bytes) {
            check_report(
                check, name, NULL, NULL, NULL, "the pack has %llu bytes; the index says %llu",
                (unsigned long long)found->size_bytes, (unsigned long long)pack.size_bytes);
            int32_t rc = mark_lost(check, &pack, found->size_bytes, err);
            if (rc != ORCH_OK) {
                return rc;
            }
        }
    }
    return ORCH_OK;
}

static bool pack_listed(const struct check *check, const struct check_pack *pack)
{
    char name[PACK_NAME_BYTES];
    pack_name(pack->id, name);
    for (size_t i = 0; check->options->packs[i] != NULL; i++) {
        if (strcmp(check->options->packs[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* Decides which packs are looked at; those that some sets need are found by walking these sets. */
static int32_t choose_packs(struct check *check, struct orch_error *err)
{
    const struct check_options *options = check->options;
    int32_t rc = ORCH_OK;
    if (options->packs == NULL && options->set_ids != NULL) {
        rc = checkparts_run(check, true, true, err);
    }
    for (size_t i = 0; i < check->pack_count; i++) {
        struct check_pack *pack = &check->packs[i];
        if (options->packs != NULL) {
            pack->wanted = pack_listed(check, pack);
        } else if (options->set_ids == NULL) {
            pack->wanted = true;
        }
        check->total_bytes += pack->wanted ? pack->size_bytes : 0;
    }
    return rc;
}

static int32_t check_content(struct check *check, struct orch_error *err)
{
    struct index_options options = {.cache_dir = check->options->cache_dir,
                                    .check_packs = true,
                                    .check_segments = !check->options->trust_cache,
                                    .damaged = damaged_file,
                                    .ctx = check};
    int32_t rc = index_open(check->repo, &options, &check->index, err);
    if (rc == ORCH_OK) {
        rc = mark_list_shun(&check->marks, check->index, err);
    }
    if (rc == ORCH_OK) {
        rc = byteset_new(PLACE_BYTES, &check->bad, err);
    }
    if (rc == ORCH_OK) {
        rc = storage_list(repo_storage(check->repo), "packs", each_pack, check, err);
    }
    if (rc == ORCH_OK) {
        rc = compare_packs(check, err);
    }
    if (rc == ORCH_OK) {
        rc = checkpacks_rescue(check, err);
    }
    if (rc == ORCH_OK) {
        rc = choose_packs(check, err);
    }
    if (rc == ORCH_OK) {
        rc = checkpacks_run(check, check->options->level == CHECK_DATA, err);
    }
    return rc == ORCH_OK ? checkparts_run(check, true, false, err) : rc;
}

static void check_clear(struct check *check)
{
    if (check->rescue != check->index) {
        index_close(check->rescue);
    }
    index_close(check->index);
    byteset_free(check->bad);
    free(check->packs);
    mark_list_clear(&check->marks);
    byteset_free(check->condemned);
    set_list_free(&check->sets);
    (void)pthread_mutex_destroy(&check->lock);
}

/* A damaged mark is a finding, and condemns nothing. */
static int32_t read_marks(struct check *check, struct orch_error *err)
{
    struct orch_error why = ORCH_ERROR_INIT;
    int32_t rc = mark_list_load(check->repo, &check->marks, &why);
    if (rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION) {
        check_report(check, "marks", NULL, NULL, NULL, "%s", why.message);
        mark_list_clear(&check->marks);
        rc = ORCH_OK;
    }
    if (rc != ORCH_OK) {
        *err = why;
        return rc;
    }
    rc = byteset_new(PACK_ID_BYTES, &check->condemned, err);
    for (size_t i = 0; i < check->marks.count; i++) {
        const struct mark *mark = &check->marks.marks[i];
        for (size_t k = 0; rc == ORCH_OK && k < mark->pack_count; k++) {
            rc = byteset_add(check->condemned, mark->packs[k], err);
        }
    }
    return rc;
}

int32_t check_repository(struct repo *repo, const struct check_options *options,
                         struct check_result *result, struct orch_error *err)
{
    struct check check = {.repo = repo, .options = options, .result = result};
    memset(result, 0, sizeof(*result));
    (void)pthread_mutex_init(&check.lock, NULL);
    int32_t rc = read_marks(&check, err);
    if (rc == ORCH_OK) {
        rc = check_documents(&check, err);
    }
    if (rc == ORCH_OK) {
        rc = check_set_ids(&check, err);
    }
    if (rc == ORCH_OK) {
        rc = options->level == CHECK_MANIFEST ? checkparts_run(&check, false, false, err)
                                              : check_content(&check, err);
    }
    check_clear(&check);
    return rc;
}
