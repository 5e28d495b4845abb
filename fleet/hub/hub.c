/* SPDX-License-Identifier: Apache-2.0 */
/* The hub as a whole: the two ports on libwebsockets, the batch of each round of input, start and stop. */
#include "hub/hub_private.h"

#include "hub/session.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PT_BUFFER   (64u * 1024)
#define HEADER_MAX  8192
#define HEADER_POOL 512

static const struct lws_protocols device_protocols[] = {
	{"http", fl_http_callback, sizeof(struct fl_http *), 0, 0, NULL, 0},
	{FL_WIRE_SUBPROTOCOL, fl_session_callback, sizeof(struct fl_session *), 4096, 0, NULL, 0},
	{NULL, NULL, 0, 0, 0, NULL, 0},
};

static const struct lws_protocols api_protocols[] = {
	{"http", fl_http_callback, sizeof(struct fl_http *), 0, 0, NULL, 0},
	{NULL, NULL, 0, 0, 0, NULL, 0},
};

struct fl_hub *fl_hub_of(struct lws *wsi)
{
	return lws_context_user(lws_get_context(wsi));
}

/* The batch */

static void end_batch(struct fl_session *s, void *ctx)
{
	fl_session_batch_end(s, *(const enum fl_rc *)ctx);
}

static void on_batch_end(void *ctx, enum fl_rc rc)
{
	struct fl_hub *hub = ctx;
	uv_check_stop(&hub->batch_check);
	uv_idle_stop(&hub->batch_idle);
	fl_session_each(hub, end_batch, &rc);
	fl_jobs_batch_end(hub->m.jobs, rc);
}

static void on_check(uv_check_t *check)
{
	struct fl_hub *hub = check->data;
	fl_db_batch_end(hub->m.db, FL_OK);
}

static void on_idle(uv_idle_t *idle)
{
	(void)idle;
}

void fl_hub_batch_watch(struct fl_hub *hub)
{
	if (hub->m.db->tx != FL_DB_BATCH)
		return;
	uv_check_start(&hub->batch_check, on_check);
	uv_idle_start(&hub->batch_idle, on_idle);
}

enum fl_rc fl_hub_batch(struct fl_hub *hub, struct fl_err *err)
{
	enum fl_rc rc = fl_db_batch(hub->m.db, err);
	if (rc == FL_OK)
		fl_hub_batch_watch(hub);
	return rc;
}

/* Events of the bus */

static void wake(struct fl_session *s, void *ctx)
{
	(void)ctx;
	fl_session_wake(s);
}

static void on_event(void *ctx, const struct fl_bus_event *event)
{
	struct fl_hub *hub = ctx;
	struct fl_session *s =
		event->device_id == NULL ? NULL : fl_session_find(hub, event->device_id);
	switch (event->kind) {
	case FL_BUS_JOB_NEW:
		if (s != NULL) {
			s->jobs_maybe = true;
			fl_session_wake(s);
		}
		break;
	case FL_BUS_DEVICE_CHANGED:
		if (s != NULL)
			fl_session_recheck(s);
		break;
	case FL_BUS_ROOT_NEW:
		fl_session_each(hub, wake, NULL);
		break;
	case FL_BUS_JOB_CHANGED:
		break;
	}
}

/* Start */

/* One socket for both, unless the address is one of IPv4, or the kernel has no IPv6. */
static uint64_t family(const char *address)
{
	const bool v4 = address != NULL && strchr(address, ':') == NULL;
	FL_AUTO_FD probe = v4 ? -1 : socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return probe < 0 ? LWS_SERVER_OPTION_DISABLE_IPV6 : LWS_SERVER_OPTION_IPV6_V6ONLY_MODIFY;
}

static void common_settings(const struct fl_hub *hub, struct lws_context_creation_info *info)
{
	info->vhost_name = "fleet";
	info->iface = hub->conf.address;
	info->ssl_cert_filepath = hub->conf.certificate;
	info->ssl_private_key_filepath = hub->conf.key;
	info->alpn = "http/1.1";
	info->timeout_secs = 20;
	info->keepalive_timeout = 60;
	info->options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | family(hub->conf.address);
	info->error_document_404 = NULL;
}

static enum fl_rc open_port(struct fl_hub *hub, struct lws_context_creation_info *info, int port,
			    struct fl_err *err)
{
	info->port = port;
	if (lws_create_vhost(hub->lws, info) != NULL)
		return FL_OK;
	return fl_fail(err, FL_E_NETWORK, 0, "cannot listen on port %d", port);
}

static enum fl_rc open_ports(struct fl_hub *hub, struct fl_err *err)
{
	struct lws_context_creation_info info;
	memset(&info, 0, sizeof(info));
	common_settings(hub, &info);
	info.protocols = device_protocols;
	info.user = &hub->device_port;
	info.ssl_ca_filepath = hub->conf.device_ca;
	info.options |= LWS_SERVER_OPTION_REQUIRE_VALID_OPENSSL_CLIENT_CERT;
	info.retry_and_idle_policy = &hub->retry;
	enum fl_rc rc = open_port(hub, &info, hub->conf.device_port, err);
	if (rc != FL_OK)
		return rc;
	memset(&info, 0, sizeof(info));
	common_settings(hub, &info);
	info.protocols = api_protocols;
	info.user = (void *)(uintptr_t)hub->api_port;
	return open_port(hub, &info, hub->conf.api_port, err);
}

/* Its errors are mostly what strangers do: enough of them to see, not enough to fill a disk. */
static void log_line(int level, const char *line)
{
	static struct fl_rate rate = {1.0, 20.0, 20.0, 0};
	char text[256];
	size_t len = strcspn(line, "\n");
	lws_strnncpy(text, line, (int)(len < sizeof(text) - 1 ? len : sizeof(text) - 1), sizeof(text));
	bool shown = level == LLL_ERR && fl_rate_take(&rate, fl_clock_boot_ms(&fl_clock_system));
	fl_log(shown ? FL_LOG_WARNING : FL_LOG_DEBUG, "libwebsockets: %s", text);
}

static enum fl_rc open_context(struct fl_hub *hub, struct fl_err *err)
{
	struct lws_context_creation_info info;
	void *loops[] = {hub->loop};
	memset(&info, 0, sizeof(info));
	lws_set_log_level(LLL_ERR | LLL_WARN, log_line);
	info.port = CONTEXT_PORT_NO_LISTEN;
	info.user = hub;
	info.foreign_loops = loops;
	info.pt_serv_buf_size = PT_BUFFER;
	info.max_http_header_data = HEADER_MAX;
	info.max_http_header_pool = HEADER_POOL;
	info.server_string = "fairlead";
	info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
		       LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_VALIDATE_UTF8;
	hub->lws = lws_create_context(&info);
	if (hub->lws == NULL)
		return fl_fail(err, FL_E_INTERNAL, 0,
			       "libwebsockets does not start (is libwebsockets-evlib-uv installed?)");
	return open_ports(hub, err);
}

static void on_sweep(uv_timer_t *timer)
{
	fl_http_sweep(timer->data);
}

static void init_handles(struct fl_hub *hub)
{
	uv_timer_init(hub->loop, &hub->sweep);
	uv_timer_init(hub->loop, &hub->stop);
	uv_check_init(hub->loop, &hub->batch_check);
	uv_idle_init(hub->loop, &hub->batch_idle);
	hub->sweep.data = hub->stop.data = hub->batch_check.data = hub->batch_idle.data = hub;
	uv_timer_start(&hub->sweep, on_sweep, FL_HUB_SWEEP_MS, FL_HUB_SWEEP_MS);
}

static void join(struct fl_hub *hub)
{
	hub->m.db->on_batch_end = on_batch_end;
	hub->m.db->batch_ctx = hub;
	hub->listener = (struct fl_bus_listener){.on_event = on_event, .ctx = hub};
	hub->m.bus->ops->subscribe(hub->m.bus->self, &hub->listener);
}

enum fl_rc fl_hub_start(uv_loop_t *loop, const struct fl_hub_conf *conf,
			const struct fl_hub_modules *modules, const struct fl_http_port *api,
			struct fl_hub **ret, struct fl_err *err)
{
	struct fl_hub *hub = calloc(1, sizeof(*hub));
	if (hub == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "hub");
	hub->conf = *conf;
	hub->m = *modules;
	hub->clock = modules->clock;
	hub->loop = loop;
	hub->api_port = api;
	hub->device_port = (struct fl_http_port){fl_content_on_request, hub};
	hub->exchanges.next = hub->exchanges.prev = &hub->exchanges;
	/* 25 s and 40 s by default */
	hub->retry = (lws_retry_bo_t){
		.secs_since_valid_ping = (uint16_t)conf->ping_s,
		.secs_since_valid_hangup = (uint16_t)(conf->ping_s + (conf->ping_s * 3 + 4) / 5)};
	init_handles(hub);
	join(hub);
	*ret = hub;
	return open_context(hub, err);
}

/* Stop */

static void close_handles(struct fl_hub *hub)
{
	uv_close((uv_handle_t *)&hub->sweep, NULL);
	uv_close((uv_handle_t *)&hub->stop, NULL);
	uv_close((uv_handle_t *)&hub->batch_check, NULL);
	uv_close((uv_handle_t *)&hub->batch_idle, NULL);
}

static void on_stop(uv_timer_t *timer)
{
	struct fl_hub *hub = timer->data;
	if (hub->lws != NULL)
		lws_context_destroy(hub->lws);
	fl_db_batch_end(hub->m.db, FL_OK);
	hub->m.db->on_batch_end = NULL;
	close_handles(hub);
}

void fl_hub_stop(struct fl_hub *hub)
{
	hub->stopping = true;
	hub->m.bus->ops->unsubscribe(hub->m.bus->self, &hub->listener);
	fl_session_close_all(hub);
	uv_timer_start(&hub->stop, on_stop, hub->n_sessions == 0 ? 0 : FL_HUB_STOP_MS, 0);
}

void fl_hub_free(struct fl_hub *hub)
{
	if (hub == NULL)
		return;
	if (hub->lws != NULL)
		lws_context_destroy(hub->lws);
	free(hub);
}

/* Who is there */

size_t fl_hub_online_count(const struct fl_hub *hub)
{
	return hub->n_sessions;
}

bool fl_hub_online(const struct fl_hub *hub, const char *device_id)
{
	const struct fl_session *s = fl_session_find(hub, device_id);
	return s != NULL && s->state == FL_SESSION_OPEN;
}

uint64_t fl_hub_heard_ms(const struct fl_hub *hub, const char *device_id)
{
	const struct fl_session *s = fl_session_find(hub, device_id);
	return s == NULL ? 0 : s->heard_ms;
}
