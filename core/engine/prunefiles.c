/* prunefiles.c: which packs, parts and proofs the store has; see pruneimpl.h. */
#include <stdlib.h>
#include <string.h>

#include "engine/pruneimpl.h"

void prunefiles_clear(struct prune_files *files)
{
    free(files->list);
    *files = (struct prune_files){NULL, 0, 0};
}

int32_t prunefiles_add(struct prune_files *files, const uint8_t id[ID_BYTES], uint64_t size_bytes,
                       bool stored, struct orch_error *err)
{
    if (files->count == files->capacity) {
        size_t capacity = files->capacity + files->capacity / 2 + 64;
        struct prune_file *list = reallocarray(files->list, capacity, sizeof(*list));
        if (list == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory for the list of files");
        }
        files->list = list;
        files->capacity = capacity;
    }
    struct prune_file *file = &files->list[files->count++];
    *file = (struct prune_file){.size_bytes = size_bytes, .stored = stored};
    memcpy(file->id, id, ID_BYTES);
    return ORCH_OK;
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, ID_BYTES); /* the first field */
}

void prunefiles_sort(struct prune_files *files)
{
    if (files->count > 1) {
        qsort(files->list, files->count, sizeof(*files->list), by_id);
    }
}

struct prune_file *prunefiles_find(const struct prune_files *files, const uint8_t id[ID_BYTES])
{
    return files->count == 0 ? NULL
                             : bsearch(id, files->list, files->count, sizeof(*files->list), by_id);
}

static int32_t each_pack(void *ctx, const char *name, const struct storage_stat *stat,
                         struct orch_error *err)
{
    uint8_t id[PACK_ID_BYTES];
    return pack_name_id(name, id) == ORCH_OK ? prunefiles_add(ctx, id, stat->size_bytes, true, err)
                                             : ORCH_OK;
}

static int32_t each_file(void *ctx, const char *name, const struct storage_stat *stat,
                         struct orch_error *err)
{
    uint8_t id[ID_BYTES];
    const char *base = strrchr(name, '/') + 1;
    return hex_decode(base, strlen(base), id, sizeof(id)) == ORCH_OK
               ? prunefiles_add(ctx, id, stat->size_bytes, true, err)
               : ORCH_OK;
}

int32_t prunefiles_packs(struct prune *prune, struct orch_error *err)
{
    prunefiles_clear(&prune->packs);
    int32_t rc = storage_list(repo_storage(prune->repo), "packs", each_pack, &prune->packs, err);
    prunefiles_sort(&prune->packs);
    return rc;
}

int32_t prunefiles_load(struct prune *prune, const char *folder, struct prune_files *out,
                        struct orch_error *err)
{
    prunefiles_clear(out);
    int32_t rc = storage_list(repo_storage(prune->repo), folder, each_file, out, err);
    prunefiles_sort(out);
    return rc;
}
