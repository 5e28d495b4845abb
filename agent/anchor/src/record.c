/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a record (docs/internals/anchor.md). Pure. */
#include <fairlead/anchor/anchor.h>

#include <fairlead/trust/digest.h>

#include <assert.h>
#include <string.h>

static const char magic[8] = {'F', 'L', 'A', 'N', 'C', 'H', 'R', '1'};

#define U56_MAX ((UINT64_C(1) << 56) - 1) /* what documents carry is at most 2^53 - 1 */

#define HEAD_SIZE      (8 + 8)
#define FACTS_SIZE     (4 + 8 + 32 + 8 + 8 + 8 + 8 + 32 + 4)
#define JOB_SIZE       (16 + 16 + 7 + 1)
#define COMPONENT_SIZE (8 + 7 + 7 + 16 + 1 + 2)
#define TRIAL_SIZE     (8 + 8)
#define COMPONENTS_AT  (HEAD_SIZE + FACTS_SIZE + FL_ANCHOR_JOBS * JOB_SIZE)
#define TRIAL_AT       (COMPONENTS_AT + FL_ANCHOR_COMPONENTS * COMPONENT_SIZE)
#define USED_SIZE      (TRIAL_AT + TRIAL_SIZE)
#define SUM_AT	       (FL_ANCHOR_RECORD - FL_DIGEST_SIZE)

static_assert(USED_SIZE + FL_DIGEST_SIZE <= FL_ANCHOR_RECORD, "a record must fit in 4 KiB");
static_assert(FL_ANCHOR_JOBS <= 32, "a job's place must fit in five bits");
static_assert(FL_PHASE_COUNT <= 6, "phase and 'held' must fit in three bits: 7 stands for free");

#define FREE 7 /* in the bits of the phase: idle and held by no job */

#define FLAG_LOST 1u
#define FLAG_WELL 2u

struct cursor {
	uint8_t *p;
};

static void put(struct cursor *c, const void *data, size_t len)
{
	memcpy(c->p, data, len);
	c->p += len;
}

static void put_number(struct cursor *c, uint64_t v, int len)
{
	for (int i = len - 1; i >= 0; i--)
		*c->p++ = (uint8_t)(v >> (8 * i));
}

static void get(struct cursor *c, void *data, size_t len)
{
	memcpy(data, c->p, len);
	c->p += len;
}

static uint64_t get_number(struct cursor *c, int len)
{
	uint64_t v = 0;
	for (int i = 0; i < len; i++)
		v = v << 8 | *c->p++;
	return v;
}

static void put_facts(struct cursor *c, const struct fl_anchor *a)
{
	put_number(c, (a->lost ? FLAG_LOST : 0) | (a->trial_well ? FLAG_WELL : 0), 4);
	put_number(c, a->root_version, 8);
	put(c, a->root.b, sizeof(a->root.b));
	put_number(c, a->epoch, 8);
	put_number(c, a->t_min, 8);
	put_number(c, a->job_seq, 8);
	put_number(c, a->offline_seq, 8);
	put(c, a->identity.b, sizeof(a->identity.b));
	put_number(c, a->deadline_s, 4);
}

static void get_facts(struct cursor *c, struct fl_anchor *a)
{
	const uint64_t flags = get_number(c, 4);
	a->lost = (flags & FLAG_LOST) != 0;
	a->trial_well = (flags & FLAG_WELL) != 0;
	a->root_version = get_number(c, 8);
	get(c, a->root.b, sizeof(a->root.b));
	a->epoch = get_number(c, 8);
	a->t_min = get_number(c, 8);
	a->job_seq = get_number(c, 8);
	a->offline_seq = get_number(c, 8);
	get(c, a->identity.b, sizeof(a->identity.b));
	a->deadline_s = (uint32_t)get_number(c, 4);
}

static void put_job(struct cursor *c, const struct fl_anchor_job *job)
{
	put(c, job->job.b, sizeof(job->job.b));
	put(c, job->release.b, sizeof(job->release.b));
	put_number(c, job->job_seq, 7);
	put_number(c, job->tries, 1);
}

static void get_job(struct cursor *c, struct fl_anchor_job *job)
{
	get(c, job->job.b, sizeof(job->job.b));
	get(c, job->release.b, sizeof(job->release.b));
	job->job_seq = get_number(c, 7);
	job->tries = (uint8_t)get_number(c, 1);
}

static void put_component(struct cursor *c, const struct fl_anchor_component *component)
{
	unsigned phase = component->held ? (unsigned)component->phase : FREE;
	put(c, component->name.b, sizeof(component->name.b));
	put_number(c, component->release_seq, 7);
	put_number(c, component->security_floor, 7);
	put(c, component->release.b, sizeof(component->release.b));
	put_number(c, phase << 5 | (component->held ? component->job : 0), 1);
	put_number(c, component->slot, 2);
}

static void get_component(struct cursor *c, struct fl_anchor_component *component)
{
	get(c, component->name.b, sizeof(component->name.b));
	component->release_seq = get_number(c, 7);
	component->security_floor = get_number(c, 7);
	get(c, component->release.b, sizeof(component->release.b));
	unsigned bits = (unsigned)get_number(c, 1);
	component->held = bits >> 5 != FREE;
	component->phase = component->held ? (enum fl_phase)(bits >> 5) : FL_PHASE_IDLE;
	component->job = component->held ? bits & 31 : 0;
	component->slot = (uint16_t)get_number(c, 2);
}

static bool fits(const struct fl_anchor *a)
{
	bool ok = a->n_components <= FL_ANCHOR_COMPONENTS;
	for (size_t i = 0; ok && i < FL_ANCHOR_JOBS; i++)
		ok = a->jobs[i].job_seq <= U56_MAX;
	for (size_t i = 0; ok && i < a->n_components; i++)
		ok = a->components[i].release_seq <= U56_MAX &&
		     a->components[i].security_floor <= U56_MAX;
	return ok;
}

/* Places past the last component are zero: no name's digest starts with eight zero bytes that
 * anybody has found. */
enum fl_rc fl_anchor_encode(const struct fl_anchor *anchor, uint64_t seq,
			    uint8_t out[FL_ANCHOR_RECORD], struct fl_err *err)
{
	if (!fits(anchor))
		return fl_fail(err, FL_E_TOO_LARGE, 0, "a number of the anchor");
	uint8_t record[FL_ANCHOR_RECORD] = {0};
	struct cursor c = {record};
	put(&c, magic, sizeof(magic));
	put_number(&c, seq, 8);
	put_facts(&c, anchor);
	for (size_t i = 0; i < FL_ANCHOR_JOBS; i++)
		put_job(&c, &anchor->jobs[i]);
	for (size_t i = 0; i < anchor->n_components; i++)
		put_component(&c, &anchor->components[i]);
	c.p = record + TRIAL_AT;
	put(&c, anchor->boot.b, sizeof(anchor->boot.b));
	put_number(&c, anchor->trial_start_ms, 8);
	struct fl_digest sum;
	enum fl_rc rc = fl_sha256(NULL, 0, record, SUM_AT, &sum, err);
	if (rc != FL_OK)
		return rc;
	memcpy(record + SUM_AT, sum.b, sizeof(sum.b));
	memcpy(out, record, sizeof(record));
	return FL_OK;
}

static bool valid_component(const struct fl_anchor *a, size_t i)
{
	static const struct fl_anchor_name none;
	const struct fl_anchor_component *c = &a->components[i];
	if (memcmp(c->name.b, none.b, sizeof(none.b)) == 0 || (unsigned)c->phase >= FL_PHASE_COUNT)
		return false;
	if (c->held && fl_anchor_id_is_zero(&a->jobs[c->job].job))
		return false;
	for (size_t k = 0; k < i; k++) {
		if (memcmp(c->name.b, a->components[k].name.b, sizeof(c->name.b)) == 0)
			return false;
	}
	return true;
}

static bool is_zero(const uint8_t *p, size_t len)
{
	uint8_t any = 0;
	for (size_t i = 0; i < len; i++)
		any |= p[i];
	return any == 0;
}

static bool get_components(struct cursor *c, struct fl_anchor *a)
{
	for (size_t i = 0; i < FL_ANCHOR_COMPONENTS; i++) {
		if (is_zero(c->p, (FL_ANCHOR_COMPONENTS - i) * COMPONENT_SIZE))
			return true;
		get_component(c, &a->components[i]);
		if (!valid_component(a, i))
			return false;
		a->n_components = i + 1;
	}
	return true;
}

enum fl_rc fl_anchor_decode(const uint8_t record[FL_ANCHOR_RECORD], struct fl_anchor *ret,
			    uint64_t *ret_seq, struct fl_err *err)
{
	struct fl_digest sum;
	enum fl_rc rc = fl_sha256(NULL, 0, record, SUM_AT, &sum, err);
	if (rc != FL_OK)
		return rc;
	if (memcmp(sum.b, record + SUM_AT, sizeof(sum.b)) != 0 ||
	    memcmp(record, magic, sizeof(magic)) != 0)
		return fl_fail(err, FL_E_CORRUPT, 0, "record of the anchor: checksum");
	uint8_t copy[FL_ANCHOR_RECORD];
	uint8_t again[FL_ANCHOR_RECORD];
	memcpy(copy, record, sizeof(copy));
	struct cursor c = {copy + sizeof(magic)};
	struct fl_anchor a = {0};
	uint64_t seq = get_number(&c, 8);
	get_facts(&c, &a);
	for (size_t i = 0; i < FL_ANCHOR_JOBS; i++)
		get_job(&c, &a.jobs[i]);
	if (!get_components(&c, &a))
		return fl_fail(err, FL_E_CORRUPT, 0, "record of the anchor: a component");
	c.p = copy + TRIAL_AT;
	get(&c, a.boot.b, sizeof(a.boot.b));
	a.trial_start_ms = get_number(&c, 8);
	rc = fl_anchor_encode(&a, seq, again, err);
	if (rc != FL_OK)
		return rc;
	if (memcmp(again, record, sizeof(again)) != 0)
		return fl_fail(err, FL_E_CORRUPT, 0, "record of the anchor: unknown content");
	*ret = a;
	*ret_seq = seq;
	return FL_OK;
}
