/* retention.c: see retention.h. */
#include "run/retention.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "base/cleanup.h"

/* ---- times ---- */

enum period { HOUR, DAY, WEEK, MONTH, YEAR, PERIODS };

static const char *const period_names[PERIODS] = {"hourly", "daily", "weekly", "monthly", "yearly"};

static int64_t floor_div(int64_t value, int64_t by)
{
    return value / by - (value % by < 0);
}

/* Which hour, day … of all time an instant falls into; UTC knows no summer time. */
static int64_t period_of(int64_t wall_ns, enum period period)
{
    const int64_t second = 1000000000, day = 86400 * second;
    struct tm tm = {0};
    time_t seconds = (time_t)floor_div(wall_ns, second);
    switch (period) {
    case HOUR:
        return floor_div(wall_ns, 3600 * second);
    case DAY:
        return floor_div(wall_ns, day);
    case WEEK: /* 1970-01-01 was a Thursday, ISO weeks begin on Mondays */
        return floor_div(floor_div(wall_ns, day) + 3, 7);
    default:
        (void)gmtime_r(&seconds, &tm);
        return period == MONTH ? (int64_t)tm.tm_year * 12 + tm.tm_mon : tm.tm_year;
    }
}

static size_t format_period(const struct tm *tm, enum period period, char text[32])
{
    switch (period) {
    case HOUR:
        return strftime(text, 32, "%Y-%m-%d %Hh", tm);
    case DAY:
        return strftime(text, 32, "%Y-%m-%d", tm);
    case WEEK:
        return strftime(text, 32, "%G-W%V", tm);
    case MONTH:
        return strftime(text, 32, "%Y-%m", tm);
    default:
        return strftime(text, 32, "%Y", tm);
    }
}

static void name_period(int64_t wall_ns, enum period period, char reason[64])
{
    char when[32] = "";
    struct tm tm;
    time_t seconds = (time_t)floor_div(wall_ns, 1000000000);
    if (gmtime_r(&seconds, &tm) == NULL || format_period(&tm, period, when) == 0) {
        when[0] = 0;
    }
    (void)snprintf(reason, 64, "%s %s", period_names[period], when);
}

/* The largest unit that tells an age without a rest. */
static void name_age(int64_t ms, char text[32])
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    size_t i = 0;
    while (i < 4 && ms % units[i].ms != 0) {
        i++;
    }
    (void)snprintf(text, 32, "%lld%s", (long long)(ms / units[i].ms), units[i].unit);
}

/* ---- groups ---- */

/* A set on its way through the rules. */
struct item {
    const struct set *set;
    const struct retention_fact *fact;
    struct retention_decision *decision;
    size_t place;   /* in the list: newer ones first */
    char *group;    /* owned: label and names of the components */
    bool protected; /* newest completed or newest verified */
};

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names and labels hold no line break, so that it can stand between them. */
static char *group_of(const struct set *set)
{
    CLEANUP_FREE const char **names = calloc(set->component_count + 1, sizeof(*names));
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    if (names == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < set->component_count; i++) {
        names[i] = set->components[i].name;
    }
    qsort((void *)names, set->component_count, sizeof(*names), by_name);
    buffer_printf(&text, "%s", set->label);
    for (size_t i = 0; i < set->component_count; i++) {
        buffer_printf(&text, "\n%s", names[i]);
    }
    const char *key = buffer_string(&text);
    return key == NULL ? NULL : strdup(key);
}

static int by_group(const void *a, const void *b)
{
    const struct item *x = a;
    const struct item *y = b;
    int order = strcmp(x->group, y->group);
    return order != 0 ? order : (x->place > y->place) - (x->place < y->place);
}

/* ---- rules over one group, newest first ---- */

struct group {
    struct item *items;
    size_t count;
};

static bool is_completed(const struct item *item)
{
    return item->set->state == SET_COMPLETED;
}

static void hold(struct item *item, const char *reason)
{
    if (!item->decision->keep) {
        item->decision->keep = true;
        (void)snprintf(item->decision->reason, sizeof(item->decision->reason), "%s", reason);
    }
}

/* Completed and partial sets are counted apart, so that no place of a completed one is taken by a
 * partial; and a partial older than all places of completed ones is of no use any more. */
static void keep_last(const struct group *g, int64_t places)
{
    int64_t completed = 0, partial = 0;
    char reason[64];
    (void)snprintf(reason, sizeof(reason), "last %lld", (long long)places);
    for (size_t i = 0; i < g->count && completed < places; i++) {
        struct item *item = &g->items[i];
        if (is_completed(item)) {
            completed++;
            hold(item, reason);
        } else if (partial < places) {
            partial++;
            hold(item, reason);
        }
    }
}

/* Does a completed set lie in this period? Those of one period stand side by side. */
static bool period_has_completed(const struct group *g, size_t at, enum period period)
{
    int64_t which = period_of(g->items[at].set->started_ns, period);
    for (size_t i = at; i > 0; i--) {
        const struct item *item = &g->items[i - 1];
        if (period_of(item->set->started_ns, period) != which) {
            break;
        }
        if (is_completed(item)) {
            return true;
        }
    }
    for (size_t i = at + 1; i < g->count; i++) {
        const struct item *item = &g->items[i];
        if (period_of(item->set->started_ns, period) != which) {
            break;
        }
        if (is_completed(item)) {
            return true;
        }
    }
    return false;
}

static void keep_periods(const struct group *g, int64_t places, enum period period)
{
    int64_t completed = 0, partial = 0, last = INT64_MIN;
    for (size_t i = 0; i < g->count; i++) {
        struct item *item = &g->items[i];
        int64_t which = period_of(item->set->started_ns, period);
        bool counts = is_completed(item);
        if (which == last || (!counts && period_has_completed(g, i, period))) {
            continue;
        }
        if (completed == places) {
            break;
        }
        last = which;
        if (!counts && partial == places) {
            continue;
        }
        completed += counts;
        partial += !counts;
        char reason[64];
        name_period(item->set->started_ns, period, reason);
        hold(item, reason);
    }
}

static bool has_keep_rule(const struct retention_policy *p)
{
    return p->keep_last > 0 || p->keep_hourly > 0 || p->keep_daily > 0 || p->keep_weekly > 0 ||
           p->keep_monthly > 0 || p->keep_yearly > 0;
}

bool retention_is_empty(const struct retention_policy *p)
{
    return !has_keep_rule(p) && p->max_age_ms <= 0 && p->max_count <= 0 && p->max_size_bytes <= 0;
}

static void apply_keep_rules(const struct retention_policy *p, const struct group *g)
{
    const int64_t places[PERIODS] = {p->keep_hourly, p->keep_daily, p->keep_weekly, p->keep_monthly,
                                     p->keep_yearly};
    if (p->keep_last > 0) {
        keep_last(g, p->keep_last);
    }
    for (int k = 0; k < PERIODS; k++) {
        if (places[k] > 0) {
            keep_periods(g, places[k], (enum period)k);
        }
    }
}

/* What is kept whatever the rules say: the newest completed set and the newest verified one; where
 * none is completed, the newest of all. */
static void protect(const struct group *g)
{
    struct item *completed = NULL, *verified = NULL, *verified_partial = NULL;
    for (size_t i = 0; i < g->count; i++) {
        struct item *item = &g->items[i];
        if (is_completed(item)) {
            completed = completed == NULL ? item : completed;
            verified = verified == NULL && item->fact->verified ? item : verified;
        } else if (verified_partial == NULL && item->fact->verified) {
            verified_partial = item;
        }
    }
    verified = verified == NULL ? verified_partial : verified;
    if (completed == NULL) {
        g->items[0].protected = true;
        hold(&g->items[0], "newest, none is completed");
    } else {
        completed->protected = true;
        hold(completed, "newest completed");
    }
    if (verified != NULL) {
        verified->protected = true;
        hold(verified, "newest verified");
    }
}

static void let_go(struct item *item, const char *reason)
{
    item->decision->keep = false;
    (void)snprintf(item->decision->reason, sizeof(item->decision->reason), "%s", reason);
}

static void limit_age(const struct group *g, int64_t max_age_ms, int64_t now_ns)
{
    char age[32], reason[64];
    name_age(max_age_ms, age);
    (void)snprintf(reason, sizeof(reason), "older than %s", age);
    for (size_t i = 0; i < g->count; i++) {
        struct item *item = &g->items[i];
        /* In whole milliseconds: a policy of centuries does not wrap. */
        int64_t age_ms = now_ns / 1000000 - item->set->started_ns / 1000000;
        if (item->decision->keep && !item->protected && age_ms > max_age_ms) {
            let_go(item, reason);
        }
    }
}

/* Protected sets have their places in any case; the others get what is left, newest first. */
static void limit_count(const struct group *g, int64_t max_count)
{
    char reason[64];
    int64_t left = max_count;
    (void)snprintf(reason, sizeof(reason), "beyond %lld sets", (long long)max_count);
    for (size_t i = 0; i < g->count; i++) {
        left -= g->items[i].protected;
    }
    for (size_t i = 0; i < g->count; i++) {
        struct item *item = &g->items[i];
        if (item->decision->keep && !item->protected && left-- <= 0) {
            let_go(item, reason);
        }
    }
}

static uint64_t add_up(uint64_t a, uint64_t b)
{
    return a + b < a ? UINT64_MAX : a + b;
}

static void limit_size(const struct group *g, int64_t max_bytes)
{
    uint64_t sum = 0;
    bool full = false;
    for (size_t i = 0; i < g->count; i++) {
        sum = g->items[i].protected ? add_up(sum, g->items[i].fact->stored_bytes) : sum;
    }
    for (size_t i = 0; i < g->count; i++) {
        struct item *item = &g->items[i];
        if (!item->decision->keep || item->protected) {
            continue;
        }
        sum = add_up(sum, item->fact->stored_bytes);
        /* The first that does not fit ends it: an older one is not kept in its place. */
        full = full || sum > (uint64_t)max_bytes;
        if (full) {
            char reason[64];
            (void)snprintf(reason, sizeof(reason), "beyond %lld stored bytes",
                           (long long)max_bytes);
            let_go(item, reason);
        }
    }
}

static void decide_group(const struct retention_policy *p, const struct group *g, int64_t now_ns)
{
    apply_keep_rules(p, g);
    protect(g);
    for (size_t i = 0; !has_keep_rule(p) && i < g->count; i++) {
        hold(&g->items[i], "within the limits");
    }
    if (p->max_age_ms > 0) {
        limit_age(g, p->max_age_ms, now_ns);
    }
    if (p->max_count > 0) {
        limit_count(g, p->max_count);
    }
    if (p->max_size_bytes > 0) {
        limit_size(g, p->max_size_bytes);
    }
}

/* ---- all sets ---- */

int32_t retention_decide(const struct retention_policy *policy, const struct set_list *sets,
                         const struct retention_fact *facts, int64_t now_ns,
                         struct retention_decision *out, struct orch_error *err)
{
    bool empty = retention_is_empty(policy);
    CLEANUP_FREE struct item *items = calloc(sets->count + 1, sizeof(*items));
    bool memory = items != NULL;
    for (size_t i = 0; memory && i < sets->count; i++) {
        out[i] = (struct retention_decision){.keep = empty};
        (void)snprintf(out[i].reason, sizeof(out[i].reason), "%s",
                       empty ? "no rule is given" : "no rule keeps it");
        items[i] = (struct item){.set = sets->sets[i],
                                 .fact = &facts[i],
                                 .decision = &out[i],
                                 .place = i,
                                 .group = group_of(sets->sets[i])};
        memory = items[i].group != NULL;
    }
    if (memory && !empty) {
        qsort(items, sets->count, sizeof(*items), by_group);
        for (size_t i = 0; i < sets->count;) {
            struct group group = {.items = &items[i]};
            while (i < sets->count && strcmp(items[i].group, group.items[0].group) == 0) {
                group.count++;
                i++;
            }
            decide_group(policy, &group, now_ns);
        }
    }
    for (size_t i = 0; items != NULL && i < sets->count; i++) {
        free(items[i].group);
    }
    return memory ? ORCH_OK : orch_fail(err, ORCH_E_NOMEM, "no memory to judge the sets");
}
