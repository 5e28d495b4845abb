/* SPDX-License-Identifier: Apache-2.0 */
/* An event stream of the fleet. */
#include "fleet_private.h"

#include "events.h"

struct following {
	struct fl_tools_fleet *fleet;
	struct fl_tools_events events;
	struct fl_buf refusal; /* the body of an answer that is no stream */
	struct fl_err err;
};

static size_t on_bytes(char *data, size_t size, size_t n, void *ctx)
{
	struct following *f = ctx;
	long status = 0;
	(void)curl_easy_getinfo(f->fleet->curl, CURLINFO_RESPONSE_CODE, &status);
	enum fl_rc rc = status == 200 ? fl_tools_events_feed(&f->events, data, size * n, &f->err)
				      : fl_buf_append(&f->refusal, data, size * n, &f->err);
	return rc == FL_OK && !f->events.ended ? size * n : 0;
}

static enum fl_rc outcome(struct following *f, CURLcode code, struct fl_err *err)
{
	if (f->events.ended)
		return FL_OK;
	if (f->err.rc != FL_OK)
		return fl_fail(err, f->err.rc, 0, "fleet: events: %s", f->err.msg);
	if (code != CURLE_OK)
		return fl_tools_fleet_failed(f->fleet, code, err);
	enum fl_rc rc = fl_tools_fleet_status(f->fleet, &f->refusal, err);
	return rc != FL_OK ? rc : fl_fail(err, FL_E_PEER_CLOSED, 0, "fleet: the stream ended");
}

enum fl_rc fl_tools_fleet_follow(struct fl_tools_fleet *fleet, const char *path, uint64_t limit_s,
				 fl_tools_on_event *on_event, void *ctx, struct fl_err *err)
{
	enum fl_rc rc = fl_tools_fleet_prepare(fleet, path, err);
	if (rc != FL_OK)
		return rc;
	struct following f = {.fleet = fleet,
			      .events = FL_TOOLS_EVENTS(on_event, ctx),
			      .refusal = FL_BUF((size_t)64 * 1024)};
	struct curl_slist *headers = curl_slist_append(NULL, "Accept: text/event-stream");
	(void)curl_easy_setopt(fleet->curl, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(fleet->curl, CURLOPT_TIMEOUT_MS, (long)(limit_s * 1000));
	(void)curl_easy_setopt(fleet->curl, CURLOPT_WRITEFUNCTION, on_bytes);
	(void)curl_easy_setopt(fleet->curl, CURLOPT_WRITEDATA, &f);
	CURLcode code = curl_easy_perform(fleet->curl);
	rc = outcome(&f, code, err);
	curl_slist_free_all(headers);
	fl_tools_events_free(&f.events);
	fl_buf_free(&f.refusal);
	return rc;
}
