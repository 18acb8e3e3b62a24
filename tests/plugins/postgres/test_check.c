#include "case.h"
void check_cases(Suite *suite)
{
    (void)suite;
}
