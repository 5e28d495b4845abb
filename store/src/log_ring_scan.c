/* SPDX-License-Identifier: Apache-2.0 */
#include "log_ring_scan.h"

#include "sum.h"

#include <string.h>

#define HEADER ((size_t)32)
#define ALIGN  ((size_t)8)
#define MAGIC  UINT64_C(0x4c460102) /* 02 01 'F' 'L' */

static void put_int(uint8_t *p, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		p[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_int(const uint8_t *p, size_t bytes)
{
	uint64_t value = 0;
	for (size_t i = 0; i < bytes; i++)
		value |= (uint64_t)p[i] << (8 * i);
	return value;
}

static uint64_t record_sum(const struct ring_record *r)
{
	uint64_t sum = store_sum_u64(store_sum("line"), r->seq);
	sum = store_sum_u64(store_sum_u64(sum, (uint64_t)r->utc), r->level);
	return store_sum_bytes(sum, r->text, r->text_len);
}

static size_t size_for(size_t text_len)
{
	return (HEADER + text_len + ALIGN - 1) / ALIGN * ALIGN;
}

static size_t cut(const char *text)
{
	size_t len = strnlen(text, RING_TEXT_MAX + 1);
	if (len <= RING_TEXT_MAX)
		return len;
	len = RING_TEXT_MAX;
	while (len > RING_TEXT_MAX - 4 && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--;
	return len;
}

size_t ring_encode(uint64_t seq, int64_t utc, unsigned level, const char *text,
		   uint8_t out[RING_RECORD_MAX])
{
	size_t len = cut(text);
	memset(out, 0, RING_RECORD_MAX);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		out[HEADER + i] = c < 0x20 || c == 0x7f ? '?' : c;
	}
	struct ring_record r = {seq, utc, level & 7, (const char *)out + HEADER, len, 0, 0};
	put_int(out, MAGIC, 4);
	put_int(out + 4, len, 2);
	put_int(out + 6, r.level, 2);
	put_int(out + 8, seq, 8);
	put_int(out + 16, (uint64_t)utc, 8);
	put_int(out + 24, record_sum(&r), 8);
	return size_for(len);
}

static bool record_at(const uint8_t *ring, size_t size, size_t offset, struct ring_record *r)
{
	const uint8_t *p = ring + offset;
	if (get_int(p, 4) != MAGIC)
		return false;
	r->text_len = (size_t)get_int(p + 4, 2);
	r->level = get_int(p + 6, 2);
	r->seq = get_int(p + 8, 8);
	r->utc = (int64_t)get_int(p + 16, 8);
	r->text = (const char *)p + HEADER;
	r->offset = offset;
	r->size = size_for(r->text_len);
	return r->text_len <= RING_TEXT_MAX && r->size <= size - offset &&
	       get_int(p + 24, 8) == record_sum(r);
}

bool ring_next(const uint8_t *ring, size_t size, size_t offset, struct ring_record *ret)
{
	for (; offset + HEADER <= size; offset += ALIGN) {
		if (record_at(ring, size, offset, ret))
			return true;
	}
	return false;
}
