/*
 * powerloss.h: a journal of what the directory driver did to the disk, in test builds only, from
 * which tests/storage/powerloss_apply makes the disk look as a power loss could have left it.
 *
 * It is kept when ORCHESTRATE_POWERLOSS_LOG names a file on the repository's file system. Each
 * event is one line of fields split by tabs, appended by one write; PATHs are absolute. What the
 * line tells of is about to happen for create, rename and remove, and has happened for the others.
 * A call that reports failure (fault.h) can have been made all the same: then it was not refused.
 *
 *   create PATH            a new empty file
 *   mkdir PATH             a new folder
 *   sync PATH LENGTH       the file's first LENGTH bytes were fsynced
 *   syncdir PATH           the folder was fsynced
 *   rename FROM TO SAVED   SAVED: a hard link to what TO was before, or "-"
 *   norename FROM TO       the rename before was refused
 *   remove PATH SAVED      SAVED: a hard link to the file
 *   noremove PATH          the removal before was refused
 */
#ifndef CORE_STORAGE_POWERLOSS_H
#define CORE_STORAGE_POWERLOSS_H

#include <stddef.h>
#include <stdint.h>

struct powerloss;

#ifdef ORCHESTRATE_TEST_HOOKS
/* NULL when the environment does not ask for it. All functions take NULL and then do nothing.
 * Names are relative to `root`, as in the driver. */
struct powerloss *powerloss_open(const char *root);
void powerloss_close(struct powerloss *powerloss);
void powerloss_create(struct powerloss *powerloss, const char *name);
void powerloss_made_folder(struct powerloss *powerloss, const char *name);
void powerloss_synced(struct powerloss *powerloss, const char *name, uint64_t len);
void powerloss_synced_folder(struct powerloss *powerloss, const char *name);
void powerloss_rename(struct powerloss *powerloss, const char *from, const char *to);
void powerloss_rename_refused(struct powerloss *powerloss, const char *from, const char *to);
void powerloss_remove(struct powerloss *powerloss, const char *name);
void powerloss_remove_refused(struct powerloss *powerloss, const char *name);
#else
static inline struct powerloss *powerloss_open(const char *root)
{
    (void)root;
    return NULL;
}
#define powerloss_close(powerloss) ((void)(powerloss))
#define powerloss_create(powerloss, name) ((void)(powerloss))
#define powerloss_made_folder(powerloss, name) ((void)(powerloss))
#define powerloss_synced(powerloss, name, len) ((void)(powerloss))
#define powerloss_synced_folder(powerloss, name) ((void)(powerloss))
#define powerloss_rename(powerloss, from, to) ((void)(powerloss))
#define powerloss_rename_refused(powerloss, from, to) ((void)(powerloss))
#define powerloss_remove(powerloss, name) ((void)(powerloss))
#define powerloss_remove_refused(powerloss, name) ((void)(powerloss))
#endif

#endif
