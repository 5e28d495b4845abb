/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include "curl_library.h"
#include "http_redirect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_MS 15000L
#define STALL_TIMEOUT_S	   30L
#define STALL_BYTES_S	   16L
#define ANSWER_TIMEOUT_S   60L /* of requests that are not ranged */
#define LIMITED_RUN	   16384L /* bytes at once while there is a limit: few over it */

/* One watched socket of curl. */
struct watch {
	uv_poll_t poll;
	struct fl_http *http;
	curl_socket_t fd;
};

static const struct fl_curl *curl; /* NULL before the first request */

static void finish(struct fl_http_request *r, CURLcode result);

static void reap_finished(struct fl_http *http)
{
	int left = 0;
	for (;;) {
		CURLMsg *msg = curl->multi_info_read(http->multi, &left);
		if (msg == NULL)
			return;
		if (msg->msg != CURLMSG_DONE)
			continue;
		struct fl_http_request *r = NULL;
		CURLcode result = msg->data.result;
		curl->easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&r);
		finish(r, result);
	}
}

static void on_watch(uv_poll_t *poll, int status, int events)
{
	struct watch *w = poll->data;
	struct fl_http *http = w->http;
	int flags = status < 0 ? CURL_CSELECT_ERR : 0;
	flags |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
	flags |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
	int running = 0;
	curl->multi_socket_action(http->multi, w->fd, flags, &running);
	reap_finished(http);
}

static void on_watch_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socket_user)
{
	(void)easy;
	struct fl_http *http = user;
	struct watch *w = socket_user;
	if (what == CURL_POLL_REMOVE) {
		curl->multi_assign(http->multi, fd, NULL);
		if (w != NULL)
			uv_close((uv_handle_t *)&w->poll, on_watch_closed);
		return 0;
	}
	if (w == NULL) {
		w = calloc(1, sizeof(*w));
		if (w == NULL || uv_poll_init(http->loop, &w->poll, fd) != 0) {
			free(w);
			return -1;
		}
		w->http = http;
		w->fd = fd;
		w->poll.data = w;
		curl->multi_assign(http->multi, fd, w);
	}
	int events = (what & CURL_POLL_IN) != 0 ? UV_READABLE : 0;
	events |= (what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0;
	return uv_poll_start(&w->poll, events, on_watch) == 0 ? 0 : -1;
}

static void on_timer(uv_timer_t *timer)
{
	struct fl_http *http = timer->data;
	int running = 0;
	curl->multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	reap_finished(http);
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *user)
{
	(void)multi;
	struct fl_http *http = user;
	if (timeout_ms < 0)
		return uv_timer_stop(&http->timer);
	return uv_timer_start(&http->timer, on_timer, timeout_ms == 0 ? 1 : (uint64_t)timeout_ms, 0);
}

static const char *url_of(const struct fl_http_request *r)
{
	return r->moves == 0 ? r->url : r->moved_to;
}

/* May it not go where it likes? Behind a proxy the address is the proxy's. */
static bool is_led_astray(const struct fl_http_request *r)
{
	return !r->plain && r->http->proxy == NULL && !r->http->private_redirects &&
	       !fl_http_same_origin(r->url, url_of(r));
}

/*
 * Close-on-exec: the next program that is started would get it. While there is a limit the kernel may hold no more than the
 * bucket: what it takes from the line before anybody reads it has come in all the same.
 */
static curl_socket_t open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct fl_http_request *r = user;
	const struct fl_http *http = r->http;
	const int few = (int)FL_BUCKET_BYTES / 2; /* doubled by the kernel */
	(void)purpose;
	r->kept_out = is_led_astray(r) && fl_http_is_private(&address->addr);
	if (r->kept_out)
		return CURL_SOCKET_BAD;
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd >= 0 && http->limited)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &few, sizeof(few));
	return fd;
}

static enum fl_rc open_library(struct fl_http *http, struct fl_err *err)
{
	if (http->multi != NULL)
		return FL_OK;
	enum fl_rc rc = fl_curl_load(&curl, err);
	if (rc != FL_OK)
		return rc;
	http->multi = curl->multi_init();
	if (http->multi == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "libcurl");
	(void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC); /* it has opened a pair of sockets to wake itself */
	curl->multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
	curl->multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl->multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	curl->multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	return FL_OK;
}

enum fl_rc fl_http_init(struct fl_http *http, uv_loop_t *loop, struct fl_err *err)
{
	const int status = uv_timer_init(loop, &http->timer);
	if (status != 0)
		return fl_fail(err, FL_E_NO_MEMORY, -status, "timer");
	FL_BUG_ON(uv_timer_init(loop, &http->bucket_timer) != 0);
	http->loop = loop;
	http->timer.data = http->bucket_timer.data = http;
	fl_bucket_init(&http->bucket, uv_now(loop));
	return FL_OK;
}

void fl_http_done(struct fl_http *http)
{
	if (http->loop == NULL)
		return;
	if (http->multi != NULL)
		curl->multi_cleanup(http->multi);
	uv_close((uv_handle_t *)&http->timer, NULL);
	uv_close((uv_handle_t *)&http->bucket_timer, NULL);
	http->multi = NULL;
	http->loop = NULL;
}

/* ---- the limit ---------------------------------------------------------------------------------------- */

static uint64_t limit_now(const struct fl_http *http)
{
	return http->limit == NULL ? 0 : http->limit(http->limit_ctx);
}

static void unhold(struct fl_http_request *r)
{
	struct fl_http_request **place = &r->http->held;
	while (*place != NULL && *place != r)
		place = &(*place)->next_held;
	if (*place == r)
		*place = r->next_held;
	r->next_held = NULL;
}

/* One at a time: what it takes may leave nothing for the next. */
static void on_bucket(uv_timer_t *timer)
{
	struct fl_http *http = timer->data;
	struct fl_http_request *r = http->held;
	if (r == NULL)
		return;
	unhold(r);
	if (http->held != NULL)
		uv_timer_start(timer, on_bucket, 1, 0);
	fl_http_resume(r);
}

/* Nothing may come in now: the request waits for its turn. */
static bool over_limit(struct fl_http_request *r)
{
	struct fl_http *http = r->http;
	if (!r->ranged)
		return false;
	const uint64_t wait = fl_bucket_wait_ms(&http->bucket, limit_now(http), uv_now(http->loop));
	if (wait == 0)
		return false;
	struct fl_http_request **place = &http->held;
	while (*place != NULL && *place != r)
		place = &(*place)->next_held;
	*place = r;
	uv_timer_start(&http->bucket_timer, on_bucket, wait, 0);
	return true;
}

/* ---- a request ---------------------------------------------------------------------------------------- */

/* Is the answer the one that was asked for? Looked at once, before the first byte is handed on. */
static bool answer_fits(struct fl_http_request *r)
{
	long status = 0;
	curl_off_t length = -1;
	curl->easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
	curl->easy_getinfo(r->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	if (!r->ranged)
		return true;
	const uint64_t want = r->last - r->first + 1;
	struct curl_header *range = NULL;
	char expect[64];
	snprintf(expect, sizeof(expect), "bytes %llu-%llu/", (unsigned long long)r->first,
		 (unsigned long long)r->last);
	return status == 206 && length >= 0 && (uint64_t)length == want &&
	       curl->easy_header(r->easy, "Content-Range", 0, CURLH_HEADER, -1, &range) == CURLHE_OK &&
	       strncasecmp(range->value, expect, strlen(expect)) == 0;
}

static size_t on_curl_data(char *data, size_t size, size_t count, void *user)
{
	struct fl_http_request *r = user;
	const size_t len = size * count;
	if (r->cancelled)
		return 0;
	if (!r->checked) {
		r->checked = true;
		r->wrong_answer = !answer_fits(r);
	}
	if (r->wrong_answer)
		return 0;
	if (over_limit(r))
		return CURL_WRITEFUNC_PAUSE;
	switch (r->on_data(r, data, len)) {
	case FL_HTTP_PAUSE:
		return CURL_WRITEFUNC_PAUSE;
	case FL_HTTP_ABORT:
		r->cancelled = true;
		return 0;
	case FL_HTTP_TAKEN:
		if (r->ranged)
			fl_bucket_spend(&r->http->bucket, len);
		return len;
	}
	return 0;
}

static enum fl_rc code_of(CURLcode result)
{
	switch ((int)result) { /* the others are the network */
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CERTPROBLEM:
		return FL_E_TLS;
	case CURLE_OPERATION_TIMEDOUT:
		return FL_E_TIMEOUT;
	case CURLE_PARTIAL_FILE:
		return FL_E_TRUNCATED;
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_URL_MALFORMAT:
		return FL_E_URL_REFUSED;
	default:
		return FL_E_NETWORK;
	}
}

static void release(struct fl_http_request *r)
{
	if (r->easy == NULL)
		return;
	unhold(r);
	curl->multi_remove_handle(r->http->multi, r->easy);
	curl->easy_cleanup(r->easy);
	curl->slist_free_all(r->headers);
	r->easy = NULL;
	r->headers = NULL;
	r->running = false;
}

static enum fl_rc begin(struct fl_http *http, struct fl_http_request *r, struct fl_err *err);

/* FL_OK: another request is on its way. */
static enum fl_rc follow(struct fl_http_request *r, long status, struct fl_err *err)
{
	const char *url = NULL;
	curl->easy_getinfo(r->easy, CURLINFO_REDIRECT_URL, &url);
	if (url == NULL || r->moves == FL_HTTP_MOVES_MAX || strlen(url) >= sizeof(r->moved_to))
		return fl_fail(err, FL_E_HTTP_STATUS, 0, "HTTP %ld that leads nowhere", status);
	if (!fl_http_scheme_allowed(url, r->plain))
		return fl_fail(err, FL_E_URL_REFUSED, 0, "HTTP %ld to another scheme: '%.100s'", status, url);
	memcpy(r->moved_to, url, strlen(url) + 1);
	r->moves++;
	release(r);
	return begin(r->http, r, err);
}

static void finish(struct fl_http_request *r, CURLcode result)
{
	struct fl_err err = {0};
	long status = 0;
	enum fl_rc rc = FL_OK;
	curl->easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
	const bool moved = !r->cancelled && r->ranged && status > 300 && status < 309 && status != 304;
	if (moved && follow(r, status, &err) == FL_OK)
		return;
	if (moved)
		rc = err.rc;
	else if (r->cancelled)
		rc = fl_fail(&err, FL_E_CANCELLED, 0, "ended by the receiver");
	else if (r->kept_out)
		rc = fl_fail(&err, FL_E_URL_REFUSED, 0, "redirected to an address of a site: '%.100s'", url_of(r));
	else if (r->wrong_answer || (result == CURLE_OK && r->ranged && status != 206))
		rc = fl_fail(&err, status >= 300 ? FL_E_HTTP_STATUS : FL_E_HTTP_RANGE, 0,
			     "HTTP %ld for bytes %s", status, r->range);
	else if (result != CURLE_OK)
		rc = fl_fail(&err, code_of(result), 0, "%s",
			     r->curl_error[0] != '\0' ? r->curl_error : curl->easy_strerror(result));
	curl_off_t retry_after_s = 0;
	if (r->easy != NULL)
		curl->easy_getinfo(r->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
	r->retry_after_s = retry_after_s > 0 ? (uint64_t)retry_after_s : 0;
	release(r);
	r->on_done(r, status, rc, &err);
}

static void set_options(struct fl_http *http, struct fl_http_request *r)
{
	CURL *e = r->easy;
	curl->easy_setopt(e, CURLOPT_URL, url_of(r));
	curl->easy_setopt(e, CURLOPT_PRIVATE, r);
	curl->easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl->easy_setopt(e, CURLOPT_OPENSOCKETDATA, r);
	curl->easy_setopt(e, CURLOPT_WRITEFUNCTION, on_curl_data);
	curl->easy_setopt(e, CURLOPT_WRITEDATA, r);
	curl->easy_setopt(e, CURLOPT_ERRORBUFFER, r->curl_error);
	curl->easy_setopt(e, CURLOPT_PROTOCOLS_STR, r->plain ? "http,https" : "https");
	curl->easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	/* "": none, also where the environment names one. A source of the gateway's own site is not behind it. */
	curl->easy_setopt(e, CURLOPT_PROXY, http->proxy == NULL || r->plain ? "" : http->proxy);
	curl->easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl->easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl->easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl->easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, STALL_BYTES_S);
	curl->easy_setopt(e, CURLOPT_LOW_SPEED_TIME, STALL_TIMEOUT_S);
	const bool limited = limit_now(http) != 0;
	curl->easy_setopt(e, CURLOPT_BUFFERSIZE, limited ? LIMITED_RUN : (long)FL_HTTP_RUN_MAX);
	curl->easy_setopt(e, CURLOPT_FRESH_CONNECT, (long)(limited != http->limited));
	http->limited = limited;
	curl->easy_setopt(e, CURLOPT_CAINFO,
			  r->ranged && http->content_ca_path != NULL ? http->content_ca_path : http->ca_path);
	curl->easy_setopt(e, CURLOPT_CAPATH, NULL);
	curl->easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (r->with_certificate && fl_http_same_origin(r->url, url_of(r))) {
		curl->easy_setopt(e, CURLOPT_SSLCERT, http->cert_path);
		curl->easy_setopt(e, CURLOPT_SSLKEY, http->key_path);
	}
	if (r->ranged) {
		snprintf(r->range, sizeof(r->range), "%llu-%llu", (unsigned long long)r->first,
			 (unsigned long long)r->last);
		curl->easy_setopt(e, CURLOPT_RANGE, r->range);
	} else {
		curl->easy_setopt(e, CURLOPT_TIMEOUT, ANSWER_TIMEOUT_S);
	}
	if (r->post_json != NULL) {
		r->headers = curl->slist_append(NULL, "Content-Type: application/json");
		curl->easy_setopt(e, CURLOPT_HTTPHEADER, r->headers);
		curl->easy_setopt(e, CURLOPT_POSTFIELDS, r->post_json);
	}
}

static enum fl_rc begin(struct fl_http *http, struct fl_http_request *r, struct fl_err *err)
{
	r->checked = r->wrong_answer = r->cancelled = r->kept_out = false;
	r->curl_error[0] = '\0';
	r->range[0] = '\0';
	r->headers = NULL;
	r->next_held = NULL;
	r->easy = curl->easy_init();
	if (r->easy == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "libcurl");
	set_options(http, r);
	CURLMcode mc = curl->multi_add_handle(http->multi, r->easy);
	if (mc != CURLM_OK) {
		curl->easy_cleanup(r->easy);
		curl->slist_free_all(r->headers);
		r->easy = NULL;
		return fl_fail(err, FL_E_NETWORK, 0, "libcurl: %s", curl->multi_strerror(mc));
	}
	r->running = true;
	return FL_OK;
}

enum fl_rc fl_http_start(struct fl_http *http, struct fl_http_request *r, struct fl_err *err)
{
	enum fl_rc rc = open_library(http, err);
	r->http = http;
	r->moves = 0;
	return rc == FL_OK ? begin(http, r, err) : rc;
}

const char *fl_http_local_address(const struct fl_http_request *r)
{
	char *address = NULL;
	curl->easy_getinfo(r->easy, CURLINFO_LOCAL_IP, &address);
	return address == NULL ? "" : address;
}

void fl_http_resume(struct fl_http_request *r)
{
	if (!r->running)
		return;
	(void)curl->easy_pause(r->easy, CURLPAUSE_CONT); /* fails where there is no connection yet: nothing to resume */
	if (r->running && r->cancelled) /* on_data gave up within: nothing else would end it before the stall limit */
		finish(r, CURLE_WRITE_ERROR);
}

void fl_http_cancel(struct fl_http_request *r)
{
	r->cancelled = true;
	if (r->running)
		release(r);
}
