/* SPDX-License-Identifier: Apache-2.0 */
/* bundle show: what a file says of itself. Nothing is verified. */
#include "commands.h"
#include "document.h"
#include "output.h"

#include <fairlead/base/file.h>
#include <fairlead/bundle/bundle.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct object {
	const char *kind;
	uint64_t size;
	struct fl_digest digest;
};
static const struct fl_field object_fields[] = {
	FL_REQ(struct object, kind, STR, 16, NULL, "root, release, job, tree, blob"),
	FL_REQ(struct object, size, U64, FL_U53_MAX, NULL, "bytes"),
	FL_REQ(struct object, digest, DIGEST, 0, NULL, "of a document's envelope, or the tree's root"),
};
static const struct fl_schema object_schema =
	FL_SCHEMA("object", struct object, object_fields, "an entry of the index");

struct device {
	const char *device_id;
};
static const struct fl_field device_fields[] = {
	FL_REQ(struct device, device_id, STR, 256, NULL, "device"),
};
static const struct fl_schema device_schema =
	FL_SCHEMA("device", struct device, device_fields, "a device that the job names");

struct shown {
	const char *job_id;
	uint64_t offline_seq, expires;
	struct fl_digest release;
	const char *product, *version;
	FL_LIST(struct device) devices;
	FL_LIST(struct object) objects;
};
static const struct fl_field shown_fields[] = {
	FL_REQ(struct shown, job_id, STR, 64, NULL, "its job"),
	FL_REQ(struct shown, offline_seq, U64, FL_U53_MAX, NULL, "number of the bundle"),
	FL_REQ(struct shown, expires, U64, FL_U53_MAX, NULL, "of the job"),
	FL_REQ(struct shown, release, DIGEST, 0, NULL, "the job's release"),
	FL_REQ(struct shown, product, STR, 256, NULL, "of the release"),
	FL_REQ(struct shown, version, STR, 256, NULL, "of the release"),
	FL_REQ(struct shown, devices, LIST, FL_JOB_DEVICES_MAX, &device_schema, "of the job"),
	FL_REQ(struct shown, objects, LIST, FL_BUNDLE_ENTRIES_MAX, &object_schema, "the index"),
};
static const struct fl_schema shown_schema =
	FL_SCHEMA("bundle", struct shown, shown_fields, "an offline bundle");

static const char *kind_name(enum fl_bundle_kind kind)
{
	static const char *const names[] = {"", "root", "release", "job", "tree", "blob"};
	return names[kind];
}

static enum fl_rc read_document(const struct fl_bundle *bundle, enum fl_bundle_kind kind,
				enum fl_doc_type type, struct fl_arena *arena,
				struct fl_envelope *ret, struct fl_err *err)
{
	struct fl_buf text = FL_BUF(FL_ENVELOPE_MAX);
	enum fl_rc rc = fl_bundle_read_document(bundle, fl_bundle_first(bundle, kind), &text, err);
	if (rc == FL_OK)
		rc = fl_envelope_parse(text.data, text.len, type, arena, ret, err);
	fl_buf_free(&text);
	return rc;
}

static enum fl_rc list(const struct fl_bundle *bundle, const struct fl_job *job,
		       struct fl_arena *arena, struct shown *s, struct fl_err *err)
{
	const size_t n = fl_bundle_count(bundle);
	struct object *objects = fl_arena_alloc(arena, n * sizeof(*objects), err);
	struct device *devices = fl_arena_alloc(arena, (job->devices.n + 1) * sizeof(*devices), err);
	if (objects == NULL || devices == NULL)
		return FL_E_NO_MEMORY;
	for (size_t i = 0; i < n; i++) {
		const struct fl_bundle_entry *e = fl_bundle_entry(bundle, i);
		objects[i] = (struct object){kind_name(e->kind), e->size, e->digest};
	}
	for (size_t i = 0; i < job->devices.n; i++)
		devices[i].device_id = job->devices.items[i].device_id;
	s->objects.items = objects;
	s->objects.n = n;
	s->devices.items = devices;
	s->devices.n = job->devices.n;
	return FL_OK;
}

static enum fl_rc print(const struct fl_tools_call *call, const struct shown *s, struct fl_err *err)
{
	static const char *const heading[] = {"KIND", "SIZE", "DIGEST"};
	char digest[FL_DIGEST_TEXT_SIZE], text[FL_WORDS_MAX];
	if (call->json)
		return fl_tools_json(call->out, &shown_schema, s, err);
	fl_digest_format(&s->release, digest);
	(void)fprintf(call->out, "job      %s, number %llu, until %s\nrelease  %s %s %s\ndevices ",
		      s->job_id, (unsigned long long)s->offline_seq,
		      fl_words_time(s->expires, fl_words_now(), text), s->product, s->version, digest);
	for (size_t i = 0; i < s->devices.n; i++)
		(void)fprintf(call->out, " %s", s->devices.items[i].device_id);
	(void)fputs("\n\n", call->out);
	struct fl_tools_table table = FL_TOOLS_TABLE(3);
	enum fl_rc rc = fl_tools_table_row(&table, heading, err);
	for (size_t i = 0; i < s->objects.n && rc == FL_OK; i++) {
		const struct object *o = &s->objects.items[i];
		fl_digest_format(&o->digest, digest);
		const char *cells[] = {o->kind, fl_words_size(o->size, text), digest};
		rc = fl_tools_table_row(&table, cells, err);
	}
	if (rc == FL_OK)
		fl_tools_table_print(call->out, &table);
	fl_tools_table_free(&table);
	return rc;
}

static enum fl_rc show(const struct fl_tools_call *call, const struct fl_bundle *bundle,
		       struct fl_arena *arena, struct fl_err *err)
{
	struct fl_envelope job_env, release_env;
	struct fl_job job;
	struct fl_release release;
	struct shown s = {0};
	enum fl_rc rc = read_document(bundle, FL_BUNDLE_JOB, FL_DOC_JOB, arena, &job_env, err);
	if (rc == FL_OK)
		rc = fl_job_decode(job_env.payload, arena, &job, err);
	if (rc == FL_OK)
		rc = read_document(bundle, FL_BUNDLE_RELEASE, FL_DOC_RELEASE, arena, &release_env, err);
	if (rc == FL_OK)
		rc = fl_release_decode(release_env.payload, arena, &release, err);
	if (rc == FL_OK)
		rc = list(bundle, &job, arena, &s, err);
	if (rc != FL_OK)
		return rc;
	s.job_id = job.job_id;
	s.offline_seq = job.offline_seq;
	s.expires = job.expires;
	s.release = job.release;
	s.product = release.product;
	s.version = release.version;
	return print(call, &s, err);
}

enum fl_rc fl_tools_bundle_show(struct fl_tools_call *call, struct fl_err *err)
{
	struct fl_arena arena = FL_TOOLS_DOCUMENT_ARENA;
	struct fl_bundle *bundle = NULL;
	FL_AUTO_FD fd = open(call->args[0], O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "'%s'", call->args[0]);
	enum fl_rc rc = fl_bundle_open(fd, &bundle, err);
	if (rc == FL_OK)
		rc = show(call, bundle, &arena, err);
	fl_bundle_free(bundle);
	fl_arena_free(&arena);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "'%s'", call->args[0]);
}
