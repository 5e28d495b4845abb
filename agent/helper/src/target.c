/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: which slot a component may be written to, opened and locked; never the one that runs. */
#include "helper.h"

#include <fairlead/base/file.h>
#include <fairlead/boot/slots.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool same_place(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode))
		return a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Of a partition the device itself, also where udev's link by label or UUID is configured; of a
 * file the path as it is. */
static enum fl_rc find_path(struct helper *h, const struct component *c, const struct slot *slot,
			    char path[PATH_MAX], struct stat *st, struct fl_err *err)
{
	char device[PATH_MAX];
	enum fl_rc rc = fl_boot_component_slot(h->config.conf, &FL_BOOT_ROOTS, c->name, slot->name,
					       path, err);
	if (rc != FL_OK)
		return rc;
	if (strncmp(path, "/dev/", 5) == 0 && realpath(path, device) != NULL)
		memcpy(path, device,
		       sizeof(device)); /* only there: root alone writes links below /dev */
	if (lstat(path, st) != 0)
		return fl_fail(err, FL_E_SLOT_MISSING, errno, "slot '%s'", slot->value);
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return fl_fail(err, FL_E_SLOT_MISSING, 0,
			       "slot '%s' is no file and no block device", slot->value);
	return FL_OK;
}

/* By name, by inode, and by what the mounted root stands on. */
static bool is_running(struct helper *h, const struct component *c, const struct slot *slot,
		       const struct stat *st)
{
	char name[FL_NAME_MAX + 1];
	char path[PATH_MAX];
	struct stat other;
	struct fl_err err;
	host_running(&h->config, name);
	const struct slot *running = component_slot(c, name);
	if (running == NULL || strcmp(running->name, slot->name) == 0)
		return true; /* unknown counts as this one */
	if (find_path(h, c, running, path, &other, &err) == FL_OK && same_place(st, &other))
		return true;
	return S_ISBLK(st->st_mode) && stat("/", &other) == 0 && other.st_dev == st->st_rdev;
}

/* O_EXCL keeps mounts and our like away, not a write: nobody but root may be able to. Without root
 * the seal is advisory anyway. */
static enum fl_rc check_writers(const struct slot *slot, const struct stat *st, struct fl_err *err)
{
	if (geteuid() != 0 || !S_ISBLK(st->st_mode) ||
	    (st->st_uid == 0 && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0))
		return FL_OK;
	return fl_fail(err, FL_E_CONFIG, 0,
		       "others than root may write to '%s': mode %04o, owner %u", slot->value,
		       (unsigned)st->st_mode & 07777u, (unsigned)st->st_uid);
}

/* Files by flock; a block device by O_EXCL, and its flock only keeps udev from looking into it
 * meanwhile. */
static enum fl_rc lock(int fd, const struct slot *slot, const struct stat *st, struct fl_err *err)
{
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 || S_ISBLK(st->st_mode))
		return FL_OK;
	return fl_fail(err, FL_E_SLOT_BUSY, 0, "slot '%s' is locked by another program",
		       slot->value);
}

enum fl_rc open_target(struct helper *h, const struct component *c, const struct slot *slot,
		       int flags, int *ret, struct fl_err *err)
{
	char path[PATH_MAX];
	struct stat st;
	struct stat opened;
	enum fl_rc rc = find_path(h, c, slot, path, &st, err);
	if (rc != FL_OK)
		return rc;
	if (is_running(h, c, slot, &st))
		return fl_fail(err, FL_E_SLOT_RUNNING, 0, "slot '%s'", slot->name);
	FL_AUTO_FD fd =
		open(path, flags | O_NOFOLLOW | O_CLOEXEC | (S_ISBLK(st.st_mode) ? O_EXCL : 0));
	if (fd < 0 && errno == EBUSY)
		return fl_fail(err, FL_E_SLOT_BUSY, 0, "slot '%s'", slot->value);
	if (fd < 0 || fstat(fd, &opened) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "slot '%s'", slot->value);
	if (!same_place(&st, &opened))
		return fl_fail(err, FL_E_SLOT_BUSY, 0, "slot '%s' was exchanged", slot->value);
	rc = check_writers(slot, &opened, err);
	if (rc == FL_OK)
		rc = lock(fd, slot, &opened, err);
	if (rc != FL_OK)
		return rc;
	*ret = fd;
	fd = -1;
	return FL_OK;
}

enum fl_rc open_source(struct helper *h, const struct component *c, int *ret, struct fl_err *err)
{
	char name[FL_NAME_MAX + 1], path[PATH_MAX];
	struct stat st;
	host_running(&h->config, name);
	const struct slot *slot = component_slot(c, name);
	if (slot == NULL)
		return fl_fail(err, FL_E_SLOT_RUNNING, 0, "it is not known which slot runs");
	if (!c->read_only)
		return fl_fail(err, FL_E_NOT_SUPPORTED, 0, "what runs of '%s' is no source: it is not read_only", c->name);
	enum fl_rc rc = find_path(h, c, slot, path, &st, err);
	if (rc != FL_OK)
		return rc;
	*ret = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return *ret >= 0 ? FL_OK : fl_fail(err, fl_rc_from_errno(errno), errno, "slot '%s'", slot->value);
}

enum fl_rc find_target(struct helper *h, const struct component *c, const struct boot_view *view,
		       const struct slot **ret, struct fl_err *err)
{
	const struct fl_anchor_component *known = fl_anchor_find_component(&h->anchor, c->key);
	const struct slot *slot = known == NULL ? NULL : component_slot_by_tag(c, known->slot);
	if (slot == NULL)
		return fl_fail(err, FL_E_PHASE, 0, "component '%s' has no target", c->name);
	if (view->running[0] == '\0' || strcmp(slot->name, view->running) == 0)
		return fl_fail(err, FL_E_SLOT_RUNNING, 0, "slot '%s'", slot->name);
	*ret = slot;
	return FL_OK;
}
