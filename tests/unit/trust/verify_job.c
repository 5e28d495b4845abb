/* SPDX-License-Identifier: Apache-2.0 */
/* Which jobs a device takes. */
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

TestSuite(job, .init = setup, .fini = teardown);

Test(job, a_right_one_is_taken)
{
	cr_assert_eq(world_verify_job(&w), FL_OK, "%s", w.err.msg);
}

Test(job, the_number_of_an_older_one_is_a_replay)
{
	w.job.job_seq = 41;
	cr_assert_eq(world_verify_job(&w), FL_E_REPLAYED);
}
