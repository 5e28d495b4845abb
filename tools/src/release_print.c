/* SPDX-License-Identifier: Apache-2.0 */
/* What a release holds, for people and as JSON. */
#include "release.h"

#include "output.h"

#include <string.h>

#define ARTIFACTS_MAX 32 /* of a component */

struct artifact_row {
	const char *id, *format;
	uint64_t size;
	struct fl_digest transport, source;
};

struct component_row {
	const char *name, *handler, *version;
	uint64_t release_seq, security_version;
	uint64_t image_size;
	struct fl_digest installed;
	FL_LIST(struct artifact_row) artifacts;
};

struct report {
	struct fl_digest digest;
	const char *product, *version, *kind;
	uint64_t created, expires;
	FL_LIST(struct component_row) components;
	FL_LIST(struct fl_digest) signed_by;
};

static const struct fl_field artifact_fields[] = {
	FL_REQ(struct artifact_row, id, NAME, 0, NULL, "artifact"),
	FL_REQ(struct artifact_row, format, NAME, 0, NULL, "format"),
	FL_REQ(struct artifact_row, size, U64, FL_U53_MAX, NULL, "bytes to transfer"),
	FL_REQ(struct artifact_row, transport, DIGEST, 0, NULL, "tree of them"),
	FL_OPT(struct artifact_row, source, DIGEST, 0, NULL, "tree of what it is made against"),
};
static const struct fl_schema artifact_schema =
	FL_SCHEMA("artifact", struct artifact_row, artifact_fields, "a way to an image");

static const struct fl_field component_fields[] = {
	FL_REQ(struct component_row, name, NAME, 0, NULL, "component"),
	FL_OPT(struct component_row, handler, STR, 64, NULL, "handler"),
	FL_OPT(struct component_row, version, STR, 256, NULL, "version"),
	FL_OPT(struct component_row, release_seq, U64, FL_U53_MAX, NULL, "release_seq"),
	FL_OPT(struct component_row, security_version, U64, FL_U53_MAX, NULL, "security_version"),
	FL_OPT(struct component_row, image_size, U64, FL_U53_MAX, NULL, "bytes of the image"),
	FL_OPT(struct component_row, installed, DIGEST, 0, NULL, "tree of the image"),
	FL_OPT(struct component_row, artifacts, LIST, ARTIFACTS_MAX, &artifact_schema,
	       "the ways to it"),
};
static const struct fl_schema component_schema =
	FL_SCHEMA("component", struct component_row, component_fields, "a component of a release");

static const struct fl_field report_fields[] = {
	FL_REQ(struct report, digest, DIGEST, 0, NULL, "the release's digest"),
	FL_REQ(struct report, product, STR, 256, NULL, "product"),
	FL_REQ(struct report, version, STR, 256, NULL, "version"),
	FL_OPT(struct report, kind, STR, 64, NULL, "security, functional, mixed"),
	FL_REQ(struct report, created, U64, FL_U53_MAX, NULL, "seconds since 1970"),
	FL_REQ(struct report, expires, U64, FL_U53_MAX, NULL, "seconds since 1970"),
	FL_REQ(struct report, components, LIST, 256, &component_schema,
	       "in the order of installation"),
	FL_REQ(struct report, signed_by, DIGESTS, FL_SIGS_MAX, NULL,
	       "key ids, as the signatures claim"),
};
static const struct fl_schema report_schema =
	FL_SCHEMA("release", struct report, report_fields, "a release");

/* artifacts: room for ARTIFACTS_MAX rows. */
static struct component_row row_of(const struct fl_component *c, struct artifact_row *artifacts)
{
	struct component_row row = {
		.name = c->name,
		.handler = c->handler,
		.version = c->version,
		.release_seq = c->release_seq,
		.security_version = c->security_version,
	};
	if (c->installed != NULL) {
		row.image_size = c->installed->size;
		row.installed = c->installed->tree->root;
	}
	for (size_t i = 0; i < c->artifacts.n && i < ARTIFACTS_MAX; i++) {
		const struct fl_artifact *a = &c->artifacts.items[i];
		artifacts[i] = (struct artifact_row){.id = a->id,
						     .format = a->format,
						     .size = a->size,
						     .transport = a->tree->root};
		if (a->source != NULL)
			artifacts[i].source = a->source->tree->root;
		row.artifacts.n = i + 1;
	}
	row.artifacts.items = artifacts;
	return row;
}

static enum fl_rc print_json(FILE *out, const struct fl_tools_release *release, struct fl_err *err)
{
	static struct component_row rows[FL_TOOLS_COMPONENTS_MAX];
	static struct artifact_row artifacts[FL_TOOLS_COMPONENTS_MAX][ARTIFACTS_MAX];
	struct fl_digest keys[FL_SIGS_MAX];
	const struct fl_release *doc = &release->doc;
	struct report report = {.product = doc->product,
				.version = doc->version,
				.kind = doc->kind,
				.created = doc->created,
				.expires = doc->expires};
	FL_BUG_ON(!fl_digest_parse(release->digest, &report.digest));
	size_t n = doc->components.n < FL_TOOLS_COMPONENTS_MAX ? doc->components.n
								: FL_TOOLS_COMPONENTS_MAX;
	for (size_t i = 0; i < n; i++)
		rows[i] = row_of(&doc->components.items[i], artifacts[i]);
	for (size_t i = 0; i < release->env.n_sigs; i++)
		keys[i] = release->env.sigs[i].keyid;
	report.components.items = rows;
	report.components.n = n;
	report.signed_by.items = keys;
	report.signed_by.n = release->env.n_sigs;
	return fl_tools_json(out, &report_schema, &report, err);
}

static void print_list(FILE *out, const char *title, const char *const *items, size_t n)
{
	(void)fprintf(out, "%-12s", title);
	for (size_t i = 0; i < n; i++)
		(void)fprintf(out, "%s%s", i == 0 ? "" : ", ", items[i]);
	(void)fputs(n == 0 ? "-\n" : "\n", out);
}

static void print_digests(FILE *out, const char *title, const struct fl_digest *items, size_t n)
{
	char text[FL_DIGEST_TEXT_SIZE];
	for (size_t i = 0; i < n; i++) {
		fl_digest_format(&items[i], text);
		(void)fprintf(out, "%-12s%s\n", i == 0 ? title : "", text);
	}
}

static void print_signers(FILE *out, const struct fl_envelope *env)
{
	struct fl_digest keys[FL_SIGS_MAX];
	for (size_t i = 0; i < env->n_sigs; i++)
		keys[i] = env->sigs[i].keyid;
	print_digests(out, "signed by", keys, env->n_sigs);
	if (env->n_sigs == 0)
		(void)fputs("signed by   nobody yet\n", out);
}

static void print_soak(FILE *out, const struct fl_soak *soak)
{
	if (soak == NULL)
		return;
	(void)fprintf(
		out,
		"soak        %llu s; of before: memory %llu %%, load %llu %%, round trip %llu %%; "
		"restarts %llu\n",
		(unsigned long long)soak->duration_s, (unsigned long long)soak->memory_pct,
		(unsigned long long)soak->load_pct, (unsigned long long)soak->round_trip_pct,
		(unsigned long long)soak->restarts);
}

static void print_head(FILE *out, const struct fl_tools_release *release)
{
	const struct fl_release *doc = &release->doc;
	char text[FL_WORDS_MAX];
	uint64_t now = fl_words_now();
	(void)fprintf(out, "release     %s\n", release->digest);
	(void)fprintf(out, "product     %s\n", doc->product);
	(void)fprintf(out, "version     %s (%s)\n", doc->version,
		      doc->kind == NULL ? "-" : doc->kind);
	(void)fprintf(out, "made        %s\n", fl_words_time(doc->created, now, text));
	(void)fprintf(out, "expires     %s\n", fl_words_time(doc->expires, now, text));
	print_list(out, "classes", doc->compat->class_ids.items, doc->compat->class_ids.n);
	(void)fprintf(out, "hardware    %llu to %llu\n",
		      (unsigned long long)doc->compat->hw_rev_min,
		      (unsigned long long)doc->compat->hw_rev_max);
	print_list(out, "reach", doc->set->health->reach.items, doc->set->health->reach.n);
	(void)fprintf(out, "deadline    %llu s\n",
		      (unsigned long long)doc->set->health->deadline_s);
	print_list(out, "units", doc->set->health->units.items, doc->set->health->units.n);
	print_soak(out, doc->set->health->soak);
	print_digests(out, "back to", doc->permits_rollback_to.items, doc->permits_rollback_to.n);
	print_signers(out, &release->env);
}

static enum fl_rc add_component(struct fl_tools_table *table, const struct fl_component *c,
				struct fl_err *err)
{
	struct artifact_row artifacts[ARTIFACTS_MAX];
	const struct component_row row = row_of(c, artifacts);
	char seq[FL_WORDS_MAX], security[FL_WORDS_MAX], image[FL_WORDS_MAX],
		transport[FL_WORDS_MAX];
	const char *cells[] = {row.name,
			       row.handler,
			       row.version,
			       fl_words_number(row.release_seq, seq),
			       fl_words_number(row.security_version, security),
			       fl_words_size(row.image_size, image),
			       "-",
			       "-"};
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; rc == FL_OK && i < row.artifacts.n; i++) {
		cells[6] = artifacts[i].id;
		cells[7] = fl_words_size(artifacts[i].size, transport);
		rc = fl_tools_table_row(table, cells, err);
		for (size_t k = 0; k < 6; k++)
			cells[k] = ""; /* told once */
	}
	return rc == FL_OK && row.artifacts.n == 0 ? fl_tools_table_row(table, cells, err) : rc;
}

static enum fl_rc print_components(FILE *out, const struct fl_release *doc, struct fl_err *err)
{
	static const char *const heading[] = {"COMPONENT", "HANDLER", "VERSION",  "SEQ",
					      "SECURITY",  "IMAGE",   "ARTIFACT", "TRANSPORT"};
	struct fl_tools_table table = FL_TOOLS_TABLE(8);
	enum fl_rc rc = fl_tools_table_row(&table, heading, err);
	for (size_t i = 0; rc == FL_OK && i < doc->components.n; i++)
		rc = add_component(&table, &doc->components.items[i], err);
	if (rc == FL_OK) {
		(void)fputc('\n', out);
		fl_tools_table_print(out, &table);
	}
	fl_tools_table_free(&table);
	return rc;
}

enum fl_rc fl_tools_release_print(const struct fl_tools_call *call,
				  const struct fl_tools_release *release, struct fl_err *err)
{
	if (call->json)
		return print_json(call->out, release, err);
	print_head(call->out, release);
	return print_components(call->out, &release->doc, err);
}
