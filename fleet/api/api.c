/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"

#include <fairlead/trust/digest.h>
#include <fairlead/trust/json.h>

#include <stdlib.h>
#include <string.h>

#define V1 "/api/v1"

enum access { WITH_TOKEN, OPEN_TO_ALL };

static const struct route {
	unsigned methods;
	const char *pattern;
	enum access access;
	fl_api_fn *call;
	fl_api_stream_fn *stream;
} routes[] = {
	{FL_HTTP_POST, "/enrol", OPEN_TO_ALL, fl_api_enrol, NULL},
	{FL_HTTP_GET, V1 "/status", WITH_TOKEN, fl_api_get_status, NULL},
	{FL_HTTP_GET, V1 "/root", WITH_TOKEN, fl_api_get_root, NULL},
	{FL_HTTP_GET, V1 "/root/{}", WITH_TOKEN, fl_api_get_root, NULL},
	{FL_HTTP_POST, V1 "/root", WITH_TOKEN, fl_api_post_root, NULL},
	{FL_HTTP_GET, V1 "/devices", WITH_TOKEN, fl_api_get_devices, NULL},
	{FL_HTTP_GET, V1 "/devices/{}", WITH_TOKEN, fl_api_get_device, NULL},
	{FL_HTTP_PUT, V1 "/devices/{}", WITH_TOKEN, fl_api_put_device, NULL},
	{FL_HTTP_DELETE, V1 "/devices/{}", WITH_TOKEN, fl_api_delete_device, NULL},
	{FL_HTTP_HEAD, V1 "/blobs/{}", WITH_TOKEN, fl_api_head_blob, NULL},
	{FL_HTTP_HEAD, V1 "/trees/{}", WITH_TOKEN, fl_api_head_tree, NULL},
	{FL_HTTP_PUT, V1 "/blobs/{}", WITH_TOKEN, NULL, fl_api_put_blob},
	{FL_HTTP_PUT, V1 "/trees/{}", WITH_TOKEN, NULL, fl_api_put_tree},
	{FL_HTTP_GET, V1 "/releases", WITH_TOKEN, fl_api_get_releases, NULL},
	{FL_HTTP_POST, V1 "/releases", WITH_TOKEN, fl_api_post_release, NULL},
	{FL_HTTP_GET, V1 "/releases/{}", WITH_TOKEN, fl_api_get_release, NULL},
	{FL_HTTP_GET, V1 "/jobs", WITH_TOKEN, fl_api_get_jobs, NULL},
	{FL_HTTP_POST, V1 "/jobs", WITH_TOKEN, fl_api_post_job, NULL},
	{FL_HTTP_POST, V1 "/offline-jobs", WITH_TOKEN, fl_api_post_offline_job, NULL},
	{FL_HTTP_GET, V1 "/jobs/{}", WITH_TOKEN, fl_api_get_job, NULL},
	{FL_HTTP_POST, V1 "/jobs/{}/cancel", WITH_TOKEN, fl_api_cancel_job, NULL},
	{FL_HTTP_GET, V1 "/jobs/{}/events", WITH_TOKEN, NULL, fl_api_job_events},
};

#define N_ROUTES (sizeof(routes) / sizeof(routes[0]))

/* A call whose body is on its way. */
struct pending {
	struct fl_api *api;
	const struct route *route;
	struct fl_route_match match;
	char actor[FL_AUTH_ACTOR_MAX];
};

static const struct route *find_route(const struct fl_http_request *r, struct fl_route_match *match)
{
	for (size_t i = 0; i < N_ROUTES; i++) {
		if ((routes[i].methods & r->method) != 0 &&
		    fl_route_matches(routes[i].pattern, r->path, match))
			return &routes[i];
	}
	return NULL;
}

static void run(struct fl_api *api, struct fl_http *http, const struct route *route,
		const struct fl_api_call *call)
{
	struct fl_err err;
	struct fl_api_answer answer = {.status = 200, .body = FL_BUF(FL_API_ANSWER_MAX)};
	if (route->call(api, call, &answer, &err) != FL_OK) {
		fl_buf_free(&answer.body);
		fl_http_reply_error(http, &err);
		return;
	}
	struct fl_http_reply reply = {.status = answer.status, .content_type = "application/json"};
	fl_http_reply(http, &reply, &answer.body);
}

static void on_body(void *ctx, struct fl_http *http, struct fl_bytes body)
{
	const struct pending *p = ctx;
	struct fl_api_call call = {p->actor, p->match.param, fl_http_request(http)->query, body};
	run(p->api, http, p->route, &call);
}

static void take_body(struct fl_api *api, struct fl_http *http, const struct pending *pending)
{
	struct fl_err err;
	struct pending *kept = malloc(sizeof(*kept));
	if (kept == NULL) {
		(void)fl_fail(&err, FL_E_NO_MEMORY, 0, "request");
		fl_http_reply_error(http, &err);
		return;
	}
	*kept = *pending;
	kept->api = api;
	fl_http_set_owner(http, kept, free);
	fl_http_take_body(http, FL_API_BODY_MAX, on_body, kept);
}

static enum fl_rc admit(struct fl_api *api, const struct fl_http_request *r, struct pending *p,
			struct fl_err *err)
{
	p->route = find_route(r, &p->match);
	if (p->route == NULL || p->route->access == WITH_TOKEN) {
		fl_auth_refresh(api->auth, api->db, fl_clock_boot_ms(api->clock));
		enum fl_rc rc = fl_auth_check(api->auth, r->authorization, p->actor, err);
		if (rc != FL_OK)
			return rc; /* also for what doesn't exist: no map for strangers */
	}
	return p->route == NULL ? fl_fail(err, FL_E_NOT_FOUND, 0, "no such resource") : FL_OK;
}

static void on_request(void *ctx, struct fl_http *http)
{
	struct fl_api *api = ctx;
	const struct fl_http_request *r = fl_http_request(http);
	struct pending p = {0};
	struct fl_err err;
	if (admit(api, r, &p, &err) != FL_OK) {
		fl_http_reply_error(http, &err);
		return;
	}
	struct fl_api_call call = {p.actor, p.match.param, r->query, {NULL, 0}};
	if (p.route->stream != NULL)
		p.route->stream(api, http, &call);
	else if (r->has_body)
		take_body(api, http, &p);
	else
		run(api, http, p.route, &call);
}

struct fl_http_port fl_api_port(struct fl_api *api)
{
	return (struct fl_http_port){on_request, api};
}

enum fl_rc fl_api_decode(const struct fl_schema *schema, const struct fl_api_call *call,
			 struct fl_arena *arena, void *out, struct fl_err *err)
{
	enum fl_rc rc = fl_json_decode(schema, call->body.data, call->body.len,
				       FL_JSON_IGNORE_UNKNOWN, arena, out, err);
	return rc == FL_OK ? FL_OK : fl_wrap(err, FL_E_BAD_REQUEST, "body");
}

enum fl_rc fl_api_digest(const char *text, struct fl_digest *ret, struct fl_err *err)
{
	if (fl_digest_parse(text, ret) || fl_hex_decode(text, strlen(text), ret->b, sizeof(ret->b)))
		return FL_OK;
	return fl_fail(err, FL_E_NOT_FOUND, 0, "'%s' is no digest", text);
}

uint64_t fl_api_limit(const char *query, uint64_t fallback, uint64_t max)
{
	char text[16];
	if (!fl_route_query(query, "limit", text, sizeof(text)))
		return fallback;
	uint64_t value = strtoull(text, NULL, 10);
	return value == 0 || value > max ? fallback : value;
}
