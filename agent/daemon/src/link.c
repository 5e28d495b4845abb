/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"

#include <fairlead/base/log.h>
#include <fairlead/trust/pki.h>

#include <fcntl.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <string.h>

#define FIRST_SPREAD_MS	   2000
#define BACKOFF_MAX_MS	   (UINT64_C(300) * 1000)
#define STABLE_MS	   (UINT64_C(60) * 1000)
#define CONNECT_TIMEOUT_MS (UINT64_C(20) * 1000)
#define PROGRESS_EVERY_MS  1000
#define QUEUE_ITEM_MAX	   (LWS_PRE + FL_WIRE_MESSAGE_MAX)

/* Silence: a ping after 25 s, given up after 40 s. */
static const lws_retry_bo_t validity = {.secs_since_valid_ping = 25, .secs_since_valid_hangup = 40};

static void attempt(struct fl_link *link);

static void on_timer(uv_timer_t *timer)
{
	struct fl_link *link = timer->data;
	if (link->state == FL_LINK_WAITING)
		attempt(link);
	else if (link->state == FL_LINK_CONNECTING && link->wsi != NULL)
		lws_set_timeout(link->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}

/* The first try at a random moment of the fleet's spread, then full jitter over a doubling cap. */
static uint64_t pause_ms(struct fl_link *link)
{
	uint64_t cap = link->spread_ms;
	uint32_t random = 0;
	if (link->failures > 0) {
		const unsigned shift = link->failures < 8 ? link->failures : 8;
		cap = UINT64_C(2000) << shift;
		cap = cap > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : cap;
	}
	if (fl_random(&random, sizeof(random), NULL) != FL_OK || cap == 0)
		return cap;
	return random % cap;
}

static void wait_and_retry(struct fl_link *link, const char *why)
{
	if (link->state == FL_LINK_OFF)
		return;
	const uint64_t ms = pause_ms(link);
	link->state = FL_LINK_WAITING;
	link->failures++;
	fl_log(FL_LOG_INFO, "fleet: %s; next try in %llu ms", why, (unsigned long long)ms);
	uv_timer_start(&link->timer, on_timer, ms, 0);
}

/* ---- in ------------------------------------------------------------------------------------------------- */

static int on_receive(struct fl_link *link, struct lws *wsi, const void *data, size_t len)
{
	struct fl_err err = {0};
	if (fl_buf_append(&link->in, data, len, &err) != FL_OK) {
		fl_log_err(FL_LOG_WARNING, &err, "fleet: message");
		return -1;
	}
	if (lws_remaining_packet_payload(wsi) != 0 || !lws_is_final_fragment(wsi))
		return 0;
	enum fl_rc rc = fl_agent_on_message(link->agent, link->in.data, link->in.len, &err);
	fl_buf_clear(&link->in);
	if (rc == FL_OK)
		return 0;
	fl_log_err(FL_LOG_WARNING, &err, "fleet: message");
	lws_close_reason(wsi, LWS_CLOSE_STATUS_POLICY_VIOLATION, NULL, 0);
	return -1;
}

/* ---- out ------------------------------------------------------------------------------------------------ */

static int on_writable(struct fl_link *link, struct lws *wsi)
{
	if (link->close_asked) {
		lws_close_reason(wsi, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
		return -1;
	}
	if (link->queue_n == 0)
		return 0;
	struct fl_buf *item = &link->queue[link->queue_first];
	const size_t len = item->len - LWS_PRE;
	const int n = lws_write(wsi, item->data + LWS_PRE, len, LWS_WRITE_TEXT);
	fl_buf_free(item);
	link->queue_first = (link->queue_first + 1) % FL_LINK_QUEUE_MAX;
	link->queue_n--;
	if (n < (int)len)
		return -1;
	if (link->queue_n > 0)
		lws_callback_on_writable(wsi);
	return 0;
}

enum fl_rc fl_link_send(struct fl_link *link, enum fl_wire_type type, const void *body)
{
	static const uint8_t room[LWS_PRE];
	struct fl_err err = {0};
	if (link->state != FL_LINK_UP)
		return FL_E_PEER_CLOSED;
	if (link->queue_n == FL_LINK_QUEUE_MAX)
		return FL_E_BUSY;
	struct fl_buf *item = &link->queue[(link->queue_first + link->queue_n) % FL_LINK_QUEUE_MAX];
	*item = FL_BUF(QUEUE_ITEM_MAX);
	enum fl_rc rc = fl_buf_append(item, room, sizeof(room), &err);
	if (rc == FL_OK)
		rc = fl_wire_encode(type, body, item, &err);
	if (rc != FL_OK) {
		fl_log_err(FL_LOG_ERROR, &err, "message %s", fl_wire_name(type));
		fl_buf_free(item);
		return rc;
	}
	link->queue_n++;
	lws_callback_on_writable(link->wsi);
	return FL_OK;
}

void fl_link_send_progress(struct fl_link *link, const struct fl_job_run *run)
{
	const uint64_t now = uv_now(&link->agent->loop);
	if (link->state != FL_LINK_UP || now - link->progress_ms < PROGRESS_EVERY_MS)
		return;
	link->progress_ms = now;
	const struct fl_wire_progress progress = {
		.job_id = run->row.job_id,
		.component = run->row.components[run->step_index].name,
		.state = fl_job_state_name(run->row.state),
		.done_bytes = run->done_bytes,
		.total_bytes = run->total_bytes,
		.fetched_bytes = run->fetched_bytes,
		.rate_bytes_s = run->rate_bytes_s,
	};
	(void)fl_link_send(link, FL_WIRE_PROGRESS, &progress);
}

/* ---- the connection --------------------------------------------------------------------------------------- */

static void drop_connection(struct fl_link *link)
{
	link->wsi = NULL;
	link->close_asked = false;
	fl_buf_clear(&link->in);
	for (; link->queue_n > 0; link->queue_n--) {
		fl_buf_free(&link->queue[link->queue_first]);
		link->queue_first = (link->queue_first + 1) % FL_LINK_QUEUE_MAX;
	}
}

static void on_lost(struct fl_link *link, const char *why)
{
	const bool was_up = link->state == FL_LINK_UP;
	if (was_up && (link->close_asked || uv_now(&link->agent->loop) - link->up_ms >= STABLE_MS))
		link->failures = 0;
	drop_connection(link);
	wait_and_retry(link, why);
	if (was_up)
		fl_agent_on_link_down(link->agent);
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct fl_link *link = lws_get_opaque_user_data(wsi);
	(void)user;
	if (link == NULL || (link->wsi != NULL && link->wsi != wsi))
		return 0;
	switch ((int)reason) { /* the others are not ours */
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		uv_timer_stop(&link->timer);
		link->state = FL_LINK_UP;
		link->up_ms = uv_now(&link->agent->loop);
		fl_agent_on_link_up(link->agent);
		return 0;
	case LWS_CALLBACK_CLIENT_RECEIVE:
		return on_receive(link, wsi, in, len);
	case LWS_CALLBACK_CLIENT_WRITEABLE:
		return on_writable(link, wsi);
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		on_lost(link, in == NULL ? "connection failed" : in);
		return 0;
	case LWS_CALLBACK_CLIENT_CLOSED:
		on_lost(link, "connection closed");
		return 0;
	default:
		return 0;
	}
}

static const struct lws_protocols protocols[] = {
	{FL_WIRE_SUBPROTOCOL, callback, 0, 16384, 0, NULL, 0},
	{NULL, NULL, 0, 0, 0, NULL, 0},
};

/* Each attempt has a vhost of its own: the certificate or the time may have changed. */
static enum fl_rc make_vhost(struct fl_link *link, struct fl_err *err)
{
	struct fl_agent *agent = link->agent;
	if (link->vhost != NULL)
		lws_vhost_destroy(link->vhost);
	link->vhost = NULL;
	fl_tls_free(link->tls);
	link->tls = NULL;
	const int64_t wall = fl_clock_wall_s(agent->clock), t_min = (int64_t)agent->trust.state.t_min;
	enum fl_rc rc = fl_tls_client_new(agent->config.ca_path, agent->config.certificate_path,
					  agent->identity.key, wall > t_min ? 0 : t_min, &link->tls, err);
	if (rc != FL_OK)
		return rc;
	snprintf(link->vhost_name, sizeof(link->vhost_name), "fleet-%u", link->n_vhosts++);
	const struct fl_config_proxy *proxy = &agent->config.proxy;
	char through[512];
	const int n = snprintf(through, sizeof(through), "%s%s%s:%u", proxy->user == NULL ? "" : proxy->user,
			       proxy->user == NULL ? "" : "@", link->address, proxy->port);
	if (n < 0 || (size_t)n >= sizeof(through))
		return fl_fail(err, FL_E_CONFIG, 0, "[fleet] proxy: too long");
	const struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN,
		.http_proxy_address = proxy->host == NULL ? NULL : through,
		.protocols = protocols,
		.vhost_name = link->vhost_name,
		.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
		.provided_client_ssl_ctx = link->tls,
		.timeout_secs = (unsigned)(CONNECT_TIMEOUT_MS / 1000),
	};
	link->vhost = lws_create_vhost(link->context, &info);
	return link->vhost != NULL ? FL_OK : fl_fail(err, FL_E_NETWORK, 0, "libwebsockets: no vhost");
}

static void connect_now(struct fl_link *link)
{
	const struct fl_config *config = &link->agent->config;
	struct fl_err err = {0};
	if (make_vhost(link, &err) != FL_OK) {
		wait_and_retry(link, err.msg);
		return;
	}
	const struct lws_client_connect_info info = {
		.context = link->context,
		.vhost = link->vhost,
		.address = config->proxy.host == NULL ? link->address : config->fleet_host,
		.port = config->fleet_port,
		.path = config->fleet_path,
		.host = config->fleet_host, /* also what the certificate must be for */
		.origin = config->fleet_host,
		.protocol = FL_WIRE_SUBPROTOCOL,
		.local_protocol_name = FL_WIRE_SUBPROTOCOL,
		.ssl_connection = LCCSCF_USE_SSL,
		.retry_and_idle_policy = &validity,
		.opaque_user_data = link,
		.pwsi = &link->wsi,
	};
	link->state = FL_LINK_CONNECTING;
	uv_timer_start(&link->timer, on_timer, CONNECT_TIMEOUT_MS, 0);
	/* When this fails at once, the callback has said so already. */
	if (lws_client_connect_via_info(&info) == NULL && link->state == FL_LINK_CONNECTING)
		on_lost(link, "connection failed");
	if (link->wsi != NULL)
		(void)fcntl(lws_get_socket_fd(link->wsi), F_SETFD, FD_CLOEXEC); /* libwebsockets doesn't */
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
	struct fl_link *link = req->data;
	if (link->state != FL_LINK_RESOLVING) {
		uv_freeaddrinfo(found);
		return;
	}
	if (status == 0)
		status = found->ai_family == AF_INET6
				 ? uv_ip6_name((struct sockaddr_in6 *)(void *)found->ai_addr,
					       link->address, sizeof(link->address))
				 : uv_ip4_name((struct sockaddr_in *)(void *)found->ai_addr,
					       link->address, sizeof(link->address));
	uv_freeaddrinfo(found);
	if (status != 0)
		wait_and_retry(link, uv_strerror(status));
	else
		connect_now(link);
}

/* A proxy looks up the fleet's name itself, and is looked up in its place. */
static void attempt(struct fl_link *link)
{
	const struct fl_config *config = &link->agent->config;
	const char *host = config->proxy.host == NULL ? config->fleet_host : config->proxy.host;
	/* libwebsockets takes no IPv6 address for a proxy. */
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				       .ai_family = config->proxy.host == NULL ? AF_UNSPEC : AF_INET};
	link->state = FL_LINK_RESOLVING;
	if (strcmp(host, "localhost") == 0) { /* RFC 6761, 6.3: never looked up */
		snprintf(link->address, sizeof(link->address), "127.0.0.1");
		connect_now(link);
		return;
	}
	link->resolve.data = link;
	const int status = uv_getaddrinfo(&link->agent->loop, &link->resolve, on_resolved, host, NULL,
					  &hints);
	if (status != 0)
		wait_and_retry(link, uv_strerror(status));
}

void fl_link_start(struct fl_link *link)
{
	if (link->state == FL_LINK_OFF)
		attempt(link);
}

void fl_link_restart(struct fl_link *link)
{
	if (link->state != FL_LINK_UP)
		return;
	link->close_asked = true;
	lws_callback_on_writable(link->wsi);
}

void fl_link_local_address(const struct fl_link *link, char *out, size_t out_size)
{
	struct sockaddr_storage own = {0};
	socklen_t len = sizeof(own);
	out[0] = '\0';
	if (!fl_link_up(link) ||
	    getsockname(lws_get_socket_fd(link->wsi), (struct sockaddr *)&own, &len) != 0 ||
	    getnameinfo((struct sockaddr *)&own, len, out, (socklen_t)out_size, NULL, 0, NI_NUMERICHOST) != 0)
		out[0] = '\0';
}

bool fl_link_up(const struct fl_link *link)
{
	return link->state == FL_LINK_UP && !link->close_asked;
}

enum fl_rc fl_link_init(struct fl_link *link, struct fl_agent *agent, struct fl_err *err)
{
	*link = (struct fl_link){.agent = agent,
				 .in = FL_BUF(FL_WIRE_MESSAGE_MAX),
				 .spread_ms = FIRST_SPREAD_MS};
	lws_set_log_level(LLL_ERR, NULL);
	(void)unsetenv("http_proxy"); /* libwebsockets would take it: [fleet] proxy alone counts */
	void *loops[] = {&agent->loop};
	const struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN,
		.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
			   LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
		.foreign_loops = loops,
	};
	link->context = lws_create_context(&info);
	if (link->context == NULL)
		return fl_fail(err, FL_E_NETWORK, 0, "libwebsockets");
	FL_BUG_ON(uv_timer_init(&agent->loop, &link->timer) != 0);
	link->timer.data = link;
	return FL_OK;
}

void fl_link_done(struct fl_link *link)
{
	if (link->context == NULL)
		return;
	link->state = FL_LINK_OFF;
	drop_connection(link);
	uv_close((uv_handle_t *)&link->timer, NULL);
	lws_context_destroy(link->context);
	fl_buf_free(&link->in);
}
