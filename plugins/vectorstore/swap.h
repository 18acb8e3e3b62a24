/*
 * swap.h: puts restored files in the place of the old ones.
 *
 * Until here the target is untouched: all new content stands complete and synced under temporary
 * names. Each act is journalled before and after. What was there is set aside once per run, and
 * never again: on a later attempt the aside still holds the original.
 */
#ifndef VECTORSTORE_SWAP_H
#define VECTORSTORE_SWAP_H

#include "instance.h"
#include "meta.h"

struct swap_item {
    char *name;
    char kind;   /* 'f', 'd' or 'l' */
    int existed; /* a folder that was there before */
    struct meta *meta;
    char digest[65]; /* of a file */
};

struct swap {
    struct vectorstore *self;
    const struct orch_restore *restore;
    int root;
    struct swap_item *items; /* in bytewise order of names */
    size_t count;
};

/* Renames every new file and link into place. */
int32_t swap_all(struct swap *swap, struct orch_error *err) ORCH_CHECKED;

/* Sets aside what the part does not have. Not for a selective restore. */
int32_t swap_extras(struct swap *swap, struct orch_error *err) ORCH_CHECKED;

/* Gives folders their modes, owners and times, the deepest first. */
int32_t swap_folders(struct swap *swap, struct orch_error *err) ORCH_CHECKED;

/* Mode, owner and time of an open file or folder. Owners only as root may change them. */
int32_t swap_apply_meta(int fd, const struct meta *meta, const char *name,
                        struct orch_error *err) ORCH_CHECKED;

#endif
