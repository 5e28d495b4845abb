/* SPDX-License-Identifier: Apache-2.0 */
#include "pages.h"

#include "spool.h"

#include <fairlead/base/file.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum fl_rc fl_pages_open(struct fl_pages *pages, const char *spool_dir, uint64_t size,
			 const struct fl_digest *root, struct fl_err *err)
{
	*pages = (struct fl_pages){.fd = -1};
	enum fl_rc rc = fl_tree_new(size, root, &pages->tree, err);
	if (rc != FL_OK)
		return rc;
	char path[FL_SPOOL_PATH_MAX];
	fl_spool_path(spool_dir, FL_SPOOL_TREE, root, path);
	/* Without the file every page is fetched again: slower, not wrong. */
	pages->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (pages->fd >= 0)
		(void)futimens(pages->fd, NULL); /* used now */
	return FL_OK;
}

void fl_pages_close(struct fl_pages *pages)
{
	fl_tree_free(pages->tree);
	pages->tree = NULL;
	fl_close(&pages->fd);
}

bool fl_pages_kept(struct fl_pages *pages, uint64_t page, uint8_t *buf)
{
	const struct fl_tree_shape *shape = fl_tree_get_shape(pages->tree);
	const uint32_t len = fl_tree_page_len(shape, page);
	return pages->fd >= 0 &&
	       fl_pread_all(pages->fd, buf, len, fl_tree_page_offset(shape, page), NULL) == FL_OK &&
	       fl_tree_put_page(pages->tree, page, buf, len, NULL) == FL_OK;
}

enum fl_rc fl_pages_take(struct fl_pages *pages, uint64_t page, const void *data, size_t len,
			 struct fl_err *err)
{
	const struct fl_tree_shape *shape = fl_tree_get_shape(pages->tree);
	enum fl_rc rc = fl_tree_put_page(pages->tree, page, data, len, err);
	if (rc == FL_OK && pages->fd >= 0 &&
	    fl_pwrite_all(pages->fd, data, len, fl_tree_page_offset(shape, page), NULL) != FL_OK)
		fl_close(&pages->fd);
	return rc;
}
