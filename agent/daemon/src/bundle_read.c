/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle_read.h"

#include <fairlead/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

struct fl_bundle_read {
	uv_work_t work;
	int fd; /* its own */
	uint64_t offset;
	size_t len;
	struct fl_err err;
	fl_bundle_read_done *done; /* NULL: nobody waits any more */
	void *ctx;
	uint8_t data[FL_BUNDLE_READ_MAX];
};

/* In the pool. */
static void run(uv_work_t *work)
{
	struct fl_bundle_read *r = work->data;
	struct fl_err why = {0};
	const enum fl_rc rc = fl_pread_all(r->fd, r->data, r->len, r->offset, &why);
	if (rc != FL_OK) /* whatever it was: the stick, the file, its end */
		(void)fl_fail(&r->err, FL_E_BUNDLE_MISSING, 0, "the bundle cannot be read: %.200s",
			      why.msg);
}

static void on_end(uv_work_t *work, int status)
{
	struct fl_bundle_read *r = work->data;
	(void)status;
	if (r->done != NULL)
		r->done(r->ctx, r->data, &r->err);
	fl_close(&r->fd);
	free(r);
}

enum fl_rc fl_bundle_read_start(uv_loop_t *loop, const struct fl_bundle_place *place,
				fl_bundle_read_done *done, void *ctx, struct fl_bundle_read **ret,
				struct fl_err *err)
{
	FL_BUG_ON(place->len > FL_BUNDLE_READ_MAX);
	struct fl_bundle_read *r = malloc(sizeof(*r));
	if (r == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "read the bundle");
	r->fd = fcntl(place->fd, F_DUPFD_CLOEXEC, 0);
	r->offset = place->offset;
	r->len = place->len;
	r->err = (struct fl_err){0};
	r->done = done;
	r->ctx = ctx;
	r->work.data = r;
	if (r->fd < 0 || uv_queue_work(loop, &r->work, run, on_end) != 0) {
		const int e = errno;
		fl_close(&r->fd);
		free(r);
		return fl_fail(err, FL_E_IO, e, "read the bundle");
	}
	*ret = r;
	return FL_OK;
}

void fl_bundle_read_cancel(struct fl_bundle_read *r)
{
	if (r == NULL)
		return;
	r->done = NULL;
	(void)uv_cancel((uv_req_t *)&r->work); /* on_end comes in any case */
}
