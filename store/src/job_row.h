/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job as bytes (column `body`): its members in order, integers little-endian, texts with a 16-bit
 * length. States stand by their names, so that a new one in the table does not change what an old
 * row says.
 */
#ifndef FAIRLEAD_STORE_SRC_JOB_ROW_H
#define FAIRLEAD_STORE_SRC_JOB_ROW_H

#include <fairlead/store/store.h>

#define JOB_BODY_MAX 8192

struct job_body {
	uint8_t data[JOB_BODY_MAX];
	size_t len;
};

/* All members but key, job_seq and the envelopes. Every job fits. */
void store_job_encode(const struct fl_store_job *job, struct job_body *ret);
/* False when the bytes are not exactly one job; *job is then half filled. */
bool store_job_decode(struct fl_bytes body, struct fl_store_job *job);

#endif
