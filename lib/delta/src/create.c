/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source, image → covers → the streams' bytes in files → packed, behind the header. A small image
 * is done in several ways, and the smallest is kept.
 */
#include "pack.h"

#include <fairlead/delta/create.h>

#include <fairlead/base/file.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define ENTRIES_MAX ((uint64_t)1 << 26)
#define SMALL_IMAGE ((uint64_t)2 << 20)
#define COVER_MAX   ((uint64_t)32 << 20)
#define FAULTS_MAX  4096

struct method {
	struct match_options match;
	unsigned same_min;
};

static const struct method large_image = {{16, ENTRIES_MAX, 32768, 5}, 32};
static const struct method small_image[] = {
	{{12, ENTRIES_MAX, 65536, 12}, 128},
	{{12, ENTRIES_MAX, 65536, 16}, 64},
	{{12, ENTRIES_MAX, 65536, 12}, 4},
	{{8, ENTRIES_MAX, 65536, 3}, 8},
};

/* Together with all else below FL_DELTA_MEMORY_MAX. */
static const uint32_t dictionary_max[FL_DELTA_STREAMS] = {
	[FL_DELTA_MOVES] = 1u << 19,	[FL_DELTA_SAMES] = 1u << 19,
	[FL_DELTA_ADDS] = 1u << 19,	[FL_DELTA_DIFFERENCES] = 3u << 20,
	[FL_DELTA_LITERALS] = 6u << 20,
};

struct file {
	int fd;
	uint64_t size;
	uint8_t *data; /* mapped */
};

struct creation {
	struct file source, image;
	struct match_pair pair;
	struct records records;
	int out;
	long faults; /* page faults, when pages were let go last */
	struct fl_delta_made best;
	const struct method *best_method;
};

static enum fl_rc map(struct file *f, const char *what, struct fl_err *err)
{
	const off_t end = lseek(f->fd, 0, SEEK_END);
	if (end < 0)
		return fl_fail(err, FL_E_IO, errno, "size of the %s", what);
	if (end == 0 || (uint64_t)end > SIZE_MAX / 2)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "%s of %lld bytes", what,
			       (long long)end);
	f->size = (uint64_t)end;
	f->data = mmap(NULL, (size_t)f->size, PROT_READ, MAP_PRIVATE, f->fd, 0);
	if (f->data == MAP_FAILED) {
		f->data = NULL;
		return fl_fail(err, fl_rc_from_errno(errno), errno, "map the %s", what);
	}
	return FL_OK;
}

static void unmap(struct file *f)
{
	if (f->data != NULL)
		(void)munmap(f->data, (size_t)f->size);
}

/*
 * Pages that were read are let go now and then: they come back when they are needed. A page fault
 * maps 64 KiB at most, so these are 256 MiB.
 */
static void on_passed(void *ctx)
{
	struct creation *c = ctx;
	struct rusage usage;
	if (getrusage(RUSAGE_SELF, &usage) != 0 ||
	    usage.ru_minflt + usage.ru_majflt - c->faults < FAULTS_MAX)
		return;
	c->faults = usage.ru_minflt + usage.ru_majflt;
	(void)madvise(c->image.data, (size_t)c->image.size, MADV_DONTNEED);
	(void)madvise(c->source.data, (size_t)c->source.size, MADV_DONTNEED);
}

/* A long cover in pieces, so that not all of it is mapped at once. */
static enum fl_rc on_match(void *ctx, const struct cover *cover, struct fl_err *err)
{
	struct creation *c = ctx;
	enum fl_rc rc = FL_OK;
	for (uint64_t at = 0; rc == FL_OK && at < cover->len; at += COVER_MAX) {
		const uint64_t left = cover->len - at;
		const struct cover piece = {cover->image + at, cover->source + at,
					    left < COVER_MAX ? left : COVER_MAX};
		rc = records_add(&c->records, &piece, err);
		on_passed(c);
	}
	return rc;
}

/* ---- the file ---- */

struct header {
	uint8_t bytes[FL_DELTA_HEADER_MAX];
	size_t len;
};

static void put(struct header *h, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		h->bytes[h->len++] = (uint8_t)(v | 0x80);
	h->bytes[h->len++] = (uint8_t)v;
}

static void make_header(const struct creation *c, const struct packed packed[FL_DELTA_STREAMS],
			struct header *h)
{
	memcpy(h->bytes, FL_DELTA_MAGIC, 4);
	h->bytes[4] = FL_DELTA_VERSION;
	h->len = 5;
	put(h, c->source.size);
	put(h, c->image.size);
	put(h, 1); /* region */
	put(h, FL_DELTA_REGION_PLAIN);
	put(h, c->image.size);
	put(h, FL_DELTA_STREAMS);
	for (size_t i = 0; i < FL_DELTA_STREAMS; i++) {
		put(h, packed[i].packing);
		put(h, c->records.spools[i].size);
		put(h, packed[i].size);
	}
}

/* Moves what was packed behind FL_DELTA_HEADER_MAX bytes to where the header ends. */
static enum fl_rc close_up(int out, uint64_t to, uint64_t from, uint64_t len, struct fl_err *err)
{
	uint8_t block[16384];
	enum fl_rc rc = FL_OK;
	for (uint64_t at = 0; rc == FL_OK && at < len;) {
		const size_t n = len - at < sizeof(block) ? (size_t)(len - at) : sizeof(block);
		rc = fl_pread_all(out, block, n, from + at, err);
		if (rc == FL_OK)
			rc = fl_pwrite_all(out, block, n, to + at, err);
		at += n;
	}
	return rc;
}

static enum fl_rc write_file(struct creation *c, struct fl_delta_made *ret, struct fl_err *err)
{
	struct packed packed[FL_DELTA_STREAMS];
	struct header header;
	uint64_t len = 0, memory = FL_DELTA_FIXED_BYTES;
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; rc == FL_OK && i < FL_DELTA_STREAMS; i++) {
		rc = pack_stream(&c->records.spools[i], dictionary_max[i], c->out,
				 FL_DELTA_HEADER_MAX + len, &packed[i], err);
		if (rc != FL_OK)
			return rc;
		len += packed[i].size;
		memory += fl_delta_stream_bytes(packed[i].packing);
	}
	make_header(c, packed, &header);
	rc = fl_pwrite_all(c->out, header.bytes, header.len, 0, err);
	if (rc == FL_OK)
		rc = close_up(c->out, header.len, FL_DELTA_HEADER_MAX, len, err);
	if (rc == FL_OK && ftruncate(c->out, (off_t)(header.len + len)) != 0)
		rc = fl_fail(err, FL_E_IO, errno, "cut the delta");
	*ret = (struct fl_delta_made){header.len + len, c->source.size, c->image.size, memory};
	return rc;
}

static enum fl_rc make(struct creation *c, const struct method *method, struct fl_err *err)
{
	struct fl_delta_made made;
	records_begin(&c->records, &c->pair, method->same_min);
	enum fl_rc rc = match(&c->pair, &method->match, on_match, c, err);
	if (rc == FL_OK)
		rc = records_finish(&c->records, c->image.size, err);
	if (rc == FL_OK)
		rc = write_file(c, &made, err);
	if (rc == FL_OK && (c->best_method == NULL || made.size <= c->best.size)) {
		c->best = made;
		c->best_method = method;
	}
	return rc;
}

/* The smallest is made again, unless it was the last. */
static enum fl_rc make_all(struct creation *c, struct fl_err *err)
{
	const size_t n = sizeof(small_image) / sizeof(small_image[0]);
	enum fl_rc rc = FL_OK;
	if (c->image.size > SMALL_IMAGE)
		return make(c, &large_image, err);
	for (size_t i = 0; rc == FL_OK && i < n; i++)
		rc = make(c, &small_image[i], err);
	if (rc == FL_OK && c->best_method != &small_image[n - 1])
		rc = make(c, c->best_method, err);
	return rc;
}

static enum fl_rc create(struct creation *c, const char *scratch_dir, struct fl_err *err)
{
	enum fl_rc rc = map(&c->source, "source", err);
	if (rc == FL_OK)
		rc = map(&c->image, "image", err);
	if (rc == FL_OK)
		rc = records_init(&c->records, scratch_dir, err);
	if (rc != FL_OK)
		return rc;
	c->pair = (struct match_pair){.image = c->image.data,
				      .source = c->source.data,
				      .image_len = c->image.size,
				      .source_len = c->source.size,
				      .passed = on_passed,
				      .ctx = c};
	return make_all(c, err);
}

enum fl_rc fl_delta_create(int source, int image, int out, const char *scratch_dir,
			   struct fl_delta_made *ret, struct fl_err *err)
{
	struct creation *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "delta");
	c->source.fd = source;
	c->image.fd = image;
	c->out = out;
	for (size_t i = 0; i < FL_DELTA_STREAMS; i++)
		c->records.spools[i].fd = -1;
	enum fl_rc rc = create(c, scratch_dir, err);
	if (rc == FL_OK)
		*ret = c->best;
	records_done(&c->records);
	unmap(&c->source);
	unmap(&c->image);
	free(c);
	return rc;
}
