/*
 * tree.h: making, describing and removing file trees in tests. It shares no code with the plugins.
 */
#ifndef TESTS_PLUGINS_FILES_TREE_H
#define TESTS_PLUGINS_FILES_TREE_H

#include <stddef.h>
#include <stdint.h>

/* A new private folder below /tmp, for free(). */
char *tree_scratch(void);
/* Removes it with all below it, also read-only folders. */
void tree_remove(const char *path);

/* "a/b" as one text, for free(). */
char *tree_join(const char *folder, const char *name);
void tree_mkdir(const char *path, unsigned mode);
void tree_write(const char *path, const void *data, size_t len);
void tree_text(const char *path, const char *text);
/* The content of a small file, zero-terminated, for free(); NULL when there is none. */
char *tree_read(const char *path);

/* Every entry of the tree below `path` (and itself), sorted, with kind, mode, owner, mtime, size,
 * content, link target, attributes, and the first name of a file with several; one text, for
 * free(). Entries that begin with ".orch-" right in it are left out. "(none)" when there is
 * nothing. */
char *tree_describe(const char *path);

/* An ordinary user from here on, when running as root. `folder` becomes that user's. */
void tree_become_ordinary(const char *folder);
/* Back, to clean up. */
void tree_become_root_again(void);

/* Counts entries of the folder whose name contains `part`. */
int tree_count(const char *folder, const char *part);

#endif
