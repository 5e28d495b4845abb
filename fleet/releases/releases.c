/* SPDX-License-Identifier: Apache-2.0 */
#include "releases/releases.h"

#include "audit/audit.h"

#include <fairlead/trust/digest.h>
#include <fairlead/trust/json.h>

#include <string.h>

#define LISTED_MAX  1000
#define SUMMARY_MAX ((size_t)256 * 1024)

/* What is listed of each component. */
struct summary_component {
	const char *name;
	const char *version;
	uint64_t release_seq;
	uint64_t size;
};

struct summary {
	FL_LIST(struct summary_component) components;
};

static const struct fl_field summary_component_fields[] = {
	FL_REQ(struct summary_component, name, STR, 64, NULL, ""),
	FL_OPT(struct summary_component, version, STR, 256, NULL, ""),
	FL_REQ(struct summary_component, release_seq, U64, FL_U53_MAX, NULL, ""),
	FL_REQ(struct summary_component, size, U64, FL_U53_MAX, NULL, ""),
};
static const struct fl_schema summary_component_schema =
	FL_SCHEMA("component", struct summary_component, summary_component_fields, "");
static const struct fl_field summary_fields[] = {
	FL_REQ(struct summary, components, LIST, 64, &summary_component_schema, ""),
};
static const struct fl_schema summary_schema = FL_SCHEMA("summary", struct summary, summary_fields, "");

static enum fl_rc need(const struct fl_releases *rel, enum fl_blob_kind kind,
		       const struct fl_tree_ref *tree, struct fl_err *err)
{
	if (rel->blob->ops->has(rel->blob->self, kind, &tree->root))
		return FL_OK;
	char hex[FL_DIGEST_HEX_SIZE];
	fl_hex_encode(tree->root.b, FL_DIGEST_SIZE, hex);
	return fl_fail(err, FL_E_CONFLICT, 0, "%s/%s is not here", fl_blob_kind_name(kind), hex);
}

static enum fl_rc need_component(const struct fl_releases *rel, const struct fl_component *c,
				 struct fl_err *err)
{
	if (!fl_digest_is_zero(&c->document))
		return fl_fail(err, FL_E_NOT_SUPPORTED, 0, "a vendor's component");
	enum fl_rc rc = c->installed == NULL ? FL_OK
					     : need(rel, FL_BLOB_TREE, c->installed->tree, err);
	for (size_t i = 0; i < c->artifacts.n && rc == FL_OK; i++) {
		rc = need(rel, FL_BLOB_PAYLOAD, c->artifacts.items[i].tree, err);
		if (rc == FL_OK)
			rc = need(rel, FL_BLOB_TREE, c->artifacts.items[i].tree, err);
	}
	return rc;
}

static enum fl_rc need_all(const struct fl_releases *rel, const struct fl_release *release,
			   struct fl_err *err)
{
	for (size_t i = 0; i < release->components.n; i++) {
		const struct fl_component *c = &release->components.items[i];
		enum fl_rc rc = need_component(rel, c, err);
		if (rc != FL_OK)
			return fl_wrap(err, rc, "component '%s'", c->name);
	}
	return FL_OK;
}

static enum fl_rc summarize(const struct fl_release *release, struct fl_arena *arena,
			    struct fl_buf *out, struct fl_err *err)
{
	size_t n = release->components.n;
	struct summary_component *list = fl_arena_alloc(arena, n * sizeof(*list), err);
	if (list == NULL)
		return err->rc;
	for (size_t i = 0; i < n; i++) {
		const struct fl_component *c = &release->components.items[i];
		list[i] = (struct summary_component){c->name, c->version, c->release_seq,
						     c->installed == NULL ? 0 : c->installed->size};
	}
	struct summary summary = {.components = {list, n}};
	return fl_json_encode(&summary_schema, &summary, out, err);
}

/* What becomes a row. */
struct record {
	char digest[FL_DIGEST_TEXT_SIZE];
	const struct fl_release *release;
	struct fl_buf text, summary; /* owned */
};

static enum fl_rc insert(struct fl_releases *rel, const char *actor, const struct record *r,
			 struct fl_err *err)
{
	uint64_t now = (uint64_t)fl_clock_wall_s(rel->clock);
	struct fl_audit_entry entry = {now, actor, "release.add", r->digest, r->release->version};
	enum fl_rc rc = fl_db_begin(rel->db, err);
	if (rc != FL_OK)
		return rc;
	rc = fl_db_run(rel->db,
		       "INSERT INTO releases (digest, product, version, created, stored, components,"
		       " envelope) VALUES ($1, $2, $3, $4, $5, $6, $7)",
		       FL_DB_PARAMS(fl_db_str(r->digest), fl_db_str(r->release->product),
				    fl_db_str(r->release->version), fl_db_num(r->release->created),
				    fl_db_num(now), fl_db_str(fl_buf_str(&r->summary)),
				    fl_db_str(fl_buf_str(&r->text))),
		       err);
	if (rc == FL_OK)
		rc = fl_audit_add(rel->db, &entry, err);
	return fl_db_end(rel->db, rc, err);
}

static enum fl_rc known(struct fl_releases *rel, const char *digest, uint64_t *n, struct fl_err *err)
{
	const struct fl_db_value params[] = {fl_db_str(digest)};
	struct fl_db_query query = {"SELECT count(*) FROM releases WHERE digest = $1", params, 1, NULL,
				    NULL};
	return fl_db_number(rel->db, &query, 0, n, err);
}

static enum fl_rc keep(struct fl_releases *rel, const char *actor, const struct fl_envelope *env,
		       struct fl_arena *arena, struct record *r, bool *created, struct fl_err *err)
{
	uint64_t n = 0;
	enum fl_rc rc = known(rel, r->digest, &n, err);
	if (rc != FL_OK)
		return rc;
	*created = n == 0;
	if (n != 0)
		return FL_OK;
	rc = need_all(rel, r->release, err);
	if (rc == FL_OK)
		rc = fl_envelope_write(env, &r->text, err);
	if (rc == FL_OK)
		rc = summarize(r->release, arena, &r->summary, err);
	return rc == FL_OK ? insert(rel, actor, r, err) : rc;
}

enum fl_rc fl_releases_add(struct fl_releases *rel, const char *actor, const void *text, size_t len,
			   struct fl_digest *digest, bool *created, struct fl_err *err)
{
	struct fl_arena arena = FL_ARENA(FL_RELEASE_MEMORY);
	struct fl_envelope env;
	struct fl_release release;
	struct fl_digest found;
	bool made = false;
	struct record record = {.release = &release, .text = FL_BUF(FL_ENVELOPE_MAX),
				.summary = FL_BUF(SUMMARY_MAX)};
	enum fl_rc rc = fl_envelope_parse(text, len, FL_DOC_RELEASE, &arena, &env, err);
	if (rc == FL_OK)
		rc = fl_verify_release_signatures(&rel->roots->current, &env, &arena, &release, err);
	if (rc == FL_OK)
		rc = fl_envelope_digest(&env, &found, err);
	if (rc == FL_OK) {
		fl_digest_format(&found, record.digest);
		rc = keep(rel, actor, &env, &arena, &record, &made, err);
	}
	if (rc == FL_OK) {
		*digest = found;
		*created = made;
	}
	fl_buf_free(&record.text);
	fl_buf_free(&record.summary);
	fl_arena_free(&arena);
	return rc;
}

static enum fl_rc take_text(void *ctx, const struct fl_db_value *columns, struct fl_err *err)
{
	return fl_buf_append_str(ctx, columns[0].text, err);
}

enum fl_rc fl_releases_get(struct fl_releases *rel, const struct fl_digest *digest,
			   struct fl_buf *out, struct fl_err *err)
{
	char name[FL_DIGEST_TEXT_SIZE];
	fl_digest_format(digest, name);
	const struct fl_db_value params[] = {fl_db_str(name)};
	struct fl_db_query query = {"SELECT envelope FROM releases WHERE digest = $1", params, 1,
				    take_text, out};
	size_t before = out->len;
	enum fl_rc rc = fl_db_each(rel->db, &query, err);
	if (rc == FL_OK && out->len == before)
		rc = fl_fail(err, FL_E_NOT_FOUND, 0, "no release '%s'", name);
	return rc;
}

enum fl_rc fl_releases_decode(struct fl_releases *rel, const struct fl_digest *digest,
			      struct fl_arena *arena, struct fl_release *ret, struct fl_err *err)
{
	struct fl_buf text = FL_BUF(FL_ENVELOPE_MAX);
	struct fl_envelope env;
	enum fl_rc rc = fl_releases_get(rel, digest, &text, err);
	if (rc == FL_OK)
		rc = fl_envelope_parse(text.data, text.len, FL_DOC_RELEASE, arena, &env, err);
	if (rc == FL_OK)
		rc = fl_release_decode(env.payload, arena, ret, err);
	fl_buf_free(&text);
	return rc;
}

static enum fl_rc append_row(void *ctx, const struct fl_db_value *c, struct fl_err *err)
{
	struct fl_buf *out = ctx;
	bool first = out->data[out->len - 1] == '[';
	enum fl_rc rc = fl_buf_appendf(out, err, "%s{\"digest\":\"%s\",\"product\":", first ? "" : ",",
				       c[0].text);
	if (rc == FL_OK)
		rc = fl_json_append_string(out, c[1].text, err);
	if (rc == FL_OK)
		rc = fl_buf_append_str(out, ",\"version\":", err);
	if (rc == FL_OK)
		rc = fl_json_append_string(out, c[2].text, err);
	if (rc == FL_OK) /* the summary's text without its first brace */
		rc = fl_buf_appendf(out, err, ",\"created\":%llu,%s", (unsigned long long)c[3].number,
				    c[4].text + 1);
	return rc;
}

enum fl_rc fl_releases_list(struct fl_releases *rel, struct fl_buf *out, struct fl_err *err)
{
	const struct fl_db_value params[] = {fl_db_num(LISTED_MAX)};
	struct fl_db_query query = {"SELECT digest, product, version, created, components FROM releases"
				    " ORDER BY stored DESC, digest LIMIT $1",
				    params, 1, append_row, out};
	enum fl_rc rc = fl_buf_append_str(out, "{\"releases\":[", err);
	if (rc == FL_OK)
		rc = fl_db_each(rel->db, &query, err);
	return rc == FL_OK ? fl_buf_append_str(out, "]}", err) : rc;
}

static enum fl_rc append_roots(void *ctx, const struct fl_db_value *columns, struct fl_err *err)
{
	struct fl_arena arena = FL_ARENA(FL_RELEASE_MEMORY);
	struct fl_envelope env;
	struct fl_release release;
	enum fl_rc rc = fl_envelope_parse(columns[0].text, strlen(columns[0].text), FL_DOC_RELEASE,
					  &arena, &env, err);
	if (rc == FL_OK)
		rc = fl_release_decode(env.payload, &arena, &release, err);
	for (size_t i = 0; rc == FL_OK && i < release.components.n; i++) {
		const struct fl_component *c = &release.components.items[i];
		if (c->installed != NULL)
			rc = fl_buf_append(ctx, c->installed->tree->root.b, FL_DIGEST_SIZE, err);
		for (size_t k = 0; rc == FL_OK && k < c->artifacts.n; k++)
			rc = fl_buf_append(ctx, c->artifacts.items[k].tree->root.b, FL_DIGEST_SIZE, err);
	}
	fl_arena_free(&arena);
	return rc;
}

enum fl_rc fl_releases_roots(struct fl_releases *rel, struct fl_buf *out, struct fl_err *err)
{
	struct fl_db_query query = {
		.sql = "SELECT envelope FROM releases", .on_row = append_roots, .ctx = out};
	return fl_db_each(rel->db, &query, err);
}
