/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets: one loop, two ports. The device port (mutual TLS) carries the WebSocket of docs/protocol.md, section 1, and the
 * content of section 2; the API port carries HTTP alone, handed to whoever the hub was told.
 */
#ifndef FLEET_HUB_HUB_H
#define FLEET_HUB_HUB_H

#include "hub/http.h"
#include "jobs/jobs.h"

#include <fairlead/base/clock.h>

struct uv_loop_s;

struct fl_hub_conf {
	const char *address;	 /* to listen on; NULL: all */
	uint16_t device_port, api_port;
	const char *certificate; /* the server's, PEM files */
	const char *key;
	const char *device_ca;
	uint64_t reconnect_spread_ms;
	uint64_t ping_s;
	uint64_t connections_max;
};

struct fl_hub;

struct fl_hub_modules {
	struct fl_registry *registry;
	struct fl_roots *roots;
	struct fl_jobs *jobs;
	const struct fl_blob *blob;
	const struct fl_bus *bus;
	struct fl_db *db;
	const struct fl_clock *clock;
};

/*
 * Listens. conf, modules' members and api are kept until the end. *ret: owned, also after a failure: stop it, let the
 * loop run out, free it.
 */
enum fl_rc fl_hub_start(struct uv_loop_s *loop, const struct fl_hub_conf *conf,
			const struct fl_hub_modules *modules, const struct fl_http_port *api,
			struct fl_hub **ret, struct fl_err *err) FL_CHECKED;
/* Closes every connection (1012) and every handle; the loop ends when nothing else holds it. Once. */
void fl_hub_stop(struct fl_hub *hub);
/* After the loop has ended. */
void fl_hub_free(struct fl_hub *hub);

size_t fl_hub_online_count(const struct fl_hub *hub);
bool fl_hub_online(const struct fl_hub *hub, const char *device_id);
/* Boot time of the last word of a device that is online; 0 otherwise. */
uint64_t fl_hub_heard_ms(const struct fl_hub *hub, const char *device_id);

#endif
