/* capture.h: what goes to standard output and standard error, in files for the time of a test. */
#ifndef TESTS_CLI_CAPTURE_H
#define TESTS_CLI_CAPTURE_H

struct capture {
    const char *dir;
    int out, err; /* the real ones */
};

/* From now on: files "out" and "err" in `dir`, new and empty. */
void capture_start(struct capture *c, const char *dir);
/* Back to the real ones. */
void capture_stop(struct capture *c);

#endif
