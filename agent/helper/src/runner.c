/* SPDX-License-Identifier: Apache-2.0 */
/* fairlead-runner, started for one activity of one component: what is the same for all activities. */
#include "helper.h"

#include <limits.h>
#include <unistd.h>

#define READY_MS 10000

static enum fl_rc send_start(int control, const struct fl_ipc_start *start, const int *fds,
			     size_t n_fds, struct fl_err *err)
{
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	enum fl_rc rc = fl_frame_encode(FL_FRAME_START, 0, start, &frame, err);
	if (rc == FL_OK)
		rc = fl_frame_send(control, frame.data, frame.len, fds, n_fds, err);
	fl_buf_free(&frame);
	return rc;
}

void runner_channel(struct runner *r, int fd)
{
	r->fds[r->n_fds++] = fd;
}

void runner_grant(struct runner *r, const char *name, int fd)
{
	r->names[r->n_names++] = name;
	r->fds[r->n_fds++] = fd;
}

enum fl_rc start_runner(struct helper *h, const struct component *c, struct runner *r,
			struct fl_err *err)
{
	char transaction[FL_DIGEST_HEX_SIZE], plugin[PATH_MAX];
	char *argv[] = {(char *)(uintptr_t)h->config.runner, NULL};
	const struct child_start how = {argv, -1};
	const size_t index = component_index(&h->config, c);
	struct child *child = r->kind == CHILD_DECODE ? decoder_of(h, index) : activity_of(h, index);
	struct child new = {.kind = r->kind, .silence_ms = READY_MS, .job = r->job};
	enum fl_rc rc = config_plugin(&h->config, r->plugin == NULL ? c->handler : r->plugin, plugin, err);
	if (rc == FL_OK)
		rc = child_spawn(&how, &new, err);
	if (rc != FL_OK)
		return rc;
	if (r->target >= 0)
		runner_grant(r, "target", r->target);
	new.deadline_ms = fl_clock_boot_ms(h->clock) + READY_MS;
	new.target = r->target;
	*child = new;
	r->target = -1; /* the child's now */
	fl_hex_encode(r->job.b, sizeof(r->job.b), transaction);
	r->start.plugin = plugin;
	r->start.component = c->name;
	r->start.transaction = fl_digest_is_zero(&r->job) ? "" : transaction;
	r->start.resources.items = r->names;
	r->start.resources.n = r->n_names;
	r->start.user = geteuid() == 0 ? h->config.runner_user : NULL;
	r->start.require_sandbox = h->config.require_sandbox;
	rc = send_start(child->control, &r->start, r->fds, r->n_fds, err);
	if (rc != FL_OK)
		fault(h, child, rc, "its start could not be sent");
	return rc;
}
