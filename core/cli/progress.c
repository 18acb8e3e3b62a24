/* progress.c: see progress.h. */
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/render.h"

#define LINES_MAX 32
#define PLAIN_EVERY_MS 10000

struct line {
    char component[64];
    char state[64];
    uint64_t items, bytes, total_items, total_bytes;
    int64_t started_ms, plain_ms;
    bool ended;
};

/* The screen is one per process, and so is this. Reports come one at a time (report.h). */
static struct {
    bool live, quiet;
    struct line lines[LINES_MAX];
    size_t count;
    size_t drawn; /* live lines on the screen now */
} screen;

static void erase(void)
{
    for (; screen.drawn > 0; screen.drawn--) {
        (void)fprintf(stderr, "\033[1A\033[2K");
    }
}

static void describe(const struct line *line, char *text, size_t size)
{
    char bytes[RENDER_TEXT], rate[RENDER_TEXT], left[RENDER_TEXT], items[RENDER_TEXT];
    int64_t ms = clock_monotonic_ms() - line->started_ms;
    int n = snprintf(text, size, "%-16s %-22s", line->component, line->state);
    if (n < 0 || (size_t)n >= size || line->items + line->bytes == 0) {
        return;
    }
    n += snprintf(text + n, size - (size_t)n, " %10s items %9s", render_count(line->items, items),
                  render_size(line->bytes, bytes));
    if (line->ended || ms < 500 || (size_t)n >= size) {
        return;
    }
    uint64_t per_second = line->bytes * 1000 / (uint64_t)ms;
    n += snprintf(text + n, size - (size_t)n, " %9s/s", render_size(per_second, rate));
    if (line->total_bytes > line->bytes && per_second > 0 && (size_t)n < size) {
        int64_t rest = (int64_t)((line->total_bytes - line->bytes) / per_second) * 1000;
        (void)snprintf(text + n, size - (size_t)n, "  about %s left", render_duration(rest, left));
    }
}

static void draw(void)
{
    struct winsize window = {0};
    int width = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 20
                    ? window.ws_col - 1
                    : 100;
    for (size_t i = 0; i < screen.count; i++) {
        char text[256];
        describe(&screen.lines[i], text, sizeof(text));
        (void)fprintf(stderr, "  %.*s\n", width - 2, text);
    }
    screen.drawn = screen.count;
}

static struct line *line_of(const char *component)
{
    for (size_t i = 0; i < screen.count; i++) {
        if (strcmp(screen.lines[i].component, component) == 0) {
            return &screen.lines[i];
        }
    }
    /* With more components than lines, the last line is of whoever spoke last. */
    screen.count += screen.count < LINES_MAX;
    struct line *line = &screen.lines[screen.count - 1];
    *line = (struct line){.started_ms = clock_monotonic_ms(), .plain_ms = clock_monotonic_ms()};
    (void)snprintf(line->component, sizeof(line->component), "%s", component);
    return line;
}

static void update(const struct report_event *event)
{
    struct line *line = line_of(event->component);
    if (event->kind == REPORT_COMPONENT) {
        (void)snprintf(line->state, sizeof(line->state), "%s", event->text);
        line->started_ms = clock_monotonic_ms();
        line->ended = event->items + event->bytes > 0;
    }
    if (event->kind == REPORT_PROGRESS || event->items + event->bytes > 0) {
        line->items = event->items;
        line->bytes = event->bytes;
        line->total_items = event->total_items;
        line->total_bytes = event->total_bytes;
    }
}

/* Plain: each new state once, and progress now and then. */
static void print_plain(const struct report_event *event)
{
    struct line *line = line_of(event->component);
    int64_t now = clock_monotonic_ms();
    if (event->kind == REPORT_PROGRESS && now - line->plain_ms < PLAIN_EVERY_MS) {
        return;
    }
    line->plain_ms = now;
    char text[256];
    describe(line, text, sizeof(text));
    size_t len = strlen(text);
    while (len > 0 && text[len - 1] == ' ') {
        text[--len] = 0;
    }
    (void)fprintf(stderr, "  %s\n", text);
}

static void print_text(const struct report_event *event)
{
    const char *mark = "";
    if (event->kind == REPORT_WARNING) {
        mark = "warning: ";
    } else if (event->kind == REPORT_FAILURE) {
        mark = "FAILED: ";
    } else if (event->kind == REPORT_NOTE) {
        mark = "note: ";
    }
    if (event->kind == REPORT_PHASE) {
        (void)fprintf(stderr, "%s\n", event->text);
    } else if (event->component != NULL) {
        (void)fprintf(stderr, "  %-16s %s%s\n", event->component, mark, event->text);
    } else {
        (void)fprintf(stderr, "%s%s\n", mark, event->text);
    }
}

static void on_event(void *ctx, const struct report_event *event)
{
    (void)ctx;
    bool bar = event->kind == REPORT_COMPONENT || event->kind == REPORT_PROGRESS;
    if (screen.quiet && event->kind != REPORT_FAILURE) {
        return;
    }
    if (screen.live) {
        erase();
    }
    if (bar) {
        update(event);
        if (!screen.live) {
            print_plain(event);
        }
    } else {
        print_text(event);
    }
    if (screen.live) {
        draw();
    }
    (void)fflush(stderr);
}

void progress_start(bool quiet, bool json, struct report_receiver *receiver)
{
    memset(&screen, 0, sizeof(screen));
    screen.quiet = quiet;
    screen.live = !quiet && !json && isatty(STDERR_FILENO) == 1;
    *receiver = (struct report_receiver){.ctx = NULL, .event = on_event};
}

void progress_end(void)
{
    screen.drawn = 0; /* the last state of the lines stays on the screen */
    screen.count = 0;
}
