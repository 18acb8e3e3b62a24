/* wrong-magic.c: exports the symbol, but it is something else. */
#include "bad.h"

ORCH_EXPORT const struct orch_plugin orch_plugin = {
    .magic = 42, .abi_major = ORCH_ABI_MAJOR, .struct_size = sizeof(struct orch_plugin)};
