/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for fairlead-runner: takes `start`, does what FAKE_RUNNER says, and answers. It keeps nothing of the
 * sandbox; what it may do to the helper is what any runner taken over by its plugin could.
 *
 *   write FILE   copies FILE into the target, result ok        lie        result ok, nothing written
 *   mute         never ready                                   hang       ready, then silent
 *   crash        ready, then gone                              garbage    ready, then bytes that are no frame
 *   slow         ready, then keepalives for ever               refuse     result permanent, plugin_refused
 *
 *   starved      waits for the end of the output channel, result retry, no_source
 *
 * As a decoder (FAKE_DECODER) the same, and: ok   result ok     read   refuses, and tells what it was given to read
 *
 * And in two processes, as the real one: the outer one holds nothing, the inner one keeps control channel and target
 * for a while after its end was asked for, or after the outer one has died.
 *
 *   careful MS   SIGTERM is passed on; the inner one marks the target, ends MS later, and the outer one after it
 *   careless MS  the outer one ends at once on SIGTERM, the inner one MS later
 *   stubborn MS  silent, and only SIGKILL ends the outer one; the inner one ends MS later
 */
#include <fairlead/base/file.h>
#include <fairlead/ipc/codec.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
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

static volatile sig_atomic_t terminated;
static volatile sig_atomic_t inner;

static void on_term(int sig)
{
	(void)sig;
	terminated = 1;
	if (inner > 0)
		(void)kill((pid_t)inner, SIGTERM);
}

/* Returns in the inner process, when its end has come. */
static void split(const char *mode, int target)
{
	static const struct fl_ipc_empty empty = {false};
	int alive[2];
	if (pipe(alive) != 0)
		_exit(1);
	if (strncmp(mode, "careless", 8) != 0)
		(void)signal(SIGTERM, on_term);
	inner = (sig_atomic_t)fork();
	if (inner > 0) {
		(void)close(alive[0]);
		(void)close(CONTROL);
		(void)close(target);
		while (waitpid((pid_t)inner, NULL, 0) < 0)
			continue;
		_exit(0);
	}
	(void)close(alive[1]);
	struct pollfd outer = {alive[0], 0, 0};
	const bool deaf = strncmp(mode, "stubborn", 8) == 0;
	while ((deaf || !terminated) && poll(&outer, 1, 50) <= 0) {
		if (!deaf)
			send_frame(FL_FRAME_KEEPALIVE, &empty);
	}
	if (terminated)
		(void)!pwrite(target, "end", 3, 0);
}

static void linger(const char *mode)
{
	const char *ms = strchr(mode, ' ');
	for (long i = 0; i < strtol(ms, NULL, 10) / 10; i++)
		usleep(10 * 1000);
	_exit(0);
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
	if (strncmp(mode, "care", 4) == 0 || strncmp(mode, "stub", 4) == 0) {
		split(mode, target);
		linger(mode);
	}
	while (strcmp(mode, "slow") == 0) {
		send_frame(FL_FRAME_KEEPALIVE, &empty);
		usleep(50 * 1000);
	}
	be_silent();
}

/*
 * FAKE_OBSERVE: nothing, or as above crash, hang, mute, slow, garbage, refuse, stubborn MS; or
 *
 *   absent       no target                                     flood      ready, then observations and keepalives for ever
 *   runs, trial, good, other                                   a lie about the slot
 *   write        tries to write to the target, ok when it cannot
 */
static void observe(const struct fl_ipc_start *start, int target)
{
	const char *mode = getenv("FAKE_OBSERVE");
	mode = mode == NULL ? "" : mode;
	const struct fl_ipc_slot slot = {.name = strcmp(mode, "other") == 0 ? "a" : start->slot,
					 .running = strcmp(mode, "runs") == 0,
					 .trial = strcmp(mode, "trial") == 0,
					 .good = strcmp(mode, "good") == 0,
					 .version = "7.7",
					 .release_seq = 77};
	const struct fl_ipc_observation seen = {
		.code = "ok", .component = start->component, .slots = {&slot, strcmp(mode, "absent") != 0}};
	static const char *const acted[] = {"crash", "hang", "slow", "garbage", "refuse", "stubborn 500"};
	for (size_t i = 0; i < sizeof(acted) / sizeof(acted[0]); i++) {
		if (strcmp(mode, acted[i]) == 0)
			act(mode, target);
	}
	if (strcmp(mode, "write") == 0 && pwrite(target, "x", 1, 0) == 1)
		end("retry", "io");
	do
		send_frame(FL_FRAME_OBSERVATION, &seen);
	while (strcmp(mode, "flood") == 0);
	const struct fl_ipc_result result = {"ok", "ok", start->slot};
	send_frame(FL_FRAME_RESULT, &result);
	be_silent();
}

/* "INPUT SOURCE": the first bytes of both; each may only be read. */
static void tell(const int *fds, size_t n)
{
	char text[64] = "", bytes[8];
	for (size_t i = 0; i < n; i += 2) { /* the tree of the input stands between them */
		if ((fcntl(fds[i], F_GETFL) & O_ACCMODE) != O_RDONLY ||
		    pread(fds[i], bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
			end("retry", "io");
		for (size_t k = 0; k < sizeof(bytes); k++)
			(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%02x",
				       (unsigned)(uint8_t)bytes[k]);
	}
	const struct fl_ipc_result result = {"permanent", "plugin_refused", text};
	send_frame(FL_FRAME_RESULT, &result);
	be_silent();
}

static void decode(const char *mode, const int *fds, size_t n_fds)
{
	if (strcmp(mode, "read") == 0)
		tell(fds + 1, n_fds - 1);
	if (strcmp(mode, "ok") == 0)
		end("ok", "ok");
	act(mode, -1);
}

static void starve(int output)
{
	static const struct fl_ipc_empty empty = {false};
	struct pollfd p = {output, 0, 0};
	while (poll(&p, 1, 100) == 0)
		send_frame(FL_FRAME_KEEPALIVE, &empty);
	end("retry", "no_source");
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
	const char *observe_mode = getenv("FAKE_OBSERVE");
	if (mode == NULL || fl_frame_recv(CONTROL, &frame, fds, &n_fds, &err) != FL_OK ||
	    fl_frame_decode(FL_FRAME_START, frame.data, frame.len, &arena, &start, &err) != FL_OK)
		return 1;
	const bool asked = strcmp(start.activity, "observe") == 0;
	const bool decodes = strcmp(start.activity, "decode") == 0;
	const size_t channels = asked ? 0 : start.decoder ? 2 : 1;
	if (n_fds != channels + start.resources.n || start.resources.n != (decodes ? 3 : 1))
		return 1;
	const char *how = asked ? observe_mode : decodes ? getenv("FAKE_DECODER") : mode;
	if (how != NULL && strcmp(how, "mute") == 0)
		be_silent();
	static const char *const protections[] = {"none"};
	const struct fl_ipc_ready ready = {
		.protections = {protections, 1}, .plugin_version = "0", .deadline_ms = 700};
	send_frame(FL_FRAME_READY, &ready);
	if (asked)
		observe(&start, fds[0]);
	if (decodes)
		decode(how, fds, n_fds);
	if (start.decoder && strcmp(mode, "starved") == 0)
		starve(fds[1]);
	act(mode, fds[n_fds - 1]);
	return 0;
}
