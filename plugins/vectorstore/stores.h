/*
 * stores.h: which files of a tree are stores, and which other files belong to each.
 *
 *     DIR/name.faiss      with DIR/name.*                 store "name"
 *     DIR/name/index.faiss with all in DIR/name           store "name"
 *
 * A file belongs to the index in its folder that has the same stem; else to all indexes of the
 * nearest folder above it that has any. Files directly in the component's folder belong to an index
 * there by stem alone, unless it is the only store of all.
 */
#ifndef VECTORSTORE_STORES_H
#define VECTORSTORE_STORES_H

#include "settings.h"
#include "tree.h"

struct store {
    char *name;    /* shown, and chosen by; unique */
    size_t index;  /* in tree->entries */
    size_t *sides; /* likewise, ascending */
    size_t side_count;
};

struct stores {
    struct store *list; /* in the order of their index files */
    size_t count;
};

/* ORCH_E_CONFIG when what looks like an index is a link out of the folder. */
int32_t stores_find(const struct tree *tree, const struct settings *settings, struct stores *stores,
                    struct orch_error *err) ORCH_CHECKED;
void stores_clear(struct stores *stores);

#endif
