/* SPDX-License-Identifier: Apache-2.0 */
#include "spooled.h"

#include <fairlead/base/file.h>

#include <stdlib.h>
#include <string.h>

#define NONE UINT64_MAX

enum fl_rc spooled_init(struct spooled *spooled, int fd, int tree_fd, uint64_t size,
			const struct fl_digest *root, struct fl_err *err)
{
	struct fl_tree *tree = NULL;
	enum fl_rc rc = fl_tree_new(size, root, &tree, err);
	if (rc != FL_OK)
		return rc;
	*spooled = (struct spooled){
		.fd = fd, .tree_fd = tree_fd, .tree = tree, .chunk = malloc(FL_CHUNK_SIZE)};
	spooled->number = NONE;
	if (spooled->chunk != NULL)
		return FL_OK;
	spooled_done(spooled);
	return fl_fail(err, FL_E_NO_MEMORY, 0, "chunk");
}

void spooled_done(struct spooled *spooled)
{
	fl_tree_free(spooled->tree);
	free(spooled->chunk);
	*spooled = (struct spooled){.fd = -1, .tree_fd = -1, .number = NONE};
}

/* A page goes through the place of the chunk, which is then none. */
static enum fl_rc load_pages(struct spooled *s, uint64_t chunk, struct fl_err *err)
{
	const struct fl_tree_shape *shape = fl_tree_get_shape(s->tree);
	uint64_t page;
	while (!fl_tree_ready(s->tree, chunk, &page)) {
		uint32_t len = fl_tree_page_len(shape, page);
		enum fl_rc rc = fl_pread_all(s->tree_fd, s->chunk, len,
					     fl_tree_page_offset(shape, page), err);
		if (rc == FL_OK)
			rc = fl_tree_put_page(s->tree, page, s->chunk, len, err);
		if (rc != FL_OK)
			return fl_wrap(err, rc, "transport tree");
	}
	return FL_OK;
}

static enum fl_rc load_chunk(struct spooled *s, uint64_t chunk, struct fl_err *err)
{
	if (chunk == s->number)
		return FL_OK;
	s->number = NONE;
	uint32_t len = fl_tree_chunk_len(fl_tree_get_shape(s->tree), chunk);
	enum fl_rc rc = load_pages(s, chunk, err);
	if (rc == FL_OK)
		rc = fl_pread_all(s->fd, s->chunk, len, chunk * FL_CHUNK_SIZE, err);
	if (rc == FL_OK)
		rc = fl_tree_check(s->tree, chunk, s->chunk, len, err);
	if (rc == FL_OK)
		s->number = chunk;
	return rc;
}

enum fl_rc spooled_read(struct spooled *spooled, uint64_t offset, void *out, size_t len,
			struct fl_err *err)
{
	const uint64_t size = fl_tree_get_shape(spooled->tree)->size;
	uint8_t *p = out;
	if (offset > size || len > size - offset)
		return fl_fail(err, FL_E_FORMAT, 0, "input: %zu bytes at %llu of %llu", len,
			       (unsigned long long)offset, (unsigned long long)size);
	while (len > 0) {
		enum fl_rc rc = load_chunk(spooled, offset / FL_CHUNK_SIZE, err);
		if (rc != FL_OK)
			return fl_wrap(err, rc, "input");
		size_t at = (size_t)(offset % FL_CHUNK_SIZE);
		size_t n = FL_CHUNK_SIZE - at < len ? FL_CHUNK_SIZE - at : len;
		memcpy(p, spooled->chunk + at, n);
		p += n;
		offset += n;
		len -= n;
	}
	return FL_OK;
}
