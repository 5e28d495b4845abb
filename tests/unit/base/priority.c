/* SPDX-License-Identifier: Apache-2.0 */
#include <fairlead/base/priority.h>

#include <criterion/criterion.h>
#include <linux/ioprio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int io_class(void)
{
	return IOPRIO_PRIO_CLASS((int)syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0));
}

Test(priority, background_work_gives_way_and_so_do_its_children)
{
	int status;
	fl_priority_background();
	cr_assert_geq(getpriority(PRIO_PROCESS, 0), 10);
	cr_assert_eq(io_class(), IOPRIO_CLASS_IDLE);
	const pid_t child = fork();
	if (child == 0)
		_exit(getpriority(PRIO_PROCESS, 0) >= 10 && io_class() == IOPRIO_CLASS_IDLE ? 0 : 1);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
}
