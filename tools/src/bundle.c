/* SPDX-License-Identifier: Apache-2.0 */
/* bundle create, bundle show: one file for gateways without a network. */
#include "bundle.h"
#include "commands.h"
#include "output.h"
#include "query.h"

#include <fairlead/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMORY ((size_t)64 * 1024 * 1024)

enum fl_rc fl_tools_bundle_add(struct fl_tools_bundle *b, const struct fl_bundle_item *item,
			       struct fl_err *err)
{
	if (b->n_items == FL_BUNDLE_ENTRIES_MAX)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "more than %u objects", FL_BUNDLE_ENTRIES_MAX);
	b->items[b->n_items++] = *item;
	return FL_OK;
}

enum fl_rc fl_tools_bundle_add_document(struct fl_tools_bundle *b, enum fl_bundle_kind kind,
					uint64_t version, const struct fl_envelope *env,
					struct fl_err *err)
{
	struct fl_buf text = FL_BUF(FL_ENVELOPE_MAX);
	struct fl_bundle_item item = {.kind = kind, .version = version};
	enum fl_rc rc = fl_envelope_write(env, &text, err);
	if (rc == FL_OK) {
		item.text.data = (const uint8_t *)fl_arena_copy(&b->arena, text.data, text.len, err);
		item.text.len = text.len;
		rc = item.text.data == NULL ? FL_E_NO_MEMORY : FL_OK;
	}
	fl_buf_free(&text);
	return rc == FL_OK ? fl_tools_bundle_add(b, &item, err) : rc;
}

/* --- content --- */

static enum fl_rc add_content(struct fl_tools_bundle *b, enum fl_tools_content content,
			      const struct fl_digest *root, struct fl_err *err)
{
	char path[FL_TOOLS_PATH_MAX];
	struct fl_bundle_item item = {
		.kind = content == FL_TOOLS_TREE ? FL_BUNDLE_TREE : FL_BUNDLE_BLOB, .digest = *root};
	enum fl_rc rc = fl_tools_content_path(b->release.dir, content, root, path, err);
	if (rc != FL_OK)
		return rc;
	item.path = fl_arena_copy(&b->arena, path, strlen(path), err);
	return item.path == NULL ? FL_E_NO_MEMORY : fl_tools_bundle_add(b, &item, err);
}

static enum fl_rc add_component(struct fl_tools_bundle *b, const struct fl_component *c,
				struct fl_err *err)
{
	if (c->installed == NULL)
		return fl_fail(err, FL_E_NOT_SUPPORTED, 0, "'%s' is a vendor's component", c->name);
	enum fl_rc rc = add_content(b, FL_TOOLS_TREE, &c->installed->tree->root, err);
	for (size_t i = 0; i < c->artifacts.n && rc == FL_OK; i++) {
		const struct fl_artifact *a = &c->artifacts.items[i];
		rc = add_content(b, FL_TOOLS_TREE, &a->tree->root, err);
		if (rc == FL_OK)
			rc = add_content(b, FL_TOOLS_BLOB, &a->tree->root, err);
	}
	return rc;
}

static bool is_chosen(const struct fl_tools_bundle *b, const char *name)
{
	for (size_t i = 0; i < b->n_components; i++) {
		if (strcmp(b->components[i], name) == 0)
			return true;
	}
	return b->n_components == 0;
}

static enum fl_rc add_release(struct fl_tools_bundle *b, struct fl_err *err)
{
	const struct fl_release *doc = &b->release.doc;
	enum fl_rc rc = fl_tools_bundle_add_document(b, FL_BUNDLE_RELEASE, 0, &b->release.env, err);
	for (size_t i = 0; i < doc->components.n && rc == FL_OK; i++) {
		if (is_chosen(b, doc->components.items[i].name))
			rc = add_component(b, &doc->components.items[i], err);
	}
	return rc;
}

/* --- options --- */

/* ID or ID=sha256:HEX: an operator may know the device's key; the fleet does. */
static enum fl_rc add_device(struct fl_tools_bundle *b, const char *text, struct fl_err *err)
{
	if (b->n_devices == FL_TOOLS_BUNDLE_DEVICES)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "more than %d devices",
			       FL_TOOLS_BUNDLE_DEVICES);
	char *id = fl_arena_copy(&b->arena, text, strlen(text), err);
	if (id == NULL)
		return FL_E_NO_MEMORY;
	struct fl_job_device *device = &b->devices[b->n_devices++];
	char *identity = id;
	device->device_id = strsep(&identity, "=");
	if (identity != NULL && (fl_tools_opt(b->call, "key", NULL) == NULL ||
				 !fl_digest_parse(identity, &device->identity)))
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0,
			       "--device: ID, or with --key ID=sha256:HEX, not '%s'", text);
	return fl_tools_need_name(device->device_id, "--device", err);
}

static enum fl_rc read_options(struct fl_tools_bundle *b, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	const char *value;
	for (size_t i = 0; (value = fl_tools_value(b->call, "device", i)) != NULL && rc == FL_OK; i++)
		rc = add_device(b, value, err);
	for (size_t i = 0; (value = fl_tools_value(b->call, "component", i)) != NULL && rc == FL_OK;
	     i++) {
		if (fl_release_component(&b->release.doc, value) == NULL || i == 64)
			return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "the release has no component '%s'",
				       value);
		b->components[b->n_components++] = value;
	}
	return rc;
}

/* --- the file --- */

/* Complete under its name, or not there. */
static enum fl_rc write_file(struct fl_tools_bundle *b, const char *path, struct fl_err *err)
{
	char part[FL_TOOLS_PATH_MAX];
	const int n = snprintf(part, sizeof(part), "%s.part", path);
	if (n < 0 || (size_t)n >= sizeof(part))
		return fl_fail(err, FL_E_TOO_LARGE, 0, "path '%s'", path);
	FL_AUTO_FD fd = open(part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "'%s'", part);
	enum fl_rc rc = fl_bundle_write(fd, b->items, b->n_items, err);
	if (rc == FL_OK && rename(part, path) != 0)
		rc = fl_fail(err, fl_rc_from_errno(errno), errno, "'%s'", path);
	if (rc != FL_OK)
		(void)unlink(part);
	return rc;
}

struct result {
	const char *file, *job_id, *release;
	uint64_t offline_seq, expires, size;
};
static const struct fl_field result_fields[] = {
	FL_REQ(struct result, file, STR, FL_TOOLS_PATH_MAX, NULL, "the bundle"),
	FL_REQ(struct result, job_id, UUID, 0, NULL, "its job"),
	FL_REQ(struct result, offline_seq, U64, FL_U53_MAX, NULL, "number of the bundle"),
	FL_REQ(struct result, expires, U64, FL_U53_MAX, NULL, "of the job"),
	FL_REQ(struct result, release, STR, 256, NULL, "digest of the release"),
	FL_REQ(struct result, size, U64, FL_U53_MAX, NULL, "bytes of the file"),
};
static const struct fl_schema result_schema =
	FL_SCHEMA("bundle", struct result, result_fields, "an offline bundle");

static enum fl_rc report(const struct fl_tools_bundle *b, const char *path, struct fl_err *err)
{
	char size[FL_WORDS_MAX], until[FL_WORDS_MAX];
	struct stat st;
	if (stat(path, &st) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "'%s'", path);
	const struct result result = {path,
				      b->job.job_id,
				      b->release.digest,
				      b->job.offline_seq,
				      b->job.expires,
				      (uint64_t)st.st_size};
	if (b->call->json)
		return fl_tools_json(b->call->out, &result_schema, &result, err);
	(void)fprintf(b->call->out, "%s\n%s, number %llu, %zu devices, until %s\nOn the gateway: fairleadctl install FILE\n",
		      b->job.job_id, fl_words_size(result.size, size),
		      (unsigned long long)result.offline_seq, b->n_devices,
		      fl_words_time(result.expires, fl_words_now(), until));
	return FL_OK;
}

static enum fl_rc create(struct fl_tools_bundle *b, struct fl_err *err)
{
	const char *path = fl_tools_opt(b->call, "output", NULL);
	enum fl_rc rc = read_options(b, err);
	if (rc == FL_OK)
		rc = fl_tools_release_check(&b->release, err);
	if (rc == FL_OK)
		rc = fl_envelope_digest(&b->release.env, &b->release_digest, err);
	if (rc == FL_OK)
		rc = fl_tools_has(b->call, "key") ? fl_tools_bundle_by_keys(b, err)
						  : fl_tools_bundle_by_fleet(b, err);
	if (rc == FL_OK)
		rc = add_release(b, err);
	if (rc == FL_OK)
		rc = write_file(b, path, err);
	return rc == FL_OK ? report(b, path, err) : rc;
}

enum fl_rc fl_tools_bundle_create(struct fl_tools_call *call, struct fl_err *err)
{
	static struct fl_tools_bundle b;
	b = (struct fl_tools_bundle){.call = call, .arena = FL_ARENA(MEMORY)};
	enum fl_rc rc = fl_tools_release_open(call->args[0], &b.release, err);
	if (rc != FL_OK)
		return rc;
	b.items = fl_arena_alloc(&b.arena, FL_BUNDLE_ENTRIES_MAX * sizeof(*b.items), err);
	rc = b.items == NULL ? FL_E_NO_MEMORY : create(&b, err);
	fl_tools_release_close(&b.release);
	fl_arena_free(&b.arena);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "bundle");
}
