/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fairlead-runner: one activity of one component, with one plugin, in a process of its own
 * (docs/internals/runner.md).
 *
 *   start -> plan sandbox -> split -> enter sandbox -> load plugin -> close sandbox
 *         -> hello -> ready -> activity -> result
 *
 * Whatever fails, the helper gets one result; only a crash or a kill leaves it without.
 */
#include "activity.h"
#include "sandbox.h"

#include <fairlead/base/clock.h>
#include <fairlead/base/file.h>
#include <fairlead/base/log.h>
#include <fairlead/trust/digest.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define START_ARENA_MAX ((size_t)64 * 1024)

/* Standard input is empty, the descriptors below the control channel exist, and nothing else was
 * inherited. */
static void clean_descriptors(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; null >= 0 && fd < CONTROL_FD; fd++) {
		if (fd == STDIN_FILENO || fcntl(fd, F_GETFD) < 0)
			(void)dup2(null, fd);
	}
	(void)close_range(CONTROL_FD + 1, ~0u, 0);
}

static bool is_control(int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}

static void fill_task(struct run *run)
{
	const struct fl_ipc_start *s = run->start;
	run->task = (struct fl_task){
		.size = sizeof(struct fl_task),
		.flags = s->zero_tail ? FL_TASK_ZERO_TAIL : 0,
		.transaction = s->transaction,
		.component = s->component,
		.slot = s->slot == NULL ? "" : s->slot,
		.installed_size = s->installed_size,
	};
	memcpy(run->task.installed_root, s->installed_root.b, sizeof(run->task.installed_root));
}

static enum fl_rc take_channel(int fd, int *ret, struct fl_err *err)
{
	if (!is_control(fd) || fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
		return fl_fail(err, FL_E_PROTOCOL, 0, "a channel that is no SOCK_SEQPACKET socket");
	*ret = fd;
	return FL_OK;
}

/* Which descriptor is what: the channels first, then the resources by their names. */
static enum fl_rc take_descriptors(struct run *run, const int *fds, size_t n_fds,
				   struct fl_err *err)
{
	size_t first = activity_channels(run->activity, run->start);
	if (n_fds != first + run->start->resources.n)
		return fl_fail(err, FL_E_PROTOCOL, 0, "%zu descriptors for %zu resources", n_fds,
			       run->start->resources.n);
	for (size_t i = 0; i < first; i++) {
		enum fl_rc rc = take_channel(fds[i], &run->channels[i], err);
		if (rc != FL_OK)
			return rc;
	}
	run->host.n_resources = run->start->resources.n;
	for (size_t i = 0; i < run->start->resources.n; i++) {
		run->host.names[i] = run->start->resources.items[i];
		run->host.fds[i] = fds[first + i];
	}
	return FL_OK;
}

/* Files may grow up to the content's size or keep theirs: a runaway plugin cannot fill the file
 * system. */
static uint64_t file_size_max(const struct run *run)
{
	uint64_t max = run->start->installed_size;
	for (size_t i = 0; i < run->host.n_resources; i++) {
		struct stat st;
		if (fstat(run->host.fds[i], &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
		    (uint64_t)st.st_size > max)
			max = (uint64_t)st.st_size;
	}
	return max;
}

static enum fl_rc prepare_run(struct run *run, struct sandbox *sandbox, const int *fds,
			      size_t n_fds, struct fl_err *err)
{
	run->activity = activity_find(run->start->activity);
	if (run->activity == NULL)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "no activity '%s'",
			       run->start->activity);
	host_init(&run->host, &run->control);
	run->plugin.verdict = run->decode.decoder.verdict = &run->verdict;
	fill_task(run);
	enum fl_rc rc = take_descriptors(run, fds, n_fds, err);
	if (rc == FL_OK && activity_decodes(run->activity)) {
		sandbox->decoder_memory = run->start->mem_max;
		rc = decode_prepare(&run->decode, run->start, &run->host, run->channels[0], err);
	}
	if (rc == FL_OK)
		rc = sandbox_plan(sandbox, run->start->plugin, run->start->user, err);
	sandbox->file_size_max = file_size_max(run);
	/* OpenSSL reads its configuration at the first use: now, while it can be opened. */
	struct fl_digest digest;
	return rc == FL_OK ? fl_sha256(NULL, 0, "", 0, &digest, err) : rc;
}

static const char *skill_name(const struct run *run, size_t i)
{
	return activity_decodes(run->activity) ? decoder_format(&run->decode.decoder, i)
					       : plugin_capability_name(&run->plugin, i);
}

static enum fl_rc send_ready(struct run *run, const struct sandbox *sandbox, struct fl_err *err)
{
	const bool decodes = activity_decodes(run->activity);
	const char *names[32];
	size_t n = 0;
	while (n < sizeof(names) / sizeof(names[0]) && (names[n] = skill_name(run, n)) != NULL)
		n++;
	const char *stated =
		decodes ? run->decode.decoder.calls.version : run->plugin.calls.version;
	char version[FL_VERSION_MAX];
	(void)snprintf(version, sizeof(version), "%s", stated == NULL ? "" : stated);
	make_printable(version, sizeof(version));
	const struct fl_ipc_ready ready = {
		{sandbox->protections.items, sandbox->protections.n},
		version,
		{names, n},
		decodes ? plugin_deadline(run->decode.decoder.hello.deadline_ms)
			: plugin_deadline_ms(&run->plugin, activity_call(run->activity))};
	return control_send(&run->control, FL_FRAME_READY, &ready, err);
}

static enum fl_rc load(struct run *run, struct fl_err *err)
{
	return activity_decodes(run->activity)
		       ? decoder_load(&run->decode.decoder, run->start->plugin, err)
		       : plugin_load(&run->plugin, run->start->plugin, err);
}

static enum fl_rc greet(struct run *run, struct fl_err *err)
{
	if (activity_decodes(run->activity))
		return decoder_hello(&run->decode.decoder, &run->decode.host.face,
				     &run->decode.task, err);
	enum fl_rc rc = plugin_hello(&run->plugin, &run->host.face, err);
	return rc == FL_OK ? host_check_needs(&run->host, &run->plugin.hello,
					      activity_call(run->activity), err)
			   : rc;
}

/* In the inner process. */
static enum fl_rc work(struct run *run, struct sandbox *sandbox, struct fl_err *err)
{
	enum fl_rc rc = sandbox_enter(sandbox, err);
	if (rc == FL_OK)
		rc = load(run, err);
	if (rc == FL_OK)
		rc = sandbox_close(sandbox, err);
	if (rc == FL_OK && run->start->require_sandbox)
		rc = sandbox_check(sandbox, err);
	if (rc == FL_OK)
		rc = greet(run, err);
	if (rc == FL_OK)
		rc = send_ready(run, sandbox, err);
	return rc == FL_OK ? activity_run(run, err) : rc;
}

/* A failing call of the plugin has left its own verdict; any other failure is judged here. */
static int finish(struct run *run, enum fl_rc rc, struct fl_err *err)
{
	struct verdict verdict = run->verdict;
	if (rc != FL_OK && verdict.cls == FL_CLASS_OK)
		verdict_from_err(&verdict, err);
	struct fl_err lost;
	if (control_result(&run->control, &verdict, &lost) == FL_OK)
		return EXIT_SUCCESS;
	fl_log_err(FL_LOG_ERROR, &lost, "result %s %s", verdict_class_name(verdict.cls),
		   verdict.code);
	return EXIT_FAILURE;
}

static int run_activity(const struct fl_ipc_start *start, const int *fds, size_t n_fds)
{
	static struct sandbox sandbox;
	static struct run run; /* zeroed */
	struct fl_err err;
	run.start = start;
	run.channels[0] = run.channels[1] = -1;
	run.control = (struct control){.fd = CONTROL_FD, .clock = &fl_clock_system};
	enum fl_rc rc = prepare_run(&run, &sandbox, fds, n_fds, &err);
	if (rc == FL_OK)
		rc = processes_split(&sandbox.protections, &err);
	cancel_init();
	if (rc == FL_OK)
		rc = work(&run, &sandbox, &err);
	return finish(&run, rc, &err);
}

int main(void)
{
	fl_log_open("fairlead-runner");
	if (!is_control(CONTROL_FD)) {
		fl_log(FL_LOG_ERROR,
		       "descriptor %d is no control channel: fairlead-helper starts this program",
		       CONTROL_FD);
		return 2;
	}
	clean_descriptors();
	struct fl_arena arena = FL_ARENA(START_ARENA_MAX);
	struct fl_ipc_start start;
	struct fl_err err;
	int fds[FL_FRAME_FDS_MAX];
	size_t n_fds = 0;
	if (control_recv_start(CONTROL_FD, &arena, &start, fds, &n_fds, &err) != FL_OK) {
		fl_log_err(FL_LOG_ERROR, &err, "start");
		return EXIT_FAILURE;
	}
	/* No destructors: the plugin's would run with nothing left to say, a sanitizer's leak check
	 * cannot run here. */
	_exit(run_activity(&start, fds, n_fds));
}
