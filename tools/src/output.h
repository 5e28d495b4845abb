/* SPDX-License-Identifier: Apache-2.0 */
/* What people see: aligned tables, one live line; and JSON. Text of others is shown without control
 * characters. */
#ifndef FL_TOOLS_OUTPUT_H
#define FL_TOOLS_OUTPUT_H

#include <fairlead/base/buf.h>
#include <fairlead/base/schema.h>
#include <fairlead/base/words.h>

#include <stdio.h>

/*
 * A table: the widths are found when it is printed. Cells are copied; NULL is shown as "-". Rows
 * past the arena's maximum are FL_E_TOO_LARGE.
 */
#define FL_TOOLS_COLUMNS_MAX 8

struct fl_tools_table {
	struct fl_arena arena;
	size_t columns;
	struct fl_tools_row *first, *last;
};

#define FL_TOOLS_TABLE(n)                                                                          \
	((struct fl_tools_table){FL_ARENA((size_t)64 * 1024 * 1024), (n), NULL, NULL})

/* `columns` cells; the first row is the heading. */
enum fl_rc fl_tools_table_row(struct fl_tools_table *table, const char *const *cells,
			      struct fl_err *err) FL_CHECKED;
void fl_tools_table_print(FILE *out, const struct fl_tools_table *table);
void fl_tools_table_free(struct fl_tools_table *table);

/* A struct as one line of JSON. */
enum fl_rc fl_tools_json(FILE *out, const struct fl_schema *schema, const void *in,
			 struct fl_err *err) FL_CHECKED;
/* {"code":…,"text":…} */
void fl_tools_json_error(FILE *out, const struct fl_err *err);

/* One line that is written over on a terminal, and a line per change elsewhere. */
#define FL_TOOLS_LIVE_MAX 512
struct fl_tools_live {
	FILE *out;
	bool terminal;
	bool open; /* a line stands that the next one overwrites */
	int width;
	uint64_t drawn_ms;
	char held[FL_TOOLS_LIVE_MAX]; /* came too soon after the one that stands: shown at the end */
};

struct fl_tools_live fl_tools_live_start(FILE *out);
/* passing: worth showing on a terminal only, ten times a second (progress). */
void fl_tools_live_show(struct fl_tools_live *live, const char *line, bool passing);
/* The last line stays. */
void fl_tools_live_end(struct fl_tools_live *live);

#endif
