/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Presented documents: a chain of roots, or a job with its release, or a cancel. Verified, then
 * kept, then listed in the anchor; only then answered.
 */
#include "helper.h"

#include <fairlead/base/log.h>

#include <string.h>

struct presented {
	struct fl_envelope *envs;
	size_t n;
	struct fl_digest job_digest;
	struct fl_job job;
	struct fl_release release;
	bool known;
};

static enum fl_rc receive_all(struct request *rq, struct presented *p, struct fl_err *err)
{
	const struct fl_ipc_documents *docs = rq->body;
	if (docs->documents.n != rq->n_fds)
		return fl_fail(err, FL_E_PROTOCOL, 0, "one descriptor for each document");
	p->n = docs->documents.n;
	p->envs = fl_arena_alloc(&rq->arena, p->n * sizeof(*p->envs), err);
	enum fl_rc rc = p->envs == NULL ? FL_E_NO_MEMORY : FL_OK;
	for (size_t i = 0; i < p->n && rc == FL_OK; i++)
		rc = receive_document(&docs->documents.items[i], rq->fds[i], &rq->arena,
				      &p->envs[i], err);
	return rc;
}

static enum fl_rc present_roots(struct helper *h, const struct presented *p, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; i < p->n && rc == FL_OK; i++)
		rc = trust_next_root(h, &p->envs[i], err);
	return rc;
}

/* A job gives way to a newer one until it is sealed or being sealed. */
static bool gives_way(struct helper *h, int place)
{
	const struct fl_digest *job;
	if (fl_anchor_job_phase(&h->anchor, place) >= FL_PHASE_SEALED)
		return false;
	for (size_t i = 0; i < h->config.n_components; i++) {
		job = &activity_of(h, i)->job;
		if (activity_of(h, i)->kind == CHILD_SEAL &&
		    fl_anchor_find_job(&h->anchor, job) == place)
			return false;
	}
	return true;
}

/* The job at `place` gives way to the one at `by`. */
static enum fl_rc supersede(struct helper *h, struct fl_anchor *next, int place, int by,
			    struct fl_err *err)
{
	if (!gives_way(h, place) || next->jobs[place].job_seq > next->jobs[by].job_seq)
		return fl_fail(err, FL_E_COMPONENT_BUSY, 0, "another job holds a component");
	return fl_anchor_close_job(next, place, err);
}

/* The runners of what gave way end last: everything that may fail has been done, but for the
 * anchor's own write. */
static enum fl_rc stop_superseded(struct helper *h, const struct fl_anchor *next,
				  struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	for (int place = 0; place < FL_ANCHOR_JOBS && rc == FL_OK; place++) {
		const struct fl_anchor_id *was = &h->anchor.jobs[place].job;
		if (!fl_anchor_id_is_zero(was) && !fl_anchor_id_equal(was, &next->jobs[place].job))
			rc = stop_children_of(h, place, err);
	}
	return rc;
}

/* Facts of the running good image become the anchor's: it may be lost from the image later, never
 * from here. */
static void note_image(struct helper *h, struct fl_anchor *next, const struct component *c,
		       struct fl_arena *arena)
{
	struct fl_image_info info;
	struct fl_anchor_component *known = fl_anchor_find_component(next, c->key);
	if (known == NULL || !trust_good_image(h, arena, &info) ||
	    strcmp(info.component, c->name) != 0)
		return;
	fl_anchor_raise_floor(known, info.security_version);
	if (info.release_seq > known->release_seq) {
		known->release_seq = info.release_seq;
		known->release = (struct fl_anchor_id){{0}};
	}
}

static enum fl_rc take_component(struct helper *h, struct fl_anchor *next, int place,
				 const struct component *c, struct fl_err *err)
{
	struct fl_anchor_component *known;
	enum fl_rc rc = fl_anchor_add_component(next, c->key, &known, err);
	if (rc == FL_OK && known->held)
		rc = supersede(h, next, known->job, place, err);
	if (rc == FL_OK)
		rc = fl_anchor_hold(next, place, c->key, err);
	return rc;
}

static bool brings(const struct presented *p, const char *component)
{
	return fl_release_component(&p->release, component) != NULL &&
	       job_names(&p->job, component);
}

/* One letter boots the slots of all components: a job that brings one of them brings them all, or
 * the others would be stale. */
static enum fl_rc check_group(const struct helper *h, const struct presented *p, struct fl_err *err)
{
	const char *lacking = NULL;
	bool any = false;
	for (size_t i = 0; i < h->config.n_components; i++) {
		const struct component *c = &h->config.components[i];
		if (c->n_slots == 0)
			continue;
		if (brings(p, c->name))
			any = true;
		else
			lacking = c->name;
	}
	if (!any || lacking == NULL)
		return FL_OK;
	return fl_fail(err, FL_E_GROUP_INCOMPLETE, 0, "the job leaves out '%s'", lacking);
}

/* The job opens with all its components, or not at all. */
static enum fl_rc open_job(struct helper *h, struct request *rq, struct presented *p,
			   struct fl_err *err)
{
	int place;
	struct fl_anchor next = h->anchor;
	trust_pin_identity(h, &next);
	enum fl_rc rc = fl_job_is_offline(&p->job)
				? fl_anchor_open_offline(&next, &p->job_digest, &p->job.release,
							 p->job.offline_seq, &place, err)
				: fl_anchor_open_job(&next, &p->job_digest, &p->job.release,
						     p->job.job_seq, &place, err);
	for (size_t i = 0; i < p->release.components.n && rc == FL_OK; i++) {
		const char *name = p->release.components.items[i].name;
		if (!job_names(&p->job, name))
			continue;
		const struct component *c = config_component(&h->config, name);
		FL_BUG_ON(c ==
			  NULL); /* the verified release names components of this device only */
		rc = take_component(h, &next, place, c, err);
		if (rc == FL_OK)
			note_image(h, &next, c, &rq->arena);
	}
	for (size_t i = 0; i < p->n && rc == FL_OK; i++)
		rc = fl_anchor_keep(h->file, &p->envs[i], err);
	if (rc == FL_OK)
		rc = stop_superseded(h, &next, err);
	return rc == FL_OK ? save(h, &next, err) : rc;
}

static enum fl_rc present_install(struct helper *h, struct request *rq, struct presented *p,
				  const struct fl_trust_state *state, struct fl_err *err)
{
	if (p->n != 2)
		return fl_fail(err, FL_E_PROTOCOL, 0, "a job comes with its release");
	enum fl_rc rc = p->known ? FL_OK : heal_by_hand(h, err);
	if (rc == FL_OK && !p->known && h->anchor.lost)
		rc = fl_fail(err, FL_E_ANCHOR_LOST, 0, "no heartbeat has told the latest job yet");
	if (rc != FL_OK)
		return rc;
	rc = fl_verify_release(state, &p->job, &p->envs[1], &rq->arena, &p->release, err);
	if (rc == FL_OK && !p->known)
		rc = check_group(h, p, err);
	if (rc != FL_OK || !p->known)
		return rc == FL_OK ? open_job(h, rq, p, err) : rc;
	for (size_t i = 0; i < p->n && rc == FL_OK; i++) /* a lost document comes back this way */
		rc = fl_anchor_keep(h->file, &p->envs[i], err);
	return rc;
}

static enum fl_rc present_cancel(struct helper *h, const struct presented *p, struct fl_err *err)
{
	struct fl_anchor next = h->anchor;
	const int place = fl_anchor_find_job(&h->anchor, &p->job.target);
	enum fl_rc rc = fl_anchor_pass_job(&next, p->job.job_seq, err);
	if (rc == FL_OK && place >= 0 && !gives_way(h, place))
		rc = fl_fail(err, FL_E_TOO_LATE, 0, "the job is past staging");
	if (rc == FL_OK && place >= 0)
		rc = stop_children_of(h, place, err);
	if (rc == FL_OK && place >= 0)
		rc = fl_anchor_close_job(&next, place, err);
	return rc == FL_OK ? save(h, &next, err) : rc;
}

static enum fl_rc present_job(struct helper *h, struct request *rq, struct presented *p,
			      struct fl_err *err)
{
	struct fl_trust_state state;
	struct fl_anchor with_identity = h->anchor;
	enum fl_job_verdict verdict;
	trust_pin_identity(h, &with_identity);
	enum fl_rc rc = fl_envelope_digest(&p->envs[0], &p->job_digest, err);
	if (rc != FL_OK)
		return rc;
	const bool open = fl_anchor_find_job(&h->anchor, &p->job_digest) >= 0;
	rc = trust_state(h, &rq->arena, open ? &p->job_digest : NULL, &state, err);
	if (rc == FL_OK)
		rc = fl_verify_job(&state, &p->envs[0], trust_now(h), &rq->arena, &p->job, &verdict,
				   err);
	if (rc != FL_OK)
		return rc;
	p->known = verdict == FL_JOB_OPEN;
	if (fl_job_has_release(&p->job))
		return present_install(h, rq, p, &state, err);
	if (strcmp(p->job.intent, "cancel") == 0 && p->n == 1)
		return present_cancel(h, p, err);
	return fl_fail(err, FL_E_NOT_SUPPORTED, 0, "a job that the agent does alone");
}

enum fl_rc on_present(struct helper *h, struct request *rq, struct fl_err *err)
{
	struct presented p = {0};
	enum fl_rc rc = receive_all(rq, &p, err);
	if (rc == FL_E_PROTOCOL)
		return rc;
	if (rc == FL_OK)
		rc = p.envs[0].type == FL_DOC_ROOT ? present_roots(h, &p, err)
						   : present_job(h, rq, &p, err);
	if (h->must_wait)
		return rc;
	struct fl_ipc_present_reply reply = {.code = fl_rc_name(rc), .known = p.known};
	reply.text = rc == FL_OK ? NULL : err->msg;
	if (rc == FL_OK && fl_anchor_find_job(&h->anchor, &p.job_digest) >= 0)
		reply.job = p.job_digest;
	if (rc != FL_OK)
		fl_log_err(FL_LOG_WARNING, err, "present");
	send_agent(h, FL_FRAME_PRESENT_REPLY, rq->id, &reply, -1);
	rq->answered = true;
	return FL_OK;
}
