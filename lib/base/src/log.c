/* SPDX-License-Identifier: Apache-2.0 */
#include <fairlead/base/log.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024

static struct {
	const char *program;
	enum fl_log_level level;
	bool journal;
	fl_log_sink *sink;
	void *sink_ctx;
} state = {"fairlead", FL_LOG_INFO, false, NULL, NULL};

static enum fl_log_level level_from_env(void)
{
	static const struct {
		const char *name;
		enum fl_log_level level;
	} levels[] = {{"debug", FL_LOG_DEBUG},
		      {"info", FL_LOG_INFO},
		      {"notice", FL_LOG_NOTICE},
		      {"warning", FL_LOG_WARNING},
		      {"error", FL_LOG_ERROR}};
	const char *want = getenv("FAIRLEAD_LOG");
	for (size_t i = 0; want != NULL && i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (strcmp(levels[i].name, want) == 0)
			return levels[i].level;
	}
	return FL_LOG_INFO;
}

void fl_log_open(const char *program)
{
	state.program = program;
	state.level = level_from_env();
	state.journal = getenv("JOURNAL_STREAM") != NULL;
}

void fl_log_set_sink(fl_log_sink *sink, void *ctx)
{
	state.sink = sink;
	state.sink_ctx = ctx;
}

static void emit(enum fl_log_level level, char *text)
{
	for (char *p = text; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	}
	if (state.sink != NULL)
		state.sink(state.sink_ctx, level, text);
	char line[LINE_MAX_BYTES + 64];
	int n = state.journal ? snprintf(line, sizeof(line), "<%d>%s\n", (int)level, text)
			      : snprintf(line, sizeof(line), "%s: %s\n", state.program, text);
	if (n > 0)
		(void)!write(STDERR_FILENO, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

void fl_log(enum fl_log_level level, const char *fmt, ...)
{
	if (level > state.level)
		return;
	char text[LINE_MAX_BYTES];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	emit(level, text);
}

void fl_log_err(enum fl_log_level level, const struct fl_err *err, const char *fmt, ...)
{
	if (level > state.level)
		return;
	char text[LINE_MAX_BYTES];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(text))
		snprintf(text + n, sizeof(text) - (size_t)n, ": %s [%s]", err->msg, fl_rc_name(err->rc));
	emit(level, text);
}
