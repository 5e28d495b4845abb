/* SPDX-License-Identifier: Apache-2.0 */
/* Deltas between images: one that is made is decoded before anybody else does. */
#ifndef FL_TOOLS_DELTA_H
#define FL_TOOLS_DELTA_H

#include "content.h"

struct fl_tools_delta {
	int source, delta;
	uint64_t source_size, delta_size, image_size;
	uint64_t mem_max;
};

/*
 * Decodes by the very code of the plugin, in the memory that a device would grant, into the tree of
 * what comes out. The plugin's own code and text when it refuses.
 */
enum fl_rc fl_tools_delta_decode(const struct fl_tools_delta *delta, struct fl_tools_ref *ret,
				 struct fl_err *err) FL_CHECKED;

struct fl_tools_delta_made {
	struct fl_tools_ref source, image, transport;
	uint64_t mem_max;
};

/* Adds the delta between two images to the content of dir. FL_E_INTERNAL: it yields another image. */
enum fl_rc fl_tools_delta_make(const char *dir, const char *source, const char *image,
			       struct fl_tools_delta_made *ret, struct fl_err *err) FL_CHECKED;

#endif
