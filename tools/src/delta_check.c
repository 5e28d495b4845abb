/* SPDX-License-Identifier: Apache-2.0 */
/* A decoder's host (fairlead/decoder.h) in this process: files in, a tree out. */
#include "delta.h"

#include <fairlead/base/file.h>
#include <fairlead/decoder.h>
#include <fairlead/trust/tree.h>

#include <stdlib.h>
#include <string.h>

#define PIECE_HEAD  ((size_t)16)
#define PIECE_EXTRA ((size_t)32)

struct decoding {
	const struct fl_tools_delta *delta;
	struct fl_tree_builder *builder;
	uint64_t at, memory_used;
	struct fl_err err; /* of the host function that failed first */
};

static struct decoding *decoding_of(const struct fl_decoder_host *host)
{
	return host->ctx;
}

static int done(struct decoding *d, enum fl_rc rc, const struct fl_err *err)
{
	if (rc == FL_OK)
		return 0;
	if (d->err.rc == FL_OK)
		d->err = *err;
	return -1;
}

static int on_read_input(const struct fl_decoder_host *host, uint64_t offset, void *data,
			 uint32_t len)
{
	struct decoding *d = decoding_of(host);
	struct fl_err err;
	return done(d, fl_pread_all(d->delta->delta, data, len, offset, &err), &err);
}

static int on_read_source(const struct fl_decoder_host *host, uint64_t offset, void *data,
			  uint32_t len)
{
	struct decoding *d = decoding_of(host);
	struct fl_err err;
	return done(d, fl_pread_all(d->delta->source, data, len, offset, &err), &err);
}

static int on_wanted(const struct fl_decoder_host *host, uint64_t *offset, uint64_t *len)
{
	const struct decoding *d = decoding_of(host);
	*offset = d->at;
	*len = d->delta->image_size - d->at;
	return *len > 0;
}

static int on_write_output(const struct fl_decoder_host *host, uint64_t offset, const void *data,
			   uint32_t len)
{
	struct decoding *d = decoding_of(host);
	struct fl_err err;
	if (offset != d->at)
		return done(d, fl_fail(&err, FL_E_INTERNAL, 0, "output at another place"), &err);
	d->at += len;
	return done(d, fl_tree_builder_add(d->builder, data, len, &err), &err);
}

static void *on_alloc(const struct fl_decoder_host *host, size_t size)
{
	struct decoding *d = decoding_of(host);
	const uint64_t left = d->delta->mem_max - d->memory_used;
	if (size == 0 || left < PIECE_EXTRA || size > left - PIECE_EXTRA)
		return NULL;
	uint8_t *piece = malloc(PIECE_HEAD + size);
	if (piece == NULL)
		return NULL;
	memcpy(piece, &size, sizeof(size));
	d->memory_used += size + PIECE_EXTRA;
	return piece + PIECE_HEAD;
}

static void on_release(const struct fl_decoder_host *host, void *data)
{
	size_t size;
	if (data == NULL)
		return;
	uint8_t *piece = (uint8_t *)data - PIECE_HEAD;
	memcpy(&size, piece, sizeof(size));
	decoding_of(host)->memory_used -= size + PIECE_EXTRA;
	free(piece);
}

static void on_progress(const struct fl_decoder_host *host, uint64_t at, uint64_t total)
{
	(void)host;
	(void)at;
	(void)total;
}

static void on_keepalive(const struct fl_decoder_host *host)
{
	(void)host;
}

static void on_log(const struct fl_decoder_host *host, enum fl_level level, const char *text)
{
	(void)host;
	(void)level;
	(void)text;
}

static int on_cancelled(const struct fl_decoder_host *host)
{
	(void)host;
	return 0;
}

static enum fl_rc decode(struct decoding *d, struct fl_err *err)
{
	const struct fl_decoder_host host = {.abi_major = FL_DECODER_ABI_MAJOR,
					     .abi_minor = FL_DECODER_ABI_MINOR,
					     .size = sizeof(struct fl_decoder_host),
					     .ctx = d,
					     .read_input = on_read_input,
					     .read_source = on_read_source,
					     .wanted = on_wanted,
					     .write_output = on_write_output,
					     .alloc = on_alloc,
					     .release = on_release,
					     .progress = on_progress,
					     .keepalive = on_keepalive,
					     .log = on_log,
					     .cancelled = on_cancelled};
	const struct fl_decode_task task = {.size = sizeof(task),
					    .format = "delta",
					    .input_size = d->delta->delta_size,
					    .source_size = d->delta->source_size,
					    .output_size = d->delta->image_size,
					    .memory_bytes = d->delta->mem_max};
	struct fl_decoder_hello hello = {.size = sizeof(hello)};
	struct fl_result result = {0};
	int cls = fl_decoder_plugin.hello(&host, &hello, &result);
	if (cls == FL_CLASS_OK)
		cls = fl_decoder_plugin.decode(hello.self, &task, &result);
	if (cls == FL_CLASS_OK)
		return FL_OK;
	if (d->err.rc != FL_OK) {
		*err = d->err;
		return err->rc;
	}
	return fl_fail(err, fl_rc_from_name(result.code), 0, "%s", result.text);
}

enum fl_rc fl_tools_delta_decode(const struct fl_tools_delta *delta, struct fl_tools_ref *ret,
				 struct fl_err *err)
{
	struct decoding d = {.delta = delta};
	struct fl_buf object = FL_BUF(FL_TOOLS_OBJECT_MAX);
	enum fl_rc rc = fl_tree_builder_new(&d.builder, err);
	if (rc != FL_OK)
		return rc;
	rc = decode(&d, err);
	if (rc == FL_OK)
		rc = fl_tree_builder_finish(d.builder, &ret->root, &ret->size, &object, err);
	fl_tree_builder_free(d.builder);
	fl_buf_free(&object);
	return rc;
}
