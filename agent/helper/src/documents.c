/* SPDX-License-Identifier: Apache-2.0 */
/* Documents: received as sealed memfds, kept beside the anchor, opened anew for every request. Nonces and heartbeats. */
#include "helper.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>

#include <string.h>

enum fl_rc save(struct helper *h, const struct fl_anchor *next, struct fl_err *err)
{
	enum fl_rc rc = fl_anchor_save(h->file, next, err);
	if (rc == FL_OK)
		h->anchor = *next;
	return rc;
}

static enum fl_rc take_signatures(const struct fl_ipc_document *doc, struct fl_envelope *env,
				  struct fl_err *err)
{
	for (size_t i = 0; i < doc->sigs.n; i++) {
		if (doc->sigs.items[i].sig.len != FL_SIG_SIZE)
			return fl_fail(err, FL_E_PROTOCOL, 0, "a signature's length");
		env->sigs[i].keyid = doc->sigs.items[i].keyid;
		memcpy(env->sigs[i].sig, doc->sigs.items[i].sig.data, FL_SIG_SIZE);
	}
	env->n_sigs = doc->sigs.n;
	return FL_OK;
}

enum fl_rc receive_document(const struct fl_ipc_document *doc, int fd, struct fl_arena *arena,
			    struct fl_envelope *ret, struct fl_err *err)
{
	if (doc->type < FL_DOC_ROOT || doc->type > FL_DOC_REPORT || doc->sigs.n > FL_SIGS_MAX)
		return fl_fail(err, FL_E_PROTOCOL, 0, "document of an unknown type");
	struct fl_envelope env = {.type = (enum fl_doc_type)doc->type};
	struct fl_buf text = FL_BUF(fl_doc_type_max(env.type));
	enum fl_rc rc = fl_memfd_read(fd, &text, err);
	if (rc == FL_OK)
		rc = take_signatures(doc, &env, err);
	if (rc == FL_OK) {
		env.payload.data = (const uint8_t *)fl_arena_copy(arena, text.data, text.len, err);
		env.payload.len = text.len;
		rc = env.payload.data == NULL ? FL_E_NO_MEMORY : FL_OK;
	}
	fl_buf_free(&text);
	if (rc == FL_OK)
		*ret = env;
	return rc;
}

bool job_names(const struct fl_job *job, const char *component)
{
	bool named = job->components.n == 0;
	for (size_t i = 0; i < job->components.n && !named; i++)
		named = strcmp(job->components.items[i], component) == 0;
	return named;
}

/* --- open jobs --- */

void whole_digest(struct helper *h, const struct fl_anchor_id *id, struct fl_digest *ret)
{
	struct fl_envelope env;
	struct fl_arena scratch = FL_ARENA((size_t)1 << 20);
	memcpy(ret->b, id->b, sizeof(id->b));
	(void)!fl_anchor_fetch(h->file, id, &scratch, &env, ret, NULL);
	fl_arena_free(&scratch);
}

enum fl_rc work_open(struct helper *h, const struct fl_digest *job, struct work *w,
		     struct fl_err *err)
{
	struct fl_envelope env;
	*w = (struct work){.arena = FL_ARENA((size_t)8 << 20)};
	w->place = fl_anchor_find_job(&h->anchor, job);
	if (w->place < 0)
		return fl_fail(err, FL_E_NOT_OPEN, 0, "the job is not open");
	const struct fl_anchor_job *open = &h->anchor.jobs[w->place];
	enum fl_rc rc = fl_anchor_fetch(h->file, &open->job, &w->arena, &env, &w->job_digest, err);
	if (rc == FL_OK && !fl_digest_equal(&w->job_digest, job))
		rc = fl_fail(err, FL_E_NOT_OPEN, 0, "the job is not open");
	if (rc == FL_OK)
		rc = fl_job_decode(env.payload, &w->arena, &w->job, err);
	if (rc == FL_OK)
		rc = fl_anchor_fetch(h->file, &open->release, &w->arena, &w->release_env,
				     &w->release_digest, err);
	if (rc == FL_OK)
		rc = fl_release_decode(w->release_env.payload, &w->arena, &w->release, err);
	return rc;
}

enum fl_rc work_verify(struct helper *h, struct work *w, struct fl_err *err)
{
	struct fl_envelope env;
	struct fl_trust_state state;
	enum fl_job_verdict verdict;
	enum fl_rc rc = trust_state(h, &w->arena, &w->job_digest, &state, err);
	if (rc == FL_OK)
		rc = fl_anchor_fetch(h->file, &h->anchor.jobs[w->place].job, &w->arena, &env, NULL,
				     err);
	if (rc == FL_OK)
		rc = fl_verify_job(&state, &env, trust_now(h), &w->arena, &w->job, &verdict, err);
	if (rc == FL_OK)
		rc = fl_verify_release(&state, &w->job, &w->release_env, &w->arena, &w->release,
				       err);
	return rc;
}

void work_free(struct work *w)
{
	fl_arena_free(&w->arena);
}

static void describe(const struct fl_envelope *env, struct fl_ipc_signature *sigs,
		     struct fl_ipc_document *ret)
{
	for (size_t i = 0; i < env->n_sigs; i++) {
		sigs[i].keyid = env->sigs[i].keyid;
		sigs[i].sig = (struct fl_bytes){env->sigs[i].sig, FL_SIG_SIZE};
	}
	ret->type = (uint64_t)env->type;
	ret->sigs.items = sigs;
	ret->sigs.n = env->n_sigs;
}

enum fl_rc on_get_document(struct helper *h, struct request *rq, struct fl_err *err)
{
	const struct fl_ipc_get_document *ask = rq->body;
	struct fl_anchor_id id = fl_anchor_id(&ask->digest);
	struct fl_arena arena = FL_ARENA((size_t)1 << 20);
	struct fl_envelope env;
	struct fl_digest digest;
	FL_AUTO_FD fd = -1;
	enum fl_rc rc = FL_OK;
	if (!fl_anchor_names(&h->anchor, &id))
		rc = fl_fail(err, FL_E_NOT_FOUND, 0, "no document of an open job");
	if (rc == FL_OK)
		rc = fl_anchor_fetch(h->file, &id, &arena, &env, &digest, err);
	if (rc == FL_OK && !fl_digest_equal(&digest, &ask->digest))
		rc = fl_fail(err, FL_E_NOT_FOUND, 0, "no document of an open job");
	if (rc == FL_OK)
		rc = fl_memfd_new(env.payload.data, env.payload.len, &fd, err);
	if (rc == FL_OK) {
		struct fl_ipc_signature sigs[FL_SIGS_MAX];
		struct fl_ipc_document doc;
		describe(&env, sigs, &doc);
		const struct fl_ipc_documents docs = {{&doc, 1}};
		send_agent(h, FL_FRAME_DOCUMENTS, rq->id, &docs, fd);
		rq->answered = true;
	}
	fl_arena_free(&arena);
	return rc;
}

/* --- nonces and heartbeats --- */

enum fl_rc on_nonce(struct helper *h, struct request *rq, struct fl_err *err)
{
	uint8_t *nonce = h->nonces[h->n_nonces % NONCES];
	enum fl_rc rc = fl_random(nonce, NONCE_SIZE, err);
	if (rc != FL_OK)
		return rc;
	h->n_nonces++;
	const struct fl_ipc_nonce_reply reply = {{nonce, NONCE_SIZE}};
	send_agent(h, FL_FRAME_NONCE_REPLY, rq->id, &reply, -1);
	rq->answered = true;
	return FL_OK;
}

enum fl_rc verify_heartbeat(struct helper *h, const struct fl_envelope *env,
			    struct fl_heartbeat *ret, struct fl_arena *arena, struct fl_err *err)
{
	struct fl_trust_state state;
	enum fl_rc rc = trust_state(h, arena, NULL, &state, err);
	if (rc != FL_OK)
		return rc;
	rc = fl_fail(err, FL_E_NONCE, 0, "no nonce was asked for since the helper's start");
	for (size_t i = 0; i < NONCES && i < h->n_nonces && rc == FL_E_NONCE; i++)
		rc = fl_verify_heartbeat(&state, env, h->nonces[i], arena, ret, err);
	if (rc != FL_OK)
		return rc;
	h->fleet_s = ret->utc;
	h->fleet_at_ms = fl_clock_boot_ms(h->clock);
	fl_anchor_raise_time(&h->anchor, ret->utc,
			     h->root.expires); /* saved with the next change */
	return FL_OK;
}

/* What is told is the floor from here on. */
static enum fl_rc heal(struct helper *h, uint64_t latest_job_seq, uint64_t root_version,
		       struct fl_err *err)
{
	struct fl_anchor next = h->anchor;
	if (!h->anchor.lost)
		return FL_OK;
	trust_pin_identity(h, &next);
	enum fl_rc rc = fl_anchor_heal(&next, latest_job_seq, root_version, err);
	if (rc == FL_OK)
		rc = save(h, &next, err);
	if (rc == FL_OK)
		fl_log(FL_LOG_NOTICE, "the anchor is whole again: jobs above %llu are accepted",
		       (unsigned long long)h->anchor.job_seq);
	return rc;
}

enum fl_rc heal_by_hand(struct helper *h, struct fl_err *err)
{
	char line[16];
	host_read_note(&h->config, RESET, line, sizeof(line));
	if (line[0] == '\0')
		return FL_OK;
	enum fl_rc rc = heal(h, h->anchor.job_seq, h->anchor.root_version, err);
	return rc == FL_OK ? host_write_note(&h->config, RESET, NULL, err) : rc;
}

enum fl_rc on_heartbeat(struct helper *h, struct request *rq, struct fl_err *err)
{
	const struct fl_ipc_documents *docs = rq->body;
	struct fl_envelope env;
	struct fl_heartbeat heartbeat;
	if (docs->documents.n != 1 || rq->n_fds != 1)
		return fl_fail(err, FL_E_PROTOCOL, 0, "a heartbeat is one document");
	enum fl_rc rc =
		receive_document(&docs->documents.items[0], rq->fds[0], &rq->arena, &env, err);
	if (rc == FL_OK)
		rc = verify_heartbeat(h, &env, &heartbeat, &rq->arena, err);
	return rc == FL_OK ? heal(h, heartbeat.latest_job_seq, heartbeat.root_version, err) : rc;
}
