/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include "sandbox.h"

#include <poll.h>
#include <signal.h>
#include <string.h>

#define NEEDS_MAX 64

static volatile sig_atomic_t terminated;

static void on_term(int sig)
{
	(void)sig;
	terminated = 1;
}

void cancel_init(void)
{
	struct sigaction term = {.sa_handler = on_term}; /* no SA_RESTART: poll shall end */
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	(void)sigaction(SIGTERM, &term, NULL);
	(void)sigaction(SIGPIPE, &ignore, NULL);
	(void)sigaction(SIGXFSZ, &ignore, NULL);
}

bool cancelled(const struct control *control)
{
	struct pollfd helper = {control->fd, 0, 0};
	if (terminated != 0 && !control->inhibited)
		return true;
	return poll(&helper, 1, 0) > 0 && (helper.revents & (POLLHUP | POLLERR)) != 0;
}

static struct host *host_of(const struct fl_host *face)
{
	return face->ctx;
}

static void on_progress(const struct fl_host *face, uint64_t done, uint64_t total)
{
	(void)done;
	(void)total;
	control_alive(host_of(face)->control);
}

static void on_log(const struct fl_host *face, enum fl_level level, const char *text)
{
	control_log(host_of(face)->control, (int)level, text);
}

static void on_keepalive(const struct fl_host *face)
{
	control_alive(host_of(face)->control);
}

static void on_checkpoint(const struct fl_host *face, uint64_t offset)
{
	struct host *h = host_of(face);
	if (offset > h->checkpoint)
		h->checkpoint = offset;
	control_alive(h->control);
}

static void on_inhibit(const struct fl_host *face, int on, const char *why)
{
	struct host *h = host_of(face);
	h->control->inhibited = on != 0;
	processes_inhibit(on != 0);
	if (on != 0)
		control_log(h->control, FL_LEVEL_NOTICE, why);
}

static int on_resource(const struct fl_host *face, const char *name)
{
	return host_resource(host_of(face), name);
}

static int on_cancelled(const struct fl_host *face)
{
	return cancelled(host_of(face)->control);
}

void host_init(struct host *host, struct control *control)
{
	host->control = control;
	host->face = (struct fl_host){
		.abi_major = FL_HANDLER_ABI_MAJOR,
		.abi_minor = FL_HANDLER_ABI_MINOR,
		.size = sizeof(struct fl_host),
		.ctx = host,
		.progress = on_progress,
		.log = on_log,
		.keepalive = on_keepalive,
		.checkpoint = on_checkpoint,
		.inhibit = on_inhibit,
		.resource = on_resource,
		.cancelled = on_cancelled,
	};
}

int host_resource(const struct host *host, const char *name)
{
	for (size_t i = 0; i < host->n_resources; i++) {
		if (strcmp(host->names[i], name) == 0)
			return host->fds[i];
	}
	return -1;
}

enum fl_rc host_check_needs(const struct host *host, const struct fl_hello *hello,
			    enum fl_call call, struct fl_err *err)
{
	const struct fl_need *need = hello->needs;
	for (size_t i = 0; need != NULL && need[i].name != NULL && i < NEEDS_MAX; i++) {
		if ((need[i].calls & 1u << call) != 0 && host_resource(host, need[i].name) < 0)
			return fl_fail(err, FL_E_CONFIG, 0,
				       "the handler needs '%s', which is not granted",
				       need[i].name);
	}
	return FL_OK;
}
