/* SPDX-License-Identifier: Apache-2.0 */
#include "decoder.h"

#include "plugin.h"

#include <string.h>

static const struct plugin_kind decoders = {.noun = "decoder",
					    .symbol = "fl_decoder_plugin",
					    .abi_major = FL_DECODER_ABI_MAJOR,
					    .abi_minor = FL_DECODER_ABI_MINOR,
					    .size_min = FL_DECODER_SIZE_1_0,
					    .size = sizeof(struct fl_decoder)};

enum fl_rc decoder_load(struct decoder *decoder, const char *path, struct fl_err *err)
{
	enum fl_rc rc = plugin_open(&decoders, path, &decoder->calls, err);
	if (rc == FL_OK)
		rc = plugin_require(path, decoder->calls.hello != NULL, "hello", err);
	if (rc == FL_OK)
		rc = plugin_require(path, decoder->calls.decode != NULL, "decode", err);
	return rc;
}

/* It touches no device: what it says of one is not believed. */
static int class_of(int cls)
{
	return cls == FL_CLASS_UNSAFE || cls == FL_CLASS_NEEDS_USER ? -1 : cls;
}

const char *decoder_format(const struct decoder *decoder, size_t i)
{
	const char *const *formats = decoder->hello.formats;
	for (size_t k = 0; formats != NULL && k < DECODER_FORMATS_MAX && formats[k] != NULL; k++) {
		if (k == i)
			return strnlen(formats[k], DECODER_FORMAT_LEN + 1) <= DECODER_FORMAT_LEN
				       ? formats[k]
				       : "?";
	}
	return NULL;
}

static enum fl_rc check_task(const struct decoder *d, const struct fl_decode_task *task,
			     struct fl_err *err)
{
	const char *format = NULL;
	for (size_t i = 0; (format = decoder_format(d, i)) != NULL; i++) {
		if (strcmp(format, task->format) == 0)
			break;
	}
	if (format == NULL)
		return fl_fail(err, FL_E_FORMAT, 0, "the decoder does not know '%s'", task->format);
	if (d->hello.memory_min_bytes > task->memory_bytes)
		return fl_fail(err, FL_E_TOO_LARGE, 0,
			       "the decoder needs %llu bytes of memory, the release grants %llu",
			       (unsigned long long)d->hello.memory_min_bytes,
			       (unsigned long long)task->memory_bytes);
	return FL_OK;
}

enum fl_rc decoder_hello(struct decoder *decoder, const struct fl_decoder_host *host,
			 const struct fl_decode_task *task, struct fl_err *err)
{
	struct fl_result result = plugin_result();
	memset(&decoder->hello, 0, sizeof(decoder->hello));
	decoder->hello.size = sizeof(decoder->hello);
	int cls = class_of(decoder->calls.hello(host, &decoder->hello, &result));
	enum fl_rc rc = verdict_from_plugin(decoder->verdict, "hello", cls, &result, err);
	return rc == FL_OK ? check_task(decoder, task, err) : rc;
}

enum fl_rc decoder_decode(struct decoder *decoder, const struct fl_decode_task *task,
			  struct fl_err *err)
{
	struct fl_result result = plugin_result();
	int cls = class_of(decoder->calls.decode(decoder->hello.self, task, &result));
	return verdict_from_plugin(decoder->verdict, "decode", cls, &result, err);
}
