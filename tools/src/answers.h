/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answers of the fleet as structs (docs/protocol.md, section 4). Nearly everything is optional:
 * an older or a newer fleet may say less or more, and what is absent is shown as "-".
 */
#ifndef FL_TOOLS_ANSWERS_H
#define FL_TOOLS_ANSWERS_H

#include <fairlead/base/schema.h>

struct fl_tools_status_answer {
	const char *version;
	uint64_t root_version, devices, online;
};

struct fl_tools_running { /* a component of a device */
	const char *name, *version, *slot, *state;
	uint64_t release_seq, security_version;
};

struct fl_tools_event {
	uint64_t utc;
	const char *kind, *code, *text;
};

struct fl_tools_progress_answer {
	const char *component, *state;
	uint64_t done_bytes, total_bytes, fetched_bytes, rate_bytes_s;
};

struct fl_tools_step { /* of a job's history */
	uint64_t utc, received;
	const char *state, *reason, *text;
};

struct fl_tools_job {
	const char *job_id;
	uint64_t job_seq, offline_seq; /* one of them */
	const char *device_id, *intent, *release, *version, *state, *reason, *text;
	uint64_t until;
	const char *next;
	uint64_t created, updated;
	const struct fl_tools_progress_answer *progress;
	FL_LIST(struct fl_tools_step) history;
	const char *boot_log;
};

struct fl_tools_device {
	const char *device_id, *identity;
	bool enrolled, online, revoked;
	uint64_t last_seen;
	const char *product, *class_id;
	uint64_t hw_rev;
	const char *agent_version, *last_error;
	FL_LIST(struct fl_tools_running) components;
	FL_LIST(struct fl_tools_event) events;
	FL_LIST(struct fl_tools_job) jobs;
};

struct fl_tools_published_component {
	const char *name, *version;
	uint64_t release_seq, size;
};

struct fl_tools_published {
	const char *digest, *product, *version;
	uint64_t created;
	FL_LIST(struct fl_tools_published_component) components;
};

struct fl_tools_made { /* what a POST answers; each uses some of it */
	const char *digest, *job_id;
	uint64_t job_seq, version;
};

extern const struct fl_schema fl_tools_status_schema, fl_tools_device_schema, fl_tools_job_schema,
	fl_tools_published_schema, fl_tools_made_schema;

#endif
