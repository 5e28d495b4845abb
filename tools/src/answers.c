/* SPDX-License-Identifier: Apache-2.0 */
#include "answers.h"

#define TEXT 4096
#define WORD 256
#define ANY  FL_U53_MAX
#define MANY 20000

static const struct fl_field status_fields[] = {
	FL_OPT(struct fl_tools_status_answer, version, STR, WORD, NULL, "of the fleet's program"),
	FL_OPT(struct fl_tools_status_answer, root_version, U64, ANY, NULL, "newest root document"),
	FL_OPT(struct fl_tools_status_answer, devices, U64, ANY, NULL, "known"),
	FL_OPT(struct fl_tools_status_answer, online, U64, ANY, NULL, "connected now"),
};
const struct fl_schema fl_tools_status_schema =
	FL_SCHEMA("status", struct fl_tools_status_answer, status_fields, "the fleet");

static const struct fl_field running_fields[] = {
	FL_OPT(struct fl_tools_running, name, STR, WORD, NULL, "component"),
	FL_OPT(struct fl_tools_running, version, STR, WORD, NULL, "version that runs"),
	FL_OPT(struct fl_tools_running, slot, STR, WORD, NULL, "slot that runs"),
	FL_OPT(struct fl_tools_running, state, STR, WORD, NULL, "state"),
	FL_OPT(struct fl_tools_running, release_seq, U64, ANY, NULL, "release_seq"),
	FL_OPT(struct fl_tools_running, security_version, U64, ANY, NULL, "security_version"),
};
static const struct fl_schema running_schema =
	FL_SCHEMA("running", struct fl_tools_running, running_fields, "a component of a device");

static const struct fl_field event_fields[] = {
	FL_OPT(struct fl_tools_event, utc, U64, ANY, NULL, "seconds since 1970"),
	FL_OPT(struct fl_tools_event, kind, STR, WORD, NULL, "kind"),
	FL_OPT(struct fl_tools_event, code, STR, WORD, NULL, "code"),
	FL_OPT(struct fl_tools_event, text, STR, TEXT, NULL, "what happened"),
};
static const struct fl_schema event_schema =
	FL_SCHEMA("event", struct fl_tools_event, event_fields, "an event of a device");

static const struct fl_field progress_fields[] = {
	FL_OPT(struct fl_tools_progress_answer, component, STR, WORD, NULL, "component"),
	FL_OPT(struct fl_tools_progress_answer, state, STR, WORD, NULL, "its state"),
	FL_OPT(struct fl_tools_progress_answer, done_bytes, U64, ANY, NULL, "of the image"),
	FL_OPT(struct fl_tools_progress_answer, total_bytes, U64, ANY, NULL, "of the image"),
	FL_OPT(struct fl_tools_progress_answer, fetched_bytes, U64, ANY, NULL, "over the network"),
	FL_OPT(struct fl_tools_progress_answer, rate_bytes_s, U64, ANY, NULL, "speed"),
};
static const struct fl_schema progress_schema = FL_SCHEMA(
	"progress", struct fl_tools_progress_answer, progress_fields, "progress of a job");

static const struct fl_field step_fields[] = {
	FL_OPT(struct fl_tools_step, utc, U64, ANY, NULL, "by the device's clock"),
	FL_OPT(struct fl_tools_step, received, U64, ANY, NULL, "by the fleet's clock"),
	FL_OPT(struct fl_tools_step, state, STR, WORD, NULL, "state"),
	FL_OPT(struct fl_tools_step, reason, STR, WORD, NULL, "code"),
	FL_OPT(struct fl_tools_step, text, STR, TEXT, NULL, "what happened"),
};
static const struct fl_schema step_schema =
	FL_SCHEMA("step", struct fl_tools_step, step_fields, "a step of a job");

static const struct fl_field job_fields[] = {
	FL_REQ(struct fl_tools_job, job_id, UUID, 0, NULL, "id"),
	FL_OPT(struct fl_tools_job, job_seq, U64, ANY, NULL, "number"),
	FL_OPT(struct fl_tools_job, offline_seq, U64, ANY, NULL, "number of its bundle"),
	FL_OPT(struct fl_tools_job, device_id, STR, WORD, NULL, "device"),
	FL_OPT(struct fl_tools_job, intent, STR, WORD, NULL, "intent"),
	FL_OPT(struct fl_tools_job, release, STR, WORD, NULL, "digest of the release"),
	FL_OPT(struct fl_tools_job, version, STR, WORD, NULL, "version of the release"),
	FL_REQ(struct fl_tools_job, state, STR, WORD, NULL, "state"),
	FL_OPT(struct fl_tools_job, reason, STR, WORD, NULL, "code"),
	FL_OPT(struct fl_tools_job, text, STR, TEXT, NULL, "what happened"),
	FL_OPT(struct fl_tools_job, until, U64, ANY, NULL, "waits until"),
	FL_OPT(struct fl_tools_job, next, STR, TEXT, NULL, "what it waits for"),
	FL_OPT(struct fl_tools_job, created, U64, ANY, NULL, "seconds since 1970"),
	FL_OPT(struct fl_tools_job, updated, U64, ANY, NULL, "seconds since 1970"),
	FL_OPT(struct fl_tools_job, progress, OBJECT, 0, &progress_schema, "progress"),
	FL_OPT(struct fl_tools_job, history, LIST, MANY, &step_schema, "history"),
	FL_OPT(struct fl_tools_job, boot_log, STR, TEXT, NULL, "of the boot that failed"),
};
const struct fl_schema fl_tools_job_schema =
	FL_SCHEMA("job", struct fl_tools_job, job_fields, "a job");

static const struct fl_field device_fields[] = {
	FL_REQ(struct fl_tools_device, device_id, STR, WORD, NULL, "id"),
	FL_OPT(struct fl_tools_device, identity, STR, WORD, NULL, "digest of its key"),
	FL_OPT(struct fl_tools_device, enrolled, BOOL, 0, NULL, "has a certificate"),
	FL_OPT(struct fl_tools_device, online, BOOL, 0, NULL, "is connected"),
	FL_OPT(struct fl_tools_device, revoked, BOOL, 0, NULL, "never again"),
	FL_OPT(struct fl_tools_device, last_seen, U64, ANY, NULL, "seconds since 1970"),
	FL_OPT(struct fl_tools_device, product, STR, WORD, NULL, "product"),
	FL_OPT(struct fl_tools_device, class_id, STR, WORD, NULL, "class"),
	FL_OPT(struct fl_tools_device, hw_rev, U64, ANY, NULL, "hardware revision"),
	FL_OPT(struct fl_tools_device, agent_version, STR, WORD, NULL, "version of the agent"),
	FL_OPT(struct fl_tools_device, last_error, STR, TEXT, NULL, "last error"),
	FL_OPT(struct fl_tools_device, components, LIST, WORD, &running_schema, "what runs"),
	FL_OPT(struct fl_tools_device, events, LIST, MANY, &event_schema, "newest events"),
	FL_OPT(struct fl_tools_device, jobs, LIST, MANY, &fl_tools_job_schema, "its jobs"),
};
const struct fl_schema fl_tools_device_schema =
	FL_SCHEMA("device", struct fl_tools_device, device_fields, "a device");

static const struct fl_field published_component_fields[] = {
	FL_OPT(struct fl_tools_published_component, name, STR, WORD, NULL, "component"),
	FL_OPT(struct fl_tools_published_component, version, STR, WORD, NULL, "version"),
	FL_OPT(struct fl_tools_published_component, release_seq, U64, ANY, NULL, "release_seq"),
	FL_OPT(struct fl_tools_published_component, size, U64, ANY, NULL, "bytes"),
};
static const struct fl_schema published_component_schema =
	FL_SCHEMA("component", struct fl_tools_published_component, published_component_fields,
		  "a component of a release");

static const struct fl_field published_fields[] = {
	FL_REQ(struct fl_tools_published, digest, STR, WORD, NULL, "digest"),
	FL_OPT(struct fl_tools_published, product, STR, WORD, NULL, "product"),
	FL_OPT(struct fl_tools_published, version, STR, WORD, NULL, "version"),
	FL_OPT(struct fl_tools_published, created, U64, ANY, NULL, "seconds since 1970"),
	FL_OPT(struct fl_tools_published, components, LIST, WORD, &published_component_schema,
	       "components"),
};
const struct fl_schema fl_tools_published_schema =
	FL_SCHEMA("release", struct fl_tools_published, published_fields, "a release");

static const struct fl_field made_fields[] = {
	FL_OPT(struct fl_tools_made, digest, STR, WORD, NULL, "of the release"),
	FL_OPT(struct fl_tools_made, job_id, UUID, 0, NULL, "of the job"),
	FL_OPT(struct fl_tools_made, job_seq, U64, ANY, NULL, "of the job"),
	FL_OPT(struct fl_tools_made, version, U64, ANY, NULL, "of the root document"),
};
const struct fl_schema fl_tools_made_schema =
	FL_SCHEMA("made", struct fl_tools_made, made_fields, "what was made");
