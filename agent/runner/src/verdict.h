/* SPDX-License-Identifier: Apache-2.0 */
/* How an activity ended: the class that tells the helper what to do next, a code's name, a line for
 * people. */
#ifndef FL_RUNNER_VERDICT_H
#define FL_RUNNER_VERDICT_H

#include <fairlead/base/err.h>
#include <fairlead/handler.h>

#define VERDICT_CODE_MAX 40

struct verdict {
	enum fl_class cls;
	char code[VERDICT_CODE_MAX];
	char text[FL_ERR_MSG_MAX];
};

/* "ok", "retry", "permanent", "unsafe", "needs_user" */
const char *verdict_class_name(enum fl_class cls);
void verdict_ok(struct verdict *verdict, const char *text);
/* From a failure of the runner itself, of the agent or of the content. */
void verdict_from_err(struct verdict *verdict, const struct fl_err *err);
/*
 * From what a plugin's call returned: an unknown class counts as retry, an unknown code becomes the
 * class's own, text is made printable. Returns FL_OK for FL_CLASS_OK; else the code, with err
 * filled for those who pass it on.
 */
enum fl_rc verdict_from_plugin(struct verdict *verdict, const char *call, int cls,
			       struct fl_result *result, struct fl_err *err) FL_CHECKED;
/* Cuts at the end of the array, replaces what isn't printable ASCII by '?'. */
void make_printable(char *text, size_t size);

#endif
