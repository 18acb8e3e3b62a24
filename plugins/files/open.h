/*
 * open.h: opening for reading without leaving traces: no link is followed, and access times stay
 * where the kernel allows it.
 */
#ifndef PLUGINS_FILES_OPEN_H
#define PLUGINS_FILES_OPEN_H

/* The folder `base` in `dir_fd`; -1 and errno. ELOOP or ENOTDIR: it is none. */
int open_folder_at(int dir_fd, const char *base);

/* The regular file; never blocks on a fifo that took its place. -1 and errno. */
int open_file_at(int dir_fd, const char *base);

#endif
