/* SPDX-License-Identifier: Apache-2.0 */
#include "image_info.h"

#include "run_program.h"

#include <fairlead/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INFO_MAX ((size_t)4096)
#define INFO	 "usr/lib/fairlead/image-info"

static const struct magic {
	enum fl_tools_image_kind kind;
	off_t offset;
	size_t len;
	char bytes[8];
} magics[] = {
	{FL_TOOLS_IMAGE_EXT, 1024 + 56, 2, "\x53\xef"}, /* s_magic of the superblock */
	{FL_TOOLS_IMAGE_SQUASHFS, 0, 4, "hsqs"},
	{FL_TOOLS_IMAGE_TAR, 257, 5, "ustar"},
};

static bool has_magic(int fd, const struct magic *m)
{
	char found[sizeof(m->bytes)];
	return pread(fd, found, m->len, m->offset) == (ssize_t)m->len &&
	       memcmp(found, m->bytes, m->len) == 0;
}

enum fl_rc fl_tools_image_kind_of(const char *image, enum fl_tools_image_kind *ret,
				  struct fl_err *err)
{
	FL_AUTO_FD fd = open(image, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		int e = errno;
		return fl_fail(err, fl_rc_from_errno(e), e, "image '%s'", image);
	}
	enum fl_tools_image_kind kind = FL_TOOLS_IMAGE_OPAQUE;
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
		if (has_magic(fd, &magics[i])) {
			kind = magics[i].kind;
			break;
		}
	}
	*ret = kind;
	return FL_OK;
}

#define ARGS_MAX 6

/* The programs that print one file of an image; "@" stands for the image. A tar may name its
 * members two ways. */
static const struct reader {
	enum fl_tools_image_kind kind;
	const char *argv[ARGS_MAX];
} readers[] = {
	{FL_TOOLS_IMAGE_EXT, {"debugfs", "-R", "cat /" INFO, "@"}},
	{FL_TOOLS_IMAGE_SQUASHFS, {"unsquashfs", "-cat", "@", INFO}},
	{FL_TOOLS_IMAGE_TAR, {"tar", "-xOf", "@", "./" INFO}},
	{FL_TOOLS_IMAGE_TAR, {"tar", "-xOf", "@", INFO}},
};

static enum fl_rc run_reader(const struct reader *r, const char *image, struct fl_buf *out,
			     struct fl_err *err)
{
	char path[4096]; /* never an option, whatever the image is called */
	const char *argv[ARGS_MAX + 1] = {NULL};
	int n = snprintf(path, sizeof(path), "%s%s", image[0] == '/' ? "" : "./", image);
	if (n < 0 || (size_t)n >= sizeof(path))
		return fl_fail(err, FL_E_TOO_LARGE, 0, "path '%s'", image);
	for (size_t i = 0; i < ARGS_MAX && r->argv[i] != NULL; i++)
		argv[i] = strcmp(r->argv[i], "@") == 0 ? path : r->argv[i];
	fl_buf_clear(out);
	return fl_tools_run_program(argv, out, err);
}

static enum fl_rc read_text(const char *image, enum fl_tools_image_kind kind, struct fl_buf *out,
			    struct fl_err *err)
{
	enum fl_rc rc = fl_fail(err, FL_E_NOT_SUPPORTED, 0,
				"neither ext4 nor squashfs nor tar: nothing to read it from");
	for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++) {
		if (readers[i].kind != kind)
			continue;
		rc = run_reader(&readers[i], image, out, err);
		if (rc == FL_OK && out->len > 0)
			return FL_OK;
		if (rc == FL_OK || rc == FL_E_IO)
			rc = fl_fail(err, FL_E_IMAGE_INFO, 0, "the image has no /" INFO);
	}
	return rc;
}

enum fl_rc fl_tools_image_info_read(const char *image, enum fl_tools_image_kind kind,
				    struct fl_arena *arena, struct fl_image_info *ret,
				    struct fl_err *err)
{
	struct fl_buf text = FL_BUF(INFO_MAX);
	enum fl_rc rc = read_text(image, kind, &text, err);
	if (rc == FL_OK) {
		rc = fl_image_info_decode((struct fl_bytes){text.data, text.len}, arena, ret, err);
		if (rc != FL_OK)
			rc = fl_wrap(err, FL_E_IMAGE_INFO, "/" INFO);
	}
	fl_buf_free(&text);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "image '%s'", image);
}

enum fl_rc fl_tools_image_info_check(const struct fl_image_info *info, const char *product,
				     const char *component, const char *version, struct fl_err *err)
{
	const struct {
		const char *what, *found, *expected;
	} rows[] = {
		{"product", info->product, product},
		{"component", info->component, component},
		{"version", info->version, version},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(rows[i].found, rows[i].expected) != 0)
			return fl_fail(err, FL_E_IMAGE_INFO, 0, "image-info says %s '%s', not '%s'",
				       rows[i].what, rows[i].found, rows[i].expected);
	}
	return FL_OK;
}
