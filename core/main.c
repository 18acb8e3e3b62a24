/* main.c: the command, or a worker process that the command started. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "cli/cli.h"
#include "plugin/worker.h"

#ifdef ORCHESTRATE_TEST_HOOKS
static int print_crash_points(void)
{
    for (int i = 0; i < CRASH_COUNT; i++) {
        (void)printf("%s\n", crash_name((enum crash_id)i));
    }
    return 0;
}
#endif

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--worker") == 0) {
        return worker_main((int)strtol(argv[2], NULL, 10));
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        (void)printf("orchestrate %s\n", ORCHESTRATE_VERSION);
        return 0;
    }
#ifdef ORCHESTRATE_TEST_HOOKS
    if (argc == 2 && strcmp(argv[1], "--crash-points") == 0) {
        return print_crash_points();
    }
#endif
    return cli_main(argc, argv);
}
