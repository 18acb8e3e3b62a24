/* info_check.h: the rules for a descriptor, for both sides of the wire. */
#ifndef CORE_PLUGIN_INFO_CHECK_H
#define CORE_PLUGIN_INFO_CHECK_H

#include "plugin/info.h"

/* [a-z][a-z0-9-]{0,62} */
bool info_name_is_legal(const char *name);
/* Names, types, duplicates, formats: ORCH_E_INVALID. All texts must be set. */
int32_t info_check(const struct plugin_info *info, struct orch_error *err) ORCH_CHECKED;

#endif
