/* SPDX-License-Identifier: Apache-2.0 */
/* What an image says of itself: /usr/lib/fairlead/image-info in it (docs/formats.md, section 7). */
#ifndef FL_TOOLS_IMAGE_INFO_H
#define FL_TOOLS_IMAGE_INFO_H

#include <fairlead/trust/documents.h>

enum fl_tools_image_kind {
	FL_TOOLS_IMAGE_OPAQUE, /* firmware, a script: nothing to look into */
	FL_TOOLS_IMAGE_EXT,
	FL_TOOLS_IMAGE_SQUASHFS,
	FL_TOOLS_IMAGE_TAR,
};

/* By its magic number. */
enum fl_rc fl_tools_image_kind_of(const char *image, enum fl_tools_image_kind *ret,
				  struct fl_err *err) FL_CHECKED;
/*
 * Reads it without mounting: debugfs, unsquashfs or tar. FL_E_IMAGE_INFO when the image has none or
 * an invalid one; FL_E_NOT_SUPPORTED for an opaque image, or when the program is not installed.
 */
enum fl_rc fl_tools_image_info_read(const char *image, enum fl_tools_image_kind kind,
				    struct fl_arena *arena, struct fl_image_info *ret,
				    struct fl_err *err) FL_CHECKED;
/* Is it the image of that product, component and version? FL_E_IMAGE_INFO. Pure. */
enum fl_rc fl_tools_image_info_check(const struct fl_image_info *info, const char *product,
				     const char *component, const char *version,
				     struct fl_err *err) FL_CHECKED;

#endif
