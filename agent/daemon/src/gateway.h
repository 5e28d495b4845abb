/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does the network reach as far as the default gateway? A neighbour that takes or refuses a TCP
 * connection answers; no privilege is needed for that, and no packet leaves the local network.
 */
#ifndef FAIRLEAD_DAEMON_GATEWAY_H
#define FAIRLEAD_DAEMON_GATEWAY_H

#include <fairlead/base/err.h>

#include <uv.h>

#define FL_GATEWAY_ADDRESSES_MAX 4

struct fl_gateway;
struct fl_gateway_run;

typedef void fl_gateway_done(struct fl_gateway *gateway, bool answers);

struct fl_gateway {
	struct fl_gateway_run *run; /* NULL: idle */
	fl_gateway_done *done;
	void *ctx;
};

/*
 * address: "192.0.2.1" or "2001:db8::1", as configured, or NULL: the next hops of the default
 * routes. done comes within 5 s; with nobody to ask it says false in the next turn of the loop.
 */
enum fl_rc fl_gateway_start(struct fl_gateway *gateway, uv_loop_t *loop, const char *address,
			    fl_gateway_done *done, void *ctx, struct fl_err *err) FL_CHECKED;
/* Idempotent; done is not called. */
void fl_gateway_cancel(struct fl_gateway *gateway);

/*
 * Pure but for names of interfaces: the next hops of default routes in the text of /proc/net/route
 * or /proc/net/ipv6_route (proc(5), the kernel's net/ipv6/route.c). Returns how many were added;
 * damaged lines are left out.
 */
size_t fl_gateway_routes4(const char *text, struct sockaddr_storage *ret, size_t room);
size_t fl_gateway_routes6(const char *text, struct sockaddr_storage *ret, size_t room);

#endif
