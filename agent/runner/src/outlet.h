/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder's end of the output channel: what the handler's runner, who may be hostile, still
 * wants, and the pieces that answer.
 *
 *   need … need ──▶ outlet_wanted: one run at a time, never backwards
 *   piece … piece ◀── outlet_put: its chunks, in order
 *   end ──▶ nothing more       end ◀── outlet_end: it cannot be done, and why
 */
#ifndef FL_RUNNER_OUTLET_H
#define FL_RUNNER_OUTLET_H

#include "channel.h"

#include <fairlead/trust/tree.h>

struct outlet {
	struct channel channel;
	struct fl_tree_shape shape; /* of the output */
	uint64_t next, end;	    /* chunks of the run at hand that lack */
	bool ended;		    /* nothing more is wanted */
};

/* fd: borrowed, non-blocking. */
enum fl_rc outlet_init(struct outlet *outlet, int fd, uint64_t size, struct control *control,
		       struct fl_err *err) FL_CHECKED;
void outlet_done(struct outlet *outlet);
/* Waits until it is known whether more is wanted; the run is then next…end - 1. FL_E_PROTOCOL,
 * FL_E_PEER_CLOSED, FL_E_CANCELLED. */
enum fl_rc outlet_wanted(struct outlet *outlet, bool *more, struct fl_err *err) FL_CHECKED;
/*
 * The next chunk of the run. FL_E_PLUGIN_CONTRACT: another chunk, or none is wanted;
 * FL_E_SIZE_MISMATCH: another length than the chunk has, or past the end. Nothing was sent then.
 */
enum fl_rc outlet_put(struct outlet *outlet, uint64_t offset, const void *data, uint32_t len,
		      struct fl_err *err) FL_CHECKED;
/* Tells why no more will come; a failure is of no interest. */
void outlet_end(struct outlet *outlet, const char *code, const char *text);

#endif
