/* SPDX-License-Identifier: Apache-2.0 */
/* Makes an artifact of the format `blocks` and its index. Blocking. */
#ifndef FAIRLEAD_BLOCKS_CREATE_H
#define FAIRLEAD_BLOCKS_CREATE_H

#include <fairlead/blocks/index.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FL_BLOCKS_FRAME_DEFAULT	     8192u
#define FL_BLOCKS_DICTIONARY_DEFAULT 114688u

struct fl_blocks_options {
	uint32_t frame_size;	 /* 0: FL_BLOCKS_FRAME_DEFAULT */
	uint32_t dictionary_max; /* bytes; 0: FL_BLOCKS_DICTIONARY_DEFAULT */
	int level;		 /* of zstd, 1…22; 0: 19 */
	unsigned workers;	 /* threads, 1…16; 0: 1. The output does not depend on it */
};

/*
 * image: a file or a block device that nobody changes meanwhile. blocks and index: files, replaced
 * from their start. The same image and options give the same bytes with the same libzstd. Memory:
 * some 15 MiB for the dictionary's samples, 2 MiB per worker. Not durable on return, and not
 * checked. *ret: what a release says of them.
 */
enum fl_rc fl_blocks_create(int image, int blocks, int index,
			    const struct fl_blocks_options *options, struct fl_blocks_claim *ret,
			    struct fl_err *err) FL_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
