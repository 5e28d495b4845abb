/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a delta (docs/internals/delta.md): what turns a source into an image. Blocking, for a
 * thread or a process of its own. Memory stays below 600 MiB whatever the sizes: 256 for the index,
 * 256 of the images' pages, then the packer's.
 */
#ifndef FAIRLEAD_DELTA_CREATE_H
#define FAIRLEAD_DELTA_CREATE_H

#include <fairlead/base/err.h>

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fl_delta_made {
	uint64_t size;	       /* of the delta */
	uint64_t source_size;  /* of what it is made against */
	uint64_t image_size;   /* of what it yields */
	uint64_t memory_bytes; /* what a decoder is to be granted: mem_max of the artifact */
};

/*
 * source and image: files or block devices, neither empty, that nobody changes meanwhile. out: a
 * file, replaced from its start. scratch_dir: takes files without a name, together at most a
 * little larger than the image. The same two give the same delta with the same liblzma. Not durable
 * on return, and not checked: decode it before it is used.
 */
enum fl_rc fl_delta_create(int source, int image, int out, const char *scratch_dir,
			   struct fl_delta_made *ret, struct fl_err *err) FL_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
