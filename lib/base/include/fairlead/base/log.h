/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a program: one line per event on standard error, with the syslog level as "<N>" in front where
 * journald reads it. Each error is logged exactly once, by whoever ends its way.
 */
#ifndef FAIRLEAD_BASE_LOG_H
#define FAIRLEAD_BASE_LOG_H

#include <fairlead/base/err.h>

#ifdef __cplusplus
extern "C" {
#endif

enum fl_log_level {
	FL_LOG_ERROR = 3, /* the numbers of syslog(3) */
	FL_LOG_WARNING = 4,
	FL_LOG_NOTICE = 5,
	FL_LOG_INFO = 6,
	FL_LOG_DEBUG = 7,
};

/* Where lines go besides standard error (the agent keeps its last ones); called from the logging thread. */
typedef void fl_log_sink(void *ctx, enum fl_log_level level, const char *line);

/* program: kept until exit. Reads FAIRLEAD_LOG=debug|info|notice|warning|error (default info). */
void fl_log_open(const char *program);
void fl_log_set_sink(fl_log_sink *sink, void *ctx);
/* Control characters of the text are shown as '?': a peer's words cannot forge a line. */
void fl_log(enum fl_log_level level, const char *fmt, ...) FL_PRINTF(2, 3);
/* "<what>: <message> [code]" */
void fl_log_err(enum fl_log_level level, const struct fl_err *err, const char *fmt, ...)
	FL_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif
#endif
