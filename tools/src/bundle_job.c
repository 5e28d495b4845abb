/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job of a bundle and the root documents before it. The fleet's dispatch key signs it through REST; without a fleet operators
 * do, with key files. Whoever did: what comes out is verified as each of its devices will.
 */
#include "bundle.h"
#include "fleet.h"
#include "output.h"

#include <fairlead/base/clock.h>
#include <fairlead/trust/json.h>
#include <fairlead/trust/verify.h>

#include <stdlib.h>
#include <string.h>

#define DAYS_30 (UINT64_C(30) * 86400)

/* --- what the devices will say --- */

static enum fl_rc rehearse(const struct fl_tools_bundle *b, const struct fl_job_device *named,
			   struct fl_err *err)
{
	const struct fl_device_facts device = {
		.tenant = b->job.tenant,
		.device_id = named->device_id,
		.product = b->release.doc.product,
		.class_id = b->release.doc.compat->class_ids.items[0],
		.identity = named->identity};
	const struct fl_trust_state state = {
		.root = &b->root, .device = &device, .offline_seq = b->job.offline_seq - 1};
	struct fl_arena arena = FL_TOOLS_DOCUMENT_ARENA;
	struct fl_job job;
	enum fl_job_verdict verdict;
	enum fl_rc rc = fl_verify_job(&state, &b->job_env, b->job.issued, &arena, &job, &verdict, err);
	fl_arena_free(&arena);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "'%s' would refuse it", named->device_id);
}

/* The job is the one that was asked for, and every device that was named takes it. */
static enum fl_rc check_job(struct fl_tools_bundle *b, struct fl_err *err)
{
	enum fl_rc rc = fl_job_decode(b->job_env.payload, &b->arena, &b->job, err);
	if (rc == FL_OK && (!fl_job_is_offline(&b->job) || b->job.devices.n != b->n_devices ||
			    !fl_digest_equal(&b->job.release, &b->release_digest)))
		rc = fl_fail(err, FL_E_PROTOCOL, 0, "not the job that was asked for");
	for (size_t i = 0; i < b->n_devices && rc == FL_OK; i++) {
		const struct fl_job_device *named = &b->job.devices.items[i];
		if (strcmp(named->device_id, b->devices[i].device_id) != 0)
			rc = fl_fail(err, FL_E_PROTOCOL, 0, "not the devices that were asked for");
		else
			rc = rehearse(b, named, err);
	}
	return rc == FL_OK ? fl_tools_bundle_add_document(b, FL_BUNDLE_JOB, 0, &b->job_env, err) : rc;
}

/* Not signed by the newest root's keys: no device would take it. */
static enum fl_rc check_release(struct fl_tools_bundle *b, struct fl_err *err)
{
	struct fl_release release;
	return fl_verify_release_signatures(&b->root, &b->release.env, &b->arena, &release, err);
}

/* --- root documents, in ascending order --- */

struct chain {
	struct fl_tools_bundle *b;
	bool begun;
};

static enum fl_rc add_root(struct chain *c, const struct fl_envelope *env, struct fl_err *err)
{
	struct fl_root next;
	struct fl_tools_bundle *b = c->b;
	enum fl_rc rc = fl_verify_root(c->begun ? &b->root : NULL, env, &b->arena, &next, err);
	if (rc == FL_OK)
		rc = fl_tools_bundle_add_document(b, FL_BUNDLE_ROOT, next.version, env, err);
	if (rc != FL_OK)
		return rc;
	b->root = next;
	c->begun = true;
	return FL_OK;
}

/* --- without a fleet --- */

static int by_version(const void *left, const void *right)
{
	const struct fl_root *a = left, *b = right;
	return a->version < b->version ? -1 : a->version > b->version;
}

struct root_file {
	struct fl_root root; /* first: what it is sorted by */
	struct fl_envelope env;
};

static enum fl_rc add_root_files(struct fl_tools_bundle *b, struct fl_err *err)
{
	static struct root_file files[FL_BUNDLE_ROOTS_MAX];
	struct chain chain = {.b = b};
	enum fl_rc rc = FL_OK;
	const char *path;
	size_t n = 0;
	for (; (path = fl_tools_value(b->call, "root", n)) != NULL && rc == FL_OK; n++) {
		if (n == FL_BUNDLE_ROOTS_MAX)
			return fl_fail(err, FL_E_TOO_LARGE, 0, "more than %u root documents",
				       FL_BUNDLE_ROOTS_MAX);
		rc = fl_tools_root_load(path, &b->arena, &files[n].env, &files[n].root, err);
	}
	if (rc == FL_OK && n == 0)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "--key needs --root");
	if (rc == FL_OK)
		qsort(files, n, sizeof(files[0]), by_version);
	for (size_t i = 0; i < n && rc == FL_OK; i++)
		rc = add_root(&chain, &files[i].env, err);
	return rc;
}

static enum fl_rc sign_by_keys(struct fl_tools_bundle *b, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	const char *path;
	for (size_t i = 0; (path = fl_tools_value(b->call, "key", i)) != NULL && rc == FL_OK; i++) {
		struct fl_key *key = NULL;
		rc = fl_key_load(path, &key, err);
		if (rc == FL_OK)
			rc = fl_envelope_sign(&b->job_env, key, err);
		fl_key_free(key);
	}
	return rc;
}

static enum fl_rc make_job(struct fl_tools_bundle *b, struct fl_err *err)
{
	char id[37];
	const uint64_t now = fl_words_now();
	uint64_t life = DAYS_30, seq = now;
	enum fl_rc rc = fl_tools_u64(b->call, "expires-s", 1, FL_U53_MAX - now, &life, err);
	if (rc == FL_OK)
		rc = fl_tools_u64(b->call, "seq", 1, FL_U53_MAX, &seq, err);
	if (rc == FL_OK)
		rc = fl_uuid_new(id, err);
	if (rc != FL_OK)
		return rc;
	const struct fl_job job = {
		.type = "job",
		.spec = 1,
		.tenant = fl_tools_opt(b->call, "tenant", "default"),
		.devices = {b->devices, b->n_devices},
		.epoch = b->root.epoch,
		.offline_seq = seq,
		.job_id = id,
		.issued = now,
		.expires = now + life,
		.intent = "install_offline",
		.release = b->release_digest,
		.components = {b->n_components == 0 ? NULL : b->components, b->n_components},
		.root_version = b->root.version,
	};
	return fl_tools_document_make(FL_DOC_JOB, &fl_job_schema, &job, &b->arena, &b->job_env, err);
}

enum fl_rc fl_tools_bundle_by_keys(struct fl_tools_bundle *b, struct fl_err *err)
{
	enum fl_rc rc = add_root_files(b, err);
	if (rc == FL_OK)
		rc = check_release(b, err);
	if (rc == FL_OK)
		rc = make_job(b, err);
	if (rc == FL_OK)
		rc = sign_by_keys(b, err);
	return rc == FL_OK ? check_job(b, err) : rc;
}

/* --- by the fleet --- */

struct made {
	const char *envelope;
};
static const struct fl_field made_fields[] = {
	FL_REQ(struct made, envelope, STR, FL_ENVELOPE_MAX, NULL, "the signed job"),
};
static const struct fl_schema made_schema =
	FL_SCHEMA("offline job", struct made, made_fields, "what the fleet signed");

static enum fl_rc get_root(struct fl_tools_bundle *b, struct fl_tools_fleet *fleet, const char *path,
			   struct fl_envelope *env, struct fl_err *err)
{
	struct fl_buf text = FL_BUF(FL_ENVELOPE_MAX);
	enum fl_rc rc = fl_tools_fleet_call(fleet, "GET", path, NULL, &text, err);
	if (rc == FL_OK)
		rc = fl_envelope_parse(text.data, text.len, FL_DOC_ROOT, &b->arena, env, err);
	fl_buf_free(&text);
	return rc;
}

/* The newest tells how many there are; all of them come along, as many as a bundle holds. */
static enum fl_rc add_roots_of_fleet(struct fl_tools_bundle *b, struct fl_tools_fleet *fleet,
				     struct fl_err *err)
{
	struct chain chain = {.b = b};
	struct fl_envelope env;
	struct fl_root newest;
	enum fl_rc rc = get_root(b, fleet, "/root", &env, err);
	if (rc == FL_OK)
		rc = fl_root_decode(env.payload, &b->arena, &newest, err);
	if (rc != FL_OK)
		return rc;
	const uint64_t first = newest.version > FL_BUNDLE_ROOTS_MAX
				       ? newest.version - FL_BUNDLE_ROOTS_MAX + 1
				       : 1;
	for (uint64_t version = first; version <= newest.version && rc == FL_OK; version++) {
		char path[32];
		(void)snprintf(path, sizeof(path), "/root/%llu", (unsigned long long)version);
		rc = get_root(b, fleet, path, &env, err);
		if (rc == FL_E_NOT_FOUND && !chain.begun)
			rc = FL_OK; /* its records begin later */
		else if (rc == FL_OK)
			rc = add_root(&chain, &env, err);
	}
	return rc;
}

static enum fl_rc append_names(struct fl_buf *body, const char *member, const char *const *names,
			       size_t n, struct fl_err *err)
{
	enum fl_rc rc = fl_buf_appendf(body, err, ",\"%s\":[", member);
	for (size_t i = 0; i < n && rc == FL_OK; i++)
		rc = fl_buf_appendf(body, err, "%s\"%s\"", i == 0 ? "" : ",", names[i]);
	return rc == FL_OK ? fl_buf_append_str(body, "]", err) : rc;
}

static enum fl_rc make_body(const struct fl_tools_bundle *b, struct fl_buf *body, struct fl_err *err)
{
	const char *devices[FL_TOOLS_BUNDLE_DEVICES];
	uint64_t life = 0;
	for (size_t i = 0; i < b->n_devices; i++)
		devices[i] = b->devices[i].device_id;
	enum fl_rc rc = fl_tools_u64(b->call, "expires-s", 1, FL_U53_MAX, &life, err);
	if (rc == FL_OK)
		rc = fl_buf_appendf(body, err, "{\"release\":\"%s\"", b->release.digest);
	if (rc == FL_OK)
		rc = append_names(body, "devices", devices, b->n_devices, err);
	if (rc == FL_OK && b->n_components > 0)
		rc = append_names(body, "components", b->components, b->n_components, err);
	if (rc == FL_OK && life > 0)
		rc = fl_buf_appendf(body, err, ",\"expires_s\":%llu", (unsigned long long)life);
	if (rc == FL_OK && fl_tools_has(b->call, "force"))
		rc = fl_buf_append_str(body, ",\"force\":true", err);
	return rc == FL_OK ? fl_buf_append_str(body, "}", err) : rc;
}

static enum fl_rc ask_for_job(struct fl_tools_bundle *b, struct fl_tools_fleet *fleet,
			      struct fl_err *err)
{
	struct fl_buf body = FL_BUF((size_t)128 * 1024), answer = FL_BUF(FL_TOOLS_ANSWER_MAX);
	const struct fl_tools_request request = {"POST", "/offline-jobs", &body, &made_schema};
	struct made made;
	enum fl_rc rc = make_body(b, &body, err);
	if (rc == FL_OK)
		rc = fl_tools_fleet_ask(fleet, &request, &answer, &b->arena, &made, err);
	if (rc == FL_OK)
		rc = fl_envelope_parse(made.envelope, strlen(made.envelope), FL_DOC_JOB, &b->arena,
				       &b->job_env, err);
	fl_buf_free(&body);
	fl_buf_free(&answer);
	return rc;
}

enum fl_rc fl_tools_bundle_by_fleet(struct fl_tools_bundle *b, struct fl_err *err)
{
	struct fl_tools_fleet *fleet = NULL;
	enum fl_rc rc = fl_tools_fleet_open(b->call, &fleet, err);
	if (rc == FL_OK)
		rc = add_roots_of_fleet(b, fleet, err);
	if (rc == FL_OK)
		rc = check_release(b, err);
	if (rc == FL_OK)
		rc = ask_for_job(b, fleet, err);
	fl_tools_fleet_close(fleet);
	return rc == FL_OK ? check_job(b, err) : rc;
}
