/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the test decoders share: a small delta. The artifact is "PTCH", then records that follow
 * each other in the output: 'C' u32be length, u64be place in the source; 'L' u32be length, the
 * bytes.
 */
#ifndef TEST_PLUGIN_PATCH_H
#define TEST_PLUGIN_PATCH_H

#include <fairlead/decoder.h>

#include <string.h>

static const struct fl_decoder_host *host;

struct patch {
	const struct fl_decode_task *task;
	uint64_t next;	      /* the record after this one, in the input */
	uint64_t from, until; /* what this one yields, in the output */
	uint64_t place;	      /* of its bytes, in the source or the input */
	int literal;
	uint64_t written; /* chunks */
	uint8_t *chunk;
};

/* Writes a chunk; each misbehaving decoder has its own. */
typedef int patch_write(const struct patch *p, uint64_t offset, uint8_t *data, uint32_t len);

static inline int patch_hello(const struct fl_decoder_host *h, struct fl_decoder_hello *out,
			      struct fl_result *result)
{
	static const char *const formats[] = {"other", "patch", NULL};
	(void)result;
	host = h;
	out->deadline_ms = 1500;
	out->memory_min_bytes = FL_DECODER_CHUNK + 32;
	out->formats = formats;
	return FL_CLASS_OK;
}

static inline uint64_t patch_number(const uint8_t *p, int len)
{
	uint64_t v = 0;
	for (int i = 0; i < len; i++)
		v = v << 8 | p[i];
	return v;
}

static inline int patch_next(struct patch *p)
{
	uint8_t head[13];
	if (host->read_input(host, p->next, head, 5) != 0)
		return -1;
	p->literal = head[0] == 'L';
	p->from = p->until;
	p->until += patch_number(head + 1, 4);
	p->place = p->next + 5;
	p->next = p->place + (p->literal ? p->until - p->from : 8);
	if (p->literal)
		return 0;
	if (host->read_input(host, p->place, head + 5, 8) != 0)
		return -1;
	p->place = patch_number(head + 5, 8);
	return 0;
}

/* The output between offset and offset + len; never before what was asked for last. */
static inline int patch_fill(struct patch *p, uint64_t offset, uint8_t *data, uint32_t len)
{
	while (len > 0) {
		if (offset >= p->until) {
			if (patch_next(p) != 0)
				return -1;
			continue;
		}
		uint64_t skip = offset - p->from, left = p->until - offset;
		uint32_t n = left < len ? (uint32_t)left : len;
		if ((p->literal ? host->read_input : host->read_source)(host, p->place + skip, data,
									n) != 0)
			return -1;
		data += n;
		offset += n;
		len -= n;
	}
	return 0;
}

static inline int patch_run(struct patch *p, patch_write *write)
{
	uint64_t offset, len;
	int n;
	while ((n = host->wanted(host, &offset, &len)) > 0) {
		uint32_t chunk = len < FL_DECODER_CHUNK ? (uint32_t)len : FL_DECODER_CHUNK;
		if (patch_fill(p, offset, p->chunk, chunk) != 0 ||
		    write(p, offset, p->chunk, chunk) != 0)
			return -1;
		p->written++;
	}
	return n;
}

static inline int patch_decode(const struct fl_decode_task *task, patch_write *write,
			       struct fl_result *result)
{
	struct patch p = {.task = task, .next = 4};
	uint8_t magic[4];
	char line[64];
	if (host->read_input(host, 0, magic, 4) != 0 || memcmp(magic, "PTCH", 4) != 0)
		return fl_result_fail(result, FL_CLASS_PERMANENT, "format", "no patch");
	p.chunk = (uint8_t *)host->alloc(host, FL_DECODER_CHUNK);
	if (p.chunk == NULL)
		return fl_result_fail(result, FL_CLASS_RETRY, "no_memory", "chunk");
	int n = patch_run(&p, write);
	(void)snprintf(line, sizeof(line), "wrote %llu chunks", (unsigned long long)p.written);
	host->log(host, FL_LEVEL_INFO, line);
	host->release(host, p.chunk);
	return n == 0 ? FL_CLASS_OK : fl_result_fail(result, FL_CLASS_RETRY, "", "%s", "why ever");
}

#define TEST_DECODER(its_name)                                                                     \
	FL_DECODER_EXPORT const struct fl_decoder fl_decoder_plugin = {                            \
		.abi_major = FL_DECODER_ABI_MAJOR,                                                 \
		.abi_minor = FL_DECODER_ABI_MINOR,                                                 \
		.size = sizeof(struct fl_decoder),                                                 \
		.name = its_name,                                                                  \
		.version = "1",                                                                    \
		.hello = patch_hello,                                                              \
		.decode = decode,                                                                  \
	}

#endif
