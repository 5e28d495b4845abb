/* SPDX-License-Identifier: Apache-2.0 */
/* Devices: authorise, revoke, enrol, list, show. */
#include "api/api.h"

#include <fairlead/trust/json.h>
#include <fairlead/trust/pki.h>

#include <string.h>

#define LIST_FALLBACK 1000
#define LIST_LIMIT    10000
#define EVENTS_SHOWN  50
#define JOBS_SHOWN    50

/* One object being written: member by member. */
struct writer {
	struct fl_buf *out;
	struct fl_err *err;
	enum fl_rc rc;
	bool first;
};

static void name_of(struct writer *w, const char *name)
{
	if (w->rc == FL_OK)
		w->rc = fl_buf_appendf(w->out, w->err, "%s\"%s\":", w->first ? "{" : ",", name);
	w->first = false;
}

static void put_string(struct writer *w, const char *name, const char *value)
{
	if (value == NULL)
		return;
	name_of(w, name);
	if (w->rc == FL_OK)
		w->rc = fl_json_append_string(w->out, value, w->err);
}

static void put_number(struct writer *w, const char *name, uint64_t value)
{
	name_of(w, name);
	if (w->rc == FL_OK)
		w->rc = fl_buf_appendf(w->out, w->err, "%llu", (unsigned long long)value);
}

static void put_bool(struct writer *w, const char *name, bool value)
{
	name_of(w, name);
	if (w->rc == FL_OK)
		w->rc = fl_buf_append_str(w->out, value ? "true" : "false", w->err);
}

/* The kept text {"components":[…]} without its braces. */
static void put_components(struct writer *w, const char *text)
{
	static const char none[] = "{\"components\":[]}";
	const char *from = text == NULL ? none : text;
	if (w->rc == FL_OK)
		w->rc = fl_buf_append_str(w->out, ",", w->err);
	if (w->rc == FL_OK)
		w->rc = fl_buf_append(w->out, from + 1, strlen(from) - 2, w->err);
}

static uint64_t last_seen(const struct fl_api *api, const struct fl_device *device)
{
	uint64_t heard = fl_hub_heard_ms(api->hub, device->device_id);
	if (heard == 0)
		return device->last_seen;
	uint64_t age_s = (fl_clock_boot_ms(api->clock) - heard) / 1000;
	return (uint64_t)fl_clock_wall_s(api->clock) - age_s;
}

/* The object without its last brace. */
static enum fl_rc write_device(const struct fl_api *api, const struct fl_device *device,
			       struct fl_buf *out, struct fl_err *err)
{
	struct writer w = {out, err, FL_OK, true};
	uint64_t seen = last_seen(api, device);
	put_string(&w, "device_id", device->device_id);
	put_string(&w, "identity", device->identity);
	put_bool(&w, "enrolled", device->enrolled != 0);
	put_bool(&w, "revoked", device->revoked);
	put_bool(&w, "online", fl_hub_online(api->hub, device->device_id));
	if (seen != 0)
		put_number(&w, "last_seen", seen);
	put_string(&w, "product", device->product);
	put_string(&w, "class_id", device->class_id);
	if (device->has_hw_rev)
		put_number(&w, "hw_rev", device->hw_rev);
	put_string(&w, "agent_version", device->agent_version);
	put_components(&w, device->components);
	put_string(&w, "last_error", device->last_error);
	return w.rc;
}

struct listing {
	struct fl_api *api;
	struct fl_buf *out;
	size_t n;
	char last[FL_NAME_MAX + 1];
};

static enum fl_rc take_listed(void *ctx, const struct fl_device *device, struct fl_err *err)
{
	struct listing *l = ctx;
	enum fl_rc rc = l->n++ == 0 ? FL_OK : fl_buf_append_str(l->out, ",", err);
	strncpy(l->last, device->device_id, FL_NAME_MAX);
	if (rc == FL_OK)
		rc = write_device(l->api, device, l->out, err);
	return rc == FL_OK ? fl_buf_append_str(l->out, "}", err) : rc;
}

enum fl_rc fl_api_get_devices(struct fl_api *api, const struct fl_api_call *call,
			      struct fl_api_answer *answer, struct fl_err *err)
{
	char after[FL_NAME_MAX + 1] = "";
	struct listing l = {.api = api, .out = &answer->body};
	uint64_t limit = fl_api_limit(call->query, LIST_FALLBACK, LIST_LIMIT);
	(void)fl_route_query(call->query, "after", after, sizeof(after));
	enum fl_rc rc = fl_buf_append_str(&answer->body, "{\"devices\":[", err);
	if (rc == FL_OK)
		rc = fl_registry_each(api->registry, after, limit, take_listed, &l, err);
	if (rc == FL_OK)
		rc = fl_buf_append_str(&answer->body, "]", err);
	if (rc == FL_OK && l.n == limit)
		rc = fl_buf_appendf(&answer->body, err, ",\"next\":\"%s\"", l.last);
	return rc == FL_OK ? fl_buf_append_str(&answer->body, "}", err) : rc;
}

static enum fl_rc take_shown(void *ctx, const struct fl_device *device, struct fl_err *err)
{
	struct listing *l = ctx;
	return write_device(l->api, device, l->out, err);
}

static enum fl_rc take_event(void *ctx, const struct fl_db_value *c, struct fl_err *err)
{
	struct listing *l = ctx;
	struct writer w = {l->out, err, FL_OK, true};
	if (l->n++ > 0)
		w.rc = fl_buf_append_str(l->out, ",", err);
	put_number(&w, "utc", (uint64_t)c[0].number);
	put_string(&w, "kind", c[1].text);
	put_string(&w, "code", c[2].text);
	put_string(&w, "text", c[3].text);
	return w.rc == FL_OK ? fl_buf_append_str(l->out, "}", err) : w.rc;
}

static enum fl_rc append_events(struct fl_api *api, const char *device_id, struct fl_buf *out,
				struct fl_err *err)
{
	struct listing l = {.api = api, .out = out};
	const struct fl_db_value params[] = {fl_db_str(device_id), fl_db_num(EVENTS_SHOWN)};
	struct fl_db_query query = {"SELECT utc, kind, code, text FROM events WHERE device_id = $1"
				    " ORDER BY id DESC LIMIT $2",
				    params, 2, take_event, &l};
	enum fl_rc rc = fl_buf_append_str(out, ",\"events\":[", err);
	if (rc == FL_OK)
		rc = fl_db_each(api->db, &query, err);
	return rc == FL_OK ? fl_buf_append_str(out, "]", err) : rc;
}

/* The list's text {"jobs":[…]} ends the object by its own brace. */
static enum fl_rc append_jobs(struct fl_api *api, const char *device_id, struct fl_buf *out,
			      struct fl_err *err)
{
	struct fl_jobs_filter filter = {.device_id = device_id, .limit = JOBS_SHOWN};
	size_t at = out->len;
	enum fl_rc rc = fl_jobs_list(api->jobs, &filter, out, err);
	if (rc == FL_OK)
		out->data[at] = ',';
	return rc;
}

enum fl_rc fl_api_get_device(struct fl_api *api, const struct fl_api_call *call,
			     struct fl_api_answer *answer, struct fl_err *err)
{
	struct listing l = {.api = api, .out = &answer->body};
	enum fl_rc rc = fl_registry_get(api->registry, call->param, take_shown, &l, err);
	if (rc == FL_OK)
		rc = append_events(api, call->param, &answer->body, err);
	return rc == FL_OK ? append_jobs(api, call->param, &answer->body, err) : rc;
}

struct authorization {
	struct fl_digest identity;
};

static const struct fl_field authorization_fields[] = {
	FL_REQ(struct authorization, identity, DIGEST, 0, NULL, ""),
};
static const struct fl_schema authorization_schema =
	FL_SCHEMA("device", struct authorization, authorization_fields, "");

enum fl_rc fl_api_put_device(struct fl_api *api, const struct fl_api_call *call,
			     struct fl_api_answer *answer, struct fl_err *err)
{
	struct fl_arena arena = FL_ARENA(FL_API_BODY_MAX);
	struct authorization body;
	bool created = false;
	if (!fl_name_valid(call->param))
		return fl_fail(err, FL_E_BAD_REQUEST, 0, "not a name for a device");
	enum fl_rc rc = fl_api_decode(&authorization_schema, call, &arena, &body, err);
	if (rc == FL_OK)
		rc = fl_registry_authorize(api->registry, call->actor, call->param, &body.identity,
					   &created, err);
	answer->status = created ? 201 : 200;
	if (rc == FL_OK)
		rc = fl_buf_appendf(&answer->body, err, "{\"device_id\":\"%s\"}", call->param);
	fl_arena_free(&arena);
	return rc;
}

enum fl_rc fl_api_delete_device(struct fl_api *api, const struct fl_api_call *call,
				struct fl_api_answer *answer, struct fl_err *err)
{
	enum fl_rc rc = fl_registry_revoke(api->registry, call->actor, call->param, err);
	return rc == FL_OK ? fl_buf_append_str(&answer->body, "{}", err) : rc;
}

struct enrolment {
	const char *device_id;
	const char *request;
};

static const struct fl_field enrolment_fields[] = {
	FL_REQ(struct enrolment, device_id, NAME, FL_NAME_MAX, NULL, ""),
	FL_REQ(struct enrolment, request, STR, FL_PEM_MAX, NULL, ""),
};
static const struct fl_schema enrolment_schema =
	FL_SCHEMA("enrolment", struct enrolment, enrolment_fields, "");

enum fl_rc fl_api_enrol(struct fl_api *api, const struct fl_api_call *call,
			struct fl_api_answer *answer, struct fl_err *err)
{
	struct fl_arena arena = FL_ARENA(FL_API_BODY_MAX * 4);
	struct fl_buf pem = FL_BUF(FL_PEM_MAX);
	struct enrolment body;
	if (!fl_rate_take(&api->enrol_rate, fl_clock_boot_ms(api->clock)))
		return fl_fail(err, FL_E_RATE_LIMITED, 0, "try again later");
	enum fl_rc rc = fl_api_decode(&enrolment_schema, call, &arena, &body, err);
	if (rc == FL_OK)
		rc = fl_registry_enrol(api->registry, body.device_id, body.request, &pem, err);
	if (rc == FL_OK)
		rc = fl_buf_append_str(&answer->body, "{\"certificate\":", err);
	if (rc == FL_OK)
		rc = fl_json_append_string(&answer->body, fl_buf_str(&pem), err);
	if (rc == FL_OK)
		rc = fl_buf_append_str(&answer->body, "}", err);
	fl_buf_free(&pem);
	fl_arena_free(&arena);
	return rc;
}
