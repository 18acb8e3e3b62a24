/*
 * faults.h: a storage driver that wraps another store and fails when told to. For tests of what
 * stands on storage.
 */
#ifndef TESTS_STORAGE_FAULTS_H
#define TESTS_STORAGE_FAULTS_H

#include "storage/storage.h"

enum faults_op {
    FAULTS_PUT_BEGIN,
    FAULTS_PUT_DATA,
    FAULTS_PUT_COMMIT,
    FAULTS_GET,
    FAULTS_STAT,
    FAULTS_LIST,
    FAULTS_REMOVE,
    FAULTS_BARRIER,
    FAULTS_OPS
};

/* Counts calls of each operation; fails the `at`th of `op` (0: none, counted from 1) and, when
 * `sticky`, all later ones, with `code`. A get that fails with ORCH_E_CORRUPT has been short. */
struct faults {
    struct storage *inner; /* borrowed */
    uint32_t capabilities;
    enum faults_op op;
    uint64_t at;
    bool sticky;
    int32_t code;
    uint64_t calls[FAULTS_OPS];
    /* Told of each put that has been committed, before the call returns; may be NULL. */
    void (*committed)(void *ctx, const char *name);
    void *ctx;
};

/* A store over `faults`, which the caller keeps and may change between calls. It has no `read`
 * operation, so that storage_read() takes its own way. */
int32_t faults_open(struct faults *faults, struct storage **out,
                    struct orch_error *err) ORCH_CHECKED;

#endif
