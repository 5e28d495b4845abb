/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for fairlead-runner: takes `start`, does what FAKE_RUNNER says, and answers. It keeps nothing of the
 * sandbox; what it may do to the helper is what any runner taken over by its plugin could.
 *
 *   write FILE   copies FILE into the target, result ok        lie        result ok, nothing written
 *   mute         never ready                                   hang       ready, then silent
 *   crash        ready, then gone                              garbage    ready, then bytes that are no frame
 *   slow         ready, then keepalives for ever               refuse     result permanent, plugin_refused
 */
#include <fairlead/base/file.h>
#include <fairlead/ipc/codec.h>

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONTROL 3

static void send_frame(enum fl_frame_type type, const void *body)
{
	struct fl_err err;
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	if (fl_frame_encode(type, 0, body, &frame, &err) != FL_OK ||
	    fl_frame_send(CONTROL, frame.data, frame.len, NULL, 0, &err) != FL_OK)
		_exit(1);
	fl_buf_free(&frame);
}

static void copy(const char *path, int target)
{
	struct fl_err err;
	struct fl_buf image = FL_BUF((size_t)16 << 20);
	if (fl_file_read(path, &image, &err) != FL_OK ||
	    fl_pwrite_all(target, image.data, image.len, 0, &err) != FL_OK || fsync(target) != 0)
		_exit(1);
	fl_buf_free(&image);
}

/* Alive, and silent, as long as the helper is. */
static void be_silent(void)
{
	struct pollfd p = {CONTROL, 0, 0};
	(void)poll(&p, 1, -1);
	_exit(1);
}

static void end(const char *class, const char *code)
{
	const struct fl_ipc_result result = {class, code, NULL};
	send_frame(FL_FRAME_RESULT, &result);
	be_silent(); /* the helper must not wait for our end */
}

static void act(const char *mode, int target)
{
	static const struct fl_ipc_empty empty = {false};
	if (strncmp(mode, "write ", 6) == 0)
		copy(mode + 6, target);
	if (strncmp(mode, "write ", 6) == 0 || strcmp(mode, "lie") == 0)
		end("ok", "ok");
	if (strcmp(mode, "refuse") == 0)
		end("permanent", "plugin_refused");
	if (strcmp(mode, "garbage") == 0)
		(void)!write(CONTROL, "garbage", 7);
	if (strcmp(mode, "crash") == 0)
		_exit(0);
	while (strcmp(mode, "slow") == 0) {
		send_frame(FL_FRAME_KEEPALIVE, &empty);
		usleep(50 * 1000);
	}
	be_silent();
}

int main(void)
{
	struct fl_err err;
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	struct fl_arena arena = FL_ARENA((size_t)1 << 20);
	struct fl_ipc_start start;
	int fds[FL_FRAME_FDS_MAX];
	size_t n_fds;
	const char *mode = getenv("FAKE_RUNNER");
	if (mode == NULL || fl_frame_recv(CONTROL, &frame, fds, &n_fds, &err) != FL_OK ||
	    fl_frame_decode(FL_FRAME_START, frame.data, frame.len, &arena, &start, &err) != FL_OK ||
	    n_fds != 2 || start.resources.n != 1)
		return 1;
	if (strcmp(mode, "mute") == 0)
		be_silent();
	static const char *const protections[] = {"none"};
	const struct fl_ipc_ready ready = {
		.protections = {protections, 1}, .plugin_version = "0", .deadline_ms = 700};
	send_frame(FL_FRAME_READY, &ready);
	act(mode, fds[1]);
	return 0;
}
