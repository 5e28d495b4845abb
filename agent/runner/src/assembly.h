/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transport as bytes: asks for pieces by the plan, checks every page and chunk against the
 * signed root, and gives runs of verified bytes, in ascending order. It holds one chunk beside the
 * caller's buffer.
 */
#ifndef FL_RUNNER_ASSEMBLY_H
#define FL_RUNNER_ASSEMBLY_H

#include "plan.h"

struct assembly {
	struct channel *channel; /* borrowed */
	struct fl_tree *tree;	 /* owned: of the transport */
	struct plan plan;
	uint8_t *carry;	  /* owned: the chunk taken last, which the next run may begin in */
	uint64_t carried; /* its number; UINT64_MAX: none */
	uint32_t carry_len;
};

enum fl_rc assembly_init(struct assembly *assembly, struct channel *channel,
			 const struct fl_digest *root, const struct plan_image *image,
			 struct fl_err *err) FL_CHECKED;
void assembly_done(struct assembly *assembly);
/* The next piece of the plan, whatever it is (pages of the installed tree); checked by the caller.
 */
enum fl_rc assembly_take(struct assembly *assembly, enum fl_ipc_object object, uint64_t index,
			 struct fl_bytes *data, struct fl_err *err) FL_CHECKED;
/* Verified bytes from offset on. Offsets never go back. */
enum fl_rc assembly_read(struct assembly *assembly, uint64_t offset, void *out, size_t len,
			 struct fl_err *err) FL_CHECKED;

#endif
