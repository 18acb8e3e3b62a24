/*
 * notes.h: what the files of this plugin share.
 *
 * The plugin protects one flat folder of files ("notes"). Each file is an object: its name, its
 * mode in the metadata, its bytes. Read notes.c first; it holds the descriptor.
 */
#ifndef NOTES_H
#define NOTES_H

#include <stddef.h>
#include <sys/stat.h>

#include <orchestrate/plugin.h>
#include <orchestrate/support.h>

/* One instance: everything that the plugin knows hangs off this. No global variables. */
struct notes {
    const struct orch_host *host; /* the host's services; valid until close */
    char *path;                   /* the folder */
    int durable;                  /* sync each restored file */
};

/* Names of the files in a folder, in ascending byte order. */
struct notes_list {
    char **names;
    size_t count;
    uint64_t bytes;
};

/* Anything but a regular file is an error: a restore replaces the folder as a whole, so what a
 * backup left out in silence would be lost. */
int32_t notes_list_load(const char *path, struct notes_list *list, struct orch_error *err);
void notes_list_free(struct notes_list *list);

/* The metadata of an object: the file's mode, 4 bytes, little-endian. A format of your own; say so
 * with `data_format` in the descriptor, and raise that number when the format changes. */
#define NOTES_META_BYTES 4u
void notes_put_mode(uint8_t meta[NOTES_META_BYTES], uint32_t mode);
uint32_t notes_get_mode(const uint8_t meta[NOTES_META_BYTES]);

int32_t notes_backup(void *instance, struct orch_error *err);
int32_t notes_check(void *instance, const struct orch_restore *restore, struct orch_error *err);
int32_t notes_restore(void *instance, const struct orch_restore *restore, struct orch_error *err);
int32_t notes_verify(void *instance, const struct orch_restore *restore, struct orch_error *err);
int32_t notes_settle(void *instance, const struct orch_restore *restore, uint32_t outcome,
                     struct orch_error *err);

#endif
