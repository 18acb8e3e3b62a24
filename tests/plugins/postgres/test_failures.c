#include "case.h"
void failure_cases(Suite *suite)
{
    (void)suite;
}
