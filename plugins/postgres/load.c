/* load.c: see load.h. */
#include "load.h"

#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "facts.h"
#include "loader.h"

/* The sorts of objects in the order in which they must come. */
struct sort {
    const char *name;
    int is_prefix;
    int needed;
    int32_t (*begin)(struct loader *loader, struct orch_error *err);
    int32_t (*data)(struct loader *loader, const void *data, size_t len, struct orch_error *err);
    int32_t (*end)(struct loader *loader, struct orch_error *err);
};

static const struct sort sorts[] = {
    {POSTGRES_PRE_DATA, 0, 1, load_script_begin, load_script_data, load_script_end},
    {CATALOG_DATA_PREFIX, 1, 0, load_table_begin, load_table_data, load_table_end},
    {POSTGRES_BLOB_PREFIX, 1, 0, load_blob_begin, load_blob_data, load_blob_end},
    {POSTGRES_SEQUENCES, 0, 1, load_sequences_begin, load_sequences_data, load_sequences_end},
    {POSTGRES_POST_DATA, 0, 1, load_script_begin, load_script_data, load_script_end},
};
#define SORTS (sizeof(sorts) / sizeof(sorts[0]))

static size_t sort_of(const char *object)
{
    for (size_t i = 0; i < SORTS; i++) {
        int fits = sorts[i].is_prefix ? strncmp(object, sorts[i].name, strlen(sorts[i].name)) == 0
                                      : strcmp(object, sorts[i].name) == 0;
        if (fits) {
            return i;
        }
    }
    return SORTS;
}

/* Takes the object's name and metadata; *current becomes its sort. `seen` counts each sort. */
static int32_t begin_object(struct loader *loader, const struct orch_object *object,
                            size_t *current, unsigned seen[SORTS], struct orch_error *err)
{
    free(loader->object);
    json_decref(loader->meta);
    loader->meta = NULL;
    loader->object = strndup((const char *)object->name, object->name_len);
    if (loader->object == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for an object's name");
    }
    size_t sort = sort_of(loader->object);
    if (sort == SORTS) {
        return orch_fail(err, ORCH_E_CORRUPT,
                         "the part holds an object %s that this plugin does not know",
                         loader->object);
    }
    for (size_t i = 0; i < SORTS; i++) {
        int out_of_place = i < sort ? sorts[i].needed && seen[i] == 0 : i > sort && seen[i] != 0;
        if (out_of_place || (i == sort && !sorts[i].is_prefix && seen[i] != 0)) {
            return orch_fail(err, ORCH_E_CORRUPT, "the part's object %s is out of place",
                             loader->object);
        }
    }
    seen[sort]++;
    *current = sort;
    if (object->meta_len > 0) {
        json_error_t problem;
        loader->meta = json_loadb((const char *)object->meta, object->meta_len, 0, &problem);
        if (!json_is_object(loader->meta)) {
            return orch_fail(err, ORCH_E_CORRUPT, "the metadata of object %s is not JSON",
                             loader->object);
        }
    }
    int32_t rc = ORCH_OK;
    if (loader->blobs_open > 0 && sorts[sort].begin != load_blob_begin) {
        rc = load_blob_commit(loader, err);
    }
    return rc == ORCH_OK ? sorts[sort].begin(loader, err) : rc;
}

static int32_t give_zeros(struct loader *loader, const struct sort *sort, uint64_t len,
                          struct orch_error *err)
{
    static const char zeros[65536];
    int32_t rc = ORCH_OK;
    while (rc == ORCH_OK && len > 0) {
        size_t some = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);
        rc = sort->data(loader, zeros, some, err);
        len -= some;
    }
    return rc;
}

static int32_t take_events(struct loader *loader, struct orch_error *err)
{
    const struct orch_host *host = loader->pg->host;
    unsigned seen[SORTS] = {0};
    size_t current = SORTS; /* none under way */
    for (;;) {
        struct orch_event event = {.struct_size = (uint32_t)sizeof(event)};
        int32_t rc = host->next(host->ctx, &event, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        if (event.type == ORCH_EVENT_END && current == SORTS) {
            break;
        }
        if (event.type == ORCH_EVENT_OBJECT && current == SORTS) {
            rc = begin_object(loader, &event.object, &current, seen, err);
        } else if (event.type == ORCH_EVENT_DATA && current < SORTS) {
            rc = sorts[current].data(loader, event.data, (size_t)event.data_len, err);
        } else if (event.type == ORCH_EVENT_HOLE && current < SORTS) {
            rc = give_zeros(loader, &sorts[current], event.data_len, err);
        } else if (event.type == ORCH_EVENT_ITEM_END && current < SORTS) {
            rc = sorts[current].end(loader, err);
            current = SORTS;
        } else {
            rc = orch_fail(err, ORCH_E_PROTOCOL, "an event of type %u came out of place",
                           event.type);
        }
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    for (size_t i = 0; i < SORTS; i++) {
        if (sorts[i].needed && seen[i] == 0) {
            return orch_fail(err, ORCH_E_CORRUPT, "the part has no object %s", sorts[i].name);
        }
    }
    return ORCH_OK;
}

/* What initdb puts into every database, and the original no longer had. */
static int32_t drop_defaults(struct loader *loader, const json_t *facts, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    if (json_is_false(json_object_get(json_object_get(facts, "database"), "public"))) {
        rc = link_run(loader->link, "DROP SCHEMA IF EXISTS public", err);
    }
    const json_t *extensions = json_object_get(facts, "extensions");
    if (rc == ORCH_OK && json_is_object(extensions) &&
        json_object_get(extensions, "plpgsql") == NULL) {
        rc = link_run(loader->link, "DROP EXTENSION IF EXISTS plpgsql", err);
    }
    return rc;
}

static void free_loader(struct loader *loader)
{
    child_free(loader->psql);
    link_close(loader->link);
    json_decref(loader->rows);
    json_decref(loader->meta);
    text_free(&loader->sequences);
    text_free(&loader->piece);
    free(loader->user);
    free(loader->object);
}

int32_t load_run(struct postgres *pg, const char *database, const json_t *facts,
                 struct orch_error *err)
{
    struct loader loader = {
        .pg = pg,
        .database = database,
        .rows = facts_gather(facts, "tables"),
    };
    int32_t rc = loader.rows != NULL
                     ? link_open(pg->host, pg->conninfo, database, &pg->limits, &loader.link, err)
                     : orch_fail(err, ORCH_E_NOMEM, "no memory for the list of tables");
    if (rc == ORCH_OK) {
        /* Nothing of this is of use before the swap, whose commit is durable for all of it. */
        rc = link_run(loader.link, "SET synchronous_commit = off", err);
    }
    if (rc == ORCH_OK) {
        rc = link_value(loader.link, "SELECT current_user", 0, NULL, &loader.user, err);
    }
    if (rc == ORCH_OK) {
        rc = drop_defaults(&loader, facts, err);
    }
    if (rc == ORCH_OK) {
        rc = take_events(&loader, err);
    }
    if (rc == ORCH_OK && pg->analyze) {
        rc = link_run(loader.link, "ANALYZE", err);
    }
    free_loader(&loader);
    return rc;
}
