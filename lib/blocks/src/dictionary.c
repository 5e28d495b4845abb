/* SPDX-License-Identifier: Apache-2.0 */
#include "dictionary.h"

#include <fairlead/base/file.h>

#include <stdlib.h>
#include <string.h>
#include <zdict.h>

#define DICTIONARY_MIN	((size_t)4096)
#define IMAGE_PER_BYTE	128u /* of dictionary: it is fetched, too */
#define SAMPLE_PER_BYTE 100u /* what zstd's authors recommend */
#define SAMPLES_MIN	((size_t)8)

struct samples {
	uint8_t *data; /* owned */
	size_t *sizes; /* owned; all the same: zdict wants it so */
	size_t n, max;
};

static bool is_uniform(const uint8_t *p, size_t len)
{
	return memcmp(p, p + 1, len - 1) == 0;
}

static enum fl_rc take_samples(int image, uint64_t image_size, uint32_t frame_size,
			       struct samples *s, struct fl_err *err)
{
	const uint64_t frames = image_size / frame_size;
	const uint64_t stride = frames <= s->max ? 1 : frames / s->max;
	enum fl_rc rc = FL_OK;
	for (uint64_t k = 0; rc == FL_OK && k < frames && s->n < s->max; k += stride) {
		uint8_t *p = s->data + s->n * frame_size;
		rc = fl_pread_all(image, p, frame_size, k * frame_size, err);
		if (rc == FL_OK && !is_uniform(p, frame_size))
			s->sizes[s->n++] = frame_size;
	}
	return rc == FL_OK ? rc : fl_wrap(err, rc, "image");
}

enum fl_rc dictionary_train(int image, uint64_t image_size, uint32_t frame_size, size_t max,
			    uint8_t *out, size_t *len, struct fl_err *err)
{
	const uint64_t worth = image_size / IMAGE_PER_BYTE;
	const size_t size = worth < max ? (size_t)worth : max;
	struct samples s = {.max = size * SAMPLE_PER_BYTE / frame_size};
	*len = 0;
	if (size < DICTIONARY_MIN)
		return FL_OK;
	s.data = malloc(s.max * frame_size);
	s.sizes = calloc(s.max, sizeof(*s.sizes));
	enum fl_rc rc = s.data == NULL || s.sizes == NULL
				? fl_fail(err, FL_E_NO_MEMORY, 0, "samples")
				: take_samples(image, image_size, frame_size, &s, err);
	if (rc == FL_OK && s.n >= SAMPLES_MIN) {
		const size_t n = ZDICT_trainFromBuffer(out, size, s.data, s.sizes, (unsigned)s.n);
		*len = ZDICT_isError(n) ? 0 : n;
	}
	free(s.data);
	free(s.sizes);
	return rc;
}
