/* SPDX-License-Identifier: Apache-2.0 */
#include "job_row.h"

#include <string.h>

#define STATE_NAME_MAX 31

/* The largest: digest, six integers, five texts, and per component three texts, a state and an
 * integer. */
_Static_assert(FL_DIGEST_SIZE + 6 * 8 + 37 + FL_ERR_MSG_MAX + 32 + STATE_NAME_MAX + 5 * 2 +
			       FL_STORE_COMPONENTS_MAX *
				       (3 * (FL_NAME_MAX + 2) + STATE_NAME_MAX + 2 + 8) <=
		       JOB_BODY_MAX,
	       "every job fits");

static void put_raw(struct job_body *b, const void *data, size_t len)
{
	FL_BUG_ON(len > sizeof(b->data) - b->len);
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

static void put_int(struct job_body *b, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		uint8_t byte = (uint8_t)(value >> (8 * i));
		put_raw(b, &byte, 1);
	}
}

static void put_text(struct job_body *b, const char *text, size_t max)
{
	size_t len = strnlen(text, max);
	put_int(b, len, 2);
	put_raw(b, text, len);
}

static void put_component(struct job_body *b, const struct fl_store_component *c)
{
	put_text(b, c->name, FL_NAME_MAX);
	put_text(b, c->slot, FL_NAME_MAX);
	put_text(b, c->artifact, FL_NAME_MAX);
	put_text(b, fl_job_state_name(c->state), STATE_NAME_MAX);
	put_int(b, c->tries, 8);
}

void store_job_encode(const struct fl_store_job *job, struct job_body *ret)
{
	FL_BUG_ON(job->n_components > FL_STORE_COMPONENTS_MAX);
	ret->len = 0;
	put_raw(ret, job->release.b, FL_DIGEST_SIZE);
	put_text(ret, job->job_id, sizeof(job->job_id) - 1);
	put_text(ret, fl_job_state_name(job->state), STATE_NAME_MAX);
	put_int(ret, (uint64_t) - (int64_t)job->reason, 4);
	put_text(ret, job->text, sizeof(job->text) - 1);
	put_int(ret, job->until_s, 8);
	put_text(ret, job->next, sizeof(job->next) - 1);
	put_int(ret, (uint64_t)job->created_s, 8);
	put_int(ret, (uint64_t)job->updated_s, 8);
	put_int(ret, job->n_components, 1);
	for (size_t i = 0; i < job->n_components; i++)
		put_component(ret, &job->components[i]);
}

/* After a wrong length everything reads as empty and `bad` stays set. */
struct reader {
	struct fl_bytes left;
	bool bad;
};

static const uint8_t *take(struct reader *r, size_t len)
{
	if (r->bad || len > r->left.len) {
		r->bad = true;
		return NULL;
	}
	const uint8_t *p = r->left.data;
	r->left.data += len;
	r->left.len -= len;
	return p;
}

static uint64_t take_int(struct reader *r, size_t bytes)
{
	const uint8_t *p = take(r, bytes);
	uint64_t value = 0;
	for (size_t i = 0; p != NULL && i < bytes; i++)
		value |= (uint64_t)p[i] << (8 * i);
	return value;
}

/* out: size bytes; a text with a zero byte in it, or too long for out, is bad. */
static void take_text(struct reader *r, char *out, size_t size)
{
	size_t len = (size_t)take_int(r, 2);
	const uint8_t *p = take(r, len);
	out[0] = '\0';
	if (p == NULL || len >= size || memchr(p, 0, len) != NULL) {
		r->bad = true;
		return;
	}
	memcpy(out, p, len);
	out[len] = '\0';
}

static void take_state(struct reader *r, enum fl_job_state *ret)
{
	char name[STATE_NAME_MAX + 1];
	take_text(r, name, sizeof(name));
	if (!r->bad && !fl_job_state_from_name(name, ret))
		r->bad = true;
}

static void take_component(struct reader *r, struct fl_store_component *c)
{
	take_text(r, c->name, sizeof(c->name));
	take_text(r, c->slot, sizeof(c->slot));
	take_text(r, c->artifact, sizeof(c->artifact));
	take_state(r, &c->state);
	c->tries = take_int(r, 8);
}

bool store_job_decode(struct fl_bytes body, struct fl_store_job *job)
{
	struct reader r = {body, false};
	const uint8_t *release = take(&r, FL_DIGEST_SIZE);
	if (release == NULL)
		return false;
	memcpy(job->release.b, release, FL_DIGEST_SIZE);
	take_text(&r, job->job_id, sizeof(job->job_id));
	take_state(&r, &job->state);
	job->reason = (enum fl_rc)(-(int64_t)take_int(&r, 4));
	take_text(&r, job->text, sizeof(job->text));
	job->until_s = take_int(&r, 8);
	take_text(&r, job->next, sizeof(job->next));
	job->created_s = (int64_t)take_int(&r, 8);
	job->updated_s = (int64_t)take_int(&r, 8);
	job->n_components = (size_t)take_int(&r, 1);
	if (job->n_components > FL_STORE_COMPONENTS_MAX)
		return false;
	for (size_t i = 0; i < job->n_components; i++)
		take_component(&r, &job->components[i]);
	return !r.bad && r.left.len == 0;
}
