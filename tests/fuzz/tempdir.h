/* tempdir.h: a folder for the files of a target, gone when the process ends. */
#ifndef TESTS_FUZZ_TEMPDIR_H
#define TESTS_FUZZ_TEMPDIR_H

/* Its path, the same for the whole process. In $TMPDIR, or in memory where there is none. */
const char *tempdir_path(void);
/* Removes all that is in it. */
void tempdir_clear(void);

#endif
