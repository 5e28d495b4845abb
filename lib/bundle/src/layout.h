/* SPDX-License-Identifier: Apache-2.0 */
/* The index in bytes, and its rules, shared by reader and writer. */
#ifndef FL_BUNDLE_LAYOUT_H
#define FL_BUNDLE_LAYOUT_H

#include <fairlead/bundle/bundle.h>

#define BUNDLE_HEAD_SIZE  24u /* magic, version, number of entries, size of the file */
#define BUNDLE_ENTRY_SIZE 48u /* kind, seven zero bytes, size, digest */

struct bundle_head {
	uint32_t n;
	uint64_t file_size;
};

/* Head, entries and the checksum over them. */
static inline size_t bundle_index_size(size_t n)
{
	return BUNDLE_HEAD_SIZE + n * BUNDLE_ENTRY_SIZE + FL_DIGEST_SIZE;
}

void bundle_put_head(uint8_t *p, const struct bundle_head *head);
/* FL_E_FORMAT: no bundle, another version, too many entries. */
enum fl_rc bundle_get_head(const uint8_t p[BUNDLE_HEAD_SIZE], struct bundle_head *ret,
			   struct fl_err *err) FL_CHECKED;
void bundle_put_entry(uint8_t *p, const struct fl_bundle_entry *entry);
/* Kind, digest and size; FL_E_FORMAT: a byte that no writer writes. */
enum fl_rc bundle_get_entry(const uint8_t p[BUNDLE_ENTRY_SIZE], struct fl_bundle_entry *ret,
			    struct fl_err *err) FL_CHECKED;

/*
 * Gives the entries their offsets, one behind the other from the end of the index, and checks their order, number and sizes.
 * *ret_end: of the last. FL_E_FORMAT.
 */
enum fl_rc bundle_lay_out(struct fl_bundle_entry *entries, size_t n, uint64_t *ret_end,
			  struct fl_err *err) FL_CHECKED;

#endif
