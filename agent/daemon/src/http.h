/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTPS requests by libcurl's multi interface on the loop: one fleet CA, own certificate where there is one,
 * no other scheme than https where the caller does not say so, no content encoding, a deadline without progress. Downloads (ranged requests) share one limit of
 * bytes per second, and follow redirects (http_redirect.h).
 */
#ifndef FAIRLEAD_DAEMON_HTTP_H
#define FAIRLEAD_DAEMON_HTTP_H

#include <fairlead/base/err.h>
#include <fairlead/policy/rate.h>

#include <curl/curl.h>
#include <stdint.h>
#include <uv.h>

struct fl_http {
	uv_loop_t *loop;
	CURLM *multi; /* NULL before the first request */
	uv_timer_t timer;
	const char *ca_path, *cert_path, *key_path; /* kept */
	const char *content_ca_path; /* of downloads, kept; NULL: the same */
	bool private_redirects;	     /* may lead to addresses of a site */
	const char *proxy;			    /* URL, kept; NULL: none */
	uint64_t (*limit)(void *ctx); /* bytes per second of all downloads now, 0: none; NULL: never one */
	void *limit_ctx;
	bool limited; /* there was one when the last request began */
	struct fl_bucket bucket;
	uv_timer_t bucket_timer;
	struct fl_http_request *held; /* by the limit, in the order of their turns */
};

enum fl_http_take {
	FL_HTTP_TAKEN, /* the bytes were used */
	FL_HTTP_PAUSE, /* come again with the same bytes after fl_http_resume */
	FL_HTTP_ABORT, /* enough: ends with FL_E_CANCELLED */
};

struct fl_http_request {
	/* set by the caller */
	const char *url;
	bool with_certificate;
	bool plain;		 /* http:// will do, too */
	const char *post_json;	 /* NULL: GET */
	bool ranged;		 /* Range: bytes=first-last, answered by 206 with just that */
	uint64_t first, last;
	void *user;
	enum fl_http_take (*on_data)(struct fl_http_request *r, const void *data, size_t len);
	/* On the loop, exactly once unless starting failed. status: HTTP's, 0 when none came. */
	void (*on_done)(struct fl_http_request *r, long status, enum fl_rc rc, const struct fl_err *err);
	uint64_t retry_after_s; /* in on_done: what a server that is busy asked for, 0: nothing */
	/* private */
	struct fl_http *http;
	CURL *easy;
	struct curl_slist *headers;
	char range[64];
	char curl_error[CURL_ERROR_SIZE];
	bool checked, wrong_answer, running, cancelled;
	char moved_to[2048]; /* where the last redirect led */
	unsigned moves;
	bool kept_out;	     /* of an address of a site */
	struct fl_http_request *next_held;
};

#define FL_HTTP_RUN_MAX (128 * 1024) /* bytes that one on_data may bring */

enum fl_rc fl_http_init(struct fl_http *http, uv_loop_t *loop, struct fl_err *err) FL_CHECKED;
/* Ends what still runs without a word. */
void fl_http_done(struct fl_http *http);
/* r: kept until on_done. */
enum fl_rc fl_http_start(struct fl_http *http, struct fl_http_request *r, struct fl_err *err) FL_CHECKED;
/* Of this side of its connection, numeric; "" before there is one. Borrowed until the end of the request. */
const char *fl_http_local_address(const struct fl_http_request *r);
void fl_http_resume(struct fl_http_request *r);
/* Idempotent: no on_data and no on_done follows. */
void fl_http_cancel(struct fl_http_request *r);

#endif
