/* SPDX-License-Identifier: Apache-2.0 */
#include "content.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MUST(call) cr_assert_eq((call), FL_OK, "%s", err.msg)

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static void sign(const void *data, size_t len, struct fl_digest *root, struct fl_buf *object)
{
	struct fl_err err;
	struct fl_tree_builder *b = NULL;
	uint64_t size;
	fl_buf_clear(object);
	MUST(fl_tree_builder_new(&b, &err));
	MUST(fl_tree_builder_add(b, data, len, &err));
	MUST(fl_tree_builder_finish(b, root, &size, object, &err));
	fl_tree_builder_free(b);
}

void content_sign_transport(struct content *c)
{
	sign(c->transport.data, c->transport.len, &c->transport_root, &c->transport_tree);
}

static void pack(struct content *c)
{
	struct fl_err err;
	FL_AUTO_FD in = memfd_create("image", MFD_CLOEXEC);
	FL_AUTO_FD out = memfd_create("transport", MFD_CLOEXEC);
	const struct fl_frames_options options = {c->frame_size, 1, 2};
	uint64_t size;
	c->transport = FL_BUF((size_t)1 << 30);
	c->installed_tree = c->transport_tree = FL_BUF((size_t)1 << 22);
	MUST(fl_write_all(in, c->image, c->image_len, &err));
	MUST(fl_frames_write(in, out, &options, &size, &err));
	MUST(fl_buf_reserve(&c->transport, (size_t)size, &err));
	MUST(fl_pread_all(out, c->transport.data, (size_t)size, 0, &err));
	c->transport.len = (size_t)size;
	sign(c->image, c->image_len, &c->installed_root, &c->installed_tree);
	content_sign_transport(c);
}

void content_sign_all(struct content *c)
{
	fl_buf_free(&c->transport);
	fl_buf_free(&c->installed_tree);
	fl_buf_free(&c->transport_tree);
	pack(c);
}

static void make(struct content *c, size_t image_len, uint32_t frame_size, unsigned seed,
		 bool dense)
{
	uint32_t state = seed * 2654435761u + 1;
	*c = (struct content){
		.image = malloc(image_len + 4), .image_len = image_len, .frame_size = frame_size};
	for (size_t i = 0; i < image_len; i += 4) {
		uint32_t mask = dense || i / 65536 % 3 == 0 ? 0xffffffff
				: i / 65536 % 3 == 1	    ? 0x0f070301
							    : 0;
		uint32_t v = next_random(&state) & mask;
		memcpy(c->image + i, &v, 4);
	}
	pack(c);
}

void content_make(struct content *c, size_t image_len, uint32_t frame_size, unsigned seed)
{
	make(c, image_len, frame_size, seed, false);
}

void content_make_dense(struct content *c, size_t image_len, uint32_t frame_size)
{
	make(c, image_len, frame_size, 77, true);
}

static void put(struct fl_buf *out, uint64_t v, size_t len)
{
	struct fl_err err;
	uint8_t b[8];
	for (size_t i = 0; i < len; i++)
		b[i] = (uint8_t)(v >> (8 * (len - 1 - i)));
	MUST(fl_buf_append(out, b, len, &err));
}

void patch_sign(struct patch *p)
{
	sign(p->bytes.data, p->bytes.len, &p->root, &p->tree);
}

void patch_make(struct patch *p, const struct content *c, unsigned literal_every)
{
	const size_t run = 10007; /* no multiple of anything */
	struct fl_err err;
	*p = (struct patch){.source = malloc(c->image_len + 1), .source_len = c->image_len};
	p->bytes = FL_BUF((size_t)1 << 28);
	p->tree = FL_BUF((size_t)1 << 22);
	/* the source is the image, its bytes in reverse order of runs */
	for (size_t at = 0; at < c->image_len; at += run) {
		size_t len = c->image_len - at < run ? c->image_len - at : run;
		memcpy(p->source + c->image_len - at - len, c->image + at, len);
	}
	MUST(fl_buf_append(&p->bytes, "PTCH", 4, &err));
	for (size_t at = 0, i = 1; at < c->image_len; at += run, i++) {
		size_t len = c->image_len - at < run ? c->image_len - at : run;
		bool literal = i % literal_every == 0;
		put(&p->bytes, literal ? 'L' : 'C', 1);
		put(&p->bytes, len, 4);
		if (literal)
			MUST(fl_buf_append(&p->bytes, c->image + at, len, &err));
		else
			put(&p->bytes, c->image_len - at - len, 8);
	}
	patch_sign(p);
}

void patch_free(struct patch *p)
{
	free(p->source);
	fl_buf_free(&p->bytes);
	fl_buf_free(&p->tree);
}

void content_free(struct content *c)
{
	free(c->image);
	fl_buf_free(&c->transport);
	fl_buf_free(&c->installed_tree);
	fl_buf_free(&c->transport_tree);
}

uint32_t content_frames(const struct content *c)
{
	return (uint32_t)((c->image_len + c->frame_size - 1) / c->frame_size);
}

void content_frame(const struct content *c, uint32_t k, uint64_t *offset, uint32_t *length)
{
	const uint8_t *p =
		c->transport.data + FL_FRAMES_HEADER_SIZE + (size_t)k * FL_FRAMES_ENTRY_SIZE;
	*offset = *length = 0;
	for (int i = 0; i < 8; i++)
		*offset = *offset << 8 | p[i];
	for (int i = 8; i < 12; i++)
		*length = *length << 8 | p[i];
}

uint64_t content_chunks_for(const struct content *c, const uint8_t *lacks)
{
	uint64_t n_chunks = c->transport.len / FL_CHUNK_SIZE + 1, n = 0;
	uint8_t *wanted = calloc(1, n_chunks);
	uint64_t table = FL_FRAMES_HEADER_SIZE + (uint64_t)content_frames(c) * FL_FRAMES_ENTRY_SIZE;
	for (uint64_t i = 0; i <= (table - 1) / FL_CHUNK_SIZE; i++)
		wanted[i] = 1;
	for (uint32_t k = 0; k < content_frames(c); k++) {
		uint64_t offset;
		uint32_t length;
		content_frame(c, k, &offset, &length);
		for (uint64_t i = offset / FL_CHUNK_SIZE;
		     lacks[k] && i <= (offset + length - 1) / FL_CHUNK_SIZE; i++)
			wanted[i] = 1;
	}
	for (uint64_t i = 0; i < n_chunks; i++)
		n += wanted[i];
	free(wanted);
	return n;
}

static int fill(int fd, const void *data, size_t len, uint64_t size)
{
	struct fl_err err;
	cr_assert_geq(fd, 0);
	MUST(fl_pwrite_all(fd, data, len, 0, &err));
	cr_assert_eq(ftruncate(fd, (off_t)size), 0);
	return fd;
}

int target_file(const void *data, size_t len, uint64_t size)
{
	return fill(memfd_create("target", MFD_CLOEXEC), data, len, size);
}

int target_on_disk(const void *data, size_t len, uint64_t size)
{
	char path[] = "/tmp/fault-runner-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);
	(void)unlink(path);
	return fill(fd, data, len, size);
}

bool target_is(int fd, const struct content *c)
{
	struct fl_err err;
	uint8_t *data = malloc(c->image_len + 1);
	bool same = fl_pread_all(fd, data, c->image_len, 0, &err) == FL_OK &&
		    memcmp(data, c->image, c->image_len) == 0;
	free(data);
	return same;
}
