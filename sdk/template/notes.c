/*
 * notes.c: the descriptor of the plugin, its options, and open, close and probe.
 *
 * To make a plugin of your own from this one: copy the folder, choose a name, replace "notes"
 * everywhere, and go through the callbacks one by one. README.md says how to build and try it.
 */
#include "notes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the folder ---- */

void notes_list_free(struct notes_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->names[i]);
    }
    free(list->names);
    memset(list, 0, sizeof(*list));
}

static int compare_names(const void *a, const void *b)
{
    /* strcmp compares bytes as unsigned: that is the order in which objects must come. */
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_name(struct notes_list *list, const char *name)
{
    char **grown = realloc(list->names, (list->count + 1) * sizeof(*grown));
    if (grown == NULL) {
        return -1;
    }
    list->names = grown;
    grown[list->count] = strdup(name);
    if (grown[list->count] == NULL) {
        return -1;
    }
    list->count++;
    return 0;
}

static int32_t add_entry(const char *path, int folder, const char *name, struct notes_list *list,
                         struct orch_error *err)
{
    struct stat st;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return ORCH_OK;
    }
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        /* Deleted between readdir and here: it is simply not there any more. */
        return errno == ENOENT ? ORCH_OK
                               : orch_fail_errno(err, errno, "cannot look at %s/%s", path, name);
    }
    if (!S_ISREG(st.st_mode)) {
        return orch_fail(err, ORCH_E_UNSUPPORTED,
                         "%s/%s is no regular file: this plugin protects flat folders of files",
                         path, name);
    }
    list->bytes += (uint64_t)st.st_size;
    return add_name(list, name) == 0
               ? ORCH_OK
               : orch_fail(err, ORCH_E_NOMEM, "no memory for a list of files");
}

int32_t notes_list_load(const char *path, struct notes_list *list, struct orch_error *err)
{
    memset(list, 0, sizeof(*list));
    DIR *dir = opendir(path);
    if (dir == NULL) {
        /* Say what failed, on which thing, and why: the user sees exactly this text. */
        return orch_fail_errno(err, errno, "cannot open the folder %s", path);
    }
    int32_t rc = ORCH_OK;
    const struct dirent *entry = NULL;
    errno = 0;
    while (rc == ORCH_OK && (entry = readdir(dir)) != NULL) {
        rc = add_entry(path, dirfd(dir), entry->d_name, list, err);
        errno = 0;
    }
    if (rc == ORCH_OK && errno != 0) {
        rc = orch_fail_errno(err, errno, "cannot read the folder %s", path);
    }
    (void)closedir(dir);
    if (rc != ORCH_OK) {
        notes_list_free(list);
        return rc;
    }
    if (list->count > 0) {
        qsort(list->names, list->count, sizeof(*list->names), compare_names);
    }
    return ORCH_OK;
}

void notes_put_mode(uint8_t meta[NOTES_META_BYTES], uint32_t mode)
{
    for (int i = 0; i < 4; i++) {
        meta[i] = (uint8_t)(mode >> (8 * i));
    }
}

uint32_t notes_get_mode(const uint8_t meta[NOTES_META_BYTES])
{
    return (uint32_t)meta[0] | (uint32_t)meta[1] << 8 | (uint32_t)meta[2] << 16 |
           (uint32_t)meta[3] << 24;
}

/* ---- callbacks ---- */

static void notes_close(void *instance)
{
    struct notes *notes = instance;
    free(notes->path);
    free(notes);
}

/* The options were checked against the table below: types are right, required ones are there. */
static int32_t notes_open(const struct orch_host *host, const struct orch_options *options,
                          void **instance, struct orch_error *err)
{
    struct notes *notes = calloc(1, sizeof(*notes));
    if (notes == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory");
    }
    notes->host = host;
    notes->path = strdup(orch_option_string(options, "path", ""));
    notes->durable = orch_option_integer(options, "durable", 1) != 0;
    if (notes->path == NULL) {
        notes_close(notes);
        return orch_fail(err, ORCH_E_NOMEM, "no memory");
    }
    /* "/srv/notes/" and "/srv/notes" are the same folder; the names made from it must be too. */
    for (size_t n = strlen(notes->path); n > 1 && notes->path[n - 1] == '/'; n--) {
        notes->path[n - 1] = 0;
    }
    *instance = notes;
    return ORCH_OK;
}

static int32_t notes_probe(void *instance, struct orch_probe *probe, struct orch_error *err)
{
    const struct notes *notes = instance;
    struct notes_list list;
    int32_t rc = notes_list_load(notes->path, &list, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    probe->items = list.count;
    probe->size_bytes = list.bytes;
    strncpy(probe->version, "notes folder", sizeof(probe->version) - 1);
    strncpy(probe->identity, notes->path, sizeof(probe->identity) - 1);
    notes_list_free(&list);
    return ORCH_OK;
}

/* ---- the descriptor: data that the host reads before anything of the plugin runs ---- */

static const struct orch_option options[] = {
    {"path", ORCH_OPTION_PATH, ORCH_OPTION_REQUIRED, NULL, "The folder whose files are protected."},
    {"durable", ORCH_OPTION_BOOLEAN, 0, "true", "Whether a restore syncs each file to disk."},
};

ORCH_EXPORT const struct orch_plugin orch_plugin = {
    ORCH_PLUGIN_HEADER,
    .capabilities = ORCH_CAP_OBJECTS | ORCH_CAP_TOKENS | ORCH_CAP_EMPTY_OK,
    .name = "notes",
    .version = "1.0.0",
    .summary = "The files of one flat folder",
    .data_format = 1,
    .data_format_oldest = 1,
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .open = notes_open,
    .close = notes_close,
    .probe = notes_probe,
    /* No freeze: files are read while they may change, so a set calls this component "fuzzy". A
     * plugin that can take a snapshot has freeze and thaw. */
    .backup = notes_backup,
    .check = notes_check,
    .restore = notes_restore,
    .verify = notes_verify,
    .settle = notes_settle,
};
