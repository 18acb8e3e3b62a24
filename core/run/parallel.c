/* parallel.c: see parallel.h. */
#include "run/parallel.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct lane {
    pthread_t thread;
    bool started;
    void *item;
    void (*work)(void *item);
};

static void *lane_main(void *arg)
{
    struct lane *lane = arg;
    lane->work(lane->item);
    return NULL;
}

void parallel_run(void *const *items, size_t count, void (*work)(void *item))
{
    if (count == 1) {
        work(items[0]);
        return;
    }
    struct lane *lanes = calloc(count == 0 ? 1 : count, sizeof(*lanes));
    for (size_t i = 0; i < count; i++) {
        if (lanes != NULL) {
            lanes[i].item = items[i];
            lanes[i].work = work;
            lanes[i].started = pthread_create(&lanes[i].thread, NULL, lane_main, &lanes[i]) == 0;
        }
        if (lanes == NULL || !lanes[i].started) {
            work(items[i]);
        }
    }
    for (size_t i = 0; lanes != NULL && i < count; i++) {
        if (lanes[i].started) {
            (void)pthread_join(lanes[i].thread, NULL);
        }
    }
    free(lanes);
}
