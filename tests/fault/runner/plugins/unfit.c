/* SPDX-License-Identifier: Apache-2.0 */
/* A decoder's object with one thing wrong, chosen when it is compiled. */
#include "patch.h"

#ifndef UNFIT_NO_DECODE
static int write_chunk(const struct patch *p, uint64_t offset, uint8_t *data, uint32_t len)
{
	(void)p;
	return host->write_output(host, offset, data, len);
}

static int decode(void *self, const struct fl_decode_task *task, struct fl_result *result)
{
	(void)self;
	return patch_decode(task, write_chunk, result);
}
#endif

static int hello(const struct fl_decoder_host *h, struct fl_decoder_hello *out,
		 struct fl_result *result)
{
	patch_hello(h, out, result);
#ifdef UNFIT_HUNGRY
	out->memory_min_bytes = (uint64_t)1 << 40;
#endif
#ifdef UNFIT_NO_FORMATS
	out->formats = NULL;
#endif
#ifdef UNFIT_NO_HELLO
	return fl_result_fail(result, FL_CLASS_PERMANENT, "incompatible", "not on this machine");
#endif
#ifdef UNFIT_READS_IN_HELLO
	uint8_t byte;
	return host->read_input(host, 0, &byte, 1) == 0 ? FL_CLASS_OK : FL_CLASS_RETRY;
#endif
	return FL_CLASS_OK;
}

#ifdef UNFIT_NO_DECODER
#define fl_decoder_plugin another_decoder
FL_DECODER_EXPORT extern const struct fl_decoder another_decoder;
#endif

FL_DECODER_EXPORT const struct fl_decoder fl_decoder_plugin = {
#ifdef UNFIT_DECODER_MAJOR
	.abi_major = FL_DECODER_ABI_MAJOR + 1,
#else
	.abi_major = FL_DECODER_ABI_MAJOR,
#endif
	.abi_minor = 7,
#ifdef UNFIT_DECODER_SIZE
	.size = 24,
#else
	.size = sizeof(struct fl_decoder),
#endif
	.name = "unfit",
	.version = "2.0",
	.hello = hello,
#ifndef UNFIT_NO_DECODE
	.decode = decode,
#endif
};
