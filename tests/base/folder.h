/* folder.h: a folder below /tmp for a test, and small files in it. A failure ends the test. */
#ifndef TESTS_BASE_FOLDER_H
#define TESTS_BASE_FOLDER_H

#include <stddef.h>

#define FOLDER_TEXT 64

/* A new folder; its path into `path`. */
void folder_make(char path[FOLDER_TEXT]);
/* Takes it away with all it holds; what others made read-only in it included. */
void folder_remove(const char *path);

/* "folder/name" in new memory. */
char *folder_path(const char *folder, const char *name);
/* Writes a file, with the folders above it. */
void folder_write(const char *folder, const char *name, const char *text);
/* The content of a file in new memory; NULL when there is none. */
char *folder_read(const char *folder, const char *name);
/* How many names `folder`/`name` holds; none when it is not there. */
size_t folder_count(const char *folder, const char *name);

#endif
