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
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct plan {
	const struct component *component;
	const struct fl_component *release;
	const struct fl_artifact *artifact;
	const struct slot *slot;
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
	if (access(p->component->plugin, R_OK) != 0)
		return fl_fail(err, FL_E_PLUGIN_MISSING, 0, "'%s.so'", p->component->handler);
	enum fl_rc rc =
		fl_anchor_may_move(&h->anchor, w->place, p->component->key, FL_PHASE_STAGING, err);
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
	enum fl_rc rc =
		fl_anchor_set_phase(&next, w->place, p->component->key, FL_PHASE_STAGING, err);
	return rc == FL_OK ? save(h, &next, err) : rc;
}

/* *agent: the agent's end of the data channel. */
static enum fl_rc start(struct helper *h, const struct work *w, struct plan *p, int *agent,
			struct fl_err *err)
{
	const struct fl_installed_ref *installed = p->release->installed;
	const char *fill = installed->slot_fill;
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "data channel");
	FL_AUTO_FD ours = pair[0];
	FL_AUTO_FD theirs = pair[1];
	struct runner r = {.kind = CHILD_STAGE,
			   .job = w->job_digest,
			   .data = theirs,
			   .target = p->target,
			   .start = {.activity = "stage",
				     .format = p->artifact->format,
				     .installed_size = installed->size,
				     .installed_root = installed->tree->root,
				     .transport_size = p->artifact->size,
				     .transport_root = p->artifact->tree->root,
				     .frame = p->artifact->frame,
				     .slot = p->slot->name,
				     .zero_tail = fill != NULL && strcmp(fill, "zero") == 0}};
	enum fl_rc rc = start_runner(h, p->component, &r, err);
	p->target = r.target;
	if (rc != FL_OK)
		return rc;
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
	h->said[index] = (struct said){0};
	release_lock(h, index);
	rc = open_target(h, p.component, p.slot, O_RDWR, &p.target, err);
	if (rc == FL_OK)
		rc = check_size(p.target, p.release->installed->size, err);
	if (rc == FL_OK)
		rc = enter_staging(h, w, &p, err);
	if (rc == FL_OK)
		rc = switch_boot(h, "withdraw", p.slot->name, err);
	if (rc == FL_OK)
		rc = start(h, w, &p, agent, err);
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

enum fl_rc on_stop(struct helper *h, struct request *rq, struct fl_err *err)
{
	const struct fl_ipc_target *ask = rq->body;
	const struct component *c = config_component(&h->config, ask->component);
	if (c == NULL || fl_anchor_find_job(&h->anchor, &ask->job) < 0)
		return fl_fail(err, FL_E_NOT_OPEN, 0, "the job is not open");
	const struct child *child = &h->children[component_index(&h->config, c)];
	if ((child->kind == CHILD_STAGE || child->kind == CHILD_SEAL) &&
	    !fl_digest_equal(&child->job, &ask->job))
		return fl_fail(err, FL_E_NOT_OPEN, 0, "another job's runner");
	enum fl_rc rc = stop_child(h, component_index(&h->config, c), err);
	return rc == FL_OK ? give_up_seal(h, &ask->job, c, err) : rc;
}
