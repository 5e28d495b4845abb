/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The REST client of the fleet (docs/protocol.md, section 4): https only, the fleet's own CA only,
 * no redirects, every answer of limited size, every word of it checked before it is used.
 */
#ifndef FL_TOOLS_FLEET_H
#define FL_TOOLS_FLEET_H

#include "command.h"

#include <fairlead/base/buf.h>
#include <fairlead/base/schema.h>

#define FL_TOOLS_ANSWER_MAX ((size_t)16 * 1024 * 1024)

struct fl_tools_fleet; /* one connection, kept open between requests */

/* From --fleet, --token, --ca or the environment. *ret: returned owned, free with
 * fl_tools_fleet_close. */
enum fl_rc fl_tools_fleet_open(const struct fl_tools_call *call, struct fl_tools_fleet **ret,
			       struct fl_err *err) FL_CHECKED;
void fl_tools_fleet_close(struct fl_tools_fleet *fleet);

/*
 * One request below /api/v1. body: JSON text, or NULL for none. The answer's text is appended to
 * `answer` (may be NULL). A status of 400 and above is the code and text of the fleet's answer as
 * an error; FL_E_NETWORK, FL_E_TLS, FL_E_TIMEOUT when there was none.
 */
enum fl_rc fl_tools_fleet_call(struct fl_tools_fleet *fleet, const char *method, const char *path,
			       const struct fl_buf *body, struct fl_buf *answer,
			       struct fl_err *err) FL_CHECKED;
struct fl_tools_request {
	const char *method;
	const char *path;
	const struct fl_buf *body;	/* or NULL */
	const struct fl_schema *schema; /* of the answer */
};
/* The same, and decodes the answer by its schema, unknown members ignored, into *out (owned by
 * arena). */
enum fl_rc fl_tools_fleet_ask(struct fl_tools_fleet *fleet, const struct fl_tools_request *request,
			      struct fl_buf *answer, struct fl_arena *arena, void *out,
			      struct fl_err *err) FL_CHECKED;
/* HEAD: is it there? */
enum fl_rc fl_tools_fleet_has(struct fl_tools_fleet *fleet, const char *path, bool *ret,
			      struct fl_err *err) FL_CHECKED;

/* Called as bytes go out; done of total. */
typedef void fl_tools_progress(void *ctx, uint64_t done, uint64_t total);

struct fl_tools_upload {
	const char *path;		/* below /api/v1 */
	const char *file;		/* sent whole */
	uint64_t size;			/* X-Fairlead-Size */
	fl_tools_progress *on_progress; /* or NULL */
	void *ctx;
};
enum fl_rc fl_tools_fleet_put(struct fl_tools_fleet *fleet, const struct fl_tools_upload *upload,
			      struct fl_err *err) FL_CHECKED;

/* The next event's data, a JSON text; false ends the stream. */
typedef bool fl_tools_on_event(void *ctx, const char *data, size_t len);
/*
 * Follows an event stream until on_event returns false (FL_OK) or the connection ends, however it
 * does (FL_E_PEER_CLOSED, FL_E_NETWORK, …: the caller may start again). limit_s: at most that long
 * (FL_E_TIMEOUT); 0: no limit.
 */
enum fl_rc fl_tools_fleet_follow(struct fl_tools_fleet *fleet, const char *path, uint64_t limit_s,
				 fl_tools_on_event *on_event, void *ctx,
				 struct fl_err *err) FL_CHECKED;

#endif
