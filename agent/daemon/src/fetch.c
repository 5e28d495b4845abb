/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"

#include <fairlead/base/log.h>

#include <stdlib.h>
#include <string.h>

#define READ_DEADLINE_MS 30000

static void serve(struct fl_fetch *f);

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

/* Ends a request for good: its memory goes when libcurl lets go of it. */
static void drop_http(struct fl_fetch *f)
{
	if (f->http == NULL)
		return;
	fl_http_cancel(f->http);
	free(f->http);
	f->http = NULL;
}

static void fail(struct fl_fetch *f, const struct fl_err *why)
{
	const struct fl_err copy = *why;
	fl_fetch_stop(f);
	fl_log_err(FL_LOG_WARNING, &copy, "component %s: download ended", f->what.component);
	f->taker->on_failed(f->ctx, &copy);
}

/* ---- items ----------------------------------------------------------------------------------------------- */

/* A chunk whose page nobody has asked for is a defect of who asks for the chunk. */
static enum fl_rc check_item(struct fl_fetch *f, struct fl_err *err)
{
	struct fl_pages *pages = fl_fetch_pages(f, f->object);
	uint64_t page = 0;
	if (f->object != FL_OBJECT_TRANSPORT)
		return fl_pages_take(pages, f->next, f->chunk, f->chunk_len, err);
	if (!fl_tree_ready(pages->tree, f->next, &page) &&
	    !fl_pages_kept(pages, page, f->chunk + FL_CHUNK_SIZE))
		return fl_fail(err, FL_E_PROTOCOL, 0, "chunk %llu before its page",
			       (unsigned long long)f->next);
	return fl_tree_check(pages->tree, f->next, f->chunk, f->chunk_len, err);
}

static enum fl_rc hand_on(struct fl_fetch *f, size_t len, struct fl_err *err)
{
	enum fl_rc rc = f->taker->on_item(f->ctx, f->chunk, len, err);
	f->taker_failed = rc != FL_OK;
	if (rc != FL_OK)
		return rc;
	f->next++;
	fl_sources_good(&f->sources);
	return FL_OK;
}

/* ---- one source after the other -------------------------------------------------------------------------- */

static void on_retry(uv_timer_t *timer)
{
	struct fl_fetch *f = timer->data;
	struct fl_err why = {0};
	if (f->read == NULL) {
		serve(f);
		return;
	}
	(void)fl_fail(&why, FL_E_BUNDLE_MISSING, 0, "the bundle cannot be read: no answer within %d s",
		      READ_DEADLINE_MS / 1000);
	fail(f, &why);
}

/*
 * Another one, or none for now. The half of a chunk that has come is kept for the source that sent it: with halves of two
 * nobody would know who lied. (A half page has given its place to one of the spool.)
 */
static void source_failed(struct fl_fetch *f, const struct fl_err *err, uint64_t retry_after_s)
{
	const size_t failed = f->sources.used;
	fl_log_err(FL_LOG_WARNING, err, "component %s: source %s", f->what.component, f->url);
	if (f->object != FL_OBJECT_TRANSPORT)
		f->chunk_len = 0;
	const uint64_t came = f->right_bytes + f->chunk_len;
	const struct fl_sources_failure failure = {
		err->rc, came > f->resumed_len ? came - f->resumed_len : 0, retry_after_s};
	const struct fl_sources_next next =
		fl_sources_failed(&f->sources, &failure, uv_now(&f->agent->loop));
	if (f->sources.used != failed)
		f->chunk_len = 0;
	if (next.spent) {
		f->retry_ms = next.wait_ms;
		fail(f, err);
		return;
	}
	uv_timer_start(f->retry, on_retry, next.wait_ms, 0);
}

static bool may_take(struct fl_fetch *f, size_t len)
{
	f->fetched_bytes += len;
	f->taker_failed = f->taker->on_bytes != NULL &&
			  !f->taker->on_bytes(f->ctx, fl_http_local_address(f->http), len, &f->failure);
	return !f->taker_failed;
}

/* Items are cut out of the stream as they become whole. */
static enum fl_http_take take(struct fl_fetch *f, const uint8_t *p, size_t len)
{
	if (!may_take(f, len))
		return FL_HTTP_ABORT;
	while (len > 0 && f->next < f->end) {
		const size_t want = fl_fetch_item_len(f, f->object, f->next) - f->chunk_len;
		const size_t take = want < len ? want : len;
		memcpy(f->chunk + f->chunk_len, p, take);
		f->chunk_len += take;
		p += take;
		len -= take;
		if (take < want)
			break;
		enum fl_rc rc = check_item(f, &f->failure);
		if (rc == FL_OK)
			rc = hand_on(f, f->chunk_len, &f->failure);
		f->right_bytes += rc == FL_OK ? f->chunk_len : 0;
		f->chunk_len = 0;
		if (rc != FL_OK || f->stopped)
			return FL_HTTP_ABORT;
	}
	return FL_HTTP_TAKEN;
}

/* The taker's pace is kept by pausing the source. */
static enum fl_http_take on_http_data(struct fl_http_request *r, const void *data, size_t len)
{
	struct fl_fetch *f = r->user;
	if (!f->taker->has_room(f->ctx))
		return FL_HTTP_PAUSE;
	f->in_data = true;
	const enum fl_http_take took = take(f, data, len);
	f->in_data = false;
	return took;
}

static void on_http_done(struct fl_http_request *r, long status, enum fl_rc rc, const struct fl_err *err)
{
	struct fl_fetch *f = r->user;
	const uint64_t retry_after_s = r->retry_after_s;
	(void)status;
	f->http = NULL;
	free(r);
	if (f->stopped)
		return;
	struct fl_err why = rc == FL_E_CANCELLED ? f->failure : *err; /* an abort of our own has said why */
	if (rc == FL_OK && f->next == f->end) {
		serve(f);
		return;
	}
	if (rc == FL_OK)
		(void)fl_fail(&why, FL_E_TRUNCATED, 0, "ended after %zu of its bytes", f->chunk_len);
	if (rc == FL_E_CANCELLED && (f->taker_failed || why.rc == FL_E_PROTOCOL))
		fail(f, &why); /* no source is to blame */
	else
		source_failed(f, &why, retry_after_s);
}

static const struct fl_digest *root_of(const struct fl_fetch *f)
{
	return f->object == FL_OBJECT_INSTALLED_TREE ? &f->what.installed->tree->root
						      : &f->what.artifact->tree->root;
}

static enum fl_rc ask(struct fl_fetch *f, struct fl_err *err)
{
	const struct fl_source *source = &f->sources.of[f->sources.used];
	fl_source_url(source, f->object == FL_OBJECT_TRANSPORT ? "blobs" : "trees", root_of(f), f->url,
		      sizeof(f->url));
	f->http = calloc(1, sizeof(*f->http));
	if (f->http == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "request");
	const uint64_t last = f->end - 1;
	f->right_bytes = 0;
	f->resumed_len = f->chunk_len;
	*f->http = (struct fl_http_request){
		.url = f->url,
		.with_certificate = !source->own,
		.plain = source->own,
		.ranged = true,
		.first = fl_fetch_item_offset(f, f->object, f->next) + f->chunk_len,
		.last = fl_fetch_item_offset(f, f->object, last) + fl_fetch_item_len(f, f->object, last) - 1,
		.on_data = on_http_data,
		.on_done = on_http_done,
		.user = f,
	};
	enum fl_rc rc = fl_http_start(&f->agent->http, f->http, err);
	if (rc != FL_OK) {
		free(f->http);
		f->http = NULL;
	}
	return rc;
}

/* ---- or the bundle ---------------------------------------------------------------------------------------- */

static void on_read(void *ctx, const uint8_t *data, const struct fl_err *err)
{
	struct fl_fetch *f = ctx;
	struct fl_err why = *err;
	f->read = NULL;
	uv_timer_stop(f->retry);
	enum fl_rc rc = why.rc;
	if (rc == FL_OK) {
		f->chunk_len = fl_fetch_item_len(f, f->object, f->next);
		memcpy(f->chunk, data, f->chunk_len);
		rc = check_item(f, &why);
	}
	if (rc == FL_OK)
		rc = hand_on(f, f->chunk_len, &why);
	f->chunk_len = 0;
	if (f->stopped)
		return;
	if (rc != FL_OK)
		fail(f, &why);
	else
		serve(f);
}

/* The next item. That the bundle has the object, and all of it, only its index says. */
static enum fl_rc ask_bundle(struct fl_fetch *f, struct fl_err *err)
{
	const bool blob = f->object == FL_OBJECT_TRANSPORT;
	const struct fl_bundle_entry *entry =
		fl_bundle_find(f->what.bundle->index, blob ? FL_BUNDLE_BLOB : FL_BUNDLE_TREE, root_of(f));
	const uint64_t offset = fl_fetch_item_offset(f, f->object, f->next);
	const struct fl_bundle_place place = {f->what.bundle->fd,
					      entry == NULL ? 0 : entry->offset + offset,
					      fl_fetch_item_len(f, f->object, f->next)};
	if (entry == NULL || offset > entry->size || place.len > entry->size - offset)
		return fl_fail(err, FL_E_NO_SOURCE, 0, "the bundle lacks %s of the release",
			       blob ? "a blob" : "a tree");
	enum fl_rc rc = fl_bundle_read_start(&f->agent->loop, &place, on_read, f, &f->read, err);
	if (rc == FL_OK)
		uv_timer_start(f->retry, on_retry, READ_DEADLINE_MS, 0);
	return rc;
}

/* ---- a run ------------------------------------------------------------------------------------------------ */

static enum fl_rc serve_kept_pages(struct fl_fetch *f, struct fl_err *err)
{
	while (f->object != FL_OBJECT_TRANSPORT && f->next < f->end && f->taker->has_room(f->ctx) &&
	       fl_pages_kept(fl_fetch_pages(f, f->object), f->next, f->chunk)) {
		enum fl_rc rc = hand_on(f, fl_fetch_item_len(f, f->object, f->next), err);
		if (rc != FL_OK)
			return rc;
	}
	return FL_OK;
}

static void serve(struct fl_fetch *f)
{
	struct fl_err err = {0};
	if (f->stopped || f->end == 0 || f->http != NULL || f->read != NULL || !f->taker->has_room(f->ctx))
		return;
	enum fl_rc rc = serve_kept_pages(f, &err);
	if (f->stopped)
		return;
	if (rc == FL_OK && f->next == f->end) {
		f->end = 0;
		f->taker->on_run(f->ctx);
		return;
	}
	if (rc == FL_OK && !f->taker->has_room(f->ctx))
		return; /* fl_fetch_resume comes back */
	if (rc == FL_OK)
		rc = f->what.bundle != NULL ? ask_bundle(f, &err) : ask(f, &err);
	if (rc != FL_OK)
		fail(f, &err);
}

void fl_fetch_run(struct fl_fetch *f, uint64_t object, uint64_t first, uint64_t count)
{
	FL_BUG_ON(f->end != 0 || count == 0);
	f->object = object;
	f->next = first;
	f->end = first + count;
	f->chunk_len = 0;
	serve(f);
}

bool fl_fetch_running(const struct fl_fetch *f)
{
	return f->end != 0;
}

void fl_fetch_resume(struct fl_fetch *f)
{
	if (f->http != NULL && f->taker->has_room(f->ctx))
		fl_http_resume(f->http);
	else
		serve(f);
}

/* ---- start and end ---------------------------------------------------------------------------------------- */

void fl_fetch_hand_to(struct fl_fetch *f, const struct fl_fetch_taker *taker, void *ctx)
{
	f->taker = taker;
	f->ctx = ctx;
}

enum fl_rc fl_fetch_open(struct fl_fetch *f, struct fl_agent *agent, const struct fl_fetch_what *what,
			 struct fl_err *err)
{
	*f = (struct fl_fetch){
		.agent = agent, .what = *what, .pages = {{.fd = -1}, {.fd = -1}}};
	if (what->own_source != NULL)
		fl_sources_add(&f->sources, what->own_source, true);
	for (size_t i = 0; i < what->n_sources; i++)
		fl_sources_add(&f->sources, what->sources[i], false);
	FL_BUG_ON(f->sources.n == 0 && what->bundle == NULL);
	f->chunk = malloc(2 * (size_t)FL_CHUNK_SIZE);
	f->retry = calloc(1, sizeof(*f->retry));
	if (f->retry != NULL) {
		FL_BUG_ON(uv_timer_init(&agent->loop, f->retry) != 0);
		f->retry->data = f;
	}
	if (f->chunk == NULL || f->retry == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "download");
	const char *dir = agent->config.spool_dir;
	enum fl_rc rc = fl_pages_open(&f->pages[FL_OBJECT_INSTALLED_TREE], dir, what->installed->size,
				      &what->installed->tree->root, err);
	return rc == FL_OK ? fl_pages_open(&f->pages[FL_OBJECT_TRANSPORT_TREE], dir, what->artifact->size,
					   &what->artifact->tree->root, err)
			   : rc;
}

void fl_fetch_stop(struct fl_fetch *f)
{
	f->stopped = true;
	if (f->retry != NULL)
		uv_timer_stop(f->retry);
	fl_bundle_read_cancel(f->read);
	f->read = NULL;
	if (!f->in_data) /* from within its callback the request is aborted, and lets go of itself */
		drop_http(f);
}

void fl_fetch_close(struct fl_fetch *f)
{
	if (f->agent == NULL)
		return;
	fl_fetch_stop(f);
	if (f->retry != NULL)
		uv_close((uv_handle_t *)f->retry, free_handle);
	fl_pages_close(&f->pages[FL_OBJECT_INSTALLED_TREE]);
	fl_pages_close(&f->pages[FL_OBJECT_TRANSPORT_TREE]);
	free(f->chunk);
	*f = (struct fl_fetch){.pages = {{.fd = -1}, {.fd = -1}}};
}
