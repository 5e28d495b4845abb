/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stage: a runner writes the inactive slot.
 *
 *   choose the slot ─► open and lock it ─► anchor: staging ─► boot: withdraw ─► runner ─► event staged
 *
 * Of an artifact that isn't zstd-frames a second runner makes the content: with the decoder that the format names, the
 * agent's file, and, where the release names a source, the slot that runs (docs/internals/decoder.md).
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
	int target, source; /* -1: none */
	bool decoded;
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
	p->decoded = strcmp(p->artifact->format, "zstd-frames") != 0;
	enum fl_rc rc =
		fl_anchor_may_move(&h->anchor, w->place, p->component->key, FL_PHASE_STAGING, err);
	if (rc == FL_OK)
		rc = look(h, &view, err);
	return rc == FL_OK ? choose_slot(h, p->component, &view, &p->slot, err) : rc;
}

/* What must be there is there before a byte of the slot is touched. */
static enum fl_rc plan_runners(struct helper *h, struct plan *p, size_t n_fds, struct fl_err *err)
{
	char path[PATH_MAX];
	const uint64_t mem_max = h->config.decoder_memory_mib << 20;
	if (n_fds != (p->decoded ? 2 : 0))
		return fl_fail(err, FL_E_PROTOCOL, 0, "%zu descriptors", n_fds);
	enum fl_rc rc = config_plugin(&h->config, p->component->handler, path, err);
	if (rc != FL_OK || !p->decoded)
		return rc;
	if (p->artifact->mem_max > mem_max)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "the decoder asks for %llu bytes of memory, %llu are allowed",
			       (unsigned long long)p->artifact->mem_max, (unsigned long long)mem_max);
	rc = config_plugin(&h->config, p->artifact->format, path, err);
	return rc == FL_OK && p->artifact->source != NULL
		       ? open_source(h, p->component, &p->source, err)
		       : rc;
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

static enum fl_rc channel(struct fl_err *err, int ret[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) == 0
		       ? FL_OK
		       : fl_fail(err, fl_rc_from_errno(errno), errno, "channel");
}

static enum fl_rc start_decoder(struct helper *h, const struct work *w, const struct plan *p,
				const int *input, int output, struct fl_err *err)
{
	const struct fl_artifact *a = p->artifact;
	struct runner r = {.kind = CHILD_DECODE,
			   .job = w->job_digest,
			   .plugin = a->format,
			   .target = -1,
			   .start = {.activity = "decode",
				     .format = a->format,
				     .installed_size = p->release->installed->size,
				     .transport_size = a->size,
				     .transport_root = a->tree->root,
				     .source_size = a->source == NULL ? 0 : a->source->size,
				     .mem_max = a->mem_max}};
	runner_channel(&r, output);
	runner_grant(&r, "input", input[0]);
	runner_grant(&r, "input_tree", input[1]);
	if (p->source >= 0)
		runner_grant(&r, "source", p->source);
	return start_runner(h, p->component, &r, err);
}

/* data: its end of the data channel; output: of the decoder's, -1: none. */
static enum fl_rc start_handler(struct helper *h, const struct work *w, struct plan *p, int data,
				int output, struct fl_err *err)
{
	const struct fl_installed_ref *installed = p->release->installed;
	const char *fill = installed->slot_fill;
	struct runner r = {.kind = CHILD_STAGE,
			   .job = w->job_digest,
			   .target = p->target,
			   .start = {.activity = "stage",
				     .format = p->artifact->format,
				     .installed_size = installed->size,
				     .installed_root = installed->tree->root,
				     .transport_size = p->artifact->size,
				     .transport_root = p->artifact->tree->root,
				     .frame = p->artifact->frame,
				     .slot = p->slot->name,
				     .decoder = p->decoded,
				     .zero_tail = fill != NULL && strcmp(fill, "zero") == 0}};
	runner_channel(&r, data);
	if (output >= 0)
		runner_channel(&r, output);
	enum fl_rc rc = start_runner(h, p->component, &r, err);
	p->target = r.target;
	return rc;
}

/*
 * *agent: the agent's end of the data channel. Nothing of the channels stays here: an end kept open would hide that the
 * other one is gone.
 */
static enum fl_rc start(struct helper *h, const struct work *w, struct plan *p, const int *input,
			int *agent, struct fl_err *err)
{
	int data[2] = {-1, -1};
	int output[2] = {-1, -1};
	enum fl_rc rc = channel(err, data);
	if (rc == FL_OK && p->decoded)
		rc = channel(err, output);
	if (rc == FL_OK && p->decoded)
		rc = start_decoder(h, w, p, input, output[1], err);
	if (rc == FL_OK)
		rc = start_handler(h, w, p, data[1], output[0], err);
	if (rc == FL_OK) {
		*agent = data[0];
		data[0] = -1;
	}
	for (size_t i = 0; i < 2; i++) {
		fl_close(&data[i]);
		fl_close(&output[i]);
	}
	return rc;
}

static enum fl_rc stage(struct helper *h, struct work *w, struct request *rq, struct fl_err *err)
{
	struct plan p = {.target = -1, .source = -1};
	if (trial_of_another(h, w->place))
		return fl_fail(err, FL_E_COMPONENT_BUSY, 0, "another job is on trial");
	enum fl_rc rc = work_verify(h, w, err);
	if (rc == FL_OK)
		rc = make_plan(h, w, rq->body, &p, err);
	if (rc != FL_OK)
		return rc;
	const size_t index = component_index(&h->config, p.component);
	rc = stop_child(h, index, err);
	if (rc == FL_OK)
		rc = plan_runners(h, &p, rq->n_fds, err);
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
		rc = start(h, w, &p, rq->fds, &rq->reply_fd, err);
	fl_close(&p.target);
	fl_close(&p.source);
	return rc;
}

enum fl_rc on_stage(struct helper *h, struct request *rq, struct fl_err *err)
{
	const struct fl_ipc_stage *ask = rq->body;
	struct work w;
	enum fl_rc rc = work_open(h, &ask->job, &w, err);
	if (rc == FL_OK)
		rc = stage(h, &w, rq, err);
	work_free(&w);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "stage '%s'", ask->component);
}

enum fl_rc on_stop(struct helper *h, struct request *rq, struct fl_err *err)
{
	const struct fl_ipc_target *ask = rq->body;
	const struct component *c = config_component(&h->config, ask->component);
	if (c == NULL || fl_anchor_find_job(&h->anchor, &ask->job) < 0)
		return fl_fail(err, FL_E_NOT_OPEN, 0, "the job is not open");
	const struct child *child = activity_of(h, component_index(&h->config, c));
	if ((child->kind == CHILD_STAGE || child->kind == CHILD_SEAL) &&
	    !fl_digest_equal(&child->job, &ask->job))
		return fl_fail(err, FL_E_NOT_OPEN, 0, "another job's runner");
	enum fl_rc rc = stop_child(h, component_index(&h->config, c), err);
	return rc == FL_OK ? give_up_seal(h, &ask->job, c, err) : rc;
}
