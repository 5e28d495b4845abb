/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The back end grub. The decision stands twice in host->dir, each copy with its checksum;
 * loader/grub/grub.cfg boots the younger valid one. GRUB reads the file system without replaying
 * its journal: so nothing is ever renamed, the files are made once with all their blocks, and
 * everything later is written in place.
 *
 *   store:  tries of the next decision ─► older copy ─► its checksum ─► other copy ─► its checksum
 * (─► = fsync) └ from here on the new decision boots
 *
 * Crash contract: docs/internals/boot-grub.md.
 */
#include "backends.h"
#include "grub.h"
#include "grub_text.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* linux/ext4.h is not for programs before Linux 6.2. */
#define EXT4_CHECKPOINT _IOW('f', 43, uint32_t)

const char *const grub_sum_names[GRUB_COPIES] = {"first.sum", "second.sum"};

/* --- files --- */

/* The file's bytes; one that is too long is read as empty, which is as damaged. */
enum fl_rc grub_read_part(const struct fl_boot_host *host, const char *name, struct fl_buf *out,
			  struct fl_err *err)
{
	char path[PATH_MAX];
	enum fl_rc rc = fl_path_join(path, sizeof(path), host->dir, name, err);
	if (rc == FL_OK)
		rc = fl_file_read(path, out, err);
	if (rc != FL_E_TOO_LARGE)
		return rc;
	fl_buf_clear(out);
	return FL_OK;
}

static enum fl_rc open_part(const struct fl_boot_host *host, const char *name, int flags, int *fd,
			    struct fl_err *err)
{
	char path[PATH_MAX];
	enum fl_rc rc = fl_path_join(path, sizeof(path), host->dir, name, err);
	if (rc != FL_OK)
		return rc;
	*fd = open(path, flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0644);
	return *fd >= 0 ? FL_OK : fl_fail(err, fl_rc_from_errno(errno), errno, "open '%s'", path);
}

/* In place, and on the medium when it returns. */
static enum fl_rc write_part(const struct fl_boot_host *host, const char *name,
			     struct fl_bytes data, size_t offset, struct fl_err *err)
{
	FL_AUTO_FD fd = -1;
	enum fl_rc rc = open_part(host, name, 0, &fd, err);
	if (rc == FL_OK)
		rc = fl_pwrite_all(fd, data.data, data.len, offset, err);
	if (rc == FL_OK && fsync(fd) != 0)
		rc = fl_fail(err, fl_rc_from_errno(errno), errno, "sync");
	return rc == FL_OK ? rc : fl_wrap(err, rc, "write boot file '%s'", name);
}

/* Real bytes: an extent that was only reserved would be turned into a written one in the journal,
 * unseen by GRUB. */
static enum fl_rc make_part(const struct fl_boot_host *host, const char *name, size_t size,
			    bool *made, struct fl_err *err)
{
	FL_AUTO_FD fd = -1;
	struct stat st;
	char filler[GRUB_DECISION_SIZE];
	enum fl_rc rc = open_part(host, name, O_CREAT, &fd, err);
	if (rc != FL_OK)
		return rc;
	if (fstat(fd, &st) != 0)
		return fl_fail(err, FL_E_IO, errno, "stat boot file '%s'", name);
	if ((size_t)st.st_size == size)
		return FL_OK;
	*made = true;
	memset(filler, '#', sizeof(filler));
	/* From nothing to its whole length at once, as far as it lies with us: the length comes
	 * last on the medium. */
	if (ftruncate(fd, 0) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "make boot file '%s'", name);
	rc = fl_pwrite_all(fd, filler, size, 0, err);
	if (rc == FL_OK && fsync(fd) != 0)
		rc = fl_fail(err, fl_rc_from_errno(errno), errno, "sync");
	return rc == FL_OK ? rc : fl_wrap(err, rc, "make boot file '%s'", name);
}

/* New names and blocks leave the journal for where GRUB looks; ext4 from Linux 5.14 on, no other
 * needs or knows it. */
static enum fl_rc settle(const struct fl_boot_host *host, struct fl_err *err)
{
	FL_AUTO_FD fd = open(host->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint32_t flags = 0;
	if (fd < 0 || fsync(fd) != 0 || syncfs(fd) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "sync '%s'", host->dir);
	(void)ioctl(fd, EXT4_CHECKPOINT, &flags);
	return FL_OK;
}

static enum fl_rc make_parts(const struct fl_boot_host *host, struct fl_err *err)
{
	bool made = false;
	enum fl_rc rc = make_part(host, "count", GRUB_COUNT_SIZE, &made, err);
	for (size_t i = 0; i < GRUB_COPIES && rc == FL_OK; i++) {
		const char *name = grub_copy_names[i];
		const size_t line = FL_DIGEST_HEX_SIZE - 1 + strlen("  \n") + strlen(name);
		rc = make_part(host, name, GRUB_DECISION_SIZE, &made, err);
		if (rc == FL_OK)
			rc = make_part(host, grub_sum_names[i], line, &made, err);
	}
	return rc == FL_OK && made ? settle(host, err) : rc;
}

/* --- load --- */

enum fl_rc grub_load_copy(const struct fl_boot_host *host, enum grub_copy copy,
			  struct fl_boot_state *ret, struct fl_err *err)
{
	struct fl_buf text = FL_BUF(GRUB_DECISION_SIZE);
	struct fl_buf sum = FL_BUF(GRUB_SUM_MAX);
	enum fl_rc rc = grub_read_part(host, grub_copy_names[copy], &text, err);
	if (rc == FL_OK)
		rc = grub_read_part(host, grub_sum_names[copy], &sum, err);
	if (rc == FL_OK)
		rc = grub_parse_decision(&text, &sum, copy, ret, err);
	fl_buf_free(&text);
	fl_buf_free(&sum);
	return rc;
}

/* The younger valid copy; the first when they are the same. An unreadable one counts as damaged. */
static enum fl_rc load_younger(const struct fl_boot_host *host, struct fl_boot_state *ret,
			       struct fl_err *err)
{
	struct fl_boot_state copies[GRUB_COPIES];
	enum fl_rc rcs[GRUB_COPIES];
	for (size_t i = 0; i < GRUB_COPIES; i++)
		rcs[i] = grub_load_copy(host, (enum grub_copy)i, &copies[i], err);
	if (rcs[GRUB_FIRST] != FL_OK && rcs[GRUB_SECOND] != FL_OK) {
		if (rcs[GRUB_FIRST] == FL_E_NOT_FOUND && rcs[GRUB_SECOND] == FL_E_NOT_FOUND)
			return FL_E_NOT_FOUND;
		return fl_fail(err, FL_E_CORRUPT, 0, "boot decision: both copies are damaged");
	}
	const bool second =
		rcs[GRUB_FIRST] != FL_OK ||
		(rcs[GRUB_SECOND] == FL_OK && copies[GRUB_SECOND].seq > copies[GRUB_FIRST].seq);
	*ret = copies[second ? GRUB_SECOND : GRUB_FIRST];
	return FL_OK;
}

/* What cannot be read, or is damaged, leaves no try: so GRUB sees it. */
static enum fl_rc count_used(const struct fl_boot_host *host, struct fl_boot_state *state,
			     struct fl_err *err)
{
	struct fl_err why;
	struct fl_buf count = FL_BUF(GRUB_COUNT_SIZE);
	unsigned left = 0;
	enum fl_rc rc = FL_OK;
	if (grub_read_part(host, "count", &count, &why) == FL_OK && grub_count_valid(&count))
		rc = grub_tries_left(&count, state, &left, err);
	state->used = state->tries - left;
	fl_buf_free(&count);
	return rc;
}

static enum fl_rc grub_load(const struct fl_boot_host *host, struct fl_boot_state *ret,
			    struct fl_err *err)
{
	struct fl_boot_state state = {0};
	enum fl_rc rc = load_younger(host, &state, err);
	if (rc == FL_OK)
		rc = count_used(host, &state, err);
	if (rc == FL_OK)
		*ret = state;
	return rc;
}

/* --- store --- */

static enum fl_rc write_fields(const struct fl_boot_host *host, const struct fl_boot_state *next,
			       struct fl_err *err)
{
	char token[GRUB_TOKEN_SIZE];
	const struct grub_field tries = grub_count_field(next->seq);
	const struct grub_field offers = grub_offer_field();
	struct fl_buf offer = FL_BUF(GRUB_COUNT_SIZE);
	enum fl_rc rc = FL_OK;
	if (next->trial[0] != '\0') {
		rc = grub_token(next, next->tries - next->used, token, err);
		if (rc == FL_OK)
			rc = write_part(host, "count",
					(struct fl_bytes){(const uint8_t *)token, tries.len},
					tries.offset, err);
	}
	if (rc == FL_OK)
		rc = grub_print_offer(host, next, &offer, err);
	if (rc == FL_OK)
		rc = write_part(host, "count", (struct fl_bytes){offer.data, offer.len},
				offers.offset, err);
	fl_buf_free(&offer);
	return rc;
}

/*
 * The next decision's tries; the present one's are not touched. And what to offer should both
 * copies be lost: before the decision, so that no cut leaves a withdrawn slot in it.
 */
static enum fl_rc store_count(const struct fl_boot_host *host, const struct fl_boot_state *next,
			      struct fl_err *err)
{
	struct fl_buf count = FL_BUF(GRUB_COUNT_SIZE);
	enum fl_rc rc = grub_read_part(host, "count", &count, err);
	if (rc == FL_OK && !grub_count_valid(&count)) {
		rc = grub_print_count(&count, err);
		if (rc == FL_OK)
			rc = write_part(host, "count", (struct fl_bytes){count.data, count.len}, 0,
					err);
	}
	fl_buf_free(&count);
	return rc == FL_OK ? write_fields(host, next, err) : rc;
}

static enum fl_rc store_copy(const struct fl_boot_host *host, const struct fl_boot_state *next,
			     enum grub_copy copy, struct fl_err *err)
{
	struct fl_buf text = FL_BUF(GRUB_DECISION_SIZE);
	struct fl_buf sum = FL_BUF(GRUB_SUM_MAX);
	enum fl_rc rc = grub_print_decision(next, copy, &text, err);
	if (rc == FL_OK)
		rc = grub_print_sum(&text, copy, &sum, err);
	if (rc == FL_OK)
		rc = write_part(host, grub_copy_names[copy], (struct fl_bytes){text.data, text.len},
				0, err);
	if (rc == FL_OK)
		rc = write_part(host, grub_sum_names[copy], (struct fl_bytes){sum.data, sum.len}, 0,
				err);
	fl_buf_free(&text);
	fl_buf_free(&sum);
	return rc;
}

/* The copy that the present decision does not need. */
static enum grub_copy spare_copy(const struct fl_boot_host *host, const struct fl_boot_state *old)
{
	struct fl_boot_state second;
	struct fl_err why;
	const bool has_it = old != NULL &&
			    grub_load_copy(host, GRUB_SECOND, &second, &why) == FL_OK &&
			    second.seq == old->seq;
	return has_it ? GRUB_FIRST : GRUB_SECOND;
}

static enum fl_rc grub_store(const struct fl_boot_host *host, const struct fl_boot_state *old,
			     const struct fl_boot_state *next, struct fl_err *err)
{
	struct fl_err why;
	enum fl_rc rc = make_parts(host, err);
	if (rc == FL_OK)
		rc = store_count(host, next, err);
	if (rc != FL_OK)
		return rc;
	const enum grub_copy spare = spare_copy(host, old);
	const enum grub_copy other = spare == GRUB_FIRST ? GRUB_SECOND : GRUB_FIRST;
	rc = store_copy(host, next, spare, err);
	if (rc != FL_OK)
		return rc;
	/* It is decided. The other copy only guards against a bad sector; `doctor` tells when it
	 * lags behind. */
	if (store_copy(host, next, other, &why) != FL_OK)
		fl_log_err(FL_LOG_WARNING, &why, "one copy of the boot decision is old");
	return FL_OK;
}

const struct fl_boot_backend fl_boot_grub = {
	.name = "grub",
	.makes_dir = true,
	.load = grub_load,
	.store = grub_store,
	.check = grub_check,
};
