/* SPDX-License-Identifier: Apache-2.0 */
#include "list.h"

#include <string.h>

#define PAGE_MAX   UINT64_C(500)
#define PAGE_ARENA ((size_t)64 * 1024 * 1024)
#define LIST_MAX   20000
#define JSON_MAX   ((size_t)256 * 1024 * 1024)
#define PATH_SIZE  768

struct fl_bytes fl_tools_next_object(struct fl_bytes text, size_t *at)
{
	const uint8_t *start = NULL;
	unsigned depth = 0; /* of objects below the list */
	bool string = false;
	if (*at == 0) {
		const uint8_t *list = memchr(text.data, '[', text.len);
		*at = list == NULL ? text.len : (size_t)(list - text.data) + 1;
	}
	for (; *at < text.len; (*at)++) {
		const uint8_t *c = text.data + *at;
		if (string) {
			*at += *c == '\\' ? 1 : 0;
			string = *c != '"';
			continue;
		}
		string = *c == '"';
		if (*c == ']' && depth == 0)
			break;
		if (*c == '{' && depth++ == 0)
			start = c;
		if (*c == '}' && --depth == 0) {
			(*at)++;
			return (struct fl_bytes){start, (size_t)(c - start) + 1};
		}
	}
	return (struct fl_bytes){NULL, 0};
}

/* One list being shown. */
struct listing {
	const struct fl_tools_call *call;
	const struct fl_tools_list *list;
	struct fl_tools_fleet *fleet;
	struct fl_tools_table table;
	struct fl_buf json; /* printed when it is whole */
	uint64_t n;	    /* elements so far */
	uint64_t page_max;  /* elements of a page: fewer once one was too large */
	bool more;
	char after[256];
};

struct page {
	struct fl_any_list elements;
};

static enum fl_rc ask_page(struct listing *l, struct fl_buf *answer, struct fl_arena *arena,
			   struct page *ret, struct fl_err *err)
{
	const struct fl_field field = {
		l->list->member, FL_K_LIST,	  true, offsetof(struct page, elements),
		LIST_MAX,	 l->list->schema, NULL};
	const struct fl_schema schema = {"page", sizeof(struct page), &field, 1, NULL};
	char path[PATH_SIZE];
	int n = snprintf(path, sizeof(path), "%s%climit=%llu%s%s", l->list->path,
			 strchr(l->list->path, '?') == NULL ? '?' : '&',
			 (unsigned long long)l->page_max,
			 l->after[0] == '\0' ? "" : "&after=", l->after);
	if (n < 0 || (size_t)n >= sizeof(path))
		return fl_fail(err, FL_E_TOO_LARGE, 0, "path of the list");
	fl_buf_clear(answer);
	const struct fl_tools_request request = {"GET", path, NULL, &schema};
	return fl_tools_fleet_ask(l->fleet, &request, answer, arena, ret, err);
}

static enum fl_rc add_json(struct listing *l, const struct fl_buf *answer, uint64_t n,
			   struct fl_err *err)
{
	size_t at = 0;
	const struct fl_bytes text = {answer->data, answer->len};
	enum fl_rc rc = FL_OK;
	for (uint64_t i = 0; rc == FL_OK && i < n; i++) {
		struct fl_bytes object = fl_tools_next_object(text, &at);
		if (l->n + i > 0)
			rc = fl_buf_append_str(&l->json, ",", err);
		if (rc == FL_OK)
			rc = fl_buf_append(&l->json, object.data, object.len, err);
	}
	return rc;
}

static enum fl_rc add_rows(struct listing *l, const struct page *page, uint64_t n,
			   struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	for (uint64_t i = 0; rc == FL_OK && i < n; i++)
		rc = l->list->row(&l->table,
				  (const char *)page->elements.items + i * l->list->schema->size,
				  err);
	return rc;
}

/* What only the id tells goes into a URL: it must be a name. */
static enum fl_rc note_last(struct listing *l, const struct page *page, struct fl_err *err)
{
	size_t n = page->elements.n;
	l->more = l->list->id != NULL && n >= l->page_max && l->n < l->list->max;
	if (!l->more)
		return FL_OK;
	const char *id =
		l->list->id((const char *)page->elements.items + (n - 1) * l->list->schema->size);
	if (!fl_name_valid(id) || strcmp(id, l->after) == 0)
		return fl_fail(err, FL_E_PROTOCOL, 0, "fleet: a list that cannot be continued");
	(void)snprintf(l->after, sizeof(l->after), "%s", id);
	return FL_OK;
}

static enum fl_rc take_page(struct listing *l, const struct fl_buf *answer, const struct page *page,
			    struct fl_err *err)
{
	uint64_t left = l->list->max - l->n;
	uint64_t n = page->elements.n < left ? page->elements.n : left;
	enum fl_rc rc = l->call->json ? add_json(l, answer, n, err) : add_rows(l, page, n, err);
	l->n += n;
	return rc == FL_OK ? note_last(l, page, err) : rc;
}

static enum fl_rc show_page(struct listing *l, struct fl_err *err)
{
	struct fl_buf answer = FL_BUF(FL_TOOLS_ANSWER_MAX);
	struct fl_arena arena = FL_ARENA(PAGE_ARENA);
	struct page page = {0};
	enum fl_rc rc = ask_page(l, &answer, &arena, &page, err);
	while (rc == FL_E_PROTOCOL && l->list->id != NULL && l->page_max > 1) {
		l->page_max /= 2;
		rc = ask_page(l, &answer, &arena, &page, err);
	}
	if (rc == FL_OK)
		rc = take_page(l, &answer, &page, err);
	fl_arena_free(&arena);
	fl_buf_free(&answer);
	return rc;
}

enum fl_rc fl_tools_list_run(const struct fl_tools_call *call, const struct fl_tools_list *list,
			     struct fl_err *err)
{
	struct listing l = {.call = call,
			    .list = list,
			    .table = FL_TOOLS_TABLE(list->columns),
			    .json = FL_BUF(JSON_MAX),
			    .page_max = list->max < PAGE_MAX ? list->max : PAGE_MAX,
			    .more = true};
	enum fl_rc rc = fl_tools_fleet_open(call, &l.fleet, err);
	if (rc == FL_OK)
		rc = fl_tools_table_row(&l.table, list->heading, err);
	while (rc == FL_OK && l.more)
		rc = show_page(&l, err);
	if (rc == FL_OK && call->json)
		(void)fprintf(call->out, "{\"%s\":[%s]}\n", list->member, fl_buf_str(&l.json));
	else if (rc == FL_OK)
		fl_tools_table_print(call->out, &l.table);
	fl_buf_free(&l.json);
	fl_tools_table_free(&l.table);
	fl_tools_fleet_close(l.fleet);
	return rc;
}
