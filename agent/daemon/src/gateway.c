/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway.h"

#include <fairlead/base/file.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 5000
#define ROUTES_MAX  ((size_t)256 * 1024)
#define RTF_GATEWAY 0x0002U

/* Services that a gateway may offer; one that is closed refuses, which is an answer too. */
static const uint16_t ports[] = {53, 80, 443};

#define N_PORTS	   (sizeof(ports) / sizeof(ports[0]))
#define PROBES_MAX (FL_GATEWAY_ADDRESSES_MAX * N_PORTS)

struct probe {
	uv_tcp_t tcp;
	uv_connect_t connect;
};

struct fl_gateway_run {
	struct fl_gateway *owner; /* NULL once cancelled, or when done was called */
	uv_timer_t timer;
	struct probe probes[PROBES_MAX];
	size_t n_probes, waiting;
	size_t handles; /* that have yet to close */
};

static size_t add(const struct in_addr *four, const struct in6_addr *six, unsigned scope,
		  struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (four != NULL) {
		struct sockaddr_in *to = (struct sockaddr_in *)ret;
		to->sin_family = AF_INET;
		to->sin_addr = *four;
	} else {
		struct sockaddr_in6 *to = (struct sockaddr_in6 *)ret;
		to->sin6_family = AF_INET6;
		to->sin6_addr = *six;
		to->sin6_scope_id = scope;
	}
	return 1;
}

size_t fl_gateway_routes4(const char *text, struct sockaddr_storage *ret, size_t room)
{
	size_t n = 0;
	while (n < room && (text = strchr(text, '\n')) !=
				   NULL) { /* the first line holds the names of the columns */
		unsigned destination, gateway, flags;
		text++;
		if (sscanf(text, "%*63s %8X %8X %4X", &destination, &gateway, &flags) != 3 ||
		    destination != 0 || (flags & RTF_GATEWAY) == 0)
			continue;
		const struct in_addr address = {gateway}; /* printed as the machine holds it */
		n += add(&address, NULL, 0, &ret[n]);
	}
	return n;
}

static bool parse_address6(const char *hex, struct in6_addr *ret)
{
	for (size_t i = 0; i < sizeof(ret->s6_addr); i++) {
		unsigned byte;
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return false;
		ret->s6_addr[i] = (uint8_t)byte;
	}
	return true;
}

size_t fl_gateway_routes6(const char *text, struct sockaddr_storage *ret, size_t room)
{
	size_t n = 0;
	while (n < room && *text != '\0') {
		char destination[33], hop[33], device[IFNAMSIZ];
		unsigned length, flags;
		struct in6_addr address;
		if (sscanf(text, "%32s %2x %*32s %*2x %32s %*8x %*8x %*8x %8x %15s", destination,
			   &length, hop, &flags, device) == 5 &&
		    length == 0 && (flags & RTF_GATEWAY) != 0 && strlen(hop) == 32 &&
		    parse_address6(hop, &address))
			n += add(NULL, &address, if_nametoindex(device), &ret[n]);
		text += strcspn(text, "\n");
		text += *text == '\n' ? 1 : 0;
	}
	return n;
}

static size_t read_routes(const char *path,
			  size_t (*parse)(const char *, struct sockaddr_storage *, size_t),
			  struct sockaddr_storage *ret, size_t room)
{
	struct fl_err err;
	struct fl_buf text = FL_BUF(ROUTES_MAX);
	const size_t n =
		fl_file_read(path, &text, &err) == FL_OK ? parse(fl_buf_str(&text), ret, room) : 0;
	fl_buf_free(&text);
	return n;
}

static size_t next_hops(struct sockaddr_storage ret[FL_GATEWAY_ADDRESSES_MAX])
{
	const size_t n =
		read_routes("/proc/net/route", fl_gateway_routes4, ret, FL_GATEWAY_ADDRESSES_MAX);
	return n + read_routes("/proc/net/ipv6_route", fl_gateway_routes6, ret + n,
			       FL_GATEWAY_ADDRESSES_MAX - n);
}

static size_t configured(const char *address, struct sockaddr_storage *ret)
{
	struct in_addr four;
	struct in6_addr six;
	if (inet_pton(AF_INET, address, &four) == 1)
		return add(&four, NULL, 0, ret);
	return inet_pton(AF_INET6, address, &six) == 1 ? add(NULL, &six, 0, ret) : 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct fl_gateway_run *run = handle->data;
	if (--run->handles == 0)
		free(run);
}

static void let_go(struct fl_gateway_run *run)
{
	for (size_t i = 0; i < run->n_probes; i++)
		uv_close((uv_handle_t *)&run->probes[i].tcp, on_closed);
	uv_close((uv_handle_t *)&run->timer, on_closed);
}

static void finish(struct fl_gateway_run *run, bool answers)
{
	struct fl_gateway *gateway = run->owner;
	run->owner = NULL;
	gateway->run = NULL;
	let_go(run);
	gateway->done(gateway, answers);
}

static void on_over(uv_timer_t *timer)
{
	finish(timer->data, false);
}

static void on_connected(uv_connect_t *connect, int status)
{
	struct fl_gateway_run *run = connect->data;
	if (run->owner == NULL)
		return;
	if (status == 0 || status == UV_ECONNREFUSED)
		finish(run, true);
	else if (--run->waiting == 0)
		finish(run, false);
}

static void probe(struct fl_gateway_run *run, const struct sockaddr_storage *address, uint16_t port)
{
	struct probe *p = &run->probes[run->n_probes];
	struct sockaddr_storage to = *address;
	if (to.ss_family == AF_INET)
		((struct sockaddr_in *)&to)->sin_port = htons(port);
	else
		((struct sockaddr_in6 *)&to)->sin6_port = htons(port);
	if (uv_tcp_init(run->timer.loop, &p->tcp) != 0)
		return;
	run->n_probes++;
	run->handles++;
	p->tcp.data = p->connect.data = run;
	if (uv_tcp_connect(&p->connect, &p->tcp, (const struct sockaddr *)&to, on_connected) == 0)
		run->waiting++;
}

enum fl_rc fl_gateway_start(struct fl_gateway *gateway, uv_loop_t *loop, const char *address,
			    fl_gateway_done *done, void *ctx, struct fl_err *err)
{
	struct sockaddr_storage hops[FL_GATEWAY_ADDRESSES_MAX];
	FL_BUG_ON(gateway->run != NULL);
	const size_t n = address == NULL ? next_hops(hops) : configured(address, hops);
	struct fl_gateway_run *run = calloc(1, sizeof(*run));
	if (run == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "ask the gateway");
	run->owner = gateway;
	run->handles = 1;
	run->timer.data = run;
	FL_BUG_ON(uv_timer_init(loop, &run->timer) != 0);
	for (size_t i = 0; i < n * N_PORTS; i++)
		probe(run, &hops[i / N_PORTS], ports[i % N_PORTS]);
	uv_timer_start(&run->timer, on_over, run->waiting == 0 ? 0 : PATIENCE_MS, 0);
	*gateway = (struct fl_gateway){run, done, ctx};
	return FL_OK;
}

void fl_gateway_cancel(struct fl_gateway *gateway)
{
	struct fl_gateway_run *run = gateway->run;
	if (run == NULL)
		return;
	gateway->run = NULL;
	run->owner = NULL;
	let_go(run);
}
