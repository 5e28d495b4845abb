/* SPDX-License-Identifier: Apache-2.0 */
/* Signed documents for tests: one key per role, made anew for each fleet. */
#ifndef TEST_PAPER_H
#define TEST_PAPER_H

#include <fairlead/trust/verify.h>

#define PAPER_NOW UINT64_C(1800000000)
#define PAPER_CLASS "7c1d1b52-3a53-4ba0-9a0e-2f6d1f0a9e11"

struct paper {
	struct fl_arena arena; /* owns every document made */
	struct fl_key *root, *release, *dispatch, *operator, *device, *stranger;
};

struct paper_doc {
	struct fl_envelope env;
	struct fl_digest digest;
};

void paper_init(struct paper *p);
void paper_done(struct paper *p);

struct paper_root {
	uint64_t version, epoch;
	const struct fl_digest *revoked; /* a release; NULL: none */
	uint64_t floor;			 /* security_version of rootfs; 0: none */
};
struct paper_doc paper_root(struct paper *p, const struct paper_root *ask);

struct paper_release {
	const char *version;
	uint64_t release_seq, security_version;
	const void *image;
	size_t image_len;
	const char *reach; /* NULL: fleet */
	bool zero_tail;
	bool with_app;	      /* a second component, `app`, with the same image */
	const char *component; /* NULL: rootfs */
	uint64_t delta_memory; /* of a second artifact, `delta`, against an image of the same size; 0: there is none */
	const struct fl_digest *permits; /* one release; NULL: none */
	uint64_t deadline_s;		 /* 0: 600 */
	uint64_t soak_s;		 /* 0: no soak */
	const struct fl_key *signer;	 /* NULL: the release key */
};
struct paper_doc paper_release(struct paper *p, const struct paper_release *ask);

struct paper_job {
	uint64_t job_seq;
	uint64_t offline_seq; /* 0: not an offline job */
	const struct fl_digest *release;
	const struct fl_digest *cancels; /* intent cancel */
	const char *device_id;		 /* NULL: gw-1 */
	uint64_t epoch;			 /* 0: 1 */
	uint64_t expires;		 /* 0: far */
	const struct fl_key *signer;	 /* NULL: the dispatch key, of an offline job the operator's */
};
struct paper_doc paper_job(struct paper *p, const struct paper_job *ask);

struct paper_heartbeat {
	const uint8_t *nonce;
	uint64_t latest_job_seq;
	uint64_t root_version; /* 0: 1 */
	uint64_t utc;	       /* 0: PAPER_NOW */
	const struct fl_key *signer;
};
struct paper_doc paper_heartbeat(struct paper *p, const struct paper_heartbeat *ask);

#endif
