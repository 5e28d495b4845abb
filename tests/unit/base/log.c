/* SPDX-License-Identifier: Apache-2.0 */
/* The log: levels, the sink, and lines nobody can forge. */
#include <fairlead/base/log.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char last[2048];
static enum fl_log_level last_level;
static int n;

static void sink(void *ctx, enum fl_log_level level, const char *line)
{
	cr_assert_eq(ctx, &n);
	last_level = level;
	snprintf(last, sizeof(last), "%s", line);
	n++;
}

static void setup(void)
{
	unsetenv("JOURNAL_STREAM");
	unsetenv("FAIRLEAD_LOG");
	fl_log_open("test");
	fl_log_set_sink(sink, &n);
}

TestSuite(log, .init = setup);

Test(log, a_line_goes_to_the_sink_with_its_level)
{
	fl_log(FL_LOG_WARNING, "slot %s", "B");
	cr_assert_str_eq(last, "slot B");
	cr_assert_eq(last_level, FL_LOG_WARNING);
}

Test(log, below_the_level_nothing_is_said)
{
	fl_log(FL_LOG_DEBUG, "x");
	cr_assert_eq(n, 0);
	setenv("FAIRLEAD_LOG", "debug", 1);
	fl_log_open("test");
	fl_log(FL_LOG_DEBUG, "x");
	cr_assert_eq(n, 1);
	setenv("FAIRLEAD_LOG", "error", 1);
	fl_log_open("test");
	fl_log(FL_LOG_WARNING, "x");
	cr_assert_eq(n, 1);
}

Test(log, a_peer_s_words_cannot_forge_a_line)
{
	fl_log(FL_LOG_INFO, "peer says: %s", "x\n<3>forged\x1b[2J\x7f\r");
	cr_assert_str_eq(last, "peer says: x?<3>forged?[2J??");
}

Test(log, an_error_ends_with_its_code)
{
	struct fl_err err;
	(void)fl_fail(&err, FL_E_NO_SPACE, 0, "write block 7");
	fl_log_err(FL_LOG_ERROR, &err, "job %d", 5);
	cr_assert_str_eq(last, "job 5: write block 7 [no_space]");
}

Test(log, long_lines_are_cut_and_still_end)
{
	int fds[2];
	char text[3000], out[4096];
	memset(text, 'x', sizeof(text));
	text[2999] = '\0';
	cr_assert_eq(pipe(fds), 0);
	int saved = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	fl_log(FL_LOG_INFO, "%s", text);
	dup2(saved, STDERR_FILENO);
	ssize_t got = read(fds[0], out, sizeof(out));
	cr_assert_gt(got, 1000);
	cr_assert_lt(got, 1100);
	cr_assert_eq(out[got - 1], '\n');
	cr_assert_eq(strncmp(out, "test: xxx", 9), 0);
	close(fds[0]);
	close(fds[1]);
}

Test(log, the_journal_gets_the_level_in_front)
{
	int fds[2];
	char out[256];
	setenv("JOURNAL_STREAM", "1:2", 1);
	fl_log_open("test");
	cr_assert_eq(pipe(fds), 0);
	int saved = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	fl_log(FL_LOG_NOTICE, "hello");
	dup2(saved, STDERR_FILENO);
	ssize_t got = read(fds[0], out, sizeof(out) - 1);
	cr_assert_gt(got, 0);
	out[got] = '\0';
	cr_assert_str_eq(out, "<5>hello\n");
}
