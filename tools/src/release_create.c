/* SPDX-License-Identifier: Apache-2.0 */
/*
 * release create: options and images → DIR/release.json (unsigned), DIR/blobs, DIR/trees.
 *
 * From the same images, options and SOURCE_DATE_EPOCH comes the same release, byte for byte: its id
 * is made of its content. release.json is written last; without it DIR is no release.
 */
#include "release_draft.h"

#include "commands.h"
#include "image_info.h"
#include "output.h"

#include <fairlead/base/file.h>
#include <fairlead/trust/json.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The image's own word on its numbers; what the options say must not differ from it. */
static enum fl_rc numbers_from_image(struct fl_tools_draft *d, struct fl_component *c,
				     const char *image, enum fl_tools_image_kind kind,
				     struct fl_err *err)
{
	struct fl_image_info info;
	enum fl_rc rc = fl_tools_image_info_read(image, kind, &d->arena, &info, err);
	if (rc == FL_OK)
		rc = fl_tools_image_info_check(&info, d->doc.product, c->name, c->version, err);
	if (rc != FL_OK)
		return rc;
	c->release_seq = info.release_seq;
	c->security_version = info.security_version;
	rc = fl_tools_u64(d->call, "release-seq", 1, FL_U53_MAX, &c->release_seq, err);
	if (rc == FL_OK)
		rc = fl_tools_u64(d->call, "security-version", 0, FL_U53_MAX, &c->security_version,
				  err);
	if (rc == FL_OK &&
	    (c->release_seq != info.release_seq || c->security_version != info.security_version))
		rc = fl_fail(err, FL_E_IMAGE_INFO, 0,
			     "image-info says release_seq %llu and security_version %llu",
			     (unsigned long long)info.release_seq,
			     (unsigned long long)info.security_version);
	return rc;
}

static enum fl_rc numbers_from_options(const struct fl_tools_draft *d, struct fl_component *c,
				       struct fl_err *err)
{
	if (!fl_tools_has(d->call, "release-seq") || !fl_tools_has(d->call, "security-version"))
		return fl_fail(
			err, FL_E_INVALID_ARGUMENT, 0,
			"the image has no image-info: --release-seq and --security-version are "
			"needed");
	enum fl_rc rc = fl_tools_u64(d->call, "release-seq", 1, FL_U53_MAX, &c->release_seq, err);
	return rc != FL_OK ? rc
			   : fl_tools_u64(d->call, "security-version", 0, FL_U53_MAX,
					  &c->security_version, err);
}

/* A system image must tell its numbers itself: it is what the running system is asked for. */
static enum fl_rc fill_numbers(struct fl_tools_draft *d, size_t i, struct fl_err *err)
{
	struct fl_component *c = &d->components[i];
	enum fl_tools_image_kind kind;
	enum fl_rc rc = fl_tools_image_kind_of(d->images[i], &kind, err);
	if (rc != FL_OK)
		return rc;
	if (strcmp(c->handler, "rootfs") == 0 || kind == FL_TOOLS_IMAGE_EXT ||
	    kind == FL_TOOLS_IMAGE_SQUASHFS)
		return numbers_from_image(d, c, d->images[i], kind, err);
	return numbers_from_options(d, c, err);
}

/* An id that follows from the content: a UUID of version 8 (RFC 9562, section 5.8) out of the
 * draft's SHA-256. */
static enum fl_rc make_id(struct fl_tools_draft *d, struct fl_err *err)
{
	struct fl_envelope env;
	struct fl_digest digest;
	char hex[33];
	d->doc.release_id = "00000000-0000-8000-8000-000000000000";
	enum fl_rc rc = fl_tools_document_make(FL_DOC_RELEASE, &fl_release_schema, &d->doc,
					       &d->arena, &env, err);
	if (rc == FL_OK)
		rc = fl_envelope_digest(&env, &digest, err);
	if (rc != FL_OK)
		return rc;
	digest.b[6] = (uint8_t)(0x80 | (digest.b[6] & 0x0f));
	digest.b[8] = (uint8_t)(0x80 | (digest.b[8] & 0x3f));
	fl_hex_encode(digest.b, 16, hex);
	char id[37];
	(void)snprintf(id, sizeof(id), "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
		       hex + 16, hex + 20);
	d->doc.release_id = fl_arena_copy(&d->arena, id, 36, err);
	return d->doc.release_id == NULL ? err->rc : FL_OK;
}

/* Reads back what was made, by the rules that every reader has, before it is kept. */
static enum fl_rc save(struct fl_tools_draft *d, struct fl_err *err)
{
	char path[FL_TOOLS_PATH_MAX];
	struct fl_envelope env;
	struct fl_release again;
	enum fl_rc rc = make_id(d, err);
	if (rc == FL_OK)
		rc = fl_tools_document_make(FL_DOC_RELEASE, &fl_release_schema, &d->doc, &d->arena,
					    &env, err);
	if (rc == FL_OK)
		rc = fl_release_decode(env.payload, &d->arena, &again, err);
	if (rc == FL_OK)
		rc = fl_path_join(path, sizeof(path), d->dir, FL_TOOLS_RELEASE_FILE, err);
	return rc == FL_OK ? fl_tools_document_save(path, &env, err) : rc;
}

static enum fl_rc fill_and_pack(struct fl_tools_draft *d, struct fl_err *err)
{
	enum fl_rc rc = fl_tools_draft_options(d, err);
	for (size_t i = 0; rc == FL_OK && i < d->doc.components.n; i++)
		rc = fill_numbers(d, i, err);
	if (rc == FL_OK)
		rc = fl_tools_content_make_dirs(d->dir, err);
	for (size_t i = 0; rc == FL_OK && i < d->doc.components.n; i++)
		rc = fl_tools_draft_pack(d, i, err);
	return rc;
}

static enum fl_rc check_free(const char *dir, struct fl_err *err)
{
	char path[FL_TOOLS_PATH_MAX];
	enum fl_rc rc = fl_path_join(path, sizeof(path), dir, FL_TOOLS_RELEASE_FILE, err);
	if (rc == FL_OK && access(path, F_OK) == 0)
		rc = fl_fail(err, FL_E_EXISTS, 0, "'%s' is a release already", dir);
	return rc;
}

enum fl_rc fl_tools_release_create(struct fl_tools_call *call, struct fl_err *err)
{
	const char *dir = fl_tools_opt(call, "output", NULL);
	enum fl_rc rc = check_free(dir, err);
	if (rc != FL_OK)
		return rc;
	struct fl_tools_draft *d = calloc(1, sizeof(*d));
	if (d == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "release");
	d->call = call;
	d->dir = dir;
	d->arena = FL_TOOLS_DOCUMENT_ARENA;
	rc = fill_and_pack(d, err);
	if (rc == FL_OK)
		rc = save(d, err);
	fl_arena_free(&d->arena);
	free(d);
	struct fl_tools_release release;
	if (rc == FL_OK)
		rc = fl_tools_release_open(dir, &release, err);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "create release");
	rc = fl_tools_release_print(call, &release, err);
	fl_tools_release_close(&release);
	return rc;
}
