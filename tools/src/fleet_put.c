/* SPDX-License-Identifier: Apache-2.0 */
/* A file to the fleet, streamed. */
#include "fleet_private.h"

#include <fairlead/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct sending {
	const struct fl_tools_upload *upload;
	int fd;
	off_t at;
	off_t len;
	struct fl_buf answer;
};

static size_t on_read(char *out, size_t size, size_t n, void *ctx)
{
	struct sending *s = ctx;
	ssize_t got = pread(s->fd, out, size * n, s->at);
	if (got < 0)
		return CURL_READFUNC_ABORT;
	s->at += got;
	if (s->upload->on_progress != NULL)
		s->upload->on_progress(s->upload->ctx, (uint64_t)s->at, (uint64_t)s->len);
	return (size_t)got;
}

/* curl may have to begin again: after a kept connection turned out to be closed. */
static int on_seek(void *ctx, curl_off_t offset, int origin)
{
	struct sending *s = ctx;
	if (origin != SEEK_SET)
		return CURL_SEEKFUNC_CANTSEEK;
	s->at = (off_t)offset;
	return CURL_SEEKFUNC_OK;
}

static size_t on_answer(char *data, size_t size, size_t n, void *ctx)
{
	struct sending *s = ctx;
	return fl_buf_append(&s->answer, data, size * n, NULL) == FL_OK ? size * n : 0;
}

static enum fl_rc send_file(struct fl_tools_fleet *fleet, struct sending *s,
			    struct curl_slist *headers, struct fl_err *err)
{
	CURL *c = fleet->curl;
	(void)curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
	(void)curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read);
	(void)curl_easy_setopt(c, CURLOPT_READDATA, s);
	(void)curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, on_seek);
	(void)curl_easy_setopt(c, CURLOPT_SEEKDATA, s);
	(void)curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)s->len);
	(void)curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, 256L * 1024L);
	(void)curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_answer);
	(void)curl_easy_setopt(c, CURLOPT_WRITEDATA, s);
	CURLcode code = curl_easy_perform(c);
	if (code != CURLE_OK)
		return fl_tools_fleet_failed(fleet, code, err);
	return fl_tools_fleet_status(fleet, &s->answer, err);
}

static enum fl_rc put(struct fl_tools_fleet *fleet, struct sending *s, struct fl_err *err)
{
	char header[64];
	(void)snprintf(header, sizeof(header), "X-Fairlead-Size: %llu",
		       (unsigned long long)s->upload->size);
	/* Not asking "may I?" first saves a second where the fleet doesn't answer that. */
	struct curl_slist *headers = curl_slist_append(curl_slist_append(NULL, "Expect:"), header);
	if (headers == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "header");
	enum fl_rc rc = fl_tools_fleet_prepare(fleet, s->upload->path, err);
	if (rc == FL_OK)
		rc = send_file(fleet, s, headers, err);
	curl_slist_free_all(headers);
	return rc;
}

enum fl_rc fl_tools_fleet_put(struct fl_tools_fleet *fleet, const struct fl_tools_upload *upload,
			      struct fl_err *err)
{
	struct stat st;
	FL_AUTO_FD fd = open(upload->file, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "'%s'", upload->file);
	struct sending s = {
		.upload = upload, .fd = fd, .len = st.st_size, .answer = FL_BUF((size_t)64 * 1024)};
	enum fl_rc rc = put(fleet, &s, err);
	fl_buf_free(&s.answer);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "upload '%s'", upload->file);
}
