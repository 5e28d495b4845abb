/* SPDX-License-Identifier: Apache-2.0 */
/* fairlead-runner, started for one activity of one component: what is the same for all activities. */
#include "helper.h"

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

enum fl_rc start_runner(struct helper *h, const struct component *c, struct runner *r,
			struct fl_err *err)
{
	static const char *const resources[] = {"target"};
	char transaction[FL_DIGEST_HEX_SIZE];
	char *argv[] = {(char *)(uintptr_t)h->config.runner, NULL};
	const struct child_start how = {argv, -1};
	struct child *child = &h->children[component_index(&h->config, c)];
	struct child new = {.kind = r->kind, .silence_ms = READY_MS, .job = r->job};
	const int fds[] = {r->data, r->target};
	const bool data = r->data >= 0;
	enum fl_rc rc = child_spawn(&how, &new, err);
	if (rc != FL_OK)
		return rc;
	new.deadline_ms = fl_clock_boot_ms(h->clock) + READY_MS;
	new.target = r->target;
	*child = new;
	r->target = -1; /* the child's now */
	fl_hex_encode(r->job.b, sizeof(r->job.b), transaction);
	r->start.plugin = c->plugin;
	r->start.component = c->name;
	r->start.transaction = fl_digest_is_zero(&r->job) ? "" : transaction;
	r->start.resources.items = resources;
	r->start.resources.n = 1;
	r->start.user = geteuid() == 0 ? h->config.runner_user : NULL;
	r->start.require_sandbox = h->config.require_sandbox;
	rc = send_start(child->control, &r->start, data ? fds : fds + 1, data ? 2 : 1, err);
	if (rc != FL_OK)
		fault(h, child, rc, "its start could not be sent");
	return rc;
}
