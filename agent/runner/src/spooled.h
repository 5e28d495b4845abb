/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An artifact that lies whole in a file of the agent's, read by offset. Nothing of the file is
 * believed, nor that it stays as it is: every chunk is read into this process and compared with the
 * signed tree before a byte of it is handed out. Memory: one chunk, one page per level of the tree.
 */
#ifndef FL_RUNNER_SPOOLED_H
#define FL_RUNNER_SPOOLED_H

#include <fairlead/trust/tree.h>

struct spooled {
	int fd, tree_fd;      /* borrowed: the artifact, the tree object */
	struct fl_tree *tree; /* owned, like chunk */
	uint8_t *chunk;
	uint64_t number; /* of the chunk that is held */
};

enum fl_rc spooled_init(struct spooled *spooled, int fd, int tree_fd, uint64_t size,
			const struct fl_digest *root, struct fl_err *err) FL_CHECKED;
void spooled_done(struct spooled *spooled);
/* Exactly len bytes. FL_E_FORMAT: (partly) past the end; FL_E_CHUNK_MISMATCH; FL_E_TRUNCATED,
 * FL_E_IO from the file. */
enum fl_rc spooled_read(struct spooled *spooled, uint64_t offset, void *out, size_t len,
			struct fl_err *err) FL_CHECKED;

#endif
