/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"

#include <fairlead/base/log.h>
#include <fairlead/trust/json.h>
#include <fairlead/trust/pki.h>

#include <string.h>

#define RETRY_MAX_MS  (UINT64_C(300) * 1000)
#define FIRST_LOOK_MS 1000
#define LOOK_MS	      (UINT64_C(3600) * 1000)

struct enrolment {
	const char *device_id;
	const char *request;
};

static const struct fl_field enrolment_fields[] = {
	FL_REQ(struct enrolment, device_id, NAME, 0, NULL, "as configured"),
	FL_REQ(struct enrolment, request, STR, FL_PEM_MAX, NULL, "PKCS#10, PEM"),
};
static const struct fl_schema enrolment_schema =
	FL_SCHEMA("enrolment", struct enrolment, enrolment_fields, "POST /enrol");

struct certificate {
	const char *certificate;
};

static const struct fl_field certificate_fields[] = {
	FL_REQ(struct certificate, certificate, STR, FL_PEM_MAX, NULL, "PEM"),
};
static const struct fl_schema certificate_schema =
	FL_SCHEMA("certificate", struct certificate, certificate_fields, "its answer");

static void attempt(struct fl_enrol *e);

static void on_retry(uv_timer_t *timer)
{
	attempt(timer->data);
}

static void on_look(uv_timer_t *timer)
{
	struct fl_enrol *e = timer->data;
	e->renewing = true;
	if (fl_identity_is_due(&e->agent->identity, fl_agent_now_s(e->agent)))
		attempt(e);
	else
		uv_timer_start(timer, on_look, LOOK_MS, 0);
}

static void try_later(struct fl_enrol *e, const struct fl_err *err)
{
	if (e->renewing) {
		fl_log_err(FL_LOG_WARNING, err, "renew the certificate");
		uv_timer_start(&e->retry, on_look, LOOK_MS, 0);
		return;
	}
	uint64_t ms = UINT64_C(1000) << (e->tries < 9 ? e->tries : 9);
	e->tries++;
	if (ms > RETRY_MAX_MS)
		ms = RETRY_MAX_MS;
	fl_log_err(FL_LOG_WARNING, err, "enrolment, tried again within %llu s",
		   (unsigned long long)(ms / 1000));
	uint32_t random = 0;
	(void)!fl_random(&random, sizeof(random), NULL);
	uv_timer_start(&e->retry, on_retry, ms / 2 + random % (ms / 2), 0);
}

static enum fl_rc take_answer(struct fl_enrol *e, long status, struct fl_err *err)
{
	struct fl_arena arena = FL_ARENA((size_t)64 * 1024);
	struct certificate answer;
	if (status != 200)
		return fl_fail(err, status == 403 ? FL_E_ENROL_REFUSED : FL_E_HTTP_STATUS, 0,
			       "the fleet answered HTTP %ld", status);
	enum fl_rc rc = fl_json_decode(&certificate_schema, e->answer.data, e->answer.len,
				       FL_JSON_IGNORE_UNKNOWN, &arena, &answer, err);
	if (rc == FL_OK)
		rc = fl_identity_take_certificate(&e->agent->identity, &e->agent->config,
						  answer.certificate, err);
	fl_arena_free(&arena);
	return rc;
}

static enum fl_http_take on_data(struct fl_http_request *r, const void *data, size_t len)
{
	struct fl_enrol *e = r->user;
	return fl_buf_append(&e->answer, data, len, NULL) == FL_OK ? FL_HTTP_TAKEN : FL_HTTP_ABORT;
}

static void on_done(struct fl_http_request *r, long status, enum fl_rc rc, const struct fl_err *err)
{
	struct fl_enrol *e = r->user;
	struct fl_err why = *err;
	if (rc == FL_OK)
		rc = take_answer(e, status, &why);
	if (rc != FL_OK) {
		try_later(e, &why);
		return;
	}
	fl_log(FL_LOG_NOTICE, e->renewing ? "certificate of %s renewed" : "enrolled as %s",
	       e->agent->config.device_id);
	uv_timer_start(&e->retry, on_look, LOOK_MS, 0);
	if (!e->renewing)
		e->done(e->agent);
}

static enum fl_rc make_body(struct fl_enrol *e, struct fl_err *err)
{
	struct fl_buf pem = FL_BUF(FL_PEM_MAX);
	const char *id = e->agent->config.device_id;
	enum fl_rc rc = fl_pki_make_request(e->agent->identity.key, id, &pem, err);
	const struct enrolment body = {id, fl_buf_str(&pem)};
	fl_buf_clear(&e->body);
	if (rc == FL_OK)
		rc = fl_json_encode(&enrolment_schema, &body, &e->body, err);
	fl_buf_free(&pem);
	return rc;
}

static void attempt(struct fl_enrol *e)
{
	struct fl_err err = {0};
	enum fl_rc rc = make_body(e, &err);
	fl_buf_clear(&e->answer);
	e->http = (struct fl_http_request){.url = e->agent->config.enrol_url,
					   .post_json = fl_buf_str(&e->body),
					   .on_data = on_data,
					   .on_done = on_done,
					   .user = e};
	if (rc == FL_OK)
		rc = fl_http_start(&e->agent->http, &e->http, &err);
	if (rc != FL_OK)
		try_later(e, &err);
}

void fl_enrol_start(struct fl_enrol *enrol, struct fl_agent *agent, void (*done)(struct fl_agent *))
{
	*enrol = (struct fl_enrol){.agent = agent,
				   .done = done,
				   .body = FL_BUF(2 * FL_PEM_MAX),
				   .answer = FL_BUF(2 * FL_PEM_MAX)};
	FL_BUG_ON(uv_timer_init(&agent->loop, &enrol->retry) != 0);
	enrol->retry.data = enrol;
	if (agent->identity.enrolled)
		uv_timer_start(&enrol->retry, on_look, FIRST_LOOK_MS, 0);
	else
		attempt(enrol);
}

void fl_enrol_done(struct fl_enrol *enrol)
{
	if (enrol->agent == NULL)
		return;
	uv_close((uv_handle_t *)&enrol->retry, NULL);
	fl_buf_free(&enrol->body);
	fl_buf_free(&enrol->answer);
}
