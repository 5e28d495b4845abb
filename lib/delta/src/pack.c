/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LZMA2, as its own kind of model fits one stream and not the other: literal context bits,
 * literal position bits and position bits are tried on a sample, and the best of them packs the
 * whole.
 */
#include "pack.h"

#include <fairlead/base/file.h>

#include <lzma.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK	    ((size_t)1 << 16)
#define SAMPLE_MAX  ((size_t)6 * BLOCK)
#define SAMPLE_RUNS 6u

/* lc, lp, pb */
static const uint8_t models[][3] = {
	{3, 0, 2}, {3, 0, 0}, {0, 0, 0}, {1, 0, 0}, {4, 0, 0},
	{0, 2, 2}, {1, 1, 1}, {0, 0, 2}, {2, 0, 1}, {3, 1, 1},
};
#define MODELS (sizeof(models) / sizeof(models[0]))

static uint32_t packing_for(uint64_t size, uint32_t dictionary_max)
{
	uint32_t packing = 1;
	while (fl_delta_dictionary(packing) < size && packing < FL_DELTA_PACKING_MAX &&
	       fl_delta_dictionary(packing + 1) <= dictionary_max)
		packing++;
	return packing;
}

static lzma_ret begin(lzma_stream *z, lzma_options_lzma *options, uint32_t packing,
		      const uint8_t model[3])
{
	(void)lzma_lzma_preset(options, 7);
	options->dict_size = fl_delta_dictionary(packing);
	options->nice_len = 128;
	options->lc = model[0];
	options->lp = model[1];
	options->pb = model[2];
	const lzma_filter filters[] = {{LZMA_FILTER_LZMA2, options}, {LZMA_VLI_UNKNOWN, NULL}};
	return lzma_raw_encoder(z, filters);
}

/* ---- the sample ---- */

/* Runs from all over the stream; all of it when it is short. */
static enum fl_rc read_sample(const struct spool *in, uint8_t *sample, size_t *ret,
			      struct fl_err *err)
{
	if (in->size <= SAMPLE_MAX) {
		*ret = (size_t)in->size;
		return fl_pread_all(in->fd, sample, *ret, 0, err);
	}
	enum fl_rc rc = FL_OK;
	const uint64_t stride = (in->size - BLOCK) / (SAMPLE_RUNS - 1);
	for (size_t i = 0; rc == FL_OK && i < SAMPLE_RUNS; i++)
		rc = fl_pread_all(in->fd, sample + i * BLOCK, BLOCK, i * stride, err);
	*ret = SAMPLE_MAX;
	return rc;
}

static enum fl_rc measure(const uint8_t *sample, size_t len, const uint8_t model[3], uint8_t *out,
			  size_t out_size, size_t *ret, struct fl_err *err)
{
	lzma_stream z = LZMA_STREAM_INIT;
	lzma_options_lzma options;
	lzma_ret r = begin(&z, &options, packing_for(len, SAMPLE_MAX), model);
	z.next_in = sample;
	z.avail_in = len;
	z.next_out = out;
	z.avail_out = out_size;
	if (r == LZMA_OK)
		r = lzma_code(&z, LZMA_FINISH);
	*ret = (size_t)z.total_out;
	lzma_end(&z);
	return r == LZMA_STREAM_END ? FL_OK : fl_fail(err, FL_E_NO_MEMORY, 0, "lzma: %d", (int)r);
}

static enum fl_rc best_model(const struct spool *in, const uint8_t **ret, struct fl_err *err)
{
	const size_t out_size = lzma_stream_buffer_bound(SAMPLE_MAX);
	uint8_t *sample = malloc(SAMPLE_MAX), *out = malloc(out_size);
	size_t len = 0, least = SIZE_MAX;
	enum fl_rc rc = sample == NULL || out == NULL ? fl_fail(err, FL_E_NO_MEMORY, 0, "sample")
						      : read_sample(in, sample, &len, err);
	for (size_t i = 0; rc == FL_OK && i < MODELS; i++) {
		size_t size = 0;
		rc = measure(sample, len, models[i], out, out_size, &size, err);
		if (rc == FL_OK && size < least) {
			least = size;
			*ret = models[i];
		}
	}
	free(sample);
	free(out);
	return rc;
}

/* ---- the whole ---- */

struct copy {
	const struct spool *in;
	int out;
	uint64_t read, written, at;
	uint8_t blocks[2][BLOCK];
};

static enum fl_rc read_block(struct copy *c, size_t *ret, struct fl_err *err)
{
	const uint64_t left = c->in->size - c->read;
	*ret = left < BLOCK ? (size_t)left : BLOCK;
	enum fl_rc rc = fl_pread_all(c->in->fd, c->blocks[0], *ret, c->read, err);
	c->read += *ret;
	return rc;
}

static enum fl_rc write_block(struct copy *c, const uint8_t *data, size_t len, struct fl_err *err)
{
	enum fl_rc rc = fl_pwrite_all(c->out, data, len, c->at + c->written, err);
	c->written += len;
	return rc;
}

static enum fl_rc copy_packed(struct copy *c, lzma_stream *z, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	lzma_ret r = LZMA_OK;
	while (rc == FL_OK && r == LZMA_OK) {
		size_t n = z->avail_in;
		if (n == 0) {
			rc = read_block(c, &n, err);
			z->next_in = c->blocks[0];
			z->avail_in = n;
		}
		z->next_out = c->blocks[1];
		z->avail_out = BLOCK;
		if (rc == FL_OK)
			r = lzma_code(z, c->read == c->in->size ? LZMA_FINISH : LZMA_RUN);
		if (rc == FL_OK)
			rc = write_block(c, c->blocks[1], BLOCK - z->avail_out, err);
	}
	if (rc == FL_OK && r != LZMA_STREAM_END)
		rc = fl_fail(err, FL_E_INTERNAL, 0, "lzma: %d", (int)r);
	return rc;
}

static enum fl_rc copy_stored(struct copy *c, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	c->read = c->written = 0;
	while (rc == FL_OK && c->read < c->in->size) {
		size_t n = 0;
		rc = read_block(c, &n, err);
		if (rc == FL_OK)
			rc = write_block(c, c->blocks[0], n, err);
	}
	return rc;
}

static enum fl_rc pack_with(struct copy *c, uint32_t packing, const uint8_t model[3],
			    struct fl_err *err)
{
	lzma_stream z = LZMA_STREAM_INIT;
	lzma_options_lzma options;
	lzma_ret r = begin(&z, &options, packing, model);
	enum fl_rc rc = r == LZMA_OK ? copy_packed(c, &z, err)
				     : fl_fail(err, FL_E_NO_MEMORY, 0, "lzma: %d", (int)r);
	lzma_end(&z);
	return rc;
}

enum fl_rc pack_stream(const struct spool *in, uint32_t dictionary_max, int out, uint64_t at,
		       struct packed *ret, struct fl_err *err)
{
	struct copy *c = calloc(1, sizeof(*c));
	const uint8_t *model = models[0];
	uint32_t packing = packing_for(in->size, dictionary_max);
	if (c == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "blocks");
	*c = (struct copy){.in = in, .out = out, .at = at};
	enum fl_rc rc = best_model(in, &model, err);
	if (rc == FL_OK)
		rc = pack_with(c, packing, model, err);
	if (rc == FL_OK && c->written >= in->size) {
		packing = FL_DELTA_STORED;
		rc = copy_stored(c, err);
	}
	if (rc == FL_OK)
		*ret = (struct packed){packing, c->written};
	free(c);
	return rc;
}
