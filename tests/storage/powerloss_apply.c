/*
 * powerloss_apply.c: `powerloss_apply LOG` makes the disk look as a power loss could have left it,
 * from the journal of a killed process, and empties the journal. See powerloss_model.h.
 */
#include <stdio.h>

#include "powerloss_model.h"

int main(int argc, char **argv)
{
    struct powerloss_result result;
    if (argc != 2) {
        fprintf(stderr, "usage: powerloss_apply LOG\n");
        return 2;
    }
    if (powerloss_model_apply(argv[1], &result) != 0) {
        return 1;
    }
    printf("power loss: %zu names undone, %zu files torn\n", result.undone, result.torn);
    return 0;
}
