/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of a zstd-frames file. Since frames follow each other without gaps, only their lengths
 * are kept, and the offset of every STRIDE-th.
 */
#include "layout.h"

#include <stdlib.h>
#include <zstd.h>

#define STRIDE 64u

struct fl_frames {
	struct fl_frames_claim claim;
	uint32_t n;
	uint32_t n_read; /* entries read so far */
	bool header_read;
	uint8_t part[FL_FRAMES_HEADER_SIZE]; /* of a header or an entry, cut by the end of the last
						piece */
	size_t part_len;
	uint64_t end;	   /* of the last frame read; the next must start here */
	uint32_t *lengths; /* owned, n */
	uint64_t *strides; /* owned, one per STRIDE frames */
};

size_t fl_frames_length_max(uint32_t frame_size)
{
	return ZSTD_compressBound(frame_size);
}

static enum fl_rc check_claim(const struct fl_frames_claim *claim, struct fl_err *err)
{
	if (!frame_size_valid(claim->frame_size))
		return fl_fail(err, FL_E_FORMAT, 0, "frame table: frames of %u bytes",
			       claim->frame_size);
	uint64_t n = frames_of(claim->image_size, claim->frame_size);
	if (n > FL_FRAMES_MAX)
		return fl_fail(err, FL_E_FORMAT, 0, "frame table: more than %u frames",
			       FL_FRAMES_MAX);
	uint64_t table = FL_FRAMES_HEADER_SIZE + n * FL_FRAMES_ENTRY_SIZE;
	if (claim->transport_size < table + n)
		return fl_fail(err, FL_E_FORMAT, 0, "frame table: no room for %u frames",
			       (unsigned)n);
	return FL_OK;
}

enum fl_rc fl_frames_new(const struct fl_frames_claim *claim, struct fl_frames **ret,
			 struct fl_err *err)
{
	enum fl_rc rc = check_claim(claim, err);
	if (rc != FL_OK)
		return rc;
	struct fl_frames *f = calloc(1, sizeof(*f));
	if (f == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "frame table");
	f->claim = *claim;
	f->n = (uint32_t)frames_of(claim->image_size, claim->frame_size);
	f->end = fl_frames_table_size(f);
	f->lengths = calloc((size_t)f->n + 1, sizeof(*f->lengths));
	f->strides = calloc(f->n / STRIDE + 1, sizeof(*f->strides));
	if (f->lengths == NULL || f->strides == NULL) {
		fl_frames_free(f);
		return fl_fail(err, FL_E_NO_MEMORY, 0, "frame table");
	}
	*ret = f;
	return FL_OK;
}

void fl_frames_free(struct fl_frames *frames)
{
	if (frames == NULL)
		return;
	free(frames->lengths);
	free(frames->strides);
	free(frames);
}

uint64_t fl_frames_table_size(const struct fl_frames *frames)
{
	return FL_FRAMES_HEADER_SIZE + (uint64_t)frames->n * FL_FRAMES_ENTRY_SIZE;
}

uint32_t fl_frames_count(const struct fl_frames *frames)
{
	return frames->n;
}

static enum fl_rc take_header(struct fl_frames *f, const uint8_t *p, struct fl_err *err)
{
	if (memcmp(p, FRAMES_MAGIC, 4) != 0)
		return fl_fail(err, FL_E_FORMAT, 0, "frame table: no zstd-frames file");
	if (get_u32(p + 4) != FRAMES_VERSION)
		return fl_fail(err, FL_E_FORMAT, 0, "frame table: version %u", get_u32(p + 4));
	if (get_u64(p + 8) != f->claim.image_size)
		return fl_fail(err, FL_E_SIZE_MISMATCH, 0,
			       "frame table: of an image of another size");
	if (get_u32(p + 16) != f->claim.frame_size || get_u32(p + 20) != f->n)
		return fl_fail(err, FL_E_FORMAT, 0,
			       "frame table: %u frames of %u bytes, %u of %u signed",
			       get_u32(p + 20), get_u32(p + 16), f->n, f->claim.frame_size);
	if (f->n == 0 && f->claim.transport_size != f->end)
		return fl_fail(err, FL_E_FORMAT, 0, "frame table: bytes behind an empty table");
	f->header_read = true;
	return FL_OK;
}

static enum fl_rc take_entry(struct fl_frames *f, const uint8_t *p, struct fl_err *err)
{
	uint64_t offset = get_u64(p);
	uint32_t length = get_u32(p + 8);
	if (offset != f->end)
		return fl_fail(err, FL_E_FORMAT, 0, "frame table: a gap before frame %u",
			       f->n_read);
	if (length == 0 || length > fl_frames_length_max(f->claim.frame_size))
		return fl_fail(err, FL_E_FORMAT, 0, "frame table: frame %u of %u bytes", f->n_read,
			       length);
	if (length > f->claim.transport_size - offset)
		return fl_fail(err, FL_E_FORMAT, 0, "frame table: frame %u ends past the file",
			       f->n_read);
	if (f->n_read % STRIDE == 0)
		f->strides[f->n_read / STRIDE] = offset;
	f->lengths[f->n_read++] = length;
	f->end = offset + length;
	if (f->n_read == f->n && f->end != f->claim.transport_size)
		return fl_fail(err, FL_E_FORMAT, 0, "frame table: bytes behind the last frame");
	return FL_OK;
}

enum fl_rc fl_frames_feed(struct fl_frames *f, const void *data, size_t len, struct fl_err *err)
{
	const uint8_t *p = data;
	while (len > 0) {
		FL_BUG_ON(fl_frames_complete(f));
		size_t unit = f->header_read ? FL_FRAMES_ENTRY_SIZE : FL_FRAMES_HEADER_SIZE;
		size_t take = unit - f->part_len < len ? unit - f->part_len : len;
		memcpy(f->part + f->part_len, p, take);
		f->part_len += take;
		p += take;
		len -= take;
		if (f->part_len < unit)
			break;
		f->part_len = 0;
		enum fl_rc rc =
			f->header_read ? take_entry(f, f->part, err) : take_header(f, f->part, err);
		if (rc != FL_OK)
			return rc;
	}
	return FL_OK;
}

bool fl_frames_complete(const struct fl_frames *f)
{
	return f->header_read && f->n_read == f->n && f->end == f->claim.transport_size;
}

void fl_frames_locate(const struct fl_frames *f, uint32_t k, uint64_t *offset, uint32_t *length)
{
	FL_BUG_ON(k >= f->n || !fl_frames_complete(f));
	uint64_t at = f->strides[k / STRIDE];
	for (uint32_t i = k - k % STRIDE; i < k; i++)
		at += f->lengths[i];
	*offset = at;
	*length = f->lengths[k];
}

uint32_t fl_frames_image_len(const struct fl_frames *f, uint32_t k)
{
	FL_BUG_ON(k >= f->n);
	return frame_image_len(f->claim.image_size, f->claim.frame_size, k);
}
