/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seal: what stands in the target, read back from the medium by a child that can only read, is what
 * the release signs. The lock on the target is then held until the switch; a seal whose lock is
 * gone is none any more.
 */
#include "helper.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SEAL_SILENCE_MS 30000

enum fl_rc seal_check_start(struct helper *h, const struct component *c, const struct child *what,
			    int *target, struct fl_err *err)
{
	char size[24];
	char root[FL_DIGEST_HEX_SIZE];
	snprintf(size, sizeof(size), "%llu", (unsigned long long)what->content.size);
	fl_hex_encode(what->content.root.b, FL_DIGEST_SIZE, root);
	char *argv[] = {(char *)(uintptr_t) "/proc/self/exe",
			(char *)(uintptr_t) "--seal-check",
			size,
			root,
			(char *)(uintptr_t)(what->content.zero_tail ? "zero" : "keep"),
			(char *)(uintptr_t)h->config.runner_user,
			NULL};
	const struct child_start start = {argv, *target};
	struct child new = *what;
	new.silence_ms = SEAL_SILENCE_MS;
	new.deadline_ms = fl_clock_boot_ms(h->clock) + SEAL_SILENCE_MS;
	enum fl_rc rc = child_spawn(&start, &new, err);
	if (rc != FL_OK)
		return rc;
	new.target = *target;
	*target = -1;
	*activity_of(h, component_index(&h->config, c)) = new;
	return FL_OK;
}

static enum fl_rc start_check(struct helper *h, const struct request *rq, const struct work *w,
			      const struct component *c, const struct slot *slot, int *target,
			      struct fl_err *err)
{
	const struct fl_installed_ref *installed =
		fl_release_component(&w->release, c->name)->installed;
	const char *fill = installed->slot_fill;
	struct child new = {.kind = CHILD_SEAL,
			    .content = {installed->size, installed->tree->root,
					fill != NULL && strcmp(fill, "zero") == 0},
			    .job = w->job_digest,
			    .asked = true,
			    .reply_id = rq->id};
	memcpy(new.slot, slot->name, sizeof(new.slot));
	return seal_check_start(h, c, &new, target, err);
}

static enum fl_rc check_phase(struct helper *h, const struct work *w, const struct component *c,
			      struct fl_err *err)
{
	if (c == NULL || fl_release_component(&w->release, c->name) == NULL)
		return fl_fail(err, FL_E_NOT_OPEN, 0, "the job does not hold the component");
	return fl_anchor_may_move(&h->anchor, w->place, c->key, FL_PHASE_SEALED, err);
}

static enum fl_rc seal(struct helper *h, struct request *rq, struct work *w,
		       const struct component *c, struct fl_err *err)
{
	struct boot_view view;
	const struct slot *slot;
	FL_AUTO_FD target = -1;
	enum fl_rc rc = check_phase(h, w, c, err);
	if (rc == FL_OK)
		rc = work_verify(h, w, err);
	if (rc == FL_OK)
		rc = stop_child(h, component_index(&h->config, c), err);
	if (rc == FL_OK)
		rc = look(h, &view, err);
	if (rc == FL_OK)
		rc = find_target(h, c, &view, &slot, err);
	if (rc != FL_OK)
		return rc;
	release_lock(h, component_index(&h->config, c));
	rc = open_target(h, c, slot, O_RDONLY, &target, err);
	return rc == FL_OK ? start_check(h, rq, w, c, slot, &target, err) : rc;
}

enum fl_rc on_seal(struct helper *h, struct request *rq, struct fl_err *err)
{
	const struct fl_ipc_target *ask = rq->body;
	const struct component *c = config_component(&h->config, ask->component);
	struct work w;
	enum fl_rc rc = work_open(h, &ask->job, &w, err);
	if (rc == FL_OK)
		rc = seal(h, rq, &w, c, err);
	work_free(&w);
	rq->answered = rc == FL_OK; /* when nothing is left of the child */
	return rc == FL_OK ? rc : fl_wrap(err, rc, "seal '%s'", ask->component);
}

static enum fl_rc enter_sealed(struct helper *h, const struct child *child,
			       const struct component *c, struct fl_err *err)
{
	struct fl_anchor next = h->anchor;
	const int place = fl_anchor_find_job(&h->anchor, &child->job);
	enum fl_rc rc = fl_anchor_set_phase(&next, place, c->key, FL_PHASE_SEALED, err);
	return rc == FL_OK ? save(h, &next, err) : rc;
}

/* Without its lock a slot has no business in phase sealed; then the job may be withdrawn or
 * superseded again. */
enum fl_rc give_up_seal(struct helper *h, const struct fl_digest *job, const struct component *c,
			struct fl_err *err)
{
	struct fl_anchor next = h->anchor;
	const int place = fl_anchor_find_job(&next, job);
	const struct fl_anchor_component *known = fl_anchor_find_component(&next, c->key);
	release_lock(h, component_index(&h->config, c));
	if (known == NULL || !known->held || known->job != place || known->phase != FL_PHASE_SEALED)
		return FL_OK;
	enum fl_rc rc = fl_anchor_set_phase(&next, place, c->key, FL_PHASE_STAGING, err);
	return rc == FL_OK ? save(h, &next, err) : rc;
}

void seal_finished(struct helper *h, size_t index, const struct child *child, enum fl_rc rc,
		   const struct fl_err *err)
{
	const struct component *c = &h->config.components[index];
	struct fl_err why = *err;
	struct fl_err lost;
	if (rc == FL_OK)
		rc = enter_sealed(h, child, c, &why);
	if (rc == FL_OK)
		recheck_note(h, index, child);
	if (rc != FL_OK && give_up_seal(h, &child->job, c, &lost) != FL_OK)
		fl_log_err(FL_LOG_ERROR, &lost, "leave phase sealed");
	if (child->asked)
		send_reply(h, child->reply_id, rc, &why, -1);
}
