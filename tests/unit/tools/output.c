/* SPDX-License-Identifier: Apache-2.0 */
/* What people see: tables, times, sizes, the live line, a job in one line. */
#include "bench.h"
#include "jobs.h"
#include "output.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *text;
static size_t text_len;
static FILE *out;

static void set_up(void)
{
	out = open_memstream(&text, &text_len);
}

static void tear_down(void)
{
	(void)fclose(out);
	free(text);
}

TestSuite(tools_output, .init = set_up, .fini = tear_down);

static const char *printed(void)
{
	(void)fflush(out);
	return text;
}

Test(tools_output, columns_stand_below_each_other)
{
	static const char *const rows[][3] = {
		{"NAME", "VALUE", "TEXT"}, {"zürich", NULL, "x"}, {"a", "longer value", ""}};
	struct fl_tools_table table = FL_TOOLS_TABLE(3);
	struct fl_err err;
	for (size_t i = 0; i < 3; i++)
		cr_assert_eq(fl_tools_table_row(&table, rows[i], &err), FL_OK);
	fl_tools_table_print(out, &table);
	fl_tools_table_free(&table);
	cr_assert_str_eq(printed(), "NAME    VALUE         TEXT\n"
				    "zürich  -             x\n"
				    "a       longer value  -\n");
}

Test(tools_output, a_pipe_gets_lines_and_no_progress)
{
	struct fl_tools_live live = fl_tools_live_start(out);
	cr_assert_not(live.terminal);
	fl_tools_live_show(&live, "staging", false);
	fl_tools_live_show(&live, "staging 50 %", true);
	fl_tools_live_show(&live, "staged", false);
	fl_tools_live_end(&live);
	cr_assert_str_eq(printed(), "staging\nstaged\n");
}

Test(tools_output, a_terminal_gets_one_line_cut_to_its_width)
{
	int master = -1, slave = -1;
	char seen[512] = "";
	struct winsize size = {.ws_row = 24, .ws_col = 10};
	cr_assert_eq(openpty(&master, &slave, NULL, NULL, &size), 0);
	FILE *terminal = fdopen(slave, "w");
	struct fl_tools_live live = fl_tools_live_start(terminal);
	cr_assert(live.terminal);
	fl_tools_live_show(&live, "ümläut-too-long", true);
	fl_tools_live_end(&live);
	(void)fflush(terminal);
	ssize_t n = read(master, seen, sizeof(seen) - 1);
	cr_assert_gt(n, 0);
	cr_assert_eq(strncmp(seen, "\rümläut-to\033[K", strlen("\rümläut-to\033[K")), 0, "%s",
		     seen);
	(void)fclose(terminal);
	(void)close(master);
}

Test(tools_output, progress_is_drawn_ten_times_a_second_and_its_end_is_seen)
{
	int master = -1, slave = -1;
	char seen[4096] = "", line[32];
	size_t drawn = 0, len = 0;
	cr_assert_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
	FILE *terminal = fdopen(slave, "w");
	struct fl_tools_live live = fl_tools_live_start(terminal);
	for (int i = 0; i <= 100; i++) {
		(void)snprintf(line, sizeof(line), "%d %%", i);
		fl_tools_live_show(&live, line, true);
	}
	fl_tools_live_end(&live);
	(void)fflush(terminal);
	while (strchr(seen, '\n') == NULL) {
		ssize_t n = read(master, seen + len, sizeof(seen) - 1 - len);
		cr_assert_gt(n, 0);
		len += (size_t)n;
	}
	for (const char *c = seen; (c = strstr(c, "\033[K")) != NULL; c++)
		drawn++;
	cr_assert_lt(drawn, 50, "%zu", drawn); /* 1 or 2, on a machine that has time */
	cr_assert_not_null(strstr(seen, "\r100 %\033[K"), "%s", seen);
	(void)fclose(terminal);
	(void)close(master);
}

Test(tools_output, a_job_in_one_line)
{
	char line[FL_TOOLS_JOB_LINE];
	struct fl_tools_progress_answer progress = {.component = "rootfs",
						    .done_bytes = 32 << 20,
						    .total_bytes = 64 << 20,
						    .rate_bytes_s = 3 << 20};
	struct fl_tools_job job = {.state = "staging", .progress = &progress};
	fl_tools_job_line(&job, 1700000000, line);
	cr_assert_str_eq(line, "staging   50 %  32.0 MiB of 64.0 MiB  3.0 MiB/s  rootfs");
	job = (struct fl_tools_job){.state = "waiting_to_activate",
				    .reason = "window",
				    .text = "outside the window",
				    .until = 1700007200,
				    .next = "window"};
	fl_tools_job_line(&job, 1700000000, line);
	cr_assert_str_eq(line, "waiting_to_activate  window: outside the window  until "
			       "2023-11-15 00:13:20Z (in 2 h)  waits for window");
	job = (struct fl_tools_job){.state = "committed", .progress = &progress, .until = 5};
	fl_tools_job_line(&job, 1700000000, line);
	cr_assert_str_eq(line, "committed", "what is final waits for nothing");
}

Test(tools_output, a_job_line_never_overflows)
{
	char line[FL_TOOLS_JOB_LINE], huge[4096];
	memset(huge, 'x', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	struct fl_tools_progress_answer progress = {.component = huge,
						    .done_bytes = UINT64_MAX,
						    .total_bytes = 1,
						    .rate_bytes_s = UINT64_MAX};
	struct fl_tools_job job = {.state = huge,
				   .reason = huge,
				   .text = huge,
				   .until = UINT64_MAX,
				   .next = huge,
				   .progress = &progress};
	fl_tools_job_line(&job, 0, line);
	cr_assert_eq(strlen(line), sizeof(line) - 1);
}
