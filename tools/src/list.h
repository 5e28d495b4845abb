/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of the fleet, {"<member>":[…]}, asked for page by page: the strict lexer takes 20,000
 * tokens at a time, and a fleet has more devices than that.
 */
#ifndef FL_TOOLS_LIST_H
#define FL_TOOLS_LIST_H

#include "answers.h"
#include "fleet.h"
#include "output.h"

struct fl_tools_list {
	const char *path; /* "/jobs", "/jobs?device=gw-1" */
	const char *member;
	const struct fl_schema *schema; /* of an element */
	/* The id that `after=` takes; NULL: the fleet gives the list whole. */
	const char *(*id)(const void *element);
	uint64_t max; /* elements at most */
	size_t columns;
	const char *const *heading;
	enum fl_rc (*row)(struct fl_tools_table *table, const void *element, struct fl_err *err);
};

/* Prints the list as a table; with --json as one object whose elements are as the fleet gave them.
 */
enum fl_rc fl_tools_list_run(const struct fl_tools_call *call, const struct fl_tools_list *list,
			     struct fl_err *err) FL_CHECKED;

/*
 * Steps through the objects of the first list in text, JSON that was checked: *at (0 at first) is
 * moved behind the next one, {NULL, 0} ends them.
 */
struct fl_bytes fl_tools_next_object(struct fl_bytes text, size_t *at);

#endif
