/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>
#include <fairlead/boot/slots.h>
#include <fairlead/trust/digest.h>

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#define IMAGE_INFO_MAX ((size_t)4096)

void host_read_line(const char *path, char *out, size_t size)
{
	struct fl_err err;
	struct fl_buf text = FL_BUF((size_t)4096);
	out[0] = '\0';
	if (path != NULL && fl_file_read(path, &text, &err) == FL_OK) {
		size_t len = strcspn(fl_buf_str(&text), "\n");
		len = len < size - 1 ? len : size - 1;
		memcpy(out, fl_buf_str(&text), len);
		out[len] = '\0';
	}
	fl_buf_free(&text);
}

void host_read_note(const struct config *config, const char *name, char *out, size_t size)
{
	char path[PATH_MAX];
	out[0] = '\0';
	if (fl_path_join(path, sizeof(path), config->anchor_dir, name, NULL) == FL_OK)
		host_read_line(path, out, size);
}

enum fl_rc host_write_note(const struct config *config, const char *name, const char *text,
			   struct fl_err *err)
{
	char path[PATH_MAX];
	enum fl_rc rc = fl_path_join(path, sizeof(path), config->anchor_dir, name, err);
	if (rc == FL_OK && text != NULL)
		return fl_file_replace(path, text, strlen(text), 0600, err);
	if (rc == FL_OK && unlink(path) != 0 && errno != ENOENT)
		rc = fl_fail(err, fl_rc_from_errno(errno), errno, "remove '%s'", path);
	return rc;
}

void host_running(const struct config *config, char ret[FL_NAME_MAX + 1])
{
	struct fl_err err = {0};
	bool proving;
	ret[0] = '\0';
	if (fl_boot_running(config->conf, &FL_BOOT_ROOTS, ret, &proving, &err) != FL_OK)
		fl_log_err(FL_LOG_WARNING, &err, "running slot");
}

enum fl_rc host_image_info(const struct config *config, struct fl_arena *arena,
			   struct fl_image_info *ret, struct fl_err *err)
{
	struct fl_buf text = FL_BUF(IMAGE_INFO_MAX);
	enum fl_rc rc = fl_file_read(config->image_info, &text, err);
	if (rc == FL_OK)
		rc = fl_image_info_decode((struct fl_bytes){text.data, text.len}, arena, ret, err);
	fl_buf_free(&text);
	return rc == FL_OK ? rc : fl_wrap(err, FL_E_IMAGE_INFO, "running system");
}

enum fl_rc host_boot(const struct config *config, struct fl_anchor_name *ret, struct fl_err *err)
{
	char id[FL_NAME_MAX + 1];
	struct fl_digest digest;
	host_read_line(config->boot_id, id, sizeof(id));
	if (id[0] == '\0')
		return fl_fail(err, FL_E_CONFIG, 0, "the host tells no boot id");
	enum fl_rc rc = fl_sha256(NULL, 0, id, strlen(id), &digest, err);
	if (rc == FL_OK)
		memcpy(ret->b, digest.b, sizeof(ret->b));
	return rc;
}

enum fl_rc host_request_restart(const struct config *config, struct fl_err *err)
{
	static const char text[] = "fairlead-helper\n";
	return fl_file_replace(config->restart_request, text, sizeof(text) - 1, 0644, err);
}
