/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   start ──▶ process runs, output is read ──exit──▶ output ends (or GRACE_MS pass: a child of its
 * may hold it open) ──▶ done │ deadline: SIGKILL ─────────────▲ │ cancel: SIGKILL, and done is not
 * called
 */
#include "program.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define GRACE_MS 500

struct fl_program_run {
	struct fl_program *owner; /* NULL once cancelled, or when done was called */
	uv_timer_t timer;
	uv_process_t process;
	uv_pipe_t pipe;
	int handles; /* that have yet to close */
	bool exited, ended, overdue;
	int64_t status;
	int signal_number;
	struct fl_buf output;
	char room[4096];
	char name[64];
};

static void on_closed(uv_handle_t *handle)
{
	struct fl_program_run *run = handle->data;
	if (--run->handles > 0)
		return;
	fl_buf_free(&run->output);
	free(run);
}

static void close_handle(uv_handle_t *handle)
{
	if (!uv_is_closing(handle))
		uv_close(handle, on_closed);
}

static void let_go(struct fl_program_run *run)
{
	close_handle((uv_handle_t *)&run->timer);
	close_handle((uv_handle_t *)&run->pipe);
	close_handle((uv_handle_t *)&run->process);
}

static enum fl_rc verdict(const struct fl_program_run *run, struct fl_err *err)
{
	if (run->overdue)
		return fl_fail(err, FL_E_TIMEOUT, 0, "'%s': no end before its deadline", run->name);
	if (run->signal_number != 0)
		return fl_fail(err, FL_E_CHECK_FAILED, 0, "'%s': signal %d", run->name,
			       run->signal_number);
	if (run->status != 0)
		return fl_fail(err, FL_E_CHECK_FAILED, 0, "'%s': exit status %d", run->name,
			       (int)run->status);
	return FL_OK;
}

static void finish(struct fl_program_run *run)
{
	struct fl_program *program = run->owner;
	struct fl_err err = {0};
	let_go(run); /* freed later: the output is still there for the call */
	if (program == NULL)
		return;
	run->owner = NULL;
	program->run = NULL;
	program->done(program, verdict(run, &err), &err, &run->output);
}

static void on_grace_over(uv_timer_t *timer)
{
	finish(timer->data);
}

static void on_end(uv_process_t *process, int64_t status, int signal_number)
{
	struct fl_program_run *run = process->data;
	run->exited = true;
	run->status = status;
	run->signal_number = signal_number;
	if (run->ended || run->owner == NULL)
		finish(run);
	else
		uv_timer_start(&run->timer, on_grace_over, GRACE_MS, 0);
}

static void on_overdue(uv_timer_t *timer)
{
	struct fl_program_run *run = timer->data;
	run->overdue = true;
	uv_process_kill(&run->process, SIGKILL);
}

static void on_room(uv_handle_t *handle, size_t hint, uv_buf_t *ret)
{
	struct fl_program_run *run = handle->data;
	(void)hint;
	*ret = uv_buf_init(run->room, sizeof(run->room));
}

static void on_output(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct fl_program_run *run = stream->data;
	struct fl_err err;
	if (n > 0) {
		const size_t left = FL_PROGRAM_OUTPUT_MAX - run->output.len;
		if (fl_buf_append(&run->output, buf->base, (size_t)n < left ? (size_t)n : left,
				  &err) != FL_OK)
			uv_read_stop(stream); /* no memory: the rest is lost */
	} else if (n < 0) {
		run->ended = true;
		uv_read_stop(stream);
		if (run->exited)
			finish(run);
	}
}

static int spawn(struct fl_program_run *run, uv_loop_t *loop, char *const argv[])
{
	uv_stdio_container_t stdio[3] = {
		{.flags = UV_IGNORE},
		{.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
		 .data.stream = (uv_stream_t *)&run->pipe},
		{.flags = UV_INHERIT_FD, .data.fd = 2},
	};
	char **args = (char **)(uintptr_t)argv; /* libuv does not change them */
	const uv_process_options_t options = {
		.exit_cb = on_end, .file = argv[0], .args = args, .stdio = stdio, .stdio_count = 3};
	int status = uv_spawn(loop, &run->process, &options);
	if (status == 0)
		status = uv_read_start((uv_stream_t *)&run->pipe, on_room, on_output);
	return status;
}

static void set_name(struct fl_program_run *run, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash == NULL ? path : slash + 1;
	const size_t len = strnlen(name, sizeof(run->name) - 1);
	memcpy(run->name, name, len);
}

enum fl_rc fl_program_start(struct fl_program *program, uv_loop_t *loop, char *const argv[],
			    uint64_t deadline_ms, fl_program_done *done, void *ctx,
			    struct fl_err *err)
{
	FL_BUG_ON(program->run != NULL);
	struct fl_program_run *run = calloc(1, sizeof(*run));
	if (run == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "start '%s'", argv[0]);
	run->output = FL_BUF(FL_PROGRAM_OUTPUT_MAX);
	set_name(run, argv[0]);
	FL_BUG_ON(uv_timer_init(loop, &run->timer) != 0 || uv_pipe_init(loop, &run->pipe, 0) != 0);
	run->handles = 3;
	run->timer.data = run->pipe.data = run->process.data = run;
	const int status = spawn(run, loop, argv);
	if (status != 0) {
		enum fl_rc rc = fl_fail(err, FL_E_CHECK_FAILED, -status, "start '%s'", argv[0]);
		let_go(run);
		return rc;
	}
	run->owner = program;
	uv_timer_start(&run->timer, on_overdue, deadline_ms, 0);
	*program = (struct fl_program){run, done, ctx};
	return FL_OK;
}

void fl_program_cancel(struct fl_program *program)
{
	struct fl_program_run *run = program->run;
	if (run == NULL)
		return;
	program->run = NULL;
	run->owner = NULL;
	if (run->exited)
		finish(run);
	else
		uv_process_kill(&run->process, SIGKILL); /* the rest follows from its end */
}
