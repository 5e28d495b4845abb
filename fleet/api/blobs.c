/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uploads: hashed and written while they arrive; flushed to the medium in the thread pool, for that may take seconds.
 *
 *   body ──all there──▶ FLUSHING (worker) ──▶ audit, answer
 *     └──wrong, or the peer goes──▶ thrown away          a peer that goes while flushing changes nothing
 */
#include "api/api.h"

#include "audit/audit.h"

#include <fairlead/base/log.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct upload {
	struct fl_api *api;
	struct fl_http *http; /* borrowed; NULL once it is gone */
	char actor[FL_AUTH_ACTOR_MAX];
	enum fl_blob_kind kind;
	char root[FL_DIGEST_HEX_SIZE];
	struct fl_blob_upload *blob; /* owned */
	uv_work_t work;
	bool flushing;
	enum fl_rc rc;
	struct fl_err err;
};

static void free_upload(struct upload *u)
{
	u->api->blob->ops->upload_free(u->blob);
	u->api->n_uploads--;
	free(u);
}

static void on_gone(void *owner)
{
	struct upload *u = owner;
	u->http = NULL;
	if (!u->flushing)
		free_upload(u);
}

static enum fl_rc on_data(void *ctx, const void *data, size_t len, struct fl_err *err)
{
	struct upload *u = ctx;
	return u->api->blob->ops->upload_add(u->blob, data, len, err);
}

static void flush_in_pool(uv_work_t *work)
{
	struct upload *u = work->data;
	u->rc = u->api->blob->ops->upload_keep(u->blob, &u->err);
}

static enum fl_rc note(struct upload *u, struct fl_err *err)
{
	struct fl_audit_entry entry = {(uint64_t)fl_clock_wall_s(u->api->clock), u->actor,
				       u->kind == FL_BLOB_PAYLOAD ? "blob.put" : "tree.put", u->root, ""};
	enum fl_rc rc = fl_db_begin(u->api->db, err);
	if (rc != FL_OK)
		return rc;
	rc = fl_audit_add(u->api->db, &entry, err);
	return fl_db_end(u->api->db, rc, err);
}

static void answer(struct upload *u)
{
	static const struct fl_http_reply created = {.status = 201, .content_type = "application/json"};
	if (u->rc != FL_OK) {
		fl_http_reply_error(u->http, &u->err);
		return;
	}
	struct fl_buf body = FL_BUF((size_t)16);
	if (fl_buf_append_str(&body, "{}", &u->err) != FL_OK)
		fl_buf_clear(&body);
	fl_http_reply(u->http, &created, &body);
}

static void on_flushed(uv_work_t *work, int status)
{
	struct upload *u = work->data;
	u->flushing = false;
	if (status != 0)
		u->rc = fl_fail(&u->err, FL_E_CANCELLED, 0, "the server stops");
	if (u->rc == FL_OK)
		u->rc = note(u, &u->err);
	if (u->http != NULL)
		answer(u);
	else
		free_upload(u);
}

static void on_end(void *ctx, struct fl_http *http, const struct fl_err *err)
{
	struct upload *u = ctx;
	if (err != NULL) {
		fl_http_reply_error(http, err);
		return;
	}
	u->work.data = u;
	if (uv_queue_work(u->api->loop, &u->work, flush_in_pool, on_flushed) == 0) {
		u->flushing = true;
		return;
	}
	(void)fl_fail(&u->err, FL_E_INTERNAL, 0, "no worker");
	fl_http_reply_error(http, &u->err);
}

static const struct fl_http_sink sink = {on_data, on_end};

static enum fl_rc parse_size(const char *text, uint64_t max, uint64_t *ret, struct fl_err *err)
{
	size_t len = strlen(text);
	if (len == 0 || len > 15 || strspn(text, "0123456789") != len)
		return fl_fail(err, FL_E_BAD_REQUEST, 0, "X-Fairlead-Size is missing or no number");
	*ret = strtoull(text, NULL, 10);
	return *ret > max ? fl_fail(err, FL_E_TOO_LARGE, 0, "more than %llu bytes",
				    (unsigned long long)max)
			  : FL_OK;
}

static enum fl_rc open_upload(struct fl_api *api, struct fl_http *http, struct upload *u,
			      const struct fl_digest *root, struct fl_err *err)
{
	uint64_t size = 0;
	if (api->n_uploads >= FL_API_UPLOADS_MAX)
		return fl_fail(err, FL_E_RATE_LIMITED, 0, "too many uploads at once");
	enum fl_rc rc = parse_size(fl_http_request(http)->size, api->upload_max, &size, err);
	if (rc == FL_OK)
		rc = api->blob->ops->upload_new(api->blob->self, u->kind, root, size, &u->blob, err);
	return rc;
}

static void start(struct fl_api *api, struct fl_http *http, const struct fl_api_call *call,
		  enum fl_blob_kind kind)
{
	static const struct fl_http_reply there = {.status = 200, .content_type = "application/json"};
	struct fl_err err = {0};
	struct fl_digest root;
	struct upload *u = NULL;
	enum fl_rc rc = fl_api_digest(call->param, &root, &err);
	if (rc == FL_OK && api->blob->ops->has(api->blob->self, kind, &root)) {
		fl_http_reply(http, &there, NULL);
		return;
	}
	if (rc == FL_OK) {
		u = calloc(1, sizeof(*u));
		rc = u == NULL ? fl_fail(&err, FL_E_NO_MEMORY, 0, "upload") : FL_OK;
	}
	if (u != NULL) {
		*u = (struct upload){.api = api, .http = http, .kind = kind};
		snprintf(u->actor, sizeof(u->actor), "%s", call->actor);
		fl_hex_encode(root.b, sizeof(root.b), u->root);
		rc = open_upload(api, http, u, &root, &err);
	}
	if (rc != FL_OK) {
		free(u);
		fl_http_reply_error(http, &err);
		return;
	}
	api->n_uploads++;
	fl_http_set_owner(http, u, on_gone);
	fl_http_stream_body(http, &sink, u);
}

void fl_api_put_blob(struct fl_api *api, struct fl_http *http, const struct fl_api_call *call)
{
	start(api, http, call, FL_BLOB_PAYLOAD);
}

void fl_api_put_tree(struct fl_api *api, struct fl_http *http, const struct fl_api_call *call)
{
	start(api, http, call, FL_BLOB_TREE);
}

static enum fl_rc head(struct fl_api *api, const struct fl_api_call *call, enum fl_blob_kind kind,
		       struct fl_err *err)
{
	struct fl_digest root;
	enum fl_rc rc = fl_api_digest(call->param, &root, err);
	if (rc == FL_OK && !api->blob->ops->has(api->blob->self, kind, &root))
		rc = fl_fail(err, FL_E_NOT_FOUND, 0, "not here");
	return rc;
}

enum fl_rc fl_api_head_blob(struct fl_api *api, const struct fl_api_call *call,
			    struct fl_api_answer *answer, struct fl_err *err)
{
	(void)answer;
	return head(api, call, FL_BLOB_PAYLOAD, err);
}

enum fl_rc fl_api_head_tree(struct fl_api *api, const struct fl_api_call *call,
			    struct fl_api_answer *answer, struct fl_err *err)
{
	(void)answer;
	return head(api, call, FL_BLOB_TREE, err);
}
