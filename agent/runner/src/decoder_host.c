/* SPDX-License-Identifier: Apache-2.0 */
#include "decoder_host.h"

#include "host.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Before each piece of memory: its size, and what malloc itself takes. */
#define PIECE_HEAD  ((size_t)16)
#define PIECE_EXTRA ((size_t)32)

static struct decoder_host *host_of(const struct fl_decoder_host *face)
{
	return face->ctx;
}

/* What is handed back to the plugin; the reason stays here. */
static int noted(struct decoder_host *h, enum fl_rc rc, const struct fl_err *err)
{
	if (rc != FL_OK && !h->failed)
		h->failure = *err;
	h->failed = h->failed || rc != FL_OK;
	return h->failed ? -1 : 0;
}

static int on_read_input(const struct fl_decoder_host *face, uint64_t offset, void *data,
			 uint32_t len)
{
	struct decoder_host *h = host_of(face);
	struct fl_err err;
	if (h->failed)
		return -1;
	enum fl_rc rc = spooled_read(&h->input, offset, data, len, &err);
	if (rc == FL_OK && offset + len > h->input_end) {
		h->input_end = offset + len;
		control_alive(h->control);
	}
	return noted(h, rc, &err);
}

/* What the medium doesn't give is zero. */
static void read_medium(struct decoder_source *source, uint64_t offset, uint8_t *data, size_t len)
{
	while (len > 0) {
		ssize_t n = pread(source->fd, data, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			memset(data, 0, len);
			if (source->n_unreadable++ == 0)
				source->first_unreadable = offset;
			return;
		}
		data += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
}

static int on_read_source(const struct fl_decoder_host *face, uint64_t offset, void *data,
			  uint32_t len)
{
	struct decoder_host *h = host_of(face);
	const uint64_t size = h->source.size;
	struct fl_err err;
	if (h->failed)
		return -1;
	if (offset > size || len > size - offset)
		return noted(h,
			     fl_fail(&err, FL_E_FORMAT, 0, "source: %u bytes at %llu of %llu", len,
				     (unsigned long long)offset, (unsigned long long)size),
			     &err);
	read_medium(&h->source, offset, data, len);
	return 0;
}

static int on_wanted(const struct fl_decoder_host *face, uint64_t *offset, uint64_t *len)
{
	struct decoder_host *h = host_of(face);
	struct fl_err err;
	bool more = false;
	if (h->failed || noted(h, outlet_wanted(&h->outlet, &more, &err), &err) != 0)
		return -1;
	if (!more)
		return 0;
	const uint64_t first = h->outlet.next * FL_CHUNK_SIZE, end = h->outlet.end * FL_CHUNK_SIZE;
	const uint64_t size = h->outlet.shape.size;
	*offset = first;
	*len = (end < size ? end : size) - first;
	return 1;
}

static int on_write_output(const struct fl_decoder_host *face, uint64_t offset, const void *data,
			   uint32_t len)
{
	struct decoder_host *h = host_of(face);
	struct fl_err err;
	if (h->failed)
		return -1;
	enum fl_rc rc = cancelled(h->control) ? fl_fail(&err, FL_E_CANCELLED, 0, "no longer wanted")
					      : outlet_put(&h->outlet, offset, data, len, &err);
	if (rc == FL_OK)
		control_alive(h->control);
	return noted(h, rc, &err);
}

static void *on_alloc(const struct fl_decoder_host *face, size_t size)
{
	struct decoder_host *h = host_of(face);
	const uint64_t left = h->memory_max - h->memory_used;
	if (size == 0)
		return NULL;
	if (left < PIECE_EXTRA || size > left - PIECE_EXTRA) {
		if (!h->refused_memory)
			control_log(h->control, FL_LEVEL_WARNING,
				    "the decoder asked for more memory than the release grants");
		h->refused_memory = true;
		return NULL;
	}
	uint8_t *piece = malloc(PIECE_HEAD + size);
	if (piece == NULL)
		return NULL;
	memcpy(piece, &size, sizeof(size));
	h->memory_used += PIECE_EXTRA + size;
	return piece + PIECE_HEAD;
}

static void on_release(const struct fl_decoder_host *face, void *data)
{
	struct decoder_host *h = host_of(face);
	size_t size;
	if (data == NULL)
		return;
	uint8_t *piece = (uint8_t *)data - PIECE_HEAD;
	memcpy(&size, piece, sizeof(size));
	h->memory_used -= PIECE_EXTRA + size;
	free(piece);
}

static void on_progress(const struct fl_decoder_host *face, uint64_t done, uint64_t total)
{
	(void)done;
	(void)total;
	control_alive(host_of(face)->control);
}

static void on_keepalive(const struct fl_decoder_host *face)
{
	control_alive(host_of(face)->control);
}

static void on_log(const struct fl_decoder_host *face, enum fl_level level, const char *text)
{
	control_log(host_of(face)->control, (int)level, text);
}

static int on_cancelled(const struct fl_decoder_host *face)
{
	return cancelled(host_of(face)->control);
}

void decoder_host_init(struct decoder_host *host, struct control *control, uint64_t memory_max)
{
	*host = (struct decoder_host){.control = control,
				      .input = {.fd = -1, .tree_fd = -1},
				      .source = {.fd = -1},
				      .memory_max = memory_max};
	host->face = (struct fl_decoder_host){
		.abi_major = FL_DECODER_ABI_MAJOR,
		.abi_minor = FL_DECODER_ABI_MINOR,
		.size = sizeof(struct fl_decoder_host),
		.ctx = host,
		.read_input = on_read_input,
		.read_source = on_read_source,
		.wanted = on_wanted,
		.write_output = on_write_output,
		.alloc = on_alloc,
		.release = on_release,
		.progress = on_progress,
		.keepalive = on_keepalive,
		.log = on_log,
		.cancelled = on_cancelled,
	};
}

void decoder_host_done(struct decoder_host *host)
{
	spooled_done(&host->input);
	outlet_done(&host->outlet);
}
