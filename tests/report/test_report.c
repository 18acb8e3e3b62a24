/* test_report.c: events reach the receiver whole, in order for each thread, and one at a time. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "report/report.h"
#include "testing.h"

enum { THREADS = 8, EVENTS = 2000 };

/* Nothing here is locked: only the report keeps threads apart (ThreadSanitizer watches). */
struct received {
    atomic_int inside;
    int overlapped;
    size_t count;
    uint64_t next[THREADS];
    size_t disorder;
    enum report_kind kind;
    char component[64];
    char text[2048];
};

static void take(void *ctx, const struct report_event *event)
{
    struct received *r = ctx;
    r->overlapped += atomic_fetch_add(&r->inside, 1) != 0;
    r->count++;
    r->kind = event->kind;
    (void)snprintf(r->component, sizeof(r->component), "%s",
                   event->component == NULL ? "(none)" : event->component);
    (void)snprintf(r->text, sizeof(r->text), "%s", event->text == NULL ? "(none)" : event->text);
    if (event->kind == REPORT_PROGRESS) {
        r->disorder += event->items != r->next[event->bytes]++;
    }
    (void)atomic_fetch_sub(&r->inside, 1);
}

struct sender {
    struct report *report;
    uint64_t number;
};

static void *send_many(void *arg)
{
    const struct sender *sender = arg;
    for (uint64_t i = 0; i < EVENTS; i++) {
        struct report_event event = {
            .kind = REPORT_PROGRESS, .component = "c", .items = i, .bytes = sender->number};
        report_send(sender->report, &event);
        report_text(sender->report, REPORT_NOTE, NULL, "%llu", (unsigned long long)i);
    }
    return NULL;
}

START_TEST(test_one_at_a_time)
{
    struct received received = {0};
    struct report_receiver receiver = {.ctx = &received, .event = take};
    struct report *report = report_new(&receiver);
    ck_assert_ptr_nonnull(report);
    struct sender senders[THREADS];
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        senders[i] = (struct sender){report, i};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, send_many, &senders[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    report_free(report);
    ck_assert_uint_eq(received.count, 2 * THREADS * EVENTS);
    ck_assert_int_eq(received.overlapped, 0);
    ck_assert_uint_eq(received.disorder, 0);
}
END_TEST

START_TEST(test_text)
{
    struct received received = {0};
    struct report_receiver receiver = {.ctx = &received, .event = take};
    struct report *report = report_new(&receiver);
    report_text(report, REPORT_WARNING, "kb", "%d of %s", 2, "three");
    ck_assert_int_eq(received.kind, REPORT_WARNING);
    ck_assert_str_eq(received.component, "kb");
    ck_assert_str_eq(received.text, "2 of three");
    /* What came from a server must not move the user's cursor. */
    report_text(report, REPORT_FAILURE, NULL, "server says: %s", "\033[2J\xff");
    ck_assert_str_eq(received.component, "(none)");
    ck_assert_str_eq(received.text, "server says: \\x1b[2J\\xff");
    char longer[4000];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = 0;
    report_text(report, REPORT_NOTE, NULL, "%s", longer);
    ck_assert_uint_gt(strlen(received.text), 1024); /* a whole error message fits */
    ck_assert_uint_eq(received.count, 3);
    report_free(report);
}
END_TEST

START_TEST(test_nobody_listens)
{
    struct report_event event = {.kind = REPORT_PHASE, .text = "lost"};
    report_send(NULL, &event);
    report_text(NULL, REPORT_PHASE, NULL, "%s", "lost");
    report_free(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("report");
    TCase *tests = tcase_create("report");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_one_at_a_time);
    tcase_add_test(tests, test_text);
    tcase_add_test(tests, test_nobody_listens);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
