/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a bundle: refused, or everything the index names can be read within the file. Input: u8 flags, then the file;
 * bit 0 sets the checksum of the index right, so that what it covers is reached.
 */
#include <fairlead/base/file.h>
#include <fairlead/bundle/bundle.h>
#include <fairlead/trust/digest.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HEAD  24u
#define ENTRY 48u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void repair(uint8_t *file, size_t len)
{
	struct fl_err err;
	struct fl_digest sum;
	uint64_t n = 0;
	for (size_t i = 12; i < 16 && len >= HEAD; i++)
		n = n << 8 | file[i];
	const uint64_t covered = HEAD + n * ENTRY;
	if (len >= HEAD && covered + sizeof(sum.b) <= len &&
	    fl_sha256(NULL, 0, file, (size_t)covered, &sum, &err) == FL_OK)
		memcpy(file + covered, sum.b, sizeof(sum.b));
}

static void read_all(const struct fl_bundle *b, size_t len)
{
	struct fl_err err;
	uint64_t end = 0;
	for (size_t i = 0; i < fl_bundle_count(b); i++) {
		const struct fl_bundle_entry *e = fl_bundle_entry(b, i);
		struct fl_buf text = FL_BUF((size_t)1 << 20);
		uint8_t last;
		FL_BUG_ON(i > 0 && e->offset != end);
		end = e->offset + e->size;
		if (e->kind < FL_BUNDLE_TREE)
			(void)!fl_bundle_read_document(b, e, &text, &err);
		if (e->size > 0 && fl_bundle_pread(b, e, e->size - 1, &last, 1, &err) != FL_OK)
			abort();
		if (fl_bundle_pread(b, e, e->size, &last, 1, &err) == FL_OK)
			abort();
		fl_buf_free(&text);
	}
	FL_BUG_ON(end != len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fl_err err;
	struct fl_bundle *b = NULL;
	if (size == 0)
		return 0;
	const size_t len = size - 1;
	uint8_t *copy = malloc(len == 0 ? 1 : len);
	FL_AUTO_FD fd = memfd_create("bundle", MFD_CLOEXEC);
	if (copy == NULL || fd < 0)
		abort();
	memcpy(copy, data + 1, len);
	if ((data[0] & 1) != 0)
		repair(copy, len);
	if (fl_pwrite_all(fd, copy, len, 0, &err) == FL_OK && fl_bundle_open(fd, &b, &err) == FL_OK)
		read_all(b, len);
	fl_bundle_free(b);
	free(copy);
	return 0;
}
