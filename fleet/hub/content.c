/* SPDX-License-Identifier: Apache-2.0 */
/* GET and HEAD of blobs and trees on the device port: whole or one range, to devices that are still listed. */
#include "hub/hub_private.h"
#include "hub/range.h"

#include <fairlead/base/file.h>

#include <stdio.h>
#include <string.h>

static bool parse_path(const char *path, enum fl_blob_kind *kind, struct fl_digest *root)
{
	static const char *const heads[] = {"/blobs/sha256-wide1/", "/trees/sha256-wide1/"};
	for (int i = 0; i < 2; i++) {
		size_t len = strlen(heads[i]);
		if (strncmp(path, heads[i], len) != 0)
			continue;
		*kind = i == 0 ? FL_BLOB_PAYLOAD : FL_BLOB_TREE;
		return fl_hex_decode(path + len, strlen(path + len), root->b, sizeof(root->b));
	}
	return false;
}

static enum fl_rc find(struct fl_hub *hub, struct fl_http *http, struct fl_digest *root, int *fd,
		       uint64_t *size, struct fl_err *err)
{
	const struct fl_http_request *r = fl_http_request(http);
	char name[FL_NAME_MAX + 1];
	struct fl_pubkey key;
	enum fl_blob_kind kind;
	enum fl_rc rc = fl_http_peer(http, name, &key, err);
	if (rc == FL_OK)
		rc = fl_registry_check(hub->m.registry, name, &key.keyid, err);
	if (rc == FL_E_AUTH)
		return fl_fail(err, FL_E_DENIED, 0, "the certificate is not accepted any longer");
	if (rc != FL_OK)
		return rc;
	if ((r->method & (FL_HTTP_GET | FL_HTTP_HEAD)) == 0)
		return fl_fail(err, FL_E_BAD_REQUEST, 0, "only GET and HEAD");
	if (!parse_path(r->path, &kind, root))
		return fl_fail(err, FL_E_NOT_FOUND, 0, "no such content");
	return hub->m.blob->ops->open(hub->m.blob->self, kind, root, fd, size, err);
}

static bool matches(const char *header, const char *etag)
{
	size_t len = strlen(etag);
	return header[0] == '"' && strncmp(header + 1, etag, len) == 0 && header[len + 1] == '"';
}

static void serve(struct fl_http *http, const char *etag, int fd, uint64_t size)
{
	const struct fl_http_request *r = fl_http_request(http);
	struct fl_http_reply reply = {.status = 200, .content_type = "application/octet-stream",
				      .etag = etag, .accept_ranges = true};
	struct fl_range range = {0, size};
	char text[96];
	bool ranged = r->if_range[0] == '\0' || matches(r->if_range, etag);
	switch (fl_range_parse(ranged ? r->range : "", size, &range)) {
	case FL_RANGE_WHOLE:
		break;
	case FL_RANGE_PART:
		reply.status = 206;
		snprintf(text, sizeof(text), "bytes %llu-%llu/%llu", (unsigned long long)range.first,
			 (unsigned long long)(range.first + range.len - 1), (unsigned long long)size);
		reply.content_range = text;
		break;
	case FL_RANGE_UNSATISFIABLE:
		reply.status = 416;
		snprintf(text, sizeof(text), "bytes */%llu", (unsigned long long)size);
		reply.content_range = text;
		range.len = 0;
		break;
	}
	fl_http_reply_file(http, &reply, fd, range.first, range.len);
}

void fl_content_on_request(void *ctx, struct fl_http *http)
{
	struct fl_hub *hub = ctx;
	struct fl_err err;
	struct fl_digest root;
	uint64_t size;
	int fd;
	if (find(hub, http, &root, &fd, &size, &err) != FL_OK) {
		fl_http_reply_error(http, &err);
		return;
	}
	char etag[FL_DIGEST_HEX_SIZE];
	fl_hex_encode(root.b, sizeof(root.b), etag);
	if (matches(fl_http_request(http)->if_none_match, etag)) {
		struct fl_http_reply not_modified = {.status = 304, .etag = etag};
		fl_close(&fd);
		fl_http_reply(http, &not_modified, NULL);
		return;
	}
	serve(http, etag, fd, size);
}
