/* SPDX-License-Identifier: Apache-2.0 */
#include "output.h"

#include <fairlead/base/clock.h>
#include <fairlead/trust/json.h>

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LIVE_EVERY_MS 100

struct fl_tools_row {
	struct fl_tools_row *next;
	const char *cells[FL_TOOLS_COLUMNS_MAX];
};

/* Characters, not bytes: continuation bytes of UTF-8 take no place. */
static size_t shown_width(const char *text)
{
	size_t width = 0;
	for (; *text != '\0'; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

enum fl_rc fl_tools_table_row(struct fl_tools_table *table, const char *const *cells,
			      struct fl_err *err)
{
	FL_BUG_ON(table->columns > FL_TOOLS_COLUMNS_MAX);
	struct fl_tools_row *row = fl_arena_alloc(&table->arena, sizeof(*row), err);
	if (row == NULL)
		return err->rc;
	for (size_t i = 0; i < table->columns; i++) {
		const char *text = cells[i] == NULL || cells[i][0] == '\0' ? "-" : cells[i];
		row->cells[i] = fl_arena_copy(&table->arena, text, strlen(text), err);
		if (row->cells[i] == NULL)
			return err->rc;
	}
	if (table->last == NULL)
		table->first = row;
	else
		table->last->next = row;
	table->last = row;
	return FL_OK;
}

static void print_row(FILE *out, const struct fl_tools_row *row, size_t columns,
		      const size_t *widths)
{
	for (size_t i = 0; i < columns; i++) {
		fl_words_print_clean(out, row->cells[i]);
		if (i + 1 < columns)
			(void)fprintf(out, "%*s", (int)(widths[i] - shown_width(row->cells[i]) + 2),
				      "");
	}
	(void)fputc('\n', out);
}

void fl_tools_table_print(FILE *out, const struct fl_tools_table *table)
{
	size_t widths[FL_TOOLS_COLUMNS_MAX] = {0};
	for (const struct fl_tools_row *row = table->first; row != NULL; row = row->next) {
		for (size_t i = 0; i < table->columns; i++) {
			size_t width = shown_width(row->cells[i]);
			widths[i] = width > widths[i] ? width : widths[i];
		}
	}
	for (const struct fl_tools_row *row = table->first; row != NULL; row = row->next)
		print_row(out, row, table->columns, widths);
}

void fl_tools_table_free(struct fl_tools_table *table)
{
	fl_arena_free(&table->arena);
	table->first = NULL;
	table->last = NULL;
}

enum fl_rc fl_tools_json(FILE *out, const struct fl_schema *schema, const void *in,
			 struct fl_err *err)
{
	struct fl_buf text = FL_BUF((size_t)16 * 1024 * 1024);
	enum fl_rc rc = fl_json_encode(schema, in, &text, err);
	if (rc == FL_OK)
		(void)fprintf(out, "%s\n", fl_buf_str(&text));
	fl_buf_free(&text);
	return rc;
}

void fl_tools_json_error(FILE *out, const struct fl_err *err)
{
	struct fl_buf text = FL_BUF((size_t)16 * 1024);
	if (fl_json_append_string(&text, err->msg, NULL) == FL_OK)
		(void)fprintf(out, "{\"code\":\"%s\",\"text\":%s}\n", fl_rc_name(err->rc),
			      fl_buf_str(&text));
	fl_buf_free(&text);
}

struct fl_tools_live fl_tools_live_start(FILE *out)
{
	struct fl_tools_live live = {.out = out, .width = 80};
	struct winsize size;
	int fd = fileno(out);
	live.terminal = fd >= 0 && isatty(fd) == 1;
	if (live.terminal && ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		live.width = size.ws_col;
	return live;
}

/* Where the text must be cut to take at most `width` places: never inside a character. */
static size_t cut_at(const char *text, size_t width)
{
	size_t i = 0;
	for (; text[i] != '\0'; i++) {
		bool starts = ((unsigned char)text[i] & 0xc0) != 0x80;
		if (starts && width-- == 0)
			break;
	}
	return i;
}

static void draw(struct fl_tools_live *live, const char *line)
{
	char shown[FL_TOOLS_LIVE_MAX];
	(void)snprintf(shown, sizeof(shown), "%s", line);
	size_t width = live->width > 1 ? (size_t)live->width - 1 : 1;
	shown[cut_at(shown, width)] = '\0';
	(void)fputc('\r', live->out);
	fl_words_print_clean(live->out, shown);
	(void)fputs("\033[K", live->out);
	(void)fflush(live->out);
	live->open = true;
	live->held[0] = '\0';
}

void fl_tools_live_show(struct fl_tools_live *live, const char *line, bool passing)
{
	if (!live->terminal) {
		if (!passing) {
			fl_words_print_clean(live->out, line);
			(void)fputc('\n', live->out);
			(void)fflush(live->out);
		}
		return;
	}
	const uint64_t now = fl_clock_boot_ms(&fl_clock_system);
	if (passing && live->open && now - live->drawn_ms < LIVE_EVERY_MS) {
		(void)snprintf(live->held, sizeof(live->held), "%s", line);
		return;
	}
	live->drawn_ms = now;
	draw(live, line);
}

void fl_tools_live_end(struct fl_tools_live *live)
{
	if (live->held[0] != '\0')
		draw(live, live->held);
	if (live->open)
		(void)fputc('\n', live->out);
	live->open = false;
}
