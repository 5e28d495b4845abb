/* SPDX-License-Identifier: Apache-2.0 */
/* release create: a component's image as artifacts: whole in frames, and as deltas against older ones. */
#include "release_draft.h"

#include "delta.h"
#include "image_info.h"

#include <stdio.h>
#include <string.h>

#define ARTIFACTS_MAX 32 /* as the release's schema has it */

/* What the document says of one content; in the draft's arena. */
static const struct fl_tree_ref *tree_ref(struct fl_tools_draft *d, const struct fl_tools_ref *ref,
					  struct fl_err *err)
{
	struct fl_tree_ref *tree = fl_arena_alloc(&d->arena, sizeof(*tree), err);
	if (tree != NULL)
		*tree = (struct fl_tree_ref){"sha256-wide1", 65536, ref->root};
	return tree;
}

static enum fl_rc pack_full(struct fl_tools_draft *d, size_t i, struct fl_artifact *ret,
			    struct fl_err *err)
{
	struct fl_tools_ref installed, transport;
	enum fl_rc rc = fl_tools_content_pack(d->dir, d->images[i], d->frame_size, d->level,
					      &installed, &transport, err);
	if (rc != FL_OK)
		return rc;
	d->installed[i].size = installed.size;
	d->installed[i].tree = tree_ref(d, &installed, err);
	*ret = (struct fl_artifact){.id = "full",
				    .format = "zstd-frames",
				    .frame = d->frame_size,
				    .size = transport.size,
				    .tree = tree_ref(d, &transport, err)};
	return d->installed[i].tree == NULL || ret->tree == NULL ? err->rc : FL_OK;
}

/* By its own word; of an image that says nothing its tree is what a gateway knows it by. */
static enum fl_rc source_seq(struct fl_tools_draft *d, const char *name, const char *source,
			     uint64_t *ret, struct fl_err *err)
{
	enum fl_tools_image_kind kind;
	struct fl_image_info info;
	enum fl_rc rc = fl_tools_image_kind_of(source, &kind, err);
	if (rc != FL_OK || kind == FL_TOOLS_IMAGE_OPAQUE)
		return rc;
	rc = fl_tools_image_info_read(source, kind, &d->arena, &info, err);
	if (rc != FL_OK)
		return rc;
	if (strcmp(info.product, d->doc.product) != 0 || strcmp(info.component, name) != 0)
		return fl_fail(err, FL_E_IMAGE_INFO, 0, "'%s' is component '%s' of product '%s'",
			       source, info.component, info.product);
	*ret = info.release_seq;
	return FL_OK;
}

/* Named after its source, whose tree is unique. */
static const char *delta_id(struct fl_tools_draft *d, const struct fl_digest *source,
			    struct fl_err *err)
{
	char id[sizeof("delta-") + 8], hex[FL_DIGEST_HEX_SIZE];
	fl_hex_encode(source->b, sizeof(source->b), hex);
	(void)snprintf(id, sizeof(id), "delta-%.8s", hex);
	return fl_arena_copy(&d->arena, id, strlen(id), err);
}

static enum fl_rc pack_delta(struct fl_tools_draft *d, size_t i, const char *path,
			     struct fl_artifact *ret, struct fl_err *err)
{
	struct fl_tools_delta_made made;
	struct fl_source_ref *source = fl_arena_alloc(&d->arena, sizeof(*source), err);
	if (source == NULL)
		return err->rc;
	*source = (struct fl_source_ref){0};
	enum fl_rc rc = source_seq(d, d->components[i].name, path, &source->release_seq, err);
	if (rc == FL_OK)
		rc = fl_tools_delta_make(d->dir, path, d->images[i], &made, err);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "delta from '%s'", path);
	source->size = made.source.size;
	source->tree = tree_ref(d, &made.source, err);
	*ret = (struct fl_artifact){.id = delta_id(d, &made.source.root, err),
				    .format = "delta",
				    .size = made.transport.size,
				    .tree = tree_ref(d, &made.transport, err),
				    .mem_max = made.mem_max,
				    .source = source};
	return source->tree == NULL || ret->id == NULL || ret->tree == NULL ? err->rc : FL_OK;
}

enum fl_rc fl_tools_draft_pack(struct fl_tools_draft *d, size_t i, struct fl_err *err)
{
	struct fl_component *c = &d->components[i];
	const size_t len = strlen(c->name);
	const char *value;
	struct fl_artifact *artifacts =
		fl_arena_alloc(&d->arena, ARTIFACTS_MAX * sizeof(*artifacts), err);
	if (artifacts == NULL)
		return err->rc;
	c->installed = &d->installed[i];
	c->artifacts.items = artifacts;
	c->artifacts.n = 1;
	enum fl_rc rc = pack_full(d, i, &artifacts[0], err);
	for (size_t k = 0; rc == FL_OK && (value = fl_tools_value(d->call, "delta", k)) != NULL; k++) {
		if (strncmp(value, c->name, len) != 0 || value[len] != '=')
			continue;
		if (c->artifacts.n == ARTIFACTS_MAX)
			return fl_fail(err, FL_E_TOO_LARGE, 0, "more than %d artifacts", ARTIFACTS_MAX);
		rc = pack_delta(d, i, value + len + 1, &artifacts[c->artifacts.n], err);
		c->artifacts.n += rc == FL_OK;
	}
	return rc;
}
