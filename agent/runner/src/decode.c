/* SPDX-License-Identifier: Apache-2.0 */
#include "decode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESERVE_BYTES (2 * FL_FRAME_MAX)

static enum fl_rc check_names(const struct host *resources, struct fl_err *err)
{
	for (size_t i = 0; i < resources->n_resources; i++) {
		const char *name = resources->names[i];
		if (strcmp(name, "input") != 0 && strcmp(name, "input_tree") != 0 &&
		    strcmp(name, "source") != 0)
			return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "'%s' is not for a decoder",
				       name);
	}
	return FL_OK;
}

/* Only for reading, and a file; a source may be a block device too. */
static enum fl_rc take_file(const struct host *resources, const char *name, bool may_be_device,
			    int *ret, struct fl_err *err)
{
	struct stat st;
	int fd = host_resource(resources, name);
	if (fd < 0)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "no descriptor '%s'", name);
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fstat(fd, &st) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "descriptor '%s'", name);
	if ((flags & O_ACCMODE) != O_RDONLY)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "'%s' is writable", name);
	if (!S_ISREG(st.st_mode) && !(may_be_device && S_ISBLK(st.st_mode)))
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "'%s' is no file", name);
	*ret = fd;
	return FL_OK;
}

static enum fl_rc take_source(struct decode *d, const struct fl_ipc_start *s,
			      const struct host *resources, struct fl_err *err)
{
	d->host.source.size = s->source_size;
	if (s->source_size == 0)
		return host_resource(resources, "source") < 0
			       ? FL_OK
			       : fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "a source without a size");
	enum fl_rc rc = take_file(resources, "source", true, &d->host.source.fd, err);
	if (rc != FL_OK)
		return rc;
	off_t size = lseek(d->host.source.fd, 0, SEEK_END);
	if (size < 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "source");
	if ((uint64_t)size < s->source_size)
		return fl_fail(err, FL_E_TRUNCATED, 0, "the source has %llu bytes of %llu",
			       (unsigned long long)size, (unsigned long long)s->source_size);
	return FL_OK;
}

static enum fl_rc take_input(struct decode *d, const struct fl_ipc_start *s,
			     const struct host *resources, struct fl_err *err)
{
	int fd = -1, tree_fd = -1;
	enum fl_rc rc = take_file(resources, "input", false, &fd, err);
	if (rc == FL_OK)
		rc = take_file(resources, "input_tree", false, &tree_fd, err);
	return rc == FL_OK ? spooled_init(&d->host.input, fd, tree_fd, s->transport_size,
					  &s->transport_root, err)
			   : rc;
}

enum fl_rc decode_prepare(struct decode *decode, const struct fl_ipc_start *start,
			  const struct host *resources, int output, struct fl_err *err)
{
	decoder_host_init(&decode->host, resources->control, start->mem_max);
	decode->task = (struct fl_decode_task){
		.size = sizeof(struct fl_decode_task),
		.params_len = (uint32_t)start->params.len,
		.format = start->format,
		.params = start->params.data,
		.input_size = start->transport_size,
		.source_size = start->source_size,
		.output_size = start->installed_size,
		.memory_bytes = start->mem_max,
	};
	decode->reserve = malloc(RESERVE_BYTES);
	if (decode->reserve == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "reserve");
	if (start->format == NULL || start->mem_max == 0)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "no format, or no memory granted");
	enum fl_rc rc = check_names(resources, err);
	if (rc == FL_OK)
		rc = take_input(decode, start, resources, err);
	if (rc == FL_OK)
		rc = take_source(decode, start, resources, err);
	return rc == FL_OK ? outlet_init(&decode->host.outlet, output, start->installed_size,
					 resources->control, err)
			   : rc;
}

/* The decoder is content: was all written that is wanted, and out of what could be read? */
static enum fl_rc check_end(struct decoder_host *h, struct fl_err *err)
{
	bool more = false;
	enum fl_rc rc = outlet_wanted(&h->outlet, &more, err);
	if (rc == FL_OK && more)
		return fl_fail(err, FL_E_SIZE_MISMATCH, 0, "output ends before chunk %llu",
			       (unsigned long long)h->outlet.next);
	if (rc == FL_OK && h->source.n_unreadable > 0)
		return fl_fail(err, FL_E_IO, 0, "source: %llu reads failed, the first at %llu",
			       (unsigned long long)h->source.n_unreadable,
			       (unsigned long long)h->source.first_unreadable);
	return rc;
}

enum fl_rc decode_run(struct decode *decode, struct fl_err *err)
{
	struct decoder_host *h = &decode->host;
	struct verdict *verdict = decode->decoder.verdict;
	enum fl_rc rc = decoder_decode(&decode->decoder, &decode->task, err);
	free(decode->reserve);
	decode->reserve = NULL;
	if (h->failed) {
		/* what the plugin made of it does not count */
		verdict_ok(verdict, "");
		*err = h->failure;
		rc = h->failure.rc;
	} else if (rc == FL_OK) {
		rc = check_end(h, err);
	}
	if (rc != FL_OK)
		outlet_end(&h->outlet, fl_rc_name(rc), err->msg);
	decoder_host_done(h);
	return rc;
}
