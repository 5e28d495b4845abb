/* SPDX-License-Identifier: Apache-2.0 */
#include "query.h"

static enum fl_rc ask_and_print(const struct fl_tools_call *call, struct fl_tools_fleet *fleet,
				const struct fl_tools_query *q, struct fl_err *err)
{
	struct fl_buf answer = FL_BUF(FL_TOOLS_ANSWER_MAX);
	struct fl_arena arena = FL_TOOLS_QUERY_ARENA;
	enum fl_rc rc = fl_tools_fleet_ask(fleet, &q->request, &answer, &arena, q->out, err);
	if (rc == FL_OK && call->json)
		(void)fprintf(call->out, "%s\n", fl_buf_str(&answer));
	else if (rc == FL_OK)
		rc = q->print(call, q->out, err);
	fl_arena_free(&arena);
	fl_buf_free(&answer);
	return rc;
}

enum fl_rc fl_tools_query_run(const struct fl_tools_call *call, const struct fl_tools_query *query,
			      struct fl_err *err)
{
	struct fl_tools_fleet *fleet = NULL;
	enum fl_rc rc = fl_tools_fleet_open(call, &fleet, err);
	if (rc == FL_OK)
		rc = ask_and_print(call, fleet, query, err);
	fl_tools_fleet_close(fleet);
	return rc;
}

enum fl_rc fl_tools_need_name(const char *text, const char *what, struct fl_err *err)
{
	return fl_name_valid(text)
		       ? FL_OK
		       : fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "%s: no name: '%s'", what, text);
}

enum fl_rc fl_tools_need_uuid(const char *text, const char *what, struct fl_err *err)
{
	return fl_uuid_valid(text)
		       ? FL_OK
		       : fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "%s: no UUID: '%s'", what, text);
}
