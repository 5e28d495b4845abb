/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of the environment one by one: libubootenv tells only whether one of them will do. */
#include "uboot.h"

#include <fairlead/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_MAX ((size_t)4096)
#define COPY_MAX   ((size_t)1 << 20)
#define SCRIPT_MAX ((size_t)256 * 1024)

/* "device offset size …", numbers as strtoull takes them. */
static bool parse_line(const char *line, struct uboot_area *ret)
{
	int used = 0;
	char *end;
	if (sscanf(line, "%4095s %n", ret->device, &used) != 1 || ret->device[0] == '#')
		return false;
	ret->offset = strtoull(line + used, &end, 0);
	const char *size = end;
	ret->size = (size_t)strtoull(size, &end, 16);
	return end != size && ret->size > 0 && ret->size <= COPY_MAX;
}

enum fl_rc uboot_areas_read(const char *config, struct uboot_areas *ret, struct fl_err *err)
{
	struct fl_buf text = FL_BUF(CONFIG_MAX);
	struct uboot_areas areas = {.n = 0};
	enum fl_rc rc = fl_file_read(config, &text, err);
	if (rc == FL_OK) {
		char *rest = (char *)text.data;
		while (rest != NULL && areas.n < UBOOT_COPIES_MAX)
			areas.n += parse_line(strsep(&rest, "\n"), &areas.items[areas.n]);
		if (areas.n == 0)
			rc = fl_fail(err, FL_E_CONFIG, 0, "'%s' names no device", config);
	}
	fl_buf_free(&text);
	if (rc == FL_OK)
		*ret = areas;
	return rc;
}

/* As zlib's crc32 (ISO 3309), which U-Boot uses. */
static uint32_t crc32_of(const uint8_t *data, size_t len)
{
	uint32_t crc = UINT32_MAX;
	for (size_t i = 0; i < len; i++) {
		crc ^= data[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ ((crc & 1) != 0 ? UINT32_C(0xedb88320) : 0);
	}
	return ~crc;
}

static enum fl_rc read_area(const struct uboot_area *area, struct fl_buf *ret, struct fl_err *err)
{
	FL_AUTO_FD fd = open(area->device, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "open '%s'", area->device);
	enum fl_rc rc = fl_buf_reserve(ret, area->size, err);
	if (rc == FL_OK)
		rc = fl_pread_all(fd, ret->data, area->size, area->offset, err);
	if (rc == FL_OK)
		ret->len = area->size;
	return rc;
}

/* With a second copy a flag stands between sum and variables. */
static bool is_whole(const struct fl_buf *copy, bool has_flag)
{
	uint32_t sum;
	const size_t head = sizeof(sum) + has_flag;
	if (copy->len <= head)
		return false;
	memcpy(&sum, copy->data, sizeof(sum));
	return sum == crc32_of(copy->data + head, copy->len - head);
}

static void check_area(const struct uboot_area *area, const char *what, bool has_flag,
		       size_t number, struct findings *f)
{
	struct fl_err why = {0};
	struct fl_buf copy = FL_BUF(COPY_MAX);
	if (read_area(area, &copy, &why) != FL_OK)
		findings_add(f, false, "%s, copy %zu: %s", what, number, why.msg);
	else if (is_whole(&copy, has_flag))
		findings_add(f, true, "%s, copy %zu is whole", what, number);
	else
		findings_add(f, false, "%s, copy %zu is damaged; the next change renews it", what,
			     number);
	fl_buf_free(&copy);
}

void uboot_check_copies(const struct fl_boot_host *host, const char *config, const char *what,
			size_t copies, struct findings *f)
{
	char path[PATH_MAX];
	struct uboot_areas areas;
	struct fl_err why = {0};
	enum fl_rc rc = fl_path_join(path, sizeof(path), host->dir, config, &why);
	if (rc == FL_OK)
		rc = uboot_areas_read(path, &areas, &why);
	if (rc == FL_E_NOT_FOUND && copies == 1)
		return;
	findings_add(f, rc == FL_OK, "%s is readable%s%s", config, rc == FL_OK ? "" : ": ",
		     why.msg);
	if (rc != FL_OK)
		return;
	findings_add(f, areas.n == copies, "%s names %zu of %zu copies", config, areas.n, copies);
	for (size_t i = 0; i < areas.n; i++)
		check_area(&areas.items[i], what, areas.n == UBOOT_COPIES_MAX, i + 1, f);
}

/* The compiled script holds its text as it was. */
void uboot_check_script(const struct fl_boot_host *host, struct findings *f)
{
	struct fl_err why = {0};
	struct fl_buf text = FL_BUF(SCRIPT_MAX);
	if (host->loader == NULL)
		return;
	enum fl_rc rc = fl_file_read(host->loader, &text, &why);
	if (rc == FL_OK && memmem(text.data, text.len, "fairlead_trial", 14) == NULL)
		rc = fl_fail(&why, FL_E_NOT_FOUND, 0, "it knows no fairlead_trial");
	findings_add(f, rc == FL_OK, "the loader's script '%s'%s%s", host->loader,
		     rc == FL_OK ? " is ours" : ": ", why.msg);
	fl_buf_free(&text);
}
