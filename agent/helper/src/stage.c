/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stage: a runner writes the inactive slot.
 *
 *   choose the slot ─► open and lock it ─► anchor: staging ─► boot: withdraw ─► runner ─► event staged
 *
 * Nothing is written before the slot is withdrawn, and the slot that runs is never opened. What a runner says ends
 * its own activity and nothing else; the seal decides what stands in the slot.
 */
#include "helper.h"

#include <fairlead/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define READY_MS      10000

struct plan {
	const struct component *component;
	const struct fl_component *release;
	const struct fl_artifact *artifact;
	const struct slot *slot;
	char plugin[PATH_MAX];
	int target;
};

/* A slot that neither runs nor is the fallback. */
static enum fl_rc choose_slot(struct helper *h, const struct component *c,
			      const struct boot_view *view, const struct slot **ret,
			      struct fl_err *err)
{
	if (view->running[0] == '\0' || component_slot(c, view->running) == NULL)
		return fl_fail(err, FL_E_SLOT_RUNNING, 0, "it is not known which slot runs");
	if (find_target(h, c, view, ret, NULL) == FL_OK && strcmp((*ret)->name, view->good) != 0)
		return FL_OK;
	for (size_t i = 0; i < c->n_slots; i++) {
		const char *name = c->slots[i].name;
		if (strcmp(name, view->running) == 0 || strcmp(name, view->good) == 0)
			continue;
		*ret = &c->slots[i];
		return FL_OK;
	}
	return fl_fail(err, FL_E_SLOT_MISSING, 0, "component '%s' has no inactive slot", c->name);
}

static enum fl_rc check_size(int fd, uint64_t need, struct fl_err *err)
{
	struct stat st;
	uint64_t size = 0;
	if (fstat(fd, &st) != 0 || (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, &size) != 0))
		return fl_fail(err, FL_E_IO, errno, "size of the slot");
	if (S_ISREG(st.st_mode))
		size = (uint64_t)st.st_size;
	if (size < need)
		return fl_fail(err, FL_E_SLOT_TOO_SMALL, 0, "%llu bytes, the image has %llu",
			       (unsigned long long)size, (unsigned long long)need);
	return FL_OK;
}

static enum fl_rc check_phase(struct helper *h, const struct work *w, const struct component *c,
			      struct fl_err *err)
{
	const struct fl_anchor_component *known = fl_anchor_find_component(&h->anchor, c->key);
	if (known == NULL || !known->held || known->job != w->place)
		return fl_fail(err, FL_E_NOT_OPEN, 0, "the job does not hold '%s'", c->name);
	if (!fl_phase_may_follow(known->phase, FL_PHASE_STAGING))
		return fl_fail(err, FL_E_PHASE, 0, "stage in phase %s",
			       fl_phase_name(known->phase));
	return FL_OK;
}

static enum fl_rc make_plan(struct helper *h, struct work *w, const struct fl_ipc_stage *ask,
			    struct plan *p, struct fl_err *err)
{
	struct boot_view view;
	p->component = config_component(&h->config, ask->component);
	p->release = fl_release_component(&w->release, ask->component);
	if (p->component == NULL || p->release == NULL || p->release->installed == NULL ||
	    !job_names(&w->job, ask->component))
		return fl_fail(err, FL_E_NOT_OPEN, 0, "the job has no component '%s'",
			       ask->component);
	p->artifact = fl_component_artifact(p->release, ask->artifact, "zstd-frames");
	if (p->artifact == NULL)
		return fl_fail(err, FL_E_NOT_FOUND, 0, "no such artifact");
	if (strcmp(p->artifact->format, "zstd-frames") != 0)
		return fl_fail(err, FL_E_NOT_SUPPORTED, 0, "format '%s'", p->artifact->format);
	int n = snprintf(p->plugin, sizeof(p->plugin), "%s/%s.so", h->config.plugins,
			 p->component->handler);
	if (n < 0 || (size_t)n >= sizeof(p->plugin) || access(p->plugin, R_OK) != 0)
		return fl_fail(err, FL_E_PLUGIN_MISSING, 0, "'%s.so'", p->component->handler);
	enum fl_rc rc = check_phase(h, w, p->component, err);
	if (rc == FL_OK)
		rc = look(h, &view, err);
	return rc == FL_OK ? choose_slot(h, p->component, &view, &p->slot, err) : rc;
}

static enum fl_rc enter_staging(struct helper *h, const struct work *w, const struct plan *p,
				struct fl_err *err)
{
	struct fl_anchor next = h->anchor;
	struct fl_anchor_component *known = fl_anchor_find_component(&next, p->component->key);
	if (known->phase == FL_PHASE_STAGING && known->slot == p->slot->tag)
		return FL_OK; /* nothing new to save */
	known->slot = p->slot->tag;
	enum fl_rc rc = fl_anchor_set_phase(&next, w->place, p->component->key, FL_PHASE_STAGING,
					    err);
	return rc == FL_OK ? save(h, &next, err) : rc;
}

static enum fl_rc send_start(struct helper *h, const struct work *w, const struct plan *p,
			     int control, int data, struct fl_err *err)
{
	static const char *const resources[] = {"target"};
	char transaction[FL_DIGEST_HEX_SIZE];
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	const int fds[] = {data, p->target};
	const char *fill = p->release->installed->slot_fill;
	fl_hex_encode(w->job_digest.b, sizeof(w->job_digest.b), transaction);
	const struct fl_ipc_start start = {
		.activity = "stage",
		.plugin = p->plugin,
		.component = p->component->name,
		.transaction = transaction,
		.format = p->artifact->format,
		.installed_size = p->release->installed->size,
		.installed_root = p->release->installed->tree->root,
		.transport_size = p->artifact->size,
		.transport_root = p->artifact->tree->root,
		.frame = p->artifact->frame,
		.slot = p->slot->name,
		.resources = {resources, 1},
		.zero_tail = fill != NULL && strcmp(fill, "zero") == 0,
		.user = geteuid() == 0 ? h->config.runner_user : NULL,
		.require_sandbox = h->config.require_sandbox,
	};
	enum fl_rc rc = fl_frame_encode(FL_FRAME_START, 0, &start, &frame, err);
	if (rc == FL_OK)
		rc = fl_frame_send(control, frame.data, frame.len, fds, 2, err);
	fl_buf_free(&frame);
	return rc;
}

/* *agent: the agent's end of the data channel. */
static enum fl_rc start_runner(struct helper *h, const struct work *w, struct plan *p, int *agent,
			       struct fl_err *err)
{
	char *argv[] = {(char *)(uintptr_t)h->config.runner, NULL};
	const struct child_start start = {argv, -1};
	struct child *child = &h->children[component_index(&h->config, p->component)];
	struct child new = {.kind = CHILD_STAGE, .job = w->job_digest};
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "data channel");
	FL_AUTO_FD ours = pair[0];
	FL_AUTO_FD theirs = pair[1];
	enum fl_rc rc = child_spawn(&start, &new, err);
	if (rc != FL_OK)
		return rc;
	new.silence_ms = READY_MS;
	new.deadline_ms = fl_clock_boot_ms(h->clock) + READY_MS;
	new.target = p->target;
	*child = new;
	rc = send_start(h, w, p, child->control, theirs, err);
	p->target = -1; /* the child's now */
	if (rc != FL_OK) {
		fault(h, child, rc, "its start could not be sent");
		return rc;
	}
	*agent = ours;
	ours = -1;
	return FL_OK;
}

static enum fl_rc stage(struct helper *h, struct work *w, const struct fl_ipc_stage *ask,
			int *agent, struct fl_err *err)
{
	struct plan p = {.target = -1};
	if (trial_of_another(h, w->place))
		return fl_fail(err, FL_E_COMPONENT_BUSY, 0, "another job is on trial");
	enum fl_rc rc = work_verify(h, w, err);
	if (rc == FL_OK)
		rc = make_plan(h, w, ask, &p, err);
	if (rc != FL_OK)
		return rc;
	const size_t index = component_index(&h->config, p.component);
	rc = stop_child(h, index, err);
	if (rc != FL_OK)
		return rc;
	release_lock(h, index);
	rc = open_target(h, p.component, p.slot, O_RDWR, &p.target, err);
	if (rc == FL_OK)
		rc = check_size(p.target, p.release->installed->size, err);
	if (rc == FL_OK)
		rc = enter_staging(h, w, &p, err);
	if (rc == FL_OK)
		rc = switch_boot(h, "withdraw", p.slot->name, err);
	if (rc == FL_OK)
		rc = start_runner(h, w, &p, agent, err);
	fl_close(&p.target);
	return rc;
}

enum fl_rc on_stage(struct helper *h, struct request *rq, struct fl_err *err)
{
	const struct fl_ipc_stage *ask = rq->body;
	struct work w;
	enum fl_rc rc = work_open(h, &ask->job, &w, err);
	if (rc == FL_OK)
		rc = stage(h, &w, ask, &rq->reply_fd, err);
	work_free(&w);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "stage '%s'", ask->component);
}

/* A sealed component that is not to be switched now may be withdrawn or superseded again. */
static enum fl_rc give_up_seal(struct helper *h, const struct fl_digest *job, const struct component *c,
			       struct fl_err *err)
{
	struct fl_anchor next = h->anchor;
	const int place = fl_anchor_find_job(&next, job);
	const struct fl_anchor_component *known = fl_anchor_find_component(&next, c->key);
	if (known == NULL || !known->held || known->job != place || known->phase != FL_PHASE_SEALED)
		return FL_OK;
	enum fl_rc rc = fl_anchor_set_phase(&next, place, c->key, FL_PHASE_STAGING, err);
	release_lock(h, component_index(&h->config, c));
	return rc == FL_OK ? save(h, &next, err) : rc;
}

enum fl_rc on_stop(struct helper *h, struct request *rq, struct fl_err *err)
{
	const struct fl_ipc_target *ask = rq->body;
	const struct component *c = config_component(&h->config, ask->component);
	if (c == NULL || fl_anchor_find_job(&h->anchor, &ask->job) < 0)
		return fl_fail(err, FL_E_NOT_OPEN, 0, "the job is not open");
	const struct child *child = &h->children[component_index(&h->config, c)];
	if (child->kind != CHILD_NONE && !fl_digest_equal(&child->job, &ask->job))
		return fl_fail(err, FL_E_NOT_OPEN, 0, "another job's runner");
	enum fl_rc rc = stop_child(h, component_index(&h->config, c), err);
	return rc == FL_OK ? give_up_seal(h, &ask->job, c, err) : rc;
}
