/*
 * progress.h: what a run tells, on standard error. At a terminal: a live line per component with
 * bytes, rate and time left. Otherwise plain lines. Quiet: failures only.
 */
#ifndef CORE_CLI_PROGRESS_H
#define CORE_CLI_PROGRESS_H

#include <stdbool.h>

#include "report/report.h"

/* Begins; `receiver` is to be given to report_new. One at a time in a process. */
void progress_start(bool quiet, bool json, struct report_receiver *receiver);
/* Ends the live lines, which stay on the screen as they are; may be called twice. */
void progress_end(void);

#endif
