/* SPDX-License-Identifier: Apache-2.0 */
/* blocks plan: the search that a device does, and what it would then fetch. */
#include "commands.h"
#include "output.h"

#include <fairlead/base/file.h>
#include <fairlead/blocks/search.h>
#include <fairlead/trust/tree.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct report {
	uint64_t blocks, blocks_found, frames, frames_lacking, runs_lacking, passes;
	uint64_t frames_bytes, index_bytes, trees_bytes, bytes;
	uint64_t frames_wrong;
};

#define NUMBER(member, text) FL_REQ(struct report, member, U64, FL_U53_MAX, NULL, text)
static const struct fl_field report_fields[] = {
	NUMBER(blocks, "blocks of the image"),
	NUMBER(blocks_found, "of them found in a base"),
	NUMBER(frames, "frames of the image"),
	NUMBER(frames_lacking, "of them to be fetched"),
	NUMBER(runs_lacking, "runs of those that follow each other"),
	NUMBER(passes, "passes over the bases"),
	NUMBER(frames_bytes, "bytes of the frames that lack"),
	NUMBER(index_bytes, "bytes of the block index"),
	NUMBER(trees_bytes, "bytes of the trees of image and index"),
	NUMBER(bytes, "all that is fetched"),
	NUMBER(frames_wrong, "frames that the bases give wrong; only with an image"),
};
static const struct fl_schema report_schema =
	FL_SCHEMA("plan", struct report, report_fields, "what a device would fetch");

struct planning {
	int index_fd, plan;
	int bases[FL_BLOCKS_BASES_MAX];
	unsigned n_bases;
	struct fl_blocks_index *index;
};

static enum fl_rc open_file(const char *path, int *ret, struct fl_err *err)
{
	*ret = open(path, O_RDONLY | O_CLOEXEC);
	return *ret >= 0 ? FL_OK : fl_fail(err, fl_rc_from_errno(errno), errno, "'%s'", path);
}

static enum fl_rc open_index(struct planning *p, const char *path, struct fl_err *err)
{
	const struct fl_blocks_input input = {fl_blocks_read_fd, &p->index_fd};
	struct fl_blocks_claim claim;
	enum fl_rc rc = open_file(path, &p->index_fd, err);
	if (rc != FL_OK)
		return rc;
	const off_t size = lseek(p->index_fd, 0, SEEK_END);
	if (size < 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "'%s'", path);
	rc = fl_blocks_claim_of(&input, (uint64_t)size, &claim, err);
	if (rc == FL_OK)
		rc = fl_blocks_index_open(&claim, &input, &p->index, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "'%s'", path);
}

static enum fl_rc open_bases(struct planning *p, const struct fl_tools_call *call,
			     struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	for (size_t i = 1; rc == FL_OK && i < call->n_args; i++) {
		rc = open_file(call->args[i], &p->bases[p->n_bases], err);
		p->n_bases += rc == FL_OK;
	}
	return rc;
}

static enum fl_rc open_plan(struct planning *p, struct fl_err *err)
{
	const char *dir = getenv("TMPDIR");
	p->plan = open(dir != NULL ? dir : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return p->plan >= 0 ? FL_OK
			    : fl_fail(err, fl_rc_from_errno(errno), errno, "temporary file");
}

/* ---- beside the image ---- */

static enum fl_rc compare_frame(struct planning *p, int image, uint32_t k, uint64_t *wrong,
				struct fl_err *err)
{
	uint8_t found[FL_BLOCKS_FRAME_MAX], is[FL_BLOCKS_FRAME_MAX];
	const struct fl_blocks_claim *claim = fl_blocks_index_claim(p->index);
	const struct fl_blocks_bases bases = {p->bases, p->n_bases};
	const uint64_t at = (uint64_t)k * claim->frame_size, left = claim->image_size - at;
	const size_t len = left < claim->frame_size ? (size_t)left : claim->frame_size;
	bool lacks = false;
	enum fl_rc rc = fl_blocks_plan_lacks(p->index, p->plan, k, &lacks, err);
	if (rc != FL_OK || lacks)
		return rc;
	rc = fl_blocks_plan_gather(p->index, p->plan, &bases, k, found, err);
	if (rc == FL_OK)
		rc = fl_pread_all(image, is, len, at, err);
	if (rc == FL_OK)
		*wrong += memcmp(found, is, len) != 0;
	return rc;
}

static enum fl_rc compare(struct planning *p, const char *path, uint64_t *wrong, struct fl_err *err)
{
	FL_AUTO_FD image = -1;
	enum fl_rc rc = open_file(path, &image, err);
	for (uint32_t k = 0; rc == FL_OK && k < fl_blocks_index_frames(p->index); k++)
		rc = compare_frame(p, image, k, wrong, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "compare with '%s'", path);
}

/* ---- the report ---- */

static enum fl_rc fill_report(const struct planning *p, const struct fl_blocks_found *found,
			      struct report *r, struct fl_err *err)
{
	const struct fl_blocks_claim *claim = fl_blocks_index_claim(p->index);
	struct fl_tree_shape installed, index;
	enum fl_rc rc = fl_tree_shape(claim->image_size, &installed, err);
	if (rc == FL_OK)
		rc = fl_tree_shape(claim->index_size, &index, err);
	if (rc != FL_OK)
		return rc;
	r->blocks = found->blocks;
	r->blocks_found = found->blocks_found;
	r->frames = fl_blocks_index_frames(p->index);
	r->frames_lacking = found->frames_lacking;
	r->runs_lacking = found->runs_lacking;
	r->passes = found->passes;
	r->frames_bytes = found->bytes_lacking;
	r->index_bytes = claim->index_size;
	r->trees_bytes = installed.object_len + index.object_len;
	r->bytes = r->frames_bytes + r->index_bytes + r->trees_bytes;
	return FL_OK;
}

static enum fl_rc print(const struct fl_tools_call *call, const struct report *r,
			struct fl_err *err)
{
	if (call->json)
		return fl_tools_json(call->out, &report_schema, r, err);
	(void)fprintf(call->out, "blocks  %llu of %llu found, in %llu passes\n",
		      (unsigned long long)r->blocks_found, (unsigned long long)r->blocks,
		      (unsigned long long)r->passes);
	(void)fprintf(call->out, "frames  %llu of %llu lack, in %llu runs, %llu bytes\n",
		      (unsigned long long)r->frames_lacking, (unsigned long long)r->frames,
		      (unsigned long long)r->runs_lacking, (unsigned long long)r->frames_bytes);
	(void)fprintf(call->out, "index   %llu bytes\ntrees   %llu bytes\nsum     %llu bytes\n",
		      (unsigned long long)r->index_bytes, (unsigned long long)r->trees_bytes,
		      (unsigned long long)r->bytes);
	if (fl_tools_has(call, "image"))
		(void)fprintf(call->out, "wrong   %llu frames\n",
			      (unsigned long long)r->frames_wrong);
	return FL_OK;
}

static enum fl_rc plan(struct planning *p, const struct fl_tools_call *call, struct report *r,
		       struct fl_err *err)
{
	const char *image = fl_tools_opt(call, "image", NULL);
	struct fl_blocks_found found;
	enum fl_rc rc = open_index(p, call->args[0], err);
	if (rc == FL_OK)
		rc = open_bases(p, call, err);
	if (rc == FL_OK)
		rc = open_plan(p, err);
	if (rc != FL_OK)
		return rc;
	const struct fl_blocks_task task = {.bases = {p->bases, p->n_bases}, .plan = p->plan};
	rc = fl_blocks_search(p->index, &task, &found, err);
	if (rc == FL_OK)
		rc = fill_report(p, &found, r, err);
	return rc == FL_OK && image != NULL ? compare(p, image, &r->frames_wrong, err) : rc;
}

enum fl_rc fl_tools_blocks_plan(struct fl_tools_call *call, struct fl_err *err)
{
	struct planning p = {.index_fd = -1, .plan = -1};
	struct report r = {0};
	enum fl_rc rc = plan(&p, call, &r, err);
	fl_blocks_index_free(p.index);
	fl_close(&p.index_fd);
	fl_close(&p.plan);
	for (unsigned i = 0; i < p.n_bases; i++)
		fl_close(&p.bases[i]);
	return rc == FL_OK ? print(call, &r, err) : fl_wrap(err, rc, "plan");
}
