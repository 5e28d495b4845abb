/* SPDX-License-Identifier: Apache-2.0 */
#include "assembly.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT64_MAX

enum fl_rc assembly_init(struct assembly *assembly, struct channel *channel,
			 const struct fl_digest *root, const struct plan_image *image,
			 struct fl_err *err)
{
	struct fl_tree *tree = NULL;
	enum fl_rc rc = fl_tree_new(image->transport.size, root, &tree, err);
	if (rc != FL_OK)
		return rc;
	*assembly = (struct assembly){.channel = channel, .tree = tree, .carried = NONE};
	assembly->carry = malloc(FL_CHUNK_SIZE);
	if (assembly->carry == NULL) {
		assembly_done(assembly);
		return fl_fail(err, FL_E_NO_MEMORY, 0, "chunk");
	}
	return FL_OK;
}

void assembly_done(struct assembly *assembly)
{
	fl_tree_free(assembly->tree);
	free(assembly->carry);
	*assembly = (struct assembly){.carried = NONE};
}

/* Asks ahead as far as the channel allows. */
static enum fl_rc ask(struct assembly *a, struct fl_err *err)
{
	struct need run;
	enum fl_rc rc = FL_OK;
	while (rc == FL_OK && channel_has_room(a->channel) && plan_next(&a->plan, &run))
		rc = channel_need(a->channel, &run, err);
	return rc;
}

enum fl_rc assembly_take(struct assembly *assembly, enum fl_ipc_object object, uint64_t index,
			 struct fl_bytes *data, struct fl_err *err)
{
	enum fl_rc rc = ask(assembly, err);
	return rc == FL_OK ? channel_take(assembly->channel, object, index, data, err) : rc;
}

static enum fl_rc load_pages(struct assembly *a, uint64_t chunk, struct fl_err *err)
{
	uint64_t page;
	while (!fl_tree_ready(a->tree, chunk, &page)) {
		struct fl_bytes data;
		enum fl_rc rc = assembly_take(a, FL_OBJECT_TRANSPORT_TREE, page, &data, err);
		if (rc == FL_OK)
			rc = fl_tree_put_page(a->tree, page, data.data, data.len, err);
		if (rc != FL_OK)
			return fl_wrap(err, rc, "transport tree");
	}
	return FL_OK;
}

/* Takes a chunk into carry. */
static enum fl_rc load_chunk(struct assembly *a, uint64_t chunk, struct fl_err *err)
{
	if (chunk == a->carried)
		return FL_OK;
	FL_BUG_ON(a->carried != NONE && chunk < a->carried);
	struct fl_bytes data;
	enum fl_rc rc = load_pages(a, chunk, err);
	if (rc == FL_OK)
		rc = assembly_take(a, FL_OBJECT_TRANSPORT, chunk, &data, err);
	if (rc == FL_OK)
		rc = fl_tree_check(a->tree, chunk, data.data, data.len, err);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "transport");
	memcpy(a->carry, data.data, data.len);
	a->carried = chunk;
	a->carry_len = (uint32_t)data.len;
	return FL_OK;
}

enum fl_rc assembly_read(struct assembly *assembly, uint64_t offset, void *out, size_t len,
			 struct fl_err *err)
{
	uint8_t *p = out;
	while (len > 0) {
		enum fl_rc rc = load_chunk(assembly, offset / FL_CHUNK_SIZE, err);
		if (rc != FL_OK)
			return rc;
		uint32_t at = (uint32_t)(offset % FL_CHUNK_SIZE);
		FL_BUG_ON(at >= assembly->carry_len); /* the table ends inside the file */
		size_t n = assembly->carry_len - at < len ? assembly->carry_len - at : len;
		memcpy(p, assembly->carry + at, n);
		p += n;
		offset += n;
		len -= n;
	}
	return FL_OK;
}
