/* SPDX-License-Identifier: Apache-2.0 */
/*
 * release publish, release list, root publish.
 *
 * Publishing is a no-op where the fleet has all of it: content is asked for by its digest before it
 * is sent, so that a publication that was cut off goes on where it was.
 */
#include "commands.h"
#include "list.h"
#include "query.h"
#include "release.h"

#include <string.h>

struct publishing {
	const struct fl_tools_call *call;
	struct fl_tools_release release;
	struct fl_tools_fleet *fleet;
	struct fl_tools_live live; /* on standard error: progress is no result */
	const char *name;	   /* of what is being sent */
	uint64_t object_bytes;	   /* of what is being sent */
	uint64_t sent_objects, sent_bytes, kept_objects;
};

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
	struct publishing *p = ctx;
	char line[256], a[FL_WORDS_MAX], b[FL_WORDS_MAX];
	double percent = total == 0 ? 100.0 : 100.0 * (double)done / (double)total;
	(void)snprintf(line, sizeof(line), "%s  %3.0f %%  %s of %s", p->name, percent,
		       fl_words_size(done, a), fl_words_size(total, b));
	fl_tools_live_show(&p->live, line, true);
	p->object_bytes = total;
}

/* One blob or tree: asked for, and sent when it lacks. */
static enum fl_rc bring(struct publishing *p, enum fl_tools_content content,
			const struct fl_digest *root, uint64_t size, struct fl_err *err)
{
	char file[FL_TOOLS_PATH_MAX], path[FL_TOOLS_QUERY_PATH], hex[FL_DIGEST_HEX_SIZE];
	bool has = false;
	fl_hex_encode(root->b, sizeof(root->b), hex);
	(void)snprintf(path, sizeof(path), "/%s/%s", fl_tools_content_name(content), hex);
	enum fl_rc rc = fl_tools_fleet_has(p->fleet, path, &has, err);
	if (rc != FL_OK)
		return rc;
	if (has) {
		p->kept_objects++;
		return FL_OK;
	}
	rc = fl_tools_content_path(p->release.dir, content, root, file, err);
	p->object_bytes = 0;
	const struct fl_tools_upload upload = {path, file, size, on_progress, p};
	if (rc == FL_OK)
		rc = fl_tools_fleet_put(p->fleet, &upload, err);
	p->sent_objects += rc == FL_OK;
	p->sent_bytes += rc == FL_OK ? p->object_bytes : 0;
	return rc;
}

static enum fl_rc bring_component(struct publishing *p, const struct fl_component *c,
				  struct fl_err *err)
{
	if (c->installed == NULL)
		return FL_OK;
	p->name = c->name;
	enum fl_rc rc = bring(p, FL_TOOLS_TREE, &c->installed->tree->root, c->installed->size, err);
	for (size_t i = 0; rc == FL_OK && i < c->artifacts.n; i++) {
		const struct fl_artifact *a = &c->artifacts.items[i];
		rc = bring(p, FL_TOOLS_TREE, &a->tree->root, a->size, err);
		if (rc == FL_OK)
			rc = bring(p, FL_TOOLS_BLOB, &a->tree->root, a->size, err);
	}
	return rc;
}

static enum fl_rc post_envelope(struct fl_tools_fleet *fleet, const char *path,
				const struct fl_envelope *env, struct fl_err *err)
{
	struct fl_buf body = FL_BUF(FL_ENVELOPE_MAX);
	enum fl_rc rc = fl_envelope_write(env, &body, err);
	if (rc == FL_OK)
		rc = fl_tools_fleet_call(fleet, "POST", path, &body, NULL, err);
	fl_buf_free(&body);
	return rc;
}

/* *ret: does the fleet have the release already? */
static enum fl_rc is_published(struct publishing *p, bool *ret, struct fl_err *err)
{
	char path[FL_TOOLS_QUERY_PATH];
	(void)snprintf(path, sizeof(path), "/releases/%s", p->release.digest);
	enum fl_rc rc = fl_tools_fleet_call(p->fleet, "GET", path, NULL, NULL, err);
	if (rc != FL_OK && rc != FL_E_NOT_FOUND)
		return rc;
	*ret = rc == FL_OK;
	return FL_OK;
}

struct published {
	const char *digest;
	bool published;
	uint64_t sent_objects, sent_bytes;
};
static const struct fl_field published_fields[] = {
	FL_REQ(struct published, digest, STR, 256, NULL, "of the release"),
	FL_REQ(struct published, published, BOOL, 0, NULL, "false: the fleet had it already"),
	FL_REQ(struct published, sent_objects, U64, FL_U53_MAX, NULL, "blobs and trees sent"),
	FL_REQ(struct published, sent_bytes, U64, FL_U53_MAX, NULL, "their bytes"),
};
static const struct fl_schema published_schema =
	FL_SCHEMA("published", struct published, published_fields, "a publication");

static enum fl_rc report(const struct publishing *p, bool news, struct fl_err *err)
{
	const struct published result = {p->release.digest, news, p->sent_objects, p->sent_bytes};
	char size[FL_WORDS_MAX];
	if (p->call->json)
		return fl_tools_json(p->call->out, &published_schema, &result, err);
	if (!news)
		(void)fprintf(p->call->out, "%s\nThe fleet has it already.\n", p->release.digest);
	else
		(void)fprintf(
			p->call->out, "%s\nPublished: %llu objects sent (%s), %llu were there.\n",
			p->release.digest, (unsigned long long)p->sent_objects,
			fl_words_size(p->sent_bytes, size), (unsigned long long)p->kept_objects);
	return FL_OK;
}

static enum fl_rc publish(struct publishing *p, struct fl_err *err)
{
	bool there = false;
	if (p->release.env.n_sigs == 0)
		return fl_fail(err, FL_E_SIGNATURE, 0,
			       "nobody signed it yet: 'fairlead release sign'");
	enum fl_rc rc = fl_tools_release_check(&p->release, err);
	if (rc == FL_OK)
		rc = fl_tools_fleet_open(p->call, &p->fleet, err);
	if (rc == FL_OK)
		rc = is_published(p, &there, err);
	const struct fl_release *doc = &p->release.doc;
	for (size_t i = 0; rc == FL_OK && !there && i < doc->components.n; i++)
		rc = bring_component(p, &doc->components.items[i], err);
	fl_tools_live_end(&p->live);
	if (rc == FL_OK && !there)
		rc = post_envelope(p->fleet, "/releases", &p->release.env, err);
	fl_tools_fleet_close(p->fleet);
	return rc == FL_OK ? report(p, !there, err) : rc;
}

enum fl_rc fl_tools_release_publish(struct fl_tools_call *call, struct fl_err *err)
{
	struct publishing p = {.call = call, .live = fl_tools_live_start(stderr)};
	enum fl_rc rc = fl_tools_release_open(call->args[0], &p.release, err);
	if (rc != FL_OK)
		return rc;
	rc = publish(&p, err);
	fl_tools_release_close(&p.release);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "publish '%s'", call->args[0]);
}

static enum fl_rc add_release(struct fl_tools_table *table, const void *element, struct fl_err *err)
{
	const struct fl_tools_published *r = element;
	char made[FL_WORDS_MAX];
	const char *cells[] = {r->product, r->version,
			       fl_words_time(r->created, fl_words_now(), made), r->digest};
	return fl_tools_table_row(table, cells, err);
}

enum fl_rc fl_tools_release_list(struct fl_tools_call *call, struct fl_err *err)
{
	static const char *const heading[] = {"PRODUCT", "VERSION", "MADE", "RELEASE"};
	const struct fl_tools_list list = {.path = "/releases",
					   .member = "releases",
					   .schema = &fl_tools_published_schema,
					   .max = UINT64_MAX,
					   .columns = 4,
					   .heading = heading,
					   .row = add_release};
	return fl_tools_list_run(call, &list, err);
}

enum fl_rc fl_tools_root_publish(struct fl_tools_call *call, struct fl_err *err)
{
	struct fl_arena arena = FL_TOOLS_DOCUMENT_ARENA;
	struct fl_envelope env;
	struct fl_root root;
	struct fl_tools_fleet *fleet = NULL;
	enum fl_rc rc = fl_tools_root_load(call->args[0], &arena, &env, &root, err);
	if (rc == FL_OK)
		rc = fl_tools_fleet_open(call, &fleet, err);
	if (rc == FL_OK)
		rc = post_envelope(fleet, "/root", &env, err);
	fl_tools_fleet_close(fleet);
	uint64_t version = rc == FL_OK ? root.version : 0;
	fl_arena_free(&arena);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "publish '%s'", call->args[0]);
	const struct fl_tools_made made = {.version = version};
	if (call->json)
		return fl_tools_json(call->out, &fl_tools_made_schema, &made, err);
	(void)fprintf(call->out, "The fleet has root version %llu.\n", (unsigned long long)version);
	return FL_OK;
}
