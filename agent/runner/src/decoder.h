/* SPDX-License-Identifier: Apache-2.0 */
/* One loaded decoder: the ABI check, its hello, and its one call. */
#ifndef FL_RUNNER_DECODER_H
#define FL_RUNNER_DECODER_H

#include "verdict.h"

#include <fairlead/decoder.h>

#define DECODER_FORMATS_MAX 16
#define DECODER_FORMAT_LEN  32

struct decoder {
	struct fl_decoder calls; /* a copy */
	struct fl_decoder_hello hello;
	struct verdict *verdict; /* borrowed: of the call that failed last */
};

/* As plugin_open (plugin.h). */
enum fl_rc decoder_load(struct decoder *decoder, const char *path, struct fl_err *err) FL_CHECKED;
/* Calls hello. FL_E_FORMAT: it doesn't know the task's format; FL_E_TOO_LARGE: it needs more memory
 * than the task grants. */
enum fl_rc decoder_hello(struct decoder *decoder, const struct fl_decoder_host *host,
			 const struct fl_decode_task *task, struct fl_err *err) FL_CHECKED;
/* The i-th format it knows; NULL past the last. */
const char *decoder_format(const struct decoder *decoder, size_t i);
enum fl_rc decoder_decode(struct decoder *decoder, const struct fl_decode_task *task,
			  struct fl_err *err) FL_CHECKED;

#endif
