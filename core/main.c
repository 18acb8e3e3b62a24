/* main.c: the command. */
#include <stdio.h>

int main(void)
{
    (void)fprintf(stderr, "not built yet\n");
    return 2;
}
