/*
 * fixture.h: what the tests of the vectorstore plugin share: a folder of stores in a temporary
 * directory, the plugin in the harness, and the stand-in embedding endpoint.
 */
#ifndef TESTS_VECTORSTORE_FIXTURE_H
#define TESTS_VECTORSTORE_FIXTURE_H

#include <stdint.h>
#include <sys/types.h>

#include "harness.h"

struct fixture {
    char dir[64];   /* the temporary directory */
    char path[128]; /* DIR/stores: the component's folder */
    char work[128]; /* DIR/work */
    struct harness *h;
    struct orch_error err;
};

/* Makes the directory with an empty `stores`, and loads the plugin with `path` set. */
void fixture_open(struct fixture *f);
void fixture_close(struct fixture *f); /* removes the directory */

void fixture_option(struct fixture *f, const char *name, const char *text);
/* Closes the instance, if any, and opens it with the options as they are now. */
void fixture_reopen(struct fixture *f);
/* Opens when needed, and backs up; fails the test on an error. */
void fixture_backup(struct fixture *f);
/* The same, and gives the code instead. f->err holds the message. */
int32_t fixture_try_backup(struct fixture *f);
/* check; gives the worst severity, and its verdict's code in `code` when it is not NULL. */
uint32_t fixture_check(struct fixture *f, const char **code);
void fixture_restore(struct fixture *f, const char *run_id, uint32_t attempt);
/* Fails the test unless verify is content. */
void fixture_verify(struct fixture *f, const char *run_id);

/* Makes stores/NAME. */
void fixture_index(const struct fixture *f, const char *name, const char *type, uint64_t count,
                   int dimension, int metric, uint64_t seed);
/* Writes, reads (freed by the caller; NULL: not there) and removes stores/NAME. */
void fixture_write(const struct fixture *f, const char *name, const char *text);
char *fixture_read(const struct fixture *f, const char *name);
int fixture_exists(const struct fixture *f, const char *name);
void fixture_mkdir(const struct fixture *f, const char *name);
/* Removes all stores. */
void fixture_wipe(const struct fixture *f);
/* Moves the times of stores/NAME ten minutes back. */
void fixture_age(const struct fixture *f, const char *name);

/* The stand-in endpoint; it ends with its pipe. */
struct endpoint {
    pid_t pid;
    int to;       /* its standard input */
    char url[64]; /* of /v1/embeddings */
};

void endpoint_start(struct endpoint *e, const char *mode, const char *const *more);
void endpoint_stop(struct endpoint *e);

#endif
