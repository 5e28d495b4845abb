/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP over libwebsockets 4.1.6, and what it takes to be safe with it:
 *
 *   - A client certificate counts as valid when the callback returns 0, whatever OpenSSL found: the verdict is passed on.
 *   - After `Upgrade: <unknown>` it answers 403, forgets the head and goes on with a pointer into it: the upgrade's
 *     confirmation is where such a connection must end, without a look at what it is given. h2c ends there, too.
 *   - CONNECT turns the connection into a raw one: closed at its first event.
 *   - It takes a body without Content-Length for one of 100 MiB and knows no chunked bodies: the former counts as none and ends
 *     the connection, the latter is refused.
 *   - While an answer is written it doesn't read, so that neither the peer's end nor what it sends in between is noticed, and
 *     the poll spins: the sweep ends such connections.
 */
#include "hub/hub_private.h"
#include "hub/tls.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>

#include <poll.h>
#include <string.h>
#include <strings.h>

#define HEAD_ROOM 2048

/* Request head */

static bool copy_header(struct lws *wsi, enum lws_token_indexes token, char *out, size_t size)
{
	int n = lws_hdr_copy(wsi, out, (int)size, token);
	if (n <= 0)
		out[0] = '\0';
	return n >= 0 || lws_hdr_total_length(wsi, token) == 0;
}

static bool copy_custom(struct lws *wsi, const char *name, char *out, size_t size)
{
	int name_len = (int)strlen(name);
	out[0] = '\0';
	if (lws_hdr_custom_length(wsi, name, name_len) <= 0)
		return true;
	return lws_hdr_custom_copy(wsi, out, (int)size, name, name_len) >= 0;
}

static enum fl_http_method method_of(int lws_method)
{
	switch (lws_method) {
	case LWSHUMETH_GET:
		return FL_HTTP_GET;
	case LWSHUMETH_HEAD:
		return FL_HTTP_HEAD;
	case LWSHUMETH_POST:
		return FL_HTTP_POST;
	case LWSHUMETH_PUT:
		return FL_HTTP_PUT;
	case LWSHUMETH_DELETE:
		return FL_HTTP_DELETE;
	default:
		return FL_HTTP_OTHER;
	}
}

/* "a=1&b=2": lws_hdr_copy would put commas between. */
static bool copy_query(struct lws *wsi, char *out, size_t size)
{
	size_t used = 0;
	out[0] = '\0';
	if ((size_t)lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_URI_ARGS) + 2 > size)
		return false;
	for (int i = 0;; i++) {
		if (i > 0)
			out[used++] = '&';
		int n = lws_hdr_copy_fragment(wsi, out + used, (int)(size - used),
					      WSI_TOKEN_HTTP_URI_ARGS, i);
		if (n < 0)
			break;
		used += (size_t)n;
	}
	out[used > 0 ? used - 1 : 0] = '\0';
	return true;
}

static bool copy_target(struct lws *wsi, struct fl_http_request *r)
{
	char *uri = NULL;
	int len = 0;
	r->method = method_of(lws_http_get_uri_and_method(wsi, &uri, &len));
	if (uri == NULL || len <= 0 || (size_t)len >= sizeof(r->path))
		return false;
	memcpy(r->path, uri, (size_t)len);
	r->path[len] = '\0';
	return copy_query(wsi, r->query, sizeof(r->query));
}

static bool decimal(const char *text, uint64_t *ret)
{
	size_t len = strlen(text);
	if (len == 0 || len > 15 || strspn(text, "0123456789") != len)
		return false;
	*ret = 0;
	for (; *text != '\0'; text++)
		*ret = *ret * 10 + (uint64_t)(*text - '0');
	return true;
}

/* A body only where the method has one, and only with its length. */
static const char *check_body(struct lws *wsi, struct fl_http_request *r)
{
	char length[32];
	bool may = (r->method & (FL_HTTP_POST | FL_HTTP_PUT)) != 0;
	if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0)
		return "a body needs a Content-Length";
	if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) <= 0)
		return NULL;
	if (!copy_header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, length, sizeof(length)) ||
	    !decimal(length, &r->content_length))
		return "not a Content-Length";
	r->has_body = r->content_length > 0;
	return r->has_body && !may ? "this method takes no body" : NULL;
}

static const char *read_head(struct lws *wsi, struct fl_http_request *r)
{
	const struct {
		enum lws_token_indexes token;
		char *out;
		size_t size;
	} headers[] = {
		{WSI_TOKEN_HTTP_AUTHORIZATION, r->authorization, sizeof(r->authorization)},
		{WSI_TOKEN_HTTP_RANGE, r->range, sizeof(r->range)},
		{WSI_TOKEN_HTTP_IF_RANGE, r->if_range, sizeof(r->if_range)},
		{WSI_TOKEN_HTTP_IF_NONE_MATCH, r->if_none_match, sizeof(r->if_none_match)},
	};
	if (!copy_target(wsi, r))
		return "the path is too long";
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		if (!copy_header(wsi, headers[i].token, headers[i].out, headers[i].size))
			return "a header is too long";
	}
	if (!copy_custom(wsi, "x-fairlead-size:", r->size, sizeof(r->size)))
		return "a header is too long";
	return check_body(wsi, r);
}

static void refuse(struct fl_http *http, const char *why)
{
	struct fl_err err;
	(void)fl_fail(&err, FL_E_BAD_REQUEST, 0, "%s", why);
	fl_http_reply_error(http, &err);
	http->must_close = true; /* where the next request begins is anyone's guess */
}

static void maybe_continue(struct fl_http *http)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	char expect[32];
	uint8_t buf[LWS_PRE + sizeof(text)];
	if (http->state != FL_HTTP_S_BODY ||
	    !copy_header(http->wsi, WSI_TOKEN_HTTP_EXPECT, expect, sizeof(expect)) ||
	    strcasecmp(expect, "100-continue") != 0)
		return;
	memcpy(buf + LWS_PRE, text, sizeof(text) - 1);
	lws_write(http->wsi, buf + LWS_PRE, sizeof(text) - 1, LWS_WRITE_HTTP_HEADERS);
}

static int on_head(struct lws *wsi, struct fl_http **slot)
{
	struct fl_hub *hub = fl_hub_of(wsi);
	const struct fl_http_port *port = lws_vhost_user(lws_get_vhost(wsi));
	struct fl_http *http = fl_http_new(hub, wsi);
	if (http == NULL)
		return -1;
	fl_http_gone(*slot);
	*slot = http;
	const char *wrong = read_head(wsi, &http->request);
	if (wrong != NULL) {
		refuse(http, wrong);
		return 0;
	}
	/* libwebsockets would now wait for 100 MiB */
	http->must_close = (http->request.method & (FL_HTTP_POST | FL_HTTP_PUT)) != 0 &&
			   lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) <= 0;
	port->on_request(port->ctx, http);
	if (!http->request.has_body)
		fl_http_body_end(http);
	maybe_continue(http);
	return 0;
}

/* Answer */

struct head {
	struct lws *wsi;
	uint8_t buf[LWS_PRE + HEAD_ROOM];
	uint8_t *p, *end;
	bool full;
};

static void add(struct head *h, enum lws_token_indexes token, const char *value)
{
	if (value != NULL && lws_add_http_header_by_token(h->wsi, token, (const uint8_t *)value,
							  (int)strlen(value), &h->p, h->end) != 0)
		h->full = true;
}

static bool closes(const struct fl_http *http)
{
	return http->reply.close || http->must_close;
}

static uint64_t length_of(const struct fl_http *http)
{
	return http->fd >= 0 ? http->left : http->out.len;
}

static int write_head(struct fl_http *http)
{
	const struct fl_http_reply *r = &http->reply;
	struct head h = {.wsi = http->wsi};
	h.p = h.buf + LWS_PRE;
	h.end = h.buf + sizeof(h.buf) - 1;
	if (lws_add_http_header_status(h.wsi, r->status, &h.p, h.end) != 0)
		return -1;
	if (!http->events && r->status != 304 &&
	    lws_add_http_header_content_length(h.wsi, length_of(http), &h.p, h.end) != 0)
		return -1;
	add(&h, WSI_TOKEN_HTTP_CONTENT_TYPE, r->content_type);
	add(&h, WSI_TOKEN_HTTP_ETAG, r->etag);
	add(&h, WSI_TOKEN_HTTP_CONTENT_RANGE, r->content_range);
	add(&h, WSI_TOKEN_HTTP_ACCEPT_RANGES, r->accept_ranges ? "bytes" : NULL);
	add(&h, WSI_TOKEN_HTTP_CACHE_CONTROL, r->etag == NULL ? "no-store" : NULL);
	add(&h, WSI_TOKEN_HTTP_WWW_AUTHENTICATE, r->status == 401 ? "Bearer" : NULL);
	add(&h, WSI_TOKEN_CONNECTION, closes(http) ? "close" : NULL);
	if (h.full || lws_finalize_write_http_header(h.wsi, h.buf + LWS_PRE, &h.p, h.end) != 0)
		return -1;
	http->state = FL_HTTP_S_SEND;
	if (http->fd < 0)
		http->left = http->out.len;
	if (http->request.method == FL_HTTP_HEAD)
		http->left = 0;
	lws_callback_on_writable(http->wsi);
	return 0;
}

static int finish(struct fl_http **slot)
{
	struct fl_http *http = *slot;
	struct lws *wsi = http->wsi;
	bool close_it = closes(http);
	*slot = NULL;
	fl_http_gone(http);
	if (close_it)
		return -1; /* what is buffered is flushed first */
	return lws_http_transaction_completed(wsi) != 0 ? -1 : 0;
}

/* The next bytes of the answer into the scratch buffer; -1 when the file is shorter than it was. */
static int next_bytes(struct fl_http *http, uint8_t *to, size_t len)
{
	struct fl_err err;
	if (http->fd < 0) {
		memcpy(to, http->out.data + http->out_sent, len);
		http->out_sent += len;
		return 0;
	}
	if (fl_pread_all(http->fd, to, len, http->offset, &err) != FL_OK) {
		fl_log_err(FL_LOG_ERROR, &err, "serve '%s'", http->request.path);
		return -1;
	}
	http->offset += len;
	return 0;
}

static int send_bytes(struct fl_http *http, size_t len, bool last)
{
	uint8_t *p = fl_hub_of(http->wsi)->scratch + LWS_PRE;
	if (next_bytes(http, p, len) != 0)
		return -1;
	if (lws_write(http->wsi, p, len, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < 0)
		return -1;
	lws_set_timeout(http->wsi, PENDING_TIMEOUT_HTTP_CONTENT, FL_HUB_STALL_S);
	return 0;
}

static int write_events(struct fl_http **slot)
{
	struct fl_http *http = *slot;
	size_t left = fl_http_unsent(http);
	if (left == 0 && http->ended)
		return finish(slot);
	if (left == 0) {
		lws_set_timeout(http->wsi, NO_PENDING_TIMEOUT, 0);
		return 0;
	}
	lws_callback_on_writable(http->wsi);
	return send_bytes(http, left < FL_HUB_CHUNK ? left : FL_HUB_CHUNK, false);
}

static int on_writeable(struct fl_http **slot)
{
	struct fl_http *http = *slot;
	if (http == NULL || http->state < FL_HTTP_S_REPLY)
		return 0;
	if (http->state == FL_HTTP_S_REPLY)
		return write_head(http);
	if (http->events)
		return write_events(slot);
	if (http->left == 0)
		return finish(slot);
	size_t len = http->left < FL_HUB_CHUNK ? (size_t)http->left : FL_HUB_CHUNK;
	http->left -= len;
	if (send_bytes(http, len, http->left == 0) != 0)
		return -1;
	if (http->left == 0)
		return finish(slot);
	lws_callback_on_writable(http->wsi);
	return 0;
}

/* The rest */

static int on_upgrade(struct lws *wsi)
{
	char to[16];
	const struct fl_http_port *port = lws_vhost_user(lws_get_vhost(wsi));
	struct fl_hub *hub = fl_hub_of(wsi);
	if (lws_hdr_copy(wsi, to, sizeof(to), WSI_TOKEN_UPGRADE) <= 0)
		return -1;
	return port == &hub->device_port && strcasecmp(to, "websocket") == 0 ? 0 : -1;
}

static int on_body(struct fl_http *http, const void *data, size_t len)
{
	if (http == NULL)
		return -1;
	http->heard_ms = fl_clock_boot_ms(fl_hub_of(http->wsi)->clock);
	if (len > 0)
		fl_http_feed(http, data, len);
	return 0;
}

static int on_network(struct lws *wsi)
{
	const struct fl_hub *hub = fl_hub_of(wsi);
	return hub->stopping || hub->n_connections >= hub->conf.connections_max ? -1 : 0;
}

int fl_http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
		     size_t len)
{
	struct fl_http **slot = user;
	switch ((int)reason) {
	case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:
		fl_hub_tls_harden(user);
		return 0;
	case LWS_CALLBACK_OPENSSL_PERFORM_CLIENT_CERT_VERIFICATION:
		return len != 0 ? 0 : 1; /* OpenSSL's own verdict */
	case LWS_CALLBACK_FILTER_NETWORK_CONNECTION:
		return on_network(wsi);
	case LWS_CALLBACK_WSI_CREATE:
		fl_hub_of(wsi)->n_connections++;
		return 0;
	case LWS_CALLBACK_WSI_DESTROY:
		fl_hub_of(wsi)->n_connections--;
		return 0;
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		return on_upgrade(wsi); /* `in` may be dangling */
	case LWS_CALLBACK_HTTP:
		return on_head(wsi, slot);
	case LWS_CALLBACK_HTTP_BODY:
		return on_body(*slot, in, len);
	case LWS_CALLBACK_HTTP_BODY_COMPLETION:
		if (*slot != NULL)
			fl_http_body_end(*slot);
		return 0;
	case LWS_CALLBACK_HTTP_WRITEABLE:
		return on_writeable(slot);
	case LWS_CALLBACK_CLOSED_HTTP:
	case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
		if (slot != NULL && *slot != NULL) {
			fl_http_gone(*slot);
			*slot = NULL;
		}
		return 0;
	case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION: /* a WebSocket without the subprotocol */
	case LWS_CALLBACK_ESTABLISHED:
	case LWS_CALLBACK_RAW_ADOPT: /* CONNECT */
	case LWS_CALLBACK_RAW_CONNECTED:
	case LWS_CALLBACK_RAW_RX:
		return -1;
	default:
		return 0;
	}
}

/* Input while we write: the peer has hung up, or talks out of turn. Both end here. */
static bool has_input(const struct fl_http *http)
{
	struct pollfd p = {.fd = lws_get_socket_fd(http->wsi), .events = POLLIN | POLLRDHUP};
	bool writing = http->state >= FL_HTTP_S_REPLY && !http->request.has_body;
	return writing && p.fd >= 0 && poll(&p, 1, 0) > 0;
}

/* A small body has 30 s; a large one must neither pause nor drip. */
static bool too_slow(const struct fl_http *http, uint64_t now)
{
	uint64_t age_ms = now - http->begun_ms;
	if (http->state != FL_HTTP_S_BODY)
		return false;
	if (http->sink == NULL)
		return age_ms > FL_HUB_BODY_MS;
	return now - http->heard_ms > FL_HUB_SILENCE_MS ||
	       (age_ms > FL_HUB_BODY_MS && http->received < age_ms / 1000 * FL_HUB_RATE_MIN);
}

void fl_http_sweep(struct fl_hub *hub)
{
	uint64_t now = fl_clock_boot_ms(hub->clock);
	struct fl_http *next;
	for (struct fl_http *h = hub->exchanges.next; h != &hub->exchanges; h = next) {
		next = h->next;
		if (h->doomed || has_input(h) || too_slow(h, now))
			lws_set_timeout(h->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC); /* frees h */
	}
}
