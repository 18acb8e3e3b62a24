/* clock.h: the two clocks. Wall time is for people and records; durations use the monotonic one. */
#ifndef CORE_BASE_CLOCK_H
#define CORE_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_wall_ns(void); /* since 1970-01-01 UTC */
int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_ns(void);

/* "20260131_120000" (UTC) into `text`, 16 bytes. */
void clock_set_name(int64_t wall_ns, char text[16]);
/* "2026-01-31T12:00:00Z" into `text`, 21 bytes. */
void clock_iso(int64_t wall_ns, char text[21]);

#endif
