/* SPDX-License-Identifier: Apache-2.0 */
/* Which releases a device takes: signatures and scopes, then compatibility, then what may follow
 * what. */
#include "world.h"

#include <criterion/criterion.h>
#include <string.h>

static struct world w;

static void setup(void)
{
	world_init(&w);
}

static void teardown(void)
{
	world_done(&w);
}

TestSuite(release, .init = setup, .fini = teardown);

Test(release, a_right_one_is_taken)
{
	cr_assert_eq(world_verify_release(&w), FL_OK, "%s", w.err.msg);
}

Test(release, one_of_two_keys_is_too_few)
{
	cr_assert_eq(world_verify_release_by(&w, SIGNERS(RELEASE_A)), FL_E_SIGNATURE);
}
