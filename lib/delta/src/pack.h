/* SPDX-License-Identifier: Apache-2.0 */
/* The unpacked bytes of a stream → what stands in the file. */
#ifndef FL_DELTA_PACK_H
#define FL_DELTA_PACK_H

#include "records.h"

struct packed {
	uint32_t packing; /* fairlead/delta/format.h */
	uint64_t size;	  /* packed */
};

/* Appends to `out` at its offset `at`. No dictionary is larger than `dictionary_max`. */
enum fl_rc pack_stream(const struct spool *in, uint32_t dictionary_max, int out, uint64_t at,
		       struct packed *ret, struct fl_err *err) FL_CHECKED;

#endif
