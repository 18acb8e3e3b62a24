/* prunetest.h: what the tests of usage, repacking and prune share: sets that overlap in part. */
#ifndef TESTS_ENGINE_PRUNETEST_H
#define TESTS_ENGINE_PRUNETEST_H

#include "engine/lease.h"
#include "enginetest.h"

#define PT_OBJECTS_MAX 64

/* A component's content: object i has the bytes of contents[i]; equal numbers, equal bytes. */
struct pt_source {
    size_t objects;
    uint64_t contents[PT_OBJECTS_MAX];
    size_t records;    /* small ones, of contents[0] */
    bool huge_record;  /* one with a key and a value that are chunks of their own */
    size_t row_object; /* rows in one more object; 0: none. More than 1,024 rows of 8 KiB: a tree */
    size_t object_bytes; /* 0: up to 200 KiB, by content */
};

/* Random contents out of `variety` different ones. */
void pt_random(struct pt_source *source, uint64_t seed, size_t objects, uint64_t variety);
void pt_feed(struct part_writer *part, void *source);
/* A backup and a set of it, written under `lease` ("": none). Packs of `pack_bytes` (0: 64 MiB). */
void pt_set(struct repo *repo, struct pt_source *source, const char *lease, uint64_t pack_bytes,
            char id[ID_TEXT]);
/* The set with that id; it belongs to the list. */
struct set *pt_find(struct set_list *list, const char *id);

/* A backup step by step, as a writer of docs/prune-protocol.md takes them. */
struct pt_backup {
    struct repo *repo;
    struct lease *lease;
    struct index *index;
    struct part part;
    char set[ID_TEXT];
};
/* Lease, marks, index. */
void pt_backup_begin(struct repo *repo, struct pt_backup *backup);
/* Content and part. */
void pt_backup_store(struct pt_backup *backup, struct pt_source *source, uint64_t pack_bytes);
/* The manifest. */
void pt_backup_seal(struct pt_backup *backup);
void pt_backup_end(struct pt_backup *backup);

/* Folders of tests: in memory where that can be had, since everything is synced again and again. */
const char *pt_folder(void);
/* Opens a store; pt_close() leaves its files. */
void pt_open(const char *dir, struct et_repo *r);
void pt_close(struct et_repo *r);
/* A copy of all files, opened. Removed by et_repo_remove(). */
void pt_clone(const char *dir, struct et_repo *r);

/* A second store with the same keys and nothing in it but the repository's config. */
void pt_twin(const struct et_repo *original, struct et_repo *twin);

/* Every file but leases: a text that changes when anything changes. Free it. */
char *pt_listing(const struct et_repo *r);
size_t pt_count(const struct et_repo *r, const char *folder);

/* Checks at CHECK_DATA that nothing is found; `what` for the message. */
void pt_whole(struct repo *repo, const char *what);

#endif
