/* SPDX-License-Identifier: Apache-2.0 */
#include "pair.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* Some text, some noise, some nothing. */
static void fill(uint8_t *data, size_t len, uint32_t *state)
{
	for (size_t at = 0; at < len;) {
		const uint32_t kind = next_random(state) % 3;
		size_t n = next_random(state) % 5000 + 1;
		for (; n > 0 && at < len; n--, at++)
			data[at] = kind == 0   ? 0
				   : kind == 1 ? (uint8_t)("etaoin sh"[next_random(state) % 9])
					       : (uint8_t)next_random(state);
	}
}

static void edit(struct pair *p, uint32_t *state)
{
	const size_t at = next_random(state) % p->image_len, left = p->image_len - at;
	const size_t most = next_random(state) % 4 == 0 ? 4000 : 40;
	size_t n = next_random(state) % most + 1;
	n = n < left ? n : left;
	n = n < p->source_len ? n : p->source_len;
	uint8_t *q = p->image + at;
	switch (next_random(state) % 5) {
	case 0:
		fill(q, n, state);
		break;
	case 1: /* put in */
		memmove(q + n, q, left);
		fill(q, n, state);
		p->image_len += n;
		break;
	case 2: /* take out */
		if (n < p->image_len) {
			memmove(q, q + n, left - n);
			p->image_len -= n;
		}
		break;
	case 3: /* from elsewhere */
		memmove(q, p->source + next_random(state) % (p->source_len - n + 1), n);
		break;
	default:
		for (size_t i = 0; i < n; i += 1 + next_random(state) % 9)
			q[i] = (uint8_t)(q[i] + 1 + most % 7);
	}
}

void pair_edit(struct pair *p, unsigned seed, size_t len, unsigned edits)
{
	uint32_t state = seed * 2654435761u + 1;
	*p = (struct pair){malloc(len), malloc(len + (size_t)edits * 4000), len, len};
	fill(p->source, len, &state);
	memcpy(p->image, p->source, len);
	for (unsigned i = 0; i < edits; i++)
		edit(p, &state);
}

void pair_free(struct pair *p)
{
	free(p->source);
	free(p->image);
}

int memory_file(const void *data, size_t len)
{
	struct fl_err err;
	int fd = memfd_create("delta", MFD_CLOEXEC);
	cr_assert_geq(fd, 0);
	cr_assert_eq(fl_pwrite_all(fd, data, len, 0, &err), FL_OK, "%s", err.msg);
	return fd;
}

void make_delta(const struct pair *p, struct made *ret)
{
	struct fl_err err;
	FL_AUTO_FD source = memory_file(p->source, p->source_len);
	FL_AUTO_FD image = memory_file(p->image, p->image_len);
	FL_AUTO_FD out = memory_file("what stood there before, longer than nothing at all", 51);
	*ret = (struct made){.bytes = FL_BUF((size_t)1 << 26)};
	cr_assert_eq(fl_delta_create(source, image, out, "/tmp", &ret->made, &err), FL_OK, "%s",
		     err.msg);
	cr_assert_eq(fl_file_read_fd(out, &ret->bytes, &err), FL_OK, "%s", err.msg);
}

struct host host_for(const struct pair *p, const struct made *m)
{
	return (struct host){.delta = {m->bytes.data, m->bytes.len},
			     .source = {p->source, p->source_len},
			     .image_size = p->image_len,
			     .memory_bytes = m->made.memory_bytes};
}
