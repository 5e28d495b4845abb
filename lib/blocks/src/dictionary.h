/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FL_BLOCKS_DICTIONARY_H
#define FL_BLOCKS_DICTIONARY_H

#include <fairlead/base/err.h>

#include <stddef.h>
#include <stdint.h>

/*
 * Trains a dictionary on samples of one frame each, from all over the image, into out (room for
 * max). *len: 0 when the image is too small, or too uniform, for one that would pay.
 */
enum fl_rc dictionary_train(int image, uint64_t image_size, uint32_t frame_size, size_t max,
			    uint8_t *out, size_t *len, struct fl_err *err) FL_CHECKED;

#endif
