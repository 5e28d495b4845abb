/* SPDX-License-Identifier: Apache-2.0 */
/* The lexer and the codec between JSON and structs. */
#include <fairlead/trust/json.h>

#include <criterion/criterion.h>
#include <string.h>

static enum fl_rc check(const char *text)
{
	struct fl_err err;
	return fl_json_check(text, strlen(text), &err);
}

Test(json, plain_object_is_accepted)
{
	cr_assert_eq(check("{\"a\":1,\"b\":[true,false,{\"c\":\"x\"}]}"), FL_OK);
}

Test(json, a_key_that_stands_twice_is_refused)
{
	cr_assert_eq(check("{\"a\":1,\"a\":2}"), FL_E_DOC_SYNTAX);
	cr_assert_eq(check("{\"a\":1,\"\\u0061\":2}"), FL_E_DOC_SYNTAX);
	cr_assert_eq(check("{\"a\":1,\"b\":{\"a\":2}}"), FL_OK);
}
