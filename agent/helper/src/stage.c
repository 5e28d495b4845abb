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
#include <fairlead/base/log.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define READY_MS      10000
#define SILENCE_MS    10000 /* when the plugin names no deadline */
#define SILENCE_MAX_MS (UINT64_C(10) * 60 * 1000)

/* --- the target --- */

static bool same_place(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode))
		return a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* By name, by inode, and by what the mounted root stands on. */
static bool is_running(struct helper *h, const struct component *c, const struct slot *slot,
		       const struct stat *st)
{
	char name[FL_NAME_MAX + 1];
	struct stat other;
	host_read_line(h->config.running_slot, name, sizeof(name));
	const struct slot *running = component_slot(c, name);
	if (running == NULL || strcmp(running->name, slot->name) == 0)
		return true; /* unknown counts as this one */
	if (stat(running->path, &other) == 0 && same_place(st, &other))
		return true;
	return S_ISBLK(st->st_mode) && stat("/", &other) == 0 && other.st_dev == st->st_rdev;
}

enum fl_rc open_target(struct helper *h, const struct component *c, const struct slot *slot,
		       int flags, int *ret, struct fl_err *err)
{
	struct stat st;
	struct stat opened;
	if (lstat(slot->path, &st) != 0)
		return fl_fail(err, FL_E_SLOT_MISSING, errno, "slot '%s'", slot->path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return fl_fail(err, FL_E_SLOT_MISSING, 0, "slot '%s' is no file and no block device",
			       slot->path);
	if (is_running(h, c, slot, &st))
		return fl_fail(err, FL_E_SLOT_RUNNING, 0, "slot '%s'", slot->name);
	FL_AUTO_FD fd = open(slot->path, flags | O_NOFOLLOW | O_CLOEXEC |
						 (S_ISBLK(st.st_mode) ? O_EXCL : 0));
	if (fd < 0 && errno == EBUSY)
		return fl_fail(err, FL_E_SLOT_BUSY, 0, "slot '%s'", slot->path);
	if (fd < 0 || fstat(fd, &opened) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "slot '%s'", slot->path);
	if (!same_place(&st, &opened))
		return fl_fail(err, FL_E_SLOT_BUSY, 0, "slot '%s' was exchanged", slot->path);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		return fl_fail(err, FL_E_SLOT_BUSY, 0, "slot '%s' is locked by another program",
			       slot->path);
	*ret = fd;
	fd = -1;
	return FL_OK;
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

enum fl_rc find_target(struct helper *h, const struct component *c, const struct boot_view *view,
		       const struct slot **ret, struct fl_err *err)
{
	const struct fl_anchor_component *known = fl_anchor_find_component(&h->anchor, c->key);
	const struct slot *slot = known == NULL ? NULL : component_slot_by_tag(c, known->slot);
	if (slot == NULL)
		return fl_fail(err, FL_E_PHASE, 0, "component '%s' has no target", c->name);
	if (view->running[0] == '\0' || strcmp(slot->name, view->running) == 0)
		return fl_fail(err, FL_E_SLOT_RUNNING, 0, "slot '%s'", slot->name);
	*ret = slot;
	return FL_OK;
}

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

/* --- starting --- */

struct plan {
	const struct component *component;
	const struct fl_component *release;
	const struct fl_artifact *artifact;
	const struct slot *slot;
	char plugin[PATH_MAX];
	int target;
};

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
		rc = boot_observe(&h->config, &view, err);
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
	struct child new = {.kind = CHILD_STAGE, .control = -1, .target = -1, .job = w->job_digest};
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "data channel");
	FL_AUTO_FD ours = pair[0];
	FL_AUTO_FD theirs = pair[1];
	enum fl_rc rc = child_spawn(&start, &new.control, &new.pid, err);
	if (rc != FL_OK)
		return rc;
	new.silence_ms = READY_MS;
	new.deadline_ms = fl_clock_boot_ms(h->clock) + READY_MS;
	new.target = p->target;
	*child = new;
	rc = send_start(h, w, p, child->control, theirs, err);
	p->target = -1; /* the child's now */
	if (rc != FL_OK) {
		(void)!stop_child(h, component_index(&h->config, p->component), NULL);
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
	release_lock(h, index);
	if (rc == FL_OK)
		rc = open_target(h, p.component, p.slot, O_RDWR, &p.target, err);
	if (rc == FL_OK)
		rc = check_size(p.target, p.release->installed->size, err);
	if (rc == FL_OK)
		rc = enter_staging(h, w, &p, err);
	if (rc == FL_OK)
		rc = boot_run(&h->config, "withdraw", p.slot->name, err);
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

/* --- watching --- */

void release_lock(struct helper *h, size_t component)
{
	fl_close(&h->locks[component]);
}

static void staged(struct helper *h, size_t index, const struct fl_digest *job,
		   const struct fl_ipc_result *result)
{
	const struct component *c = &h->config.components[index];
	const struct fl_ipc_staged event = {*job, c->name, result->result, result->code,
					    result->text};
	fl_log(FL_LOG_INFO, "staging '%s' ended: %s, %s%s%s", c->name, result->result, result->code,
	       result->text == NULL ? "" : ": ", result->text == NULL ? "" : result->text);
	send_agent(h, FL_FRAME_STAGED, 0, &event, -1);
}

/* Kills, reaps, forgets; who waits for a seal is told. */
static enum fl_rc end_child(struct helper *h, size_t component, struct fl_err *err)
{
	struct child *child = &h->children[component];
	if (child->kind == CHILD_NONE)
		return FL_OK;
	if (!child_kill(child->pid)) {
		child->unkillable = true;
		return fl_fail(err, FL_E_RUNNER_UNKILLABLE, 0, "process %d", (int)child->pid);
	}
	if (child->asked) {
		struct fl_err why;
		enum fl_rc rc = fl_fail(&why, FL_E_CANCELLED, 0, "stopped");
		send_reply(h, child->reply_id, rc, &why, -1);
	}
	fl_close(&child->control);
	fl_close(&child->target);
	*child = (struct child){.kind = CHILD_NONE, .control = -1, .target = -1};
	return FL_OK;
}

enum fl_rc stop_child(struct helper *h, size_t component, struct fl_err *err)
{
	static const struct fl_ipc_result stopped = {"retry", "cancelled", "stopped"};
	const struct child ended = h->children[component];
	enum fl_rc rc = end_child(h, component, err);
	if (rc == FL_OK && ended.kind == CHILD_STAGE)
		staged(h, component, &ended.job, &stopped);
	return rc;
}

enum fl_rc stop_children_of(struct helper *h, int place, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; i < h->config.n_components && rc == FL_OK; i++) {
		const struct component *c = &h->config.components[i];
		const struct fl_anchor_component *known =
			fl_anchor_find_component(&h->anchor, c->key);
		if (known == NULL || !known->held || known->job != place)
			continue;
		rc = stop_child(h, i, err);
		release_lock(h, i);
	}
	return rc;
}

/* The child has ended its activity, or we end it; it is reaped before anybody hears of it. */
static void finish(struct helper *h, struct child *child, const struct fl_ipc_result *result)
{
	struct fl_err err = {0};
	const struct child ended = *child;
	const size_t index = (size_t)(child - h->children);
	struct fl_ipc_result final = *result;
	if (ended.kind == CHILD_SEAL) { /* its lock outlives it */
		h->locks[index] = child->target;
		child->target = -1;
		child->asked = false;
	}
	if (end_child(h, index, &err) != FL_OK) {
		fl_log_err(FL_LOG_ERROR, &err, "runner of '%s'", h->config.components[index].name);
		fl_close(&child->control);
		final = (struct fl_ipc_result){"permanent", fl_rc_name(err.rc), err.msg};
	}
	if (ended.kind == CHILD_STAGE) {
		staged(h, index, &ended.job, &final);
		return;
	}
	enum fl_rc rc = fl_rc_from_name(final.code);
	if (rc != FL_OK)
		(void)fl_fail(&err, rc, 0, "%s", final.text == NULL ? final.code : final.text);
	seal_finished(h, index, &ended, rc, &err);
}

static void fault(struct helper *h, struct child *child, enum fl_rc rc, const char *text)
{
	const struct fl_ipc_result result = {"retry", fl_rc_name(rc), text};
	finish(h, child, &result);
}

static void note_protection(struct helper *h, const char *name)
{
	char text[sizeof(h->protections[0])];
	snprintf(text, sizeof(text), "runner: %.60s", name);
	for (size_t i = 0; i < h->n_protections; i++) {
		if (strcmp(h->protections[i], text) == 0)
			return;
	}
	if (h->n_protections < PROTECTIONS_MAX)
		memcpy(h->protections[h->n_protections++], text, sizeof(text));
}

static void on_ready(struct helper *h, struct child *child, const struct fl_ipc_ready *ready)
{
	h->n_protections = 0;
	for (size_t i = 0; i < ready->protections.n; i++)
		note_protection(h, ready->protections.items[i]);
	child->silence_ms = ready->deadline_ms == 0 ? SILENCE_MS : ready->deadline_ms;
	if (child->silence_ms > SILENCE_MAX_MS)
		child->silence_ms = SILENCE_MAX_MS;
}

static void on_log(const struct child *child, const struct fl_ipc_log *line)
{
	fl_log(line->level < FL_LOG_ERROR ? FL_LOG_ERROR : (enum fl_log_level)line->level,
	       "runner %d: %s", (int)child->pid, line->text);
}

union from_child {
	struct fl_ipc_ready ready;
	struct fl_ipc_log log;
	struct fl_ipc_result result;
	struct fl_ipc_observation observation;
	struct fl_ipc_empty empty;
};

static void dispatch(struct helper *h, struct child *child, enum fl_frame_type type,
		     const union from_child *body)
{
	if (type == FL_FRAME_READY)
		on_ready(h, child, &body->ready);
	else if (type == FL_FRAME_LOG)
		on_log(child, &body->log);
	child->deadline_ms = fl_clock_boot_ms(h->clock) + child->silence_ms;
	if (type == FL_FRAME_RESULT)
		finish(h, child, &body->result);
}

void on_child_frame(struct helper *h, struct child *child)
{
	struct fl_err err = {0};
	struct fl_arena arena = FL_ARENA((size_t)256 * 1024);
	union from_child body;
	enum fl_frame_type type;
	uint32_t id;
	int fds[FL_FRAME_FDS_MAX];
	size_t n_fds = 0;
	enum fl_rc rc = fl_frame_recv(child->control, &h->frame, fds, &n_fds, &err);
	for (size_t i = 0; rc == FL_OK && i < n_fds; i++)
		fl_close(&fds[i]);
	if (rc == FL_OK)
		rc = fl_frame_peek(h->frame.data, h->frame.len, &type, &id, &err);
	if (rc == FL_OK && (type < FL_FRAME_READY || type > FL_FRAME_RESULT) &&
	    type != FL_FRAME_OBSERVATION)
		rc = fl_fail(&err, FL_E_PROTOCOL, 0, "frame %s", fl_frame_name(type));
	if (rc == FL_OK)
		rc = fl_frame_decode(type, h->frame.data, h->frame.len, &arena, &body, &err);
	if (rc == FL_OK)
		dispatch(h, child, type, &body);
	else if (rc == FL_E_PEER_CLOSED)
		fault(h, child, FL_E_PLUGIN_CRASHED, "the process ended without a result");
	else if (rc != FL_E_BUSY)
		fault(h, child, FL_E_PLUGIN_CRASHED, err.msg);
	fl_arena_free(&arena);
}

void on_child_deadline(struct helper *h, struct child *child)
{
	fault(h, child, FL_E_PLUGIN_HUNG, "no sign of life before its deadline");
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
