/* harness.c: see harness.h. */
#include "harness.h"
