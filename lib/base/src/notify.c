/* SPDX-License-Identifier: Apache-2.0 */
#include <fairlead/base/notify.h>

#include <fairlead/base/clock.h>
#include <fairlead/base/file.h>

#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define AGAIN_MS 1000 /* after a datagram that the manager had no room for */

static struct {
	bool begun;
	uint64_t every_ms; /* 0: nobody watches */
	uint64_t due_ms;
} state;

/* A path, or '@' and a name in the abstract space. */
static socklen_t address_of(const char *name, struct sockaddr_un *ret)
{
	const size_t len = strlen(name);
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	if ((name[0] != '/' && name[0] != '@') || len >= sizeof(ret->sun_path))
		return 0;
	memcpy(ret->sun_path, name, len);
	if (name[0] == '@')
		ret->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

static bool tell(const char *text)
{
	struct sockaddr_un address;
	const char *name = getenv("NOTIFY_SOCKET");
	const socklen_t len = name == NULL ? 0 : address_of(name, &address);
	if (len == 0)
		return true;
	FL_AUTO_FD fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd >= 0 && sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
				 (const struct sockaddr *)&address, len) >= 0;
}

/* Half of WATCHDOG_USEC, when it is meant for this process. */
static uint64_t watch_every_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");
	if (usec == NULL || getenv("NOTIFY_SOCKET") == NULL ||
	    (pid != NULL && strtol(pid, NULL, 10) != (long)getpid()))
		return 0;
	const uint64_t half = strtoull(usec, NULL, 10) / 2000;
	return half > INT_MAX ? INT_MAX : half;
}

static void begin(uint64_t now)
{
	state.begun = tell("READY=1");
	state.every_ms = watch_every_ms();
	state.due_ms = now;
}

int fl_notify_alive(int timeout_ms)
{
	const uint64_t now = fl_clock_boot_ms(&fl_clock_system);
	if (!state.begun)
		begin(now);
	if (!state.begun)
		return timeout_ms < 0 || timeout_ms > AGAIN_MS ? AGAIN_MS : timeout_ms;
	if (state.every_ms == 0)
		return timeout_ms;
	if (now >= state.due_ms)
		state.due_ms =
			now + (tell("WATCHDOG=1") || state.every_ms < AGAIN_MS ? state.every_ms
									       : AGAIN_MS);
	const uint64_t left = state.due_ms - now;
	return timeout_ms < 0 || left < (uint64_t)timeout_ms ? (int)left : timeout_ms;
}

void fl_notify_stopping(void)
{
	(void)tell("STOPPING=1");
	state.every_ms = 0;
}
