/* abi.c: the SDK's headers as C, each alone, and the layout of the ABI. Compiling it is the test.
 */
#include <orchestrate/error.h>
#include <orchestrate/plugin.h>
#include <orchestrate/support.h>

#include "layout.h"

int main(void)
{
    return 0;
}
