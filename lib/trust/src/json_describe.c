/* SPDX-License-Identifier: Apache-2.0 */
/* A schema, and those under it, as Markdown: the documentation is printed from what the decoder
 * reads. */
#include <fairlead/trust/json.h>

#include <inttypes.h>
#include <stdio.h>

#define SCHEMAS_MAX 64

/* The schemas still to print, each once, in the order in which they are first named. */
struct queue {
	const struct fl_schema *items[SCHEMAS_MAX];
	size_t n;
};

static const char *const kind_names[] = {
	[FL_K_STR] = "string",	    [FL_K_NAME] = "name",	[FL_K_UUID] = "UUID",
	[FL_K_U64] = "integer",	    [FL_K_BOOL] = "boolean",	[FL_K_DIGEST] = "digest",
	[FL_K_BYTES] = "bytes",	    [FL_K_OBJECT] = "object",	[FL_K_LIST] = "list of",
	[FL_K_STRINGS] = "strings", [FL_K_DIGESTS] = "digests", [FL_K_EXT] = "any object",
};

static void enqueue(struct queue *queue, const struct fl_schema *schema)
{
	for (size_t i = 0; i < queue->n; i++) {
		if (queue->items[i] == schema)
			return;
	}
	FL_BUG_ON(queue->n == SCHEMAS_MAX);
	queue->items[queue->n++] = schema;
}

static bool has_limit(const struct fl_field *field)
{
	switch (field->kind) {
	case FL_K_STR:
	case FL_K_BYTES:
	case FL_K_LIST:
	case FL_K_STRINGS:
	case FL_K_DIGESTS:
		return true;
	case FL_K_U64:
		return field->max < FL_U53_MAX;
	case FL_K_NAME:
	case FL_K_UUID:
	case FL_K_BOOL:
	case FL_K_DIGEST:
	case FL_K_OBJECT:
	case FL_K_EXT:
	default:
		return false;
	}
}

static enum fl_rc describe_field(const struct fl_field *field, struct fl_buf *out,
				 struct fl_err *err)
{
	char limit[24] = "";
	if (has_limit(field))
		snprintf(limit, sizeof(limit), "%" PRIu64, field->max);
	const char *sub = field->sub == NULL ? "" : field->sub->name;
	const char *mark = field->required ? "" : "*";
	return fl_buf_appendf(out, err, "| %s`%s`%s | %s%s%s | %s | %s |\n", mark, field->name,
			      mark, kind_names[field->kind], *sub != '\0' ? " " : "", sub, limit,
			      field->doc == NULL ? "" : field->doc);
}

static enum fl_rc describe_one(const struct fl_schema *schema, struct queue *queue,
			       struct fl_buf *out, struct fl_err *err)
{
	enum fl_rc rc = fl_buf_appendf(
		out, err, "### %s\n\n%s%s| member | kind | limit | meaning |\n|---|---|---|---|\n",
		schema->name, schema->doc == NULL ? "" : schema->doc,
		schema->doc == NULL ? "" : "\n\n");
	for (size_t i = 0; rc == FL_OK && i < schema->n_fields; i++) {
		const struct fl_field *field = &schema->fields[i];
		if (field->sub != NULL)
			enqueue(queue, field->sub);
		rc = describe_field(field, out, err);
	}
	return rc == FL_OK ? fl_buf_append_str(out, "\n", err) : rc;
}

enum fl_rc fl_json_describe(const struct fl_schema *schema, struct fl_buf *out, struct fl_err *err)
{
	struct queue queue = {{schema}, 1};
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; rc == FL_OK && i < queue.n; i++)
		rc = describe_one(queue.items[i], &queue, out, err);
	return rc;
}
