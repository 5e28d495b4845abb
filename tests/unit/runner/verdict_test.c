/* SPDX-License-Identifier: Apache-2.0 */
/* Which failures condemn a release, and what is left of a plugin's words. */
#include "verdict.h"

#include <criterion/criterion.h>
#include <string.h>

Test(runner_verdict, what_can_pass_is_tried_again)
{
	static const struct {
		enum fl_rc rc;
		enum fl_class cls;
	} rows[] = {
		{FL_E_CHUNK_MISMATCH, FL_CLASS_RETRY},
		{FL_E_PEER_CLOSED, FL_CLASS_RETRY},
		{FL_E_PROTOCOL, FL_CLASS_RETRY},
		{FL_E_NO_SPACE, FL_CLASS_RETRY},
		{FL_E_IO, FL_CLASS_RETRY},
		{FL_E_CANCELLED, FL_CLASS_RETRY},
		{FL_E_NO_MEMORY, FL_CLASS_RETRY},
		{FL_E_FORMAT, FL_CLASS_PERMANENT},
		{FL_E_SIZE_MISMATCH, FL_CLASS_PERMANENT},
		{FL_E_PLUGIN_ABI, FL_CLASS_PERMANENT},
		{FL_E_SANDBOX, FL_CLASS_PERMANENT},
		{FL_E_SLOT_TOO_SMALL, FL_CLASS_PERMANENT},
		{FL_E_PLUGIN_CONTRACT, FL_CLASS_PERMANENT},
		{FL_E_TRUNCATED, FL_CLASS_RETRY},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct verdict v = {0};
		struct fl_err err;
		(void)fl_fail(&err, rows[i].rc, 0, "so\tit is");
		verdict_from_err(&v, &err);
		cr_expect_eq(v.cls, rows[i].cls, "%s", fl_rc_name(rows[i].rc));
		cr_expect_str_eq(v.code, fl_rc_name(rows[i].rc));
		cr_expect_str_eq(v.text, "so?it is");
	}
}

Test(runner_verdict, a_plugins_words)
{
	static const struct {
		int cls;
		const char *code;
		enum fl_class expected;
		enum fl_rc rc;
	} rows[] = {
		{FL_CLASS_OK, "", FL_CLASS_OK, FL_OK},
		{FL_CLASS_OK, "io", FL_CLASS_OK, FL_OK},
		{FL_CLASS_RETRY, "io", FL_CLASS_RETRY, FL_E_IO},
		{FL_CLASS_RETRY, "", FL_CLASS_RETRY, FL_E_PLUGIN_FAILED},
		{FL_CLASS_RETRY, "ok", FL_CLASS_RETRY, FL_E_PLUGIN_FAILED},
		{FL_CLASS_PERMANENT, "made up", FL_CLASS_PERMANENT, FL_E_PLUGIN_REFUSED},
		{FL_CLASS_UNSAFE, "", FL_CLASS_UNSAFE, FL_E_PLUGIN_UNSAFE},
		{FL_CLASS_NEEDS_USER, "", FL_CLASS_NEEDS_USER, FL_E_NEEDS_USER},
		{5, "io", FL_CLASS_RETRY, FL_E_PLUGIN_FAILED},
		{-1, "io", FL_CLASS_RETRY, FL_E_PLUGIN_FAILED},
		{1 << 30, "io", FL_CLASS_RETRY, FL_E_PLUGIN_FAILED},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct verdict v = {0};
		struct fl_err err = {0};
		struct fl_result result = {.size = sizeof(result)};
		strcpy(result.code, rows[i].code);
		strcpy(result.text, "a\n\x1b[31mb\xff");
		cr_expect_eq(verdict_from_plugin(&v, "stage", rows[i].cls, &result, &err),
			     rows[i].rc, "row %zu", i);
		cr_expect_eq(v.cls, rows[i].expected, "row %zu", i);
		cr_expect_str_eq(v.code, fl_rc_name(rows[i].rc));
		cr_expect_null(strpbrk(v.text, "\n\x1b\xff"));
	}
}
