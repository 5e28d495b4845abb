/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dir/ballast: room that is ours on a disk that others fill. Its bytes do not compress, so that it
 * also weighs 64 KiB on file systems that do (UBIFS, btrfs). It is made again only where four times
 * its size is free: the last free blocks are worth more to everybody than to it.
 */
#include "db.h"

#include <fairlead/base/file.h>

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SIZE	     ((size_t)64 * 1024)
#define SMALL	     ((size_t)32 * 1024) /* what the log of a full disk gives back when it is closed */
#define ROOM	     (4 * SIZE)
#define WAIT_CHANGES 8 /* after a try that failed: each costs flash */

bool store_has_room(const struct fl_store *store)
{
	struct statvfs fs;
	return statvfs(store->dir, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize >= ROOM;
}

static void fill(uint8_t *data, size_t len)
{
	uint64_t x = UINT64_C(0x9e3779b97f4a7c15); /* xorshift64 */
	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		data[i] = (uint8_t)(x >> 32);
	}
}

static bool write_file(const char *path, size_t size)
{
	struct fl_buf buf = FL_BUF(SIZE);
	bool ok = fl_buf_reserve(&buf, size, NULL) == FL_OK;
	if (ok) {
		fill(buf.data, size);
		ok = fl_file_replace(path, buf.data, size, 0600, NULL) == FL_OK;
	}
	fl_buf_free(&buf);
	return ok;
}

void store_ballast_look(struct fl_store *store)
{
	char path[PATH_MAX];
	struct stat st;
	store->ballast = fl_path_join(path, sizeof(path), store->dir, "ballast", NULL) == FL_OK &&
			 stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
			 st.st_size >= (off_t)SMALL &&
			 (st.st_size >= (off_t)SIZE || !store_has_room(store));
}

bool store_ballast_release(struct fl_store *store)
{
	char path[PATH_MAX];
	bool released = store->ballast &&
			fl_path_join(path, sizeof(path), store->dir, "ballast", NULL) == FL_OK &&
			unlink(path) == 0;
	store->ballast = false;
	return released;
}

void store_ballast_make(struct fl_store *store, bool only_with_room)
{
	char path[PATH_MAX];
	if (store->ballast ||
	    fl_path_join(path, sizeof(path), store->dir, "ballast", NULL) != FL_OK)
		return;
	if (only_with_room && store->ballast_wait > 0) {
		store->ballast_wait--;
		return;
	}
	if (only_with_room && !store_has_room(store))
		return;
	store->ballast = write_file(path, SIZE) || (!only_with_room && write_file(path, SMALL));
	store->ballast_wait = store->ballast ? 0 : WAIT_CHANGES;
}
