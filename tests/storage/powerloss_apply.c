/*
 * powerloss_apply.c: `powerloss_apply LOG [SEED]` makes the disk look as a power loss could have
 * left it, from the journal of killed processes, and empties the journal. See powerloss_model.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "powerloss_model.h"

int main(int argc, char **argv)
{
    struct powerloss_result result;
    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: powerloss_apply LOG [SEED]\n");
        return 2;
    }
    if (powerloss_model_apply(argv[1], argc > 2 ? strtoull(argv[2], NULL, 10) : 0, &result) != 0) {
        return 1;
    }
    printf("power loss: %zu names undone, %zu files torn\n", result.undone, result.torn);
    return 0;
}
