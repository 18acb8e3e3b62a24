/* rootcase.h: roots from the options that a plugin gets, for the tests of plugins/files. */
#ifndef TESTS_PLUGINS_FILES_ROOTCASE_H
#define TESTS_PLUGINS_FILES_ROOTCASE_H

#include "files/roots.h"

/* With the options `paths` and `root` (NULL: none). */
int32_t rootcase_open(struct roots *roots, const char *const *paths, uint64_t count,
                      const char *prefix, struct orch_error *err);

#endif
