/* volumetree.h: a tree with every kind of entry, for the tests of the volumes plugin. */
#ifndef TESTS_PLUGINS_VOLUMES_VOLUMETREE_H
#define TESTS_PLUGINS_VOLUMES_VOLUMETREE_H

#include "treecase.h"

/* At t.data: every kind of entry that an ordinary user can make. */
void volumetree_make(void);
/* And those that need root. */
void volumetree_make_for_root(void);
/* Becomes an ordinary user, makes a tree at t.data with `a` and three things that this user cannot
 * read (closed, no, odd\n\xff), and backs it up with on_unreadable = "note". */
void volumetree_back_up_noted(void);

#endif
