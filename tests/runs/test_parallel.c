/* test_parallel.c: every item once, side by side, also where threads are scarce. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "run/parallel.h"
#include "testing.h"

enum { ITEMS = 24 };

/* The linker sends every thread that is made here; the test says how many can be had (-1: all). */
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *arg);

static int threads_left = -1;

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *arg)
{
    if (threads_left == 0) {
        return EAGAIN;
    }
    threads_left -= threads_left > 0;
    return __real_pthread_create(thread, attr, start, arg);
}

struct item {
    atomic_int done;
    pthread_t by;
    pthread_barrier_t *barrier; /* or NULL */
};

static void work(void *arg)
{
    struct item *item = arg;
    if (item->barrier != NULL) {
        (void)pthread_barrier_wait(item->barrier);
    }
    item->by = pthread_self();
    (void)atomic_fetch_add(&item->done, 1);
}

START_TEST(test_each_once)
{
    static const size_t counts[] = {0, 1, 2, 7, ITEMS};
    static const int limits[] = {-1, 0, 1, 3};
    for (size_t c = 0; c < COUNT_OF(counts); c++) {
        struct item items[ITEMS] = {0};
        void *list[ITEMS];
        for (size_t i = 0; i < ITEMS; i++) {
            list[i] = &items[i];
        }
        threads_left = limits[_i];
        parallel_run(list, counts[c], work);
        for (size_t i = 0; i < ITEMS; i++) {
            ck_assert_int_eq(atomic_load(&items[i].done), i < counts[c] ? 1 : 0);
        }
        if (limits[_i] == 0 && counts[c] > 0) {
            ck_assert(pthread_equal(items[counts[c] - 1].by, pthread_self()));
        }
    }
    threads_left = -1;
}
END_TEST

/* Each waits for all the others: that ends only when they are at work at the same time. */
START_TEST(test_side_by_side)
{
    pthread_barrier_t barrier;
    struct item items[ITEMS] = {0};
    void *list[ITEMS];
    ck_assert_int_eq(pthread_barrier_init(&barrier, NULL, ITEMS), 0);
    for (size_t i = 0; i < ITEMS; i++) {
        items[i].barrier = &barrier;
        list[i] = &items[i];
    }
    parallel_run(list, ITEMS, work);
    for (size_t i = 0; i < ITEMS; i++) {
        ck_assert_int_eq(atomic_load(&items[i].done), 1);
    }
    ck_assert_int_eq(pthread_barrier_destroy(&barrier), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("parallel");
    TCase *tests = tcase_create("parallel");
    tcase_set_timeout(tests, 30);
    tcase_add_loop_test(tests, test_each_once, 0, 4);
    tcase_add_test(tests, test_side_by_side);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
