/* SPDX-License-Identifier: Apache-2.0 */
/* Status, roots and releases. */
#include "api/api.h"

#include <fairlead/trust/digest.h>

#include <stdlib.h>
#include <string.h>

enum fl_rc fl_api_get_status(struct fl_api *api, const struct fl_api_call *call,
			     struct fl_api_answer *answer, struct fl_err *err)
{
	(void)call;
	uint64_t devices = 0;
	enum fl_rc rc = fl_registry_count(api->registry, &devices, err);
	if (rc != FL_OK)
		return rc;
	return fl_buf_appendf(&answer->body, err,
			      "{\"version\":\"%s\",\"root_version\":%llu,\"devices\":%llu,"
			      "\"online\":%zu}",
			      api->version, (unsigned long long)api->roots->current.version,
			      (unsigned long long)devices, fl_hub_online_count(api->hub));
}

enum fl_rc fl_api_get_root(struct fl_api *api, const struct fl_api_call *call,
			   struct fl_api_answer *answer, struct fl_err *err)
{
	uint64_t version = 0;
	if (call->param[0] != '\0') {
		char *end = NULL;
		version = strtoull(call->param, &end, 10);
		if (*end != '\0' || version == 0 || version > INT64_MAX)
			return fl_fail(err, FL_E_NOT_FOUND, 0, "no root '%s'", call->param);
	}
	return fl_roots_get(api->roots, version, &answer->body, err);
}

enum fl_rc fl_api_post_root(struct fl_api *api, const struct fl_api_call *call,
			    struct fl_api_answer *answer, struct fl_err *err)
{
	enum fl_rc rc = fl_roots_add(api->roots, call->actor, call->body.data, call->body.len, err);
	if (rc != FL_OK)
		return rc;
	answer->status = 201;
	return fl_buf_appendf(&answer->body, err, "{\"version\":%llu}",
			      (unsigned long long)api->roots->current.version);
}

enum fl_rc fl_api_get_releases(struct fl_api *api, const struct fl_api_call *call,
			       struct fl_api_answer *answer, struct fl_err *err)
{
	(void)call;
	return fl_releases_list(api->releases, &answer->body, err);
}

enum fl_rc fl_api_get_release(struct fl_api *api, const struct fl_api_call *call,
			      struct fl_api_answer *answer, struct fl_err *err)
{
	struct fl_digest digest;
	enum fl_rc rc = fl_api_digest(call->param, &digest, err);
	return rc == FL_OK ? fl_releases_get(api->releases, &digest, &answer->body, err) : rc;
}

enum fl_rc fl_api_post_release(struct fl_api *api, const struct fl_api_call *call,
			       struct fl_api_answer *answer, struct fl_err *err)
{
	struct fl_digest digest;
	char text[FL_DIGEST_TEXT_SIZE];
	bool created = false;
	enum fl_rc rc = fl_releases_add(api->releases, call->actor, call->body.data, call->body.len,
					&digest, &created, err);
	if (rc != FL_OK)
		return rc;
	fl_digest_format(&digest, text);
	answer->status = created ? 201 : 200;
	return fl_buf_appendf(&answer->body, err, "{\"digest\":\"%s\"}", text);
}
