/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The REST interface (docs/protocol.md, sections 3 and 4): a table of routes. A call is a function from a request to an answer;
 * what takes or gives a stream (uploads, server-sent events) gets the exchange itself.
 */
#ifndef FLEET_API_API_H
#define FLEET_API_API_H

#include "api/router.h"
#include "hub/hub.h"

#include <uv.h>

#define FL_API_BODY_MAX	   ((size_t)512 * 1024)
#define FL_API_ANSWER_MAX  ((size_t)16 * 1024 * 1024)
#define FL_API_UPLOADS_MAX 16
#define FL_API_STREAMS_MAX 256

struct fl_api {
	uv_loop_t *loop; /* kept, as all of these */
	struct fl_hub *hub;
	struct fl_registry *registry;
	struct fl_roots *roots;
	struct fl_releases *releases;
	struct fl_jobs *jobs;
	const struct fl_blob *blob;
	const struct fl_bus *bus;
	struct fl_db *db;
	struct fl_auth *auth;
	const struct fl_clock *clock;
	const char *version;
	struct fl_rate enrol_rate;
	size_t n_uploads, n_streams;
	uint64_t upload_max; /* bytes of one blob */
};

struct fl_api_call {
	const char *actor; /* the token's name */
	const char *param; /* of the path */
	const char *query;
	struct fl_bytes body;
};

struct fl_api_answer {
	unsigned status;
	struct fl_buf body; /* JSON */
};

typedef enum fl_rc fl_api_fn(struct fl_api *api, const struct fl_api_call *call,
			     struct fl_api_answer *answer, struct fl_err *err);
typedef void fl_api_stream_fn(struct fl_api *api, struct fl_http *http,
			      const struct fl_api_call *call);

/* The port that the hub hands requests to. */
struct fl_http_port fl_api_port(struct fl_api *api);

/* devices.c */
fl_api_fn fl_api_get_devices, fl_api_get_device, fl_api_put_device, fl_api_delete_device,
	fl_api_enrol;
/* releases.c */
fl_api_fn fl_api_get_status, fl_api_get_root, fl_api_post_root, fl_api_get_releases,
	fl_api_get_release, fl_api_post_release;
/* jobs.c */
fl_api_fn fl_api_get_jobs, fl_api_get_job, fl_api_post_job, fl_api_post_offline_job, fl_api_cancel_job;
/* blobs.c */
fl_api_stream_fn fl_api_put_blob, fl_api_put_tree;
fl_api_fn fl_api_head_blob, fl_api_head_tree;
/* events.c */
fl_api_stream_fn fl_api_job_events;

/* Decodes a body by a schema; unknown members are ignored. FL_E_BAD_REQUEST. */
enum fl_rc fl_api_decode(const struct fl_schema *schema, const struct fl_api_call *call,
			 struct fl_arena *arena, void *out, struct fl_err *err) FL_CHECKED;
/* 64 hexadecimal digits, with or without "sha256:" before them. FL_E_NOT_FOUND. */
enum fl_rc fl_api_digest(const char *text, struct fl_digest *ret, struct fl_err *err) FL_CHECKED;
/* limit= and its bounds */
uint64_t fl_api_limit(const char *query, uint64_t fallback, uint64_t max);

#endif
