/* SPDX-License-Identifier: Apache-2.0 */
/* What a service manager hears: once that we are ready, then that we live, in good time. */
#include <fairlead/base/notify.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int manager = -1;
static char path[108];

static void listen_at(const struct sockaddr_un *address, socklen_t len)
{
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	cr_assert_eq(bind(manager, (const struct sockaddr *)address, len), 0);
}

static void with_manager(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(path, sizeof(path), "/tmp/fl_notify.%d", (int)getpid());
	memcpy(address.sun_path, path, strlen(path));
	listen_at(&address, sizeof(address));
	setenv("NOTIFY_SOCKET", path, 1);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

static void without_manager(void)
{
	unlink(path);
	close(manager);
}

/* What came since the last call, one word each. */
static const char *heard(void)
{
	static char all[256];
	all[0] = '\0';
	for (;;) {
		char one[64];
		ssize_t n = recv(manager, one, sizeof(one) - 1, 0);
		if (n < 0)
			return all;
		one[n] = '\0';
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", all[0] ? " " : "", one);
	}
}

TestSuite(notify, .init = with_manager, .fini = without_manager);

Test(notify, ready_is_said_once_and_the_loop_waits_as_it_likes)
{
	cr_assert_eq(fl_notify_alive(-1), -1);
	cr_assert_str_eq(heard(), "READY=1");
	cr_assert_eq(fl_notify_alive(700), 700);
	cr_assert_str_eq(heard(), "");
}

Test(notify, a_watched_loop_speaks_at_half_of_the_time)
{
	setenv("WATCHDOG_USEC", "400000", 1);
	int may = fl_notify_alive(-1);
	cr_assert(may > 150 && may <= 200, "%d", may);
	cr_assert_str_eq(heard(), "READY=1 WATCHDOG=1");
	cr_assert_eq(fl_notify_alive(5), 5, "a shorter wish is kept");
	cr_assert_str_eq(heard(), "");
	usleep((useconds_t)may * 1000);
	cr_assert_gt(fl_notify_alive(1000), 0);
	cr_assert_str_eq(heard(), "WATCHDOG=1");
}

Test(notify, the_watch_over_another_process_is_not_ours)
{
	setenv("WATCHDOG_USEC", "400000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	cr_assert_eq(fl_notify_alive(-1), -1);
	cr_assert_str_eq(heard(), "READY=1");
}

Test(notify, stopping_ends_the_watch)
{
	setenv("WATCHDOG_USEC", "400000", 1);
	(void)fl_notify_alive(-1);
	(void)heard();
	fl_notify_stopping();
	cr_assert_eq(fl_notify_alive(-1), -1);
	cr_assert_str_eq(heard(), "STOPPING=1");
}

Test(notify, a_manager_that_is_not_there_is_asked_again)
{
	setenv("WATCHDOG_USEC", "60000000", 1);
	close(manager);
	unlink(path);
	cr_assert_eq(fl_notify_alive(-1), 1000);
	cr_assert_eq(fl_notify_alive(20), 20);
	with_manager();
	setenv("WATCHDOG_USEC", "60000000", 1);
	cr_assert_gt(fl_notify_alive(-1), 1000);
	cr_assert_str_eq(heard(), "READY=1 WATCHDOG=1");
}

Test(notify, names_in_the_abstract_space)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char name[64];
	close(manager);
	int n = snprintf(name, sizeof(name), "@fl_notify.%d", (int)getpid());
	memcpy(address.sun_path + 1, name + 1, (size_t)n - 1);
	listen_at(&address, (socklen_t)(sizeof(sa_family_t) + (size_t)n));
	setenv("NOTIFY_SOCKET", name, 1);
	cr_assert_eq(fl_notify_alive(3), 3);
	cr_assert_str_eq(heard(), "READY=1");
}

Test(notify, without_a_manager_nothing_happens)
{
	unsetenv("NOTIFY_SOCKET");
	setenv("WATCHDOG_USEC", "400000", 1);
	cr_assert_eq(fl_notify_alive(-1), -1);
	fl_notify_stopping();
	setenv("NOTIFY_SOCKET", "no path", 1);
	cr_assert_eq(fl_notify_alive(-1), -1);
	cr_assert_str_eq(heard(), "");
}
