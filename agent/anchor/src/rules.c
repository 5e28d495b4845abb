/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of the anchor: which move may follow which. Pure; the table is all there is to know
 * about phases. */
#include <fairlead/anchor/anchor.h>

#include <string.h>

static const char *const phase_names[FL_PHASE_COUNT] = {"idle",	 "staging", "sealed",
							"trial", "decided", "rolling_back"};

#define TO(phase) (1u << FL_PHASE_##phase)

static const unsigned moves[FL_PHASE_COUNT] = {
	[FL_PHASE_IDLE] = TO(STAGING),
	[FL_PHASE_STAGING] = TO(STAGING) | TO(SEALED) | TO(IDLE),
	[FL_PHASE_SEALED] = TO(SEALED) | TO(STAGING) | TO(TRIAL) | TO(IDLE),
	[FL_PHASE_TRIAL] = TO(TRIAL) | TO(DECIDED) | TO(ROLLING_BACK),
	[FL_PHASE_DECIDED] = TO(DECIDED) | TO(IDLE),
	[FL_PHASE_ROLLING_BACK] = TO(ROLLING_BACK) | TO(IDLE),
};

const char *fl_phase_name(enum fl_phase phase)
{
	return (unsigned)phase < FL_PHASE_COUNT ? phase_names[phase] : "unknown";
}

bool fl_phase_may_follow(enum fl_phase from, enum fl_phase to)
{
	return (unsigned)from < FL_PHASE_COUNT && (unsigned)to < FL_PHASE_COUNT &&
	       (moves[from] >> to & 1) != 0;
}

void fl_anchor_init(struct fl_anchor *anchor)
{
	memset(anchor, 0, sizeof(*anchor));
	anchor->lost = true;
}

struct fl_anchor_id fl_anchor_id(const struct fl_digest *digest)
{
	struct fl_anchor_id id;
	memcpy(id.b, digest->b, sizeof(id.b));
	return id;
}

bool fl_anchor_id_equal(const struct fl_anchor_id *a, const struct fl_anchor_id *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool fl_anchor_id_is_zero(const struct fl_anchor_id *id)
{
	static const struct fl_anchor_id zero;
	return fl_anchor_id_equal(id, &zero);
}

static bool is_open(const struct fl_anchor *anchor, int job)
{
	return job >= 0 && job < FL_ANCHOR_JOBS && !fl_anchor_id_is_zero(&anchor->jobs[job].job);
}

int fl_anchor_find_job(const struct fl_anchor *anchor, const struct fl_digest *job)
{
	struct fl_anchor_id id = fl_anchor_id(job);
	for (int i = 0; i < FL_ANCHOR_JOBS; i++) {
		if (is_open(anchor, i) && fl_anchor_id_equal(&anchor->jobs[i].job, &id))
			return i;
	}
	return -1;
}

size_t fl_anchor_count_jobs(const struct fl_anchor *anchor)
{
	size_t n = 0;
	for (int i = 0; i < FL_ANCHOR_JOBS; i++)
		n += is_open(anchor, i);
	return n;
}

struct fl_anchor_component *fl_anchor_find_component(struct fl_anchor *anchor,
						     struct fl_anchor_name name)
{
	for (size_t i = 0; i < anchor->n_components; i++) {
		if (memcmp(anchor->components[i].name.b, name.b, sizeof(name.b)) == 0)
			return &anchor->components[i];
	}
	return NULL;
}

enum fl_rc fl_anchor_add_component(struct fl_anchor *anchor, struct fl_anchor_name name,
				   struct fl_anchor_component **ret, struct fl_err *err)
{
	struct fl_anchor_component *c = fl_anchor_find_component(anchor, name);
	if (c == NULL) {
		if (anchor->n_components == FL_ANCHOR_COMPONENTS)
			return fl_fail(err, FL_E_ANCHOR_FULL, 0, "more than %d components",
				       FL_ANCHOR_COMPONENTS);
		c = &anchor->components[anchor->n_components++];
		*c = (struct fl_anchor_component){.name = name};
	}
	*ret = c;
	return FL_OK;
}

static enum fl_rc check_new_job(const struct fl_anchor *anchor, uint64_t seq, uint64_t highest,
				struct fl_err *err)
{
	if (anchor->lost)
		return fl_fail(err, FL_E_ANCHOR_LOST, 0,
			       "no heartbeat has told the latest job yet");
	if (seq <= highest)
		return fl_fail(err, FL_E_REPLAYED, 0, "number %llu is not above %llu",
			       (unsigned long long)seq, (unsigned long long)highest);
	return FL_OK;
}

static enum fl_rc take_place(struct fl_anchor *anchor, const struct fl_anchor_job *job, int *ret,
			     struct fl_err *err)
{
	int place = 0;
	for (int i = 0; i < FL_ANCHOR_JOBS; i++) {
		if (is_open(anchor, i) && fl_anchor_id_equal(&anchor->jobs[i].job, &job->job))
			return fl_fail(err, FL_E_REPLAYED, 0, "the job is open already");
	}
	while (place < FL_ANCHOR_JOBS && is_open(anchor, place))
		place++;
	if (place == FL_ANCHOR_JOBS)
		return fl_fail(err, FL_E_ANCHOR_FULL, 0, "%d jobs are open", FL_ANCHOR_JOBS);
	anchor->jobs[place] = *job;
	*ret = place;
	return FL_OK;
}

enum fl_rc fl_anchor_open_job(struct fl_anchor *anchor, const struct fl_digest *job,
			      const struct fl_digest *release, uint64_t job_seq, int *ret,
			      struct fl_err *err)
{
	const struct fl_anchor_job open = {
		.job = fl_anchor_id(job), .release = fl_anchor_id(release), .job_seq = job_seq};
	enum fl_rc rc = check_new_job(anchor, job_seq, anchor->job_seq, err);
	if (rc == FL_OK)
		rc = take_place(anchor, &open, ret, err);
	if (rc == FL_OK)
		anchor->job_seq = job_seq;
	return rc;
}

enum fl_rc fl_anchor_open_offline(struct fl_anchor *anchor, const struct fl_digest *job,
				  const struct fl_digest *release, uint64_t offline_seq, int *ret,
				  struct fl_err *err)
{
	const struct fl_anchor_job open = {.job = fl_anchor_id(job),
					   .release = fl_anchor_id(release),
					   .job_seq = anchor->job_seq};
	enum fl_rc rc = check_new_job(anchor, offline_seq, anchor->offline_seq, err);
	if (rc == FL_OK)
		rc = take_place(anchor, &open, ret, err);
	if (rc == FL_OK)
		anchor->offline_seq = offline_seq;
	return rc;
}

enum fl_rc fl_anchor_pass_job(struct fl_anchor *anchor, uint64_t job_seq, struct fl_err *err)
{
	enum fl_rc rc = check_new_job(anchor, job_seq, anchor->job_seq, err);
	if (rc == FL_OK)
		anchor->job_seq = job_seq;
	return rc;
}

enum fl_rc fl_anchor_hold(struct fl_anchor *anchor, int job, struct fl_anchor_name name,
			  struct fl_err *err)
{
	struct fl_anchor_component *c = fl_anchor_find_component(anchor, name);
	if (!is_open(anchor, job) || c == NULL)
		return fl_fail(err, FL_E_NOT_OPEN, 0,
			       "the job or the component is not in the anchor");
	if (c->held && c->job != job)
		return fl_fail(err, FL_E_COMPONENT_BUSY, 0, "held by another job, phase %s",
			       fl_phase_name(c->phase));
	c->held = true;
	c->job = (uint8_t)job;
	return FL_OK;
}

static enum fl_rc find_held(struct fl_anchor *anchor, int job, struct fl_anchor_name name,
			    struct fl_anchor_component **ret, struct fl_err *err)
{
	struct fl_anchor_component *c = fl_anchor_find_component(anchor, name);
	if (!is_open(anchor, job) || c == NULL || !c->held || c->job != job)
		return fl_fail(err, FL_E_NOT_OPEN, 0, "the job does not hold the component");
	*ret = c;
	return FL_OK;
}

static enum fl_rc check_move(const struct fl_anchor_component *c, enum fl_phase to,
			     struct fl_err *err)
{
	if (fl_phase_may_follow(c->phase, to))
		return FL_OK;
	return fl_fail(err, FL_E_PHASE, 0, "from %s to %s", fl_phase_name(c->phase),
		       fl_phase_name(to));
}

enum fl_rc fl_anchor_set_phase(struct fl_anchor *anchor, int job, struct fl_anchor_name name,
			       enum fl_phase phase, struct fl_err *err)
{
	struct fl_anchor_component *c;
	enum fl_rc rc = find_held(anchor, job, name, &c, err);
	if (rc == FL_OK)
		rc = check_move(c, phase, err);
	if (rc != FL_OK)
		return rc;
	if (phase == FL_PHASE_IDLE || phase == FL_PHASE_DECIDED)
		return fl_fail(err, FL_E_PHASE, 0, "%s is no move of one component",
			       fl_phase_name(phase));
	c->phase = phase;
	return FL_OK;
}

enum fl_rc fl_anchor_may_move(const struct fl_anchor *anchor, int job, struct fl_anchor_name name,
			      enum fl_phase phase, struct fl_err *err)
{
	struct fl_anchor tried = *anchor;
	return fl_anchor_set_phase(&tried, job, name, phase, err);
}

static bool holds(const struct fl_anchor_component *c, int job)
{
	return c->held && c->job == job;
}

const struct fl_anchor_component *fl_anchor_switched(const struct fl_anchor *anchor, int job)
{
	for (size_t i = 0; i < anchor->n_components; i++) {
		const struct fl_anchor_component *c = &anchor->components[i];
		if (holds(c, job) && c->phase >= FL_PHASE_TRIAL)
			return c;
	}
	return NULL;
}

bool fl_anchor_unseal(struct fl_anchor *anchor)
{
	bool changed = false;
	for (size_t i = 0; i < anchor->n_components; i++) {
		struct fl_anchor_component *c = &anchor->components[i];
		if (c->phase != FL_PHASE_SEALED)
			continue;
		c->phase = FL_PHASE_STAGING;
		changed = true;
	}
	return changed;
}

enum fl_rc fl_anchor_roll_back(struct fl_anchor *anchor, int job, struct fl_err *err)
{
	for (size_t i = 0; i < anchor->n_components; i++) {
		const struct fl_anchor_component *c = &anchor->components[i];
		enum fl_rc rc = holds(c, job) && c->phase >= FL_PHASE_TRIAL
					? check_move(c, FL_PHASE_ROLLING_BACK, err)
					: FL_OK;
		if (rc != FL_OK)
			return rc;
	}
	for (size_t i = 0; i < anchor->n_components; i++) {
		struct fl_anchor_component *c = &anchor->components[i];
		if (holds(c, job) && c->phase >= FL_PHASE_TRIAL)
			c->phase = FL_PHASE_ROLLING_BACK;
	}
	return FL_OK;
}

bool fl_anchor_names(const struct fl_anchor *anchor, const struct fl_anchor_id *id)
{
	const struct fl_anchor_id root = fl_anchor_id(&anchor->root);
	bool found = fl_anchor_id_equal(id, &root);
	for (size_t i = 0; i < FL_ANCHOR_JOBS && !found; i++)
		found = fl_anchor_id_equal(id, &anchor->jobs[i].job) ||
			fl_anchor_id_equal(id, &anchor->jobs[i].release);
	return found;
}

void fl_anchor_begin_trial(struct fl_anchor *anchor, uint32_t deadline_s,
			   struct fl_anchor_name boot)
{
	anchor->deadline_s = deadline_s;
	anchor->boot = boot;
	anchor->trial_start_ms = 0;
	anchor->trial_well = false;
}

bool fl_anchor_extend_trial(struct fl_anchor *anchor, uint64_t now_ms, uint32_t add_s)
{
	if (anchor->trial_well || anchor->deadline_s == 0 || anchor->trial_start_ms == 0)
		return false;
	const uint64_t gone_ms =
		now_ms > anchor->trial_start_ms ? now_ms - anchor->trial_start_ms : 0;
	anchor->deadline_s = (uint32_t)(gone_ms / 1000) + add_s;
	anchor->trial_well = true;
	return true;
}

bool fl_anchor_same_boot(const struct fl_anchor *anchor, struct fl_anchor_name boot)
{
	return memcmp(anchor->boot.b, boot.b, sizeof(boot.b)) == 0;
}

bool fl_anchor_run_trial(struct fl_anchor *anchor, struct fl_anchor_name boot, uint64_t now_ms)
{
	if (fl_anchor_same_boot(anchor, boot) && anchor->trial_start_ms != 0)
		return false;
	anchor->boot = boot;
	anchor->trial_start_ms = now_ms == 0 ? 1 : now_ms;
	anchor->trial_well = false;
	return true;
}

static void end_trial(struct fl_anchor *anchor)
{
	fl_anchor_begin_trial(anchor, 0, (struct fl_anchor_name){{0}});
}

enum fl_rc fl_anchor_unswitch(struct fl_anchor *anchor, int job, struct fl_err *err)
{
	if (!is_open(anchor, job) || fl_anchor_job_phase(anchor, job) != FL_PHASE_TRIAL)
		return fl_fail(err, FL_E_PHASE, 0, "the job is not in phase trial");
	for (size_t i = 0; i < anchor->n_components; i++) {
		if (holds(&anchor->components[i], job))
			anchor->components[i].phase = FL_PHASE_STAGING;
	}
	end_trial(anchor);
	return FL_OK;
}

enum fl_rc fl_anchor_decide(struct fl_anchor *anchor, int job, struct fl_err *err)
{
	size_t found = 0;
	for (size_t i = 0; i < anchor->n_components; i++) {
		const struct fl_anchor_component *c = &anchor->components[i];
		if (!holds(c, job))
			continue;
		enum fl_rc rc = check_move(c, FL_PHASE_DECIDED, err);
		if (rc != FL_OK)
			return rc;
		found++;
	}
	if (!is_open(anchor, job) || found == 0)
		return fl_fail(err, FL_E_NOT_OPEN, 0, "the job holds no component");
	for (size_t i = 0; i < anchor->n_components; i++) {
		if (holds(&anchor->components[i], job))
			anchor->components[i].phase = FL_PHASE_DECIDED;
	}
	end_trial(anchor);
	return FL_OK;
}

static void release_component(struct fl_anchor_component *c)
{
	c->phase = FL_PHASE_IDLE;
	c->held = false;
	c->job = 0;
	c->slot = FL_ANCHOR_SLOT_NONE;
}

enum fl_rc fl_anchor_commit(struct fl_anchor *anchor, int job, struct fl_anchor_name name,
			    const struct fl_anchor_facts *facts, struct fl_err *err)
{
	struct fl_anchor_component *c;
	enum fl_rc rc = find_held(anchor, job, name, &c, err);
	if (rc != FL_OK)
		return rc;
	if (c->phase != FL_PHASE_DECIDED)
		return fl_fail(err, FL_E_PHASE, 0, "commit in phase %s", fl_phase_name(c->phase));
	c->release_seq = facts->release_seq;
	c->release = fl_anchor_id(&facts->release);
	fl_anchor_raise_floor(c, facts->security_floor);
	release_component(c);
	return FL_OK;
}

enum fl_rc fl_anchor_close_job(struct fl_anchor *anchor, int job, struct fl_err *err)
{
	if (!is_open(anchor, job))
		return fl_fail(err, FL_E_NOT_OPEN, 0, "the job is not open");
	bool trial = false;
	for (size_t i = 0; i < anchor->n_components; i++) {
		const struct fl_anchor_component *c = &anchor->components[i];
		if (!holds(c, job))
			continue;
		if (c->phase == FL_PHASE_TRIAL || c->phase == FL_PHASE_DECIDED)
			return fl_fail(err, FL_E_PHASE, 0, "a component is in phase %s",
				       fl_phase_name(c->phase));
		trial = trial || c->phase == FL_PHASE_ROLLING_BACK;
	}
	for (size_t i = 0; i < anchor->n_components; i++) {
		if (holds(&anchor->components[i], job))
			release_component(&anchor->components[i]);
	}
	anchor->jobs[job] = (struct fl_anchor_job){0};
	if (trial)
		end_trial(anchor);
	return FL_OK;
}

enum fl_phase fl_anchor_job_phase(const struct fl_anchor *anchor, int job)
{
	enum fl_phase phase = FL_PHASE_IDLE;
	for (size_t i = 0; i < anchor->n_components; i++) {
		const struct fl_anchor_component *c = &anchor->components[i];
		if (holds(c, job) && c->phase > phase)
			phase = c->phase;
	}
	return phase;
}

enum fl_rc fl_anchor_set_root(struct fl_anchor *anchor, const struct fl_digest *root,
			      uint64_t version, uint64_t epoch, uint64_t issued, struct fl_err *err)
{
	if (version <= anchor->root_version || epoch < anchor->epoch)
		return fl_fail(err, FL_E_ROOT_VERSION, 0, "version %llu after %llu",
			       (unsigned long long)version,
			       (unsigned long long)anchor->root_version);
	anchor->root = *root;
	anchor->root_version = version;
	if (epoch > anchor->epoch) {
		anchor->t_min = issued;
		anchor->job_seq = 0; /* jobs of the old epoch are refused by their epoch */
		anchor->offline_seq = 0;
	}
	fl_anchor_raise_time(anchor, issued, UINT64_MAX);
	anchor->epoch = epoch;
	return FL_OK;
}

void fl_anchor_raise_time(struct fl_anchor *anchor, uint64_t t, uint64_t limit)
{
	if (t > limit)
		t = limit;
	if (t > anchor->t_min)
		anchor->t_min = t;
}

void fl_anchor_raise_floor(struct fl_anchor_component *component, uint64_t floor)
{
	if (floor > component->security_floor)
		component->security_floor = floor;
}

enum fl_rc fl_anchor_heal(struct fl_anchor *anchor, uint64_t latest_job_seq, uint64_t root_version,
			  struct fl_err *err)
{
	if (root_version > anchor->root_version)
		return fl_fail(
			err, FL_E_ROOT_VERSION, 0, "the fleet has root %llu, the anchor %llu",
			(unsigned long long)root_version, (unsigned long long)anchor->root_version);
	if (latest_job_seq > anchor->job_seq)
		anchor->job_seq = latest_job_seq;
	anchor->lost = false;
	return FL_OK;
}
