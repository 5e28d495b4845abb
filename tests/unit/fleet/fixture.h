/* SPDX-License-Identifier: Apache-2.0 */
/* A whole fleet without sockets: database and blobs in a temporary folder, keys, a root, a clock that stands still. */
#ifndef TESTS_UNIT_FLEET_FIXTURE_H
#define TESTS_UNIT_FLEET_FIXTURE_H

#include "jobs/jobs.h"

#define NOW UINT64_C(1800000000)

struct fixture {
	char dir[64];
	struct fl_db db;
	struct fl_blob blob;
	struct fl_bus bus;
	struct fl_bus_listener listener;
	struct fl_clock clock;
	uint64_t now_s;
	struct fl_key *root_key, *release_key, *dispatch_key, *device_key;
	struct fl_roots roots;
	struct fl_registry registry;
	struct fl_releases releases;
	struct fl_jobs jobs;
	size_t n_events[4]; /* by enum fl_bus_kind */
};

/* dispatch_intents: what the root lets the dispatch key order; NULL for install, rollback and cancel. */
void fixture_make(struct fixture *f, const char *const *dispatch_intents, size_t n_intents);
void fixture_free(struct fixture *f);
/* The device "gw-1" with the fixture's device key is listed. */
void fixture_add_device(struct fixture *f);
/* A release of one component, published; its digest. */
struct fl_digest fixture_add_release(struct fixture *f, const char *version, uint64_t release_seq);
/* The text of a report signed by `key`. Free with fl_buf_free. */
struct fl_buf fixture_report(const struct fl_key *key, const struct fl_report *report);
/* The first column of the first row, as a number; for looking behind the curtain. */
uint64_t fixture_number(struct fixture *f, const char *sql);
/* The same as text; *out is "" for NULL or no row. */
void fixture_text(struct fixture *f, const char *sql, char *out, size_t size);

#define MUST(call) cr_assert_eq((call), FL_OK, "%s", err.msg)

#endif
