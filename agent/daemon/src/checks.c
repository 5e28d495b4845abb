/* SPDX-License-Identifier: Apache-2.0 */
#include "checks.h"

#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECKS_MAX	  32
#define CHECK_DEADLINE_MS (UINT64_C(60) * 1000)

struct fl_checks_run {
	struct fl_checks *owner; /* NULL once cancelled */
	uv_loop_t *loop;
	uv_timer_t timer;
	uv_process_t process;
	bool process_open;
	int handles; /* that have yet to close */
	size_t n, at;
	char paths[CHECKS_MAX][PATH_MAX];
	struct fl_err err;
};

static void next_check(struct fl_checks_run *run);

static void on_closed(uv_handle_t *handle)
{
	struct fl_checks_run *run = handle->data;
	if (--run->handles == 0)
		free(run);
}

static void let_go(struct fl_checks_run *run)
{
	if (run->process_open)
		uv_close((uv_handle_t *)&run->process, on_closed);
	uv_close((uv_handle_t *)&run->timer, on_closed);
}

static void finish(struct fl_checks_run *run, enum fl_rc rc)
{
	struct fl_checks *checks = run->owner;
	struct fl_err err = run->err;
	let_go(run);
	checks->run = NULL;
	checks->done(checks, rc, &err);
}

static void on_process_closed(uv_handle_t *handle)
{
	struct fl_checks_run *run = handle->data;
	run->process_open = false;
	run->handles--;
	run->at++;
	if (run->owner != NULL)
		next_check(run);
	else
		let_go(run);
}

static void on_check_exit(uv_process_t *process, int64_t status, int signal_number)
{
	struct fl_checks_run *run = process->data;
	uv_timer_stop(&run->timer);
	if (run->owner == NULL) { /* cancelled: it has been reaped now */
		let_go(run);
		return;
	}
	if (status == 0 && signal_number == 0) {
		uv_close((uv_handle_t *)process, on_process_closed);
		return;
	}
	const char *name = strrchr(run->paths[run->at], '/') + 1;
	(void)fl_fail(&run->err, FL_E_CHECK_FAILED, 0, signal_number == 0 ? "check '%s': exit status %d"
									  : "check '%s': signal %d",
		      name, signal_number == 0 ? (int)status : signal_number);
	finish(run, FL_E_CHECK_FAILED);
}

static void on_overdue(uv_timer_t *timer)
{
	struct fl_checks_run *run = timer->data;
	uv_process_kill(&run->process, SIGKILL); /* on_check_exit says so */
}

static void on_nothing_left(uv_timer_t *timer)
{
	finish(timer->data, FL_OK);
}

static void next_check(struct fl_checks_run *run)
{
	if (run->at == run->n) {
		uv_timer_start(&run->timer, on_nothing_left, 0, 0);
		return;
	}
	char *args[] = {run->paths[run->at], NULL};
	const uv_process_options_t options = {.exit_cb = on_check_exit, .file = args[0], .args = args};
	const int status = uv_spawn(run->loop, &run->process, &options);
	run->process.data = run;
	run->process_open = true;
	run->handles++;
	if (status != 0) {
		(void)fl_fail(&run->err, FL_E_CHECK_FAILED, -status, "start check '%s'", args[0]);
		finish(run, FL_E_CHECK_FAILED);
		return;
	}
	uv_timer_start(&run->timer, on_overdue, CHECK_DEADLINE_MS, 0);
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
	FL_BUG_ON(uv_timer_init(loop, &run->timer) != 0);
	run->timer.data = run;
	run->handles = 1;
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
	run->owner = NULL;
	checks->run = NULL;
	if (!run->process_open)
		let_go(run);
	else if (uv_is_active((uv_handle_t *)&run->process))
		uv_process_kill(&run->process, SIGKILL); /* the rest follows from its end */
}
