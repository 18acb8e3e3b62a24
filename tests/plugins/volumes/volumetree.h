/* volumetree.h: a tree with every kind of entry, for the tests of the volumes plugin. */
#ifndef TESTS_PLUGINS_VOLUMES_VOLUMETREE_H
#define TESTS_PLUGINS_VOLUMES_VOLUMETREE_H

#include "treecase.h"

/* At t.data: every kind of entry that an ordinary user can make. */
void volumetree_make(void);
/* And those that need root. */
void volumetree_make_for_root(void);

#endif
