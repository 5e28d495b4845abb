/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delta create: two images → DIR/blobs, DIR/trees, and what a release or a job says of the
 * artifact. Nothing is kept that wasn't decoded and found to be the image.
 */
#include "delta.h"

#include "commands.h"
#include "output.h"

#include <fairlead/base/file.h>
#include <fairlead/delta/create.h>
#include <fairlead/trust/digest.h>

#include <errno.h>
#include <fcntl.h>

struct report {
	struct fl_digest source, installed, transport;
	uint64_t source_size, image_size, transport_size, mem_max;
};

static const struct fl_field report_fields[] = {
	FL_REQ(struct report, source_size, U64, FL_U53_MAX, NULL, "bytes of the source"),
	FL_REQ(struct report, source, DIGEST, 0, NULL, "tree of the source"),
	FL_REQ(struct report, image_size, U64, FL_U53_MAX, NULL, "bytes of the image"),
	FL_REQ(struct report, installed, DIGEST, 0, NULL, "tree of the image"),
	FL_REQ(struct report, transport_size, U64, FL_U53_MAX, NULL, "bytes to transfer"),
	FL_REQ(struct report, transport, DIGEST, 0, NULL, "tree of the transport"),
	FL_REQ(struct report, mem_max, U64, FL_U53_MAX, NULL, "bytes that its decoder needs"),
};
static const struct fl_schema report_schema =
	FL_SCHEMA("delta", struct report, report_fields, "a delta");

static enum fl_rc open_image(const char *path, int *ret, struct fl_tools_ref *ref,
			     struct fl_err *err)
{
	struct fl_buf object = FL_BUF(FL_TOOLS_OBJECT_MAX);
	*ret = open(path, O_RDONLY | O_CLOEXEC);
	if (*ret < 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "image '%s'", path);
	enum fl_rc rc = fl_tools_tree_of(*ret, ref, &object, err);
	fl_buf_free(&object);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "image '%s'", path);
}

/* Does it yield the image? */
static enum fl_rc check(const struct fl_tools_delta *delta, const struct fl_tools_ref *image,
			struct fl_err *err)
{
	struct fl_tools_ref found;
	enum fl_rc rc = fl_tools_delta_decode(delta, &found, err);
	if (rc == FL_OK && !fl_digest_equal(&found.root, &image->root))
		rc = fl_fail(err, FL_E_INTERNAL, 0, "it yields another image");
	return rc == FL_OK ? rc : fl_wrap(err, rc, "check");
}

static enum fl_rc make(const char *dir, int source, int image, struct fl_tools_delta_made *ret,
		       struct fl_err *err)
{
	FL_AUTO_FD fd = -1;
	struct fl_delta_made made;
	enum fl_rc rc = fl_tools_blob_begin(dir, &fd, err);
	if (rc != FL_OK)
		return rc;
	rc = fl_delta_create(source, image, fd, dir, &made, err);
	if (rc == FL_OK) {
		const struct fl_tools_delta delta = {source,	       fd,
						     made.source_size, made.size,
						     made.image_size,  made.memory_bytes};
		rc = check(&delta, &ret->image, err);
	}
	if (rc == FL_OK)
		rc = fl_tools_blob_keep(dir, fd, &ret->transport, err);
	if (rc != FL_OK)
		fl_tools_blob_drop(dir);
	ret->mem_max = made.memory_bytes;
	return rc;
}

enum fl_rc fl_tools_delta_make(const char *dir, const char *source, const char *image,
			       struct fl_tools_delta_made *ret, struct fl_err *err)
{
	FL_AUTO_FD from = -1;
	FL_AUTO_FD to = -1;
	enum fl_rc rc = open_image(source, &from, &ret->source, err);
	if (rc == FL_OK)
		rc = open_image(image, &to, &ret->image, err);
	return rc == FL_OK ? make(dir, from, to, ret, err) : rc;
}

static enum fl_rc print(const struct fl_tools_call *call, const struct report *r,
			struct fl_err *err)
{
	char text[FL_DIGEST_TEXT_SIZE];
	if (call->json)
		return fl_tools_json(call->out, &report_schema, r, err);
	fl_digest_format(&r->source, text);
	(void)fprintf(call->out, "source     %llu bytes, %s\n", (unsigned long long)r->source_size,
		      text);
	fl_digest_format(&r->installed, text);
	(void)fprintf(call->out, "image      %llu bytes, %s\n", (unsigned long long)r->image_size,
		      text);
	fl_digest_format(&r->transport, text);
	(void)fprintf(call->out, "transport  %llu bytes, %s\n",
		      (unsigned long long)r->transport_size, text);
	(void)fprintf(call->out, "memory     %llu bytes\n", (unsigned long long)r->mem_max);
	return FL_OK;
}

enum fl_rc fl_tools_delta_create(struct fl_tools_call *call, struct fl_err *err)
{
	const char *dir = fl_tools_opt(call, "output", NULL);
	struct fl_tools_delta_made made = {0};
	enum fl_rc rc = fl_tools_content_make_dirs(dir, err);
	if (rc == FL_OK)
		rc = fl_tools_delta_make(dir, call->args[0], call->args[1], &made, err);
	const struct report r = {.source_size = made.source.size,
				 .source = made.source.root,
				 .image_size = made.image.size,
				 .installed = made.image.root,
				 .transport_size = made.transport.size,
				 .transport = made.transport.root,
				 .mem_max = made.mem_max};
	return rc == FL_OK ? print(call, &r, err) : fl_wrap(err, rc, "create delta");
}
