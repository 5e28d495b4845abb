/* SPDX-License-Identifier: Apache-2.0 */
/* A few bytes of a bundle, read beside the loop: a stick may be slow, and one that was pulled out may never answer. */
#ifndef FAIRLEAD_DAEMON_BUNDLE_READ_H
#define FAIRLEAD_DAEMON_BUNDLE_READ_H

#include <fairlead/base/err.h>

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define FL_BUNDLE_READ_MAX 65536u

struct fl_bundle_read;

struct fl_bundle_place {
	int fd; /* borrowed: it may be closed before the end */
	uint64_t offset;
	size_t len; /* at most FL_BUNDLE_READ_MAX */
};

/* err->rc FL_OK: data has the bytes, borrowed for the call. */
typedef void fl_bundle_read_done(void *ctx, const uint8_t *data, const struct fl_err *err);

/* *ret: until done or cancel. Done is called once, from the loop. */
enum fl_rc fl_bundle_read_start(uv_loop_t *loop, const struct fl_bundle_place *place,
				fl_bundle_read_done *done, void *ctx, struct fl_bundle_read **ret,
				struct fl_err *err) FL_CHECKED;
/* No callback follows, however long the read still takes. read may be NULL. */
void fl_bundle_read_cancel(struct fl_bundle_read *read);

#endif
