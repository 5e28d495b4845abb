/* SPDX-License-Identifier: Apache-2.0 */
#include "checks.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECKS_MAX	  32
#define CHECK_DEADLINE_MS (UINT64_C(60) * 1000)
#define LINE_MAX_BYTES	  120

struct fl_checks_run {
	struct fl_checks *owner;
	uv_loop_t *loop;
	uv_timer_t turn; /* done is never called inside start */
	struct fl_program program;
	size_t n, at;
	char paths[CHECKS_MAX][PATH_MAX];
};

static void next_check(struct fl_checks_run *run);

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void finish(struct fl_checks_run *run, enum fl_rc rc, const struct fl_err *err)
{
	struct fl_checks *checks = run->owner;
	checks->run = NULL;
	uv_close((uv_handle_t *)&run->turn, on_closed);
	checks->done(checks, rc, err);
}

/* The last line that holds anything, without what would garble a log. */
static void last_line(const struct fl_buf *output, char line[LINE_MAX_BYTES])
{
	const char *text = fl_buf_str(output);
	size_t end = strlen(text);
	while (end > 0 && (text[end - 1] == '\n' || text[end - 1] == ' '))
		end--;
	size_t begin = end;
	while (begin > 0 && text[begin - 1] != '\n')
		begin--;
	size_t len = end - begin < LINE_MAX_BYTES - 1 ? end - begin : LINE_MAX_BYTES - 1;
	for (size_t i = 0; i < len; i++)
		line[i] = text[begin + i] >= ' ' && text[begin + i] <= '~' ? text[begin + i] : '?';
	line[len] = '\0';
}

static void on_check_ended(struct fl_program *program, enum fl_rc rc, const struct fl_err *err,
			   const struct fl_buf *output)
{
	struct fl_checks_run *run = program->ctx;
	char line[LINE_MAX_BYTES];
	struct fl_err why = {0};
	if (rc == FL_OK) {
		run->at++;
		next_check(run);
		return;
	}
	last_line(output, line);
	rc = fl_fail(&why, FL_E_CHECK_FAILED, 0, "check %s%s%s", err->msg,
		     line[0] == '\0' ? "" : ": ", line);
	finish(run, rc, &why);
}

static void on_nothing_left(uv_timer_t *timer)
{
	static const struct fl_err none = {0};
	finish(timer->data, FL_OK, &none);
}

static void on_cannot_start(uv_timer_t *timer)
{
	struct fl_checks_run *run = timer->data;
	struct fl_err err = {0};
	enum fl_rc rc = fl_fail(&err, FL_E_CHECK_FAILED, 0, "check '%s' cannot be started",
				strrchr(run->paths[run->at], '/') + 1);
	finish(run, rc, &err);
}

static void next_check(struct fl_checks_run *run)
{
	struct fl_err err;
	if (run->at == run->n) {
		uv_timer_start(&run->turn, on_nothing_left, 0, 0);
		return;
	}
	char *argv[] = {run->paths[run->at], NULL};
	if (fl_program_start(&run->program, run->loop, argv, CHECK_DEADLINE_MS, on_check_ended, run,
			     &err) != FL_OK)
		uv_timer_start(&run->turn, on_cannot_start, 0, 0);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void list(struct fl_checks_run *run, const char *dir)
{
	DIR *d = opendir(dir);
	if (d == NULL)
		return;
	for (struct dirent *e = readdir(d); e != NULL && run->n < CHECKS_MAX; e = readdir(d)) {
		char *path = run->paths[run->n];
		const int len = snprintf(path, PATH_MAX, "%s/%s", dir, e->d_name);
		if (e->d_name[0] != '.' && len < PATH_MAX && access(path, X_OK) == 0)
			run->n++;
	}
	closedir(d);
	qsort(run->paths, run->n, sizeof(run->paths[0]), by_name);
}

enum fl_rc fl_checks_start(struct fl_checks *checks, uv_loop_t *loop, const char *dir,
			   fl_checks_done *done, void *ctx, struct fl_err *err)
{
	FL_BUG_ON(checks->run != NULL);
	struct fl_checks_run *run = calloc(1, sizeof(*run));
	if (run == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "health checks");
	run->owner = checks;
	run->loop = loop;
	FL_BUG_ON(uv_timer_init(loop, &run->turn) != 0);
	run->turn.data = run;
	*checks = (struct fl_checks){run, done, ctx};
	if (dir != NULL)
		list(run, dir);
	next_check(run);
	return FL_OK;
}

void fl_checks_cancel(struct fl_checks *checks)
{
	struct fl_checks_run *run = checks->run;
	if (run == NULL)
		return;
	checks->run = NULL;
	fl_program_cancel(&run->program);
	uv_close((uv_handle_t *)&run->turn, on_closed);
}
