#include "case.h"
void unit_cases(Suite *suite)
{
    (void)suite;
}
