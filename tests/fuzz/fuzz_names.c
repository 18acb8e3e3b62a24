/*
 * fuzz_names.c: files with any names in a repository: whoever lists a folder ignores what has no
 * name of ours, and is never led astray by one that nearly has.
 *
 * The input is lines of names; each file has the same few bytes in it.
 */
#include <string.h>

#include "engine/lease.h"
#include "engine/mark.h"
#include "engine/pack.h"
#include "engine/runlog.h"
#include "engine/set.h"
#include "fuzz.h"
#include "memstore.h"

#define NAMES_MAX 12u

/* A name that is taken for a pack's is the one that its id gives. */
static void check_pack_name(const char *name)
{
    uint8_t id[PACK_ID_BYTES];
    char again[PACK_NAME_BYTES];
    if (pack_name_id(name, id) == ORCH_OK) {
        pack_name(id, again);
        must(strcmp(name, again) == 0);
    }
}

static size_t put_names(struct memstore *store, const char *text, size_t size)
{
    size_t count = 0;
    while (size > 0 && count < NAMES_MAX) {
        char name[STORAGE_NAME_MAX + 1];
        const char *stop = memchr(text, '\n', size);
        size_t len = stop == NULL ? size : (size_t)(stop - text);
        if (len < sizeof(name)) {
            memcpy(name, text, len);
            name[len] = 0;
            check_pack_name(name);
            if (storage_name_ok(name) && strcmp(name, "config") != 0) {
                memstore_set(store, name, "rubbish", 7);
                count++;
            }
        }
        size -= stop == NULL ? size : len + 1;
        text += stop == NULL ? 0 : len + 1;
    }
    return count;
}

static void count_damaged(void *ctx, const char *name, const struct orch_error *why)
{
    size_t *count = ctx;
    must(name != NULL && why->message[0] != 0);
    ++*count;
}

/* Everybody who lists. */
static void list_all(struct memstore *store, size_t count)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct set_list sets = {0};
    struct mark_list marks = {0};
    struct lapsed_list *lapsed = NULL;
    struct lease_watch *watch = NULL;
    json_t *list = NULL;
    size_t damaged = 0, left = 0;
    must(set_list_load(store->repo, count_damaged, &damaged, &sets, &err) == ORCH_OK);
    must(sets.count == 0 && damaged <= count);
    set_list_free(&sets);
    must(runlog_list(store->repo, &list, &err) == ORCH_OK && json_array_size(list) == 0);
    json_decref(list);
    int32_t rc = mark_list_load(store->repo, &marks, &err);
    must(marks.count == 0 && (rc == ORCH_OK || rc == ORCH_E_CORRUPT));
    if (lapsed_list_load(store->repo, &lapsed, &err) == ORCH_OK) {
        lapsed_list_free(lapsed);
    }
    must(lease_list(store->repo, &list, &err) == ORCH_OK && json_array_size(list) == 0);
    json_decref(list);
    must(lease_watch_new(store->repo, NULL, NULL, &watch, &err) == ORCH_OK);
    must(lease_watch_poll(watch, &left, &err) == ORCH_OK && left <= count);
    lease_watch_free(watch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memstore *store = memstore_fresh();
    size_t count = put_names(store, (const char *)data, size);
    if (count > 0) {
        list_all(store, count);
    }
    return 0;
}
