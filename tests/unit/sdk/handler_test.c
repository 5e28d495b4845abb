/* SPDX-License-Identifier: Apache-2.0 */
/* The ABI of handlers never moves: a plugin built against 1.0 must be understood for ever. */
#include <fairlead/handler.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define AT(type, member, place)                                                                    \
	{                                                                                          \
#type "." #member, offsetof(struct type, member), (place)                          \
	}

/* In pointers (P) and bytes, as 1.0 laid it out. */
#define P sizeof(void *)
static const struct {
	const char *what;
	size_t is, was;
} places[] = {
	AT(fl_handler, abi_major, 0),
	AT(fl_handler, abi_minor, 4),
	AT(fl_handler, size, 8),
	AT(fl_handler, name, P == 8 ? 16 : 12),
	AT(fl_handler, version, (P == 8 ? 16 : 12) + P),
	AT(fl_handler, hello, (P == 8 ? 16 : 12) + 2 * P),
	AT(fl_handler, enumerate, (P == 8 ? 16 : 12) + 3 * P),
	AT(fl_handler, observe, (P == 8 ? 16 : 12) + 4 * P),
	AT(fl_handler, prepare, (P == 8 ? 16 : 12) + 5 * P),
	AT(fl_handler, stage, (P == 8 ? 16 : 12) + 6 * P),
	AT(fl_handler, flush, (P == 8 ? 16 : 12) + 7 * P),
	AT(fl_handler, read, (P == 8 ? 16 : 12) + 8 * P),
	AT(fl_handler, zero_tail, (P == 8 ? 16 : 12) + 9 * P),
	AT(fl_handler, verify, (P == 8 ? 16 : 12) + 10 * P),
	AT(fl_handler, activate, (P == 8 ? 16 : 12) + 11 * P),
	AT(fl_handler, restart, (P == 8 ? 16 : 12) + 12 * P),
	AT(fl_handler, check, (P == 8 ? 16 : 12) + 13 * P),
	AT(fl_handler, commit, (P == 8 ? 16 : 12) + 14 * P),
	AT(fl_handler, rollback, (P == 8 ? 16 : 12) + 15 * P),
	AT(fl_handler, cleanup, (P == 8 ? 16 : 12) + 16 * P),
	AT(fl_host, abi_major, 0),
	AT(fl_host, abi_minor, 4),
	AT(fl_host, size, 8),
	AT(fl_host, ctx, P == 8 ? 16 : 12),
	AT(fl_host, progress, (P == 8 ? 16 : 12) + P),
	AT(fl_host, log, (P == 8 ? 16 : 12) + 2 * P),
	AT(fl_host, keepalive, (P == 8 ? 16 : 12) + 3 * P),
	AT(fl_host, checkpoint, (P == 8 ? 16 : 12) + 4 * P),
	AT(fl_host, inhibit, (P == 8 ? 16 : 12) + 5 * P),
	AT(fl_host, resource, (P == 8 ? 16 : 12) + 6 * P),
	AT(fl_host, cancelled, (P == 8 ? 16 : 12) + 7 * P),
	AT(fl_result, size, 0),
	AT(fl_result, code, 4),
	AT(fl_result, text, 36),
	AT(fl_hello, size, 0),
	AT(fl_hello, capabilities, 4),
	AT(fl_hello, proof, 8),
	AT(fl_hello, deadline_ms, 12),
	AT(fl_hello, needs, P == 8 ? 80 : 76),
	AT(fl_hello, self, (P == 8 ? 80 : 76) + P),
	AT(fl_task, size, 0),
	AT(fl_task, flags, 4),
	AT(fl_task, transaction, 8),
	AT(fl_task, component, 8 + P),
	AT(fl_task, slot, 8 + 2 * P),
	AT(fl_observation, size, 0),
	AT(fl_observation, flags, 4),
	AT(fl_observation, room, 8),
	AT(fl_observation, release_seq, 16),
	AT(fl_observation, version, 24),
	AT(fl_plan, size, 0),
	AT(fl_plan, restart, 4),
	AT(fl_plan, room, 8),
	AT(fl_plan, resume_offset, 16),
	AT(fl_plan, restart_ms, 24),
	AT(fl_components, size, 0),
	AT(fl_components, n, 4),
	AT(fl_components, name, 8),
};

Test(sdk_handler, nothing_moved)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		cr_expect_eq(places[i].is, places[i].was, "%s: %zu, was %zu", places[i].what,
			     places[i].is, places[i].was);
	cr_expect_eq(FL_HANDLER_ABI_MAJOR, 1);
	cr_expect_eq(FL_HANDLER_SIZE_1_0, (P == 8 ? 16 : 12) + 17 * P);
}

Test(sdk_handler, numbers_stay)
{
	cr_expect(FL_CLASS_OK == 0 && FL_CLASS_RETRY == 1 && FL_CLASS_PERMANENT == 2 &&
		  FL_CLASS_UNSAFE == 3 && FL_CLASS_NEEDS_USER == 4);
	cr_expect(FL_CAP_SLOT == 1 && FL_CAP_STREAM == 2 && FL_CAP_RANDOM == 4 &&
		  FL_CAP_ROLLBACK == 8 && FL_CAP_IRREVERSIBLE == 16 && FL_CAP_NO_INACTIVE == 32 &&
		  FL_CAP_CHILDREN == 64 && FL_CAP_CANCEL == 128);
	cr_expect(FL_CALL_HELLO == 0 && FL_CALL_STAGE == 4 && FL_CALL_CLEANUP == 11 &&
		  FL_CALL_ROOM == 16);
}

Test(sdk_handler, a_long_text_is_cut)
{
	struct fl_result result = {.size = sizeof(result)};
	char text[1000];
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	cr_assert_eq(fl_result_fail(&result, FL_CLASS_UNSAFE, text, "%s %d", text, 5),
		     FL_CLASS_UNSAFE);
	cr_assert_eq(strlen(result.code), FL_RESULT_CODE_MAX - 1);
	cr_assert_eq(strlen(result.text), FL_RESULT_TEXT_MAX - 1);
}

/* The header alone, as C11 and as C++11, without a warning. */
Test(sdk_handler, compiles_alone)
{
	const char *const languages[] = {"-x c -std=c11", "-x c++ -std=c++11"};
	for (size_t i = 0; i < 2; i++) {
		char command[1024];
		(void)snprintf(command, sizeof(command),
			       "echo '#include <fairlead/handler.h>' | clang %s -Wall -Wextra "
			       "-Wpedantic -Wconversion "
			       "-Werror -fsyntax-only -I" SDK_INCLUDE " -",
			       languages[i]);
		cr_expect_eq(system(command), 0, "%s", command);
	}
}
