/* SPDX-License-Identifier: Apache-2.0 */
/* Error codes, messages that read as a path. */
#include <fairlead/base/err.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

static const struct {
	enum fl_rc rc;
	int number;
	const char *name;
} table[] = {
#define CODE(name, number, retryable, meaning) {FL_E_##name, number, #name},
#include <fairlead/base/codes.def>
#undef CODE
};
#define N (sizeof(table) / sizeof(table[0]))

Test(err, every_code_has_one_number_and_one_lower_case_name)
{
	for (size_t i = 0; i < N; i++) {
		cr_assert_eq((int)table[i].rc, -table[i].number);
		cr_assert_eq(strcasecmp(fl_rc_name(table[i].rc), table[i].name), 0,
			     "%s is cut or lost", table[i].name);
		cr_assert_eq(strpbrk(fl_rc_name(table[i].rc), "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), NULL);
		cr_assert_eq(fl_rc_from_name(fl_rc_name(table[i].rc)), table[i].rc);
		cr_assert_gt(strlen(fl_rc_text(table[i].rc)), 5);
		for (size_t k = 0; k < i; k++)
			cr_assert_neq(table[i].number, table[k].number, "%s and %s", table[i].name,
				      table[k].name);
	}
}

/* Numbers are stable for ever: these were published first. */
Test(err, numbers_do_not_move)
{
	cr_assert_eq(FL_E_INVALID_ARGUMENT, -1);
	cr_assert_eq(FL_E_NO_SPACE, -4);
	cr_assert_eq(FL_E_DOC_SYNTAX, -30);
	cr_assert_eq(FL_E_SIGNATURE, -50);
	cr_assert_eq(FL_E_CHUNK_MISMATCH, -80);
	cr_assert_eq(FL_E_SEAL_MISMATCH, -104);
	cr_assert_eq(FL_E_SUPERSEDED, -140);
	cr_assert_eq(FL_E_NETWORK, -160);
}

Test(err, unknown_names_and_numbers_are_internal)
{
	cr_assert_str_eq(fl_rc_name(FL_OK), "ok");
	cr_assert_eq(fl_rc_from_name("ok"), FL_OK);
	cr_assert_eq(fl_rc_from_name("from_the_future"), FL_E_INTERNAL);
	cr_assert_eq(fl_rc_from_name(""), FL_E_INTERNAL);
	cr_assert_str_eq(fl_rc_name((enum fl_rc) - 9999), "internal");
	cr_assert_not(fl_rc_retryable((enum fl_rc) - 9999));
}

Test(err, some_may_succeed_later)
{
	cr_assert(fl_rc_retryable(FL_E_NO_SPACE));
	cr_assert(fl_rc_retryable(FL_E_NETWORK));
	cr_assert_not(fl_rc_retryable(FL_E_SIGNATURE));
	cr_assert_not(fl_rc_retryable(FL_E_DOWNGRADE));
	cr_assert_not(fl_rc_retryable(FL_OK));
}

Test(err, errno_keeps_its_meaning)
{
	cr_assert_eq(fl_rc_from_errno(ENOSPC), FL_E_NO_SPACE);
	cr_assert_eq(fl_rc_from_errno(EDQUOT), FL_E_NO_SPACE);
	cr_assert_eq(fl_rc_from_errno(ENOENT), FL_E_NOT_FOUND);
	cr_assert_eq(fl_rc_from_errno(EACCES), FL_E_DENIED);
	cr_assert_eq(fl_rc_from_errno(EIO), FL_E_IO);
	cr_assert_eq(fl_rc_from_errno(12345), FL_E_IO);
}

Test(err, a_message_reads_as_a_path)
{
	struct fl_err err;
	enum fl_rc rc = fl_fail(&err, FL_E_IO, EIO, "read block %d", 7);
	rc = fl_wrap(&err, rc, "verify slot '%s'", "B");
	cr_assert_eq(rc, FL_E_IO);
	cr_assert_eq(err.rc, FL_E_IO);
	cr_assert_eq(err.sys_errno, EIO);
	cr_assert_str_eq(err.msg, "verify slot 'B': read block 7: Input/output error");
}

Test(err, wrapping_may_change_the_code)
{
	struct fl_err err;
	(void)fl_fail(&err, FL_E_NOT_FOUND, 0, "gone");
	cr_assert_eq(fl_wrap(&err, FL_E_CONFIG, "configuration"), FL_E_CONFIG);
	cr_assert_eq(err.rc, FL_E_CONFIG);
	cr_assert_str_eq(err.msg, "configuration: gone");
}

Test(err, long_messages_are_cut_inside_their_room)
{
	struct {
		struct fl_err err;
		char behind[16];
	} x;
	char text[1000];
	memset(&x, 0x5a, sizeof(x));
	memset(text, 'm', sizeof(text));
	text[999] = '\0';
	(void)fl_fail(&x.err, FL_E_IO, EIO, "%s", text);
	cr_assert_eq(strlen(x.err.msg), FL_ERR_MSG_MAX - 1);
	(void)fl_wrap(&x.err, FL_E_IO, "%s", text);
	cr_assert_eq(strlen(x.err.msg), FL_ERR_MSG_MAX - 1);
	(void)fl_wrap(&x.err, FL_E_IO, "short");
	cr_assert_eq(strncmp(x.err.msg, "short: mmm", 10), 0);
	cr_assert_eq(x.behind[0], 0x5a);
}

Test(err, nobody_need_listen)
{
	cr_assert_eq(fl_fail(NULL, FL_E_IO, EIO, "x"), FL_E_IO);
	cr_assert_eq(fl_wrap(NULL, FL_E_IO, "x"), FL_E_IO);
}

Test(err, a_broken_promise_ends_the_program, .signal = SIGABRT)
{
	FL_BUG_ON(1 + 1 == 2);
}

Test(err, success_is_no_failure, .signal = SIGABRT)
{
	struct fl_err err;
	(void)fl_fail(&err, FL_OK, 0, "x");
}
