/* SPDX-License-Identifier: Apache-2.0 */
/* What is made decodes to the image, whatever the two have in common; in the memory it states. */
#include "pair.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void expect_round_trip(const struct pair *p)
{
	struct made m;
	struct host h;
	make_delta(p, &m);
	h = host_for(p, &m);
	cr_assert(host_makes(&h, p->image), "%zu → %zu: %s %s", p->source_len, p->image_len,
		  h.result.code, h.result.text);
	cr_assert_leq(h.memory_peak, m.made.memory_bytes);
	cr_assert_leq(m.made.memory_bytes, (uint64_t)12 << 20);
	cr_assert_eq(m.made.size, m.bytes.len);
	cr_assert_eq(m.made.source_size, p->source_len);
	cr_assert_eq(m.made.image_size, p->image_len);
	fl_buf_free(&m.bytes);
}

Test(delta_create, random_edits)
{
	for (unsigned seed = 1; seed <= 30; seed++) {
		struct pair p;
		pair_edit(&p, seed, seed % 7 == 0 ? 3000000 : 10 + (size_t)seed * seed * 40,
			  seed * 3);
		expect_round_trip(&p);
		pair_free(&p);
	}
}

Test(delta_create, the_smallest)
{
	static uint8_t bytes[40];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i / 3);
	for (size_t source = 1; source <= 12; source++) {
		for (size_t image = 1; image <= 12; image++) {
			const struct pair p = {bytes + 20, bytes + source % 7, source, image};
			expect_round_trip(&p);
		}
	}
}

Test(delta_create, nothing_in_common_everything_in_common)
{
	struct pair p;
	pair_edit(&p, 5, 300000, 0);
	expect_round_trip(&p);
	for (size_t i = 0; i < p.image_len; i++)
		p.image[i] = (uint8_t)~p.image[i];
	expect_round_trip(&p);
	memset(p.image, 0, p.image_len);
	expect_round_trip(&p);
	memset(p.source, 0, p.source_len);
	expect_round_trip(&p);
	p.source_len = 1;
	expect_round_trip(&p);
	pair_free(&p);
}

Test(delta_create, an_image_without_edits_costs_next_to_nothing)
{
	struct pair p;
	struct made m;
	pair_edit(&p, 9, 3000000, 0);
	make_delta(&p, &m);
	cr_assert_lt(m.bytes.len, 100);
	fl_buf_free(&m.bytes);
	pair_free(&p);
}

/* Longer than what is read, said or mapped at once. */
Test(delta_create, a_long_run, .timeout = 120)
{
	struct pair p;
	struct made m;
	pair_edit(&p, 61, ((size_t)33 << 20) + 5, 0);
	p.image[p.image_len / 2]++;
	make_delta(&p, &m);
	struct host h = host_for(&p, &m);
	cr_assert(host_makes(&h, p.image));
	cr_assert_lt(m.bytes.len, 200, "%zu", m.bytes.len);
	fl_buf_free(&m.bytes);
	pair_free(&p);
}

/* A byte here and there in a moved run is a difference, not a new run. */
Test(delta_create, near_matches)
{
	struct pair p;
	struct made m;
	pair_edit(&p, 11, 400000, 0);
	memmove(p.image, p.image + 5000, p.image_len - 5000);
	p.image_len -= 5000;
	for (size_t i = 0; i < p.image_len; i += 50)
		p.image[i] = (uint8_t)(p.image[i] + 4);
	make_delta(&p, &m);
	cr_assert_lt(m.bytes.len, p.image_len / 100, "%zu", m.bytes.len);
	fl_buf_free(&m.bytes);
	pair_free(&p);
}

Test(delta_create, the_same_twice)
{
	struct pair p;
	struct made a, b;
	pair_edit(&p, 21, 3000000, 90);
	make_delta(&p, &a);
	make_delta(&p, &b);
	cr_assert(a.bytes.len == b.bytes.len &&
		  memcmp(a.bytes.data, b.bytes.data, a.bytes.len) == 0);
	fl_buf_free(&a.bytes);
	fl_buf_free(&b.bytes);
	pair_free(&p);
}

Test(delta_create, no_source_no_image_no_room)
{
	FL_AUTO_FD none = memory_file("", 0);
	FL_AUTO_FD some = memory_file("abc", 3);
	FL_AUTO_FD out = memory_file("", 0);
	struct fl_delta_made made;
	struct fl_err err;
	cr_assert_eq(fl_delta_create(none, some, out, "/tmp", &made, &err), FL_E_INVALID_ARGUMENT);
	cr_assert_eq(fl_delta_create(some, none, out, "/tmp", &made, &err), FL_E_INVALID_ARGUMENT);
	cr_assert_eq(fl_delta_create(some, some, out, "/nonexistent", &made, &err), FL_E_NOT_FOUND);
	cr_assert_eq(fl_delta_create(some, some, -1, "/tmp", &made, &err), FL_E_IO);
}
