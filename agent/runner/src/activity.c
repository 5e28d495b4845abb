/* SPDX-License-Identifier: Apache-2.0 */
#include "activity.h"

#include "transfer.h"

#include <string.h>

struct activity {
	const char *name;
	enum fl_rc (*run)(struct run *run, struct fl_err *err);
	size_t step; /* of run_step: its offset in struct fl_handler */
	enum fl_call call;
	bool may_be_absent; /* then there is nothing to do */
	size_t channels;
};

static enum fl_rc send_observation(struct run *run, const struct fl_ipc_slot *slots, size_t n,
				   struct fl_err *err)
{
	const struct fl_ipc_observation observation = {.code = "ok",
						       .text = run->verdict.text,
						       .component = run->start->component,
						       .slots = {slots, n}};
	return control_send(&run->control, FL_FRAME_OBSERVATION, &observation, err);
}

static enum fl_rc run_enumerate(struct run *run, struct fl_err *err)
{
	struct fl_components found;
	struct fl_ipc_slot slots[FL_COMPONENTS_MAX];
	if (run->plugin.calls.enumerate == NULL)
		return fl_fail(err, FL_E_NOT_SUPPORTED, 0, "this handler has no children");
	enum fl_rc rc = plugin_enumerate(&run->plugin, &found, err);
	if (rc != FL_OK)
		return rc;
	memset(slots, 0, sizeof(slots));
	for (uint32_t i = 0; i < found.n; i++)
		slots[i].name = found.name[i];
	return send_observation(run, slots, found.n, err);
}

static enum fl_rc run_observe(struct run *run, struct fl_err *err)
{
	struct fl_observation seen;
	enum fl_rc rc = plugin_observe(&run->plugin, &run->task, &seen, err);
	if (rc != FL_OK)
		return rc;
	const struct fl_ipc_slot slot = {
		.name = run->start->slot,
		.running = (seen.flags & FL_OBSERVED_RUNNING) != 0,
		.trial = (seen.flags & FL_OBSERVED_TRIAL) != 0,
		.good = (seen.flags & FL_OBSERVED_GOOD) != 0,
		.version = seen.version[0] == '\0' ? NULL : seen.version,
		.release_seq = seen.release_seq,
	};
	bool present = (seen.flags & FL_OBSERVED_PRESENT) != 0 && slot.name != NULL;
	return send_observation(run, &slot, present ? 1 : 0, err);
}

static enum fl_rc run_prepare(struct run *run, struct fl_err *err)
{
	struct fl_plan plan;
	return plugin_prepare(&run->plugin, &run->task, &plan, err);
}

static enum fl_rc run_stage(struct run *run, struct fl_err *err)
{
	const struct fl_ipc_start *s = run->start;
	if (!s->decoder && (s->format == NULL || strcmp(s->format, FL_FRAMES_FORMAT) != 0))
		return fl_fail(err, FL_E_FORMAT, 0, "format '%s'",
			       s->format == NULL ? "" : s->format);
	const struct transfer_claim claim = {s->installed_root, s->transport_root,
					     s->transport_size, (uint32_t)s->frame};
	struct channel channel, decoder;
	channel_init(&channel, run->channels[0], "data channel", &run->control);
	channel_init(&decoder, run->channels[1], "output channel", &run->control);
	channel.believes_codes = true;
	struct transfer transfer = {.plugin = &run->plugin,
				    .host = &run->host,
				    .task = &run->task,
				    .channel = &channel,
				    .decoder = s->decoder ? &decoder : NULL,
				    .claim = &claim};
	enum fl_rc rc = transfer_run(&transfer, err);
	transfer_done(&transfer);
	channel_done(&channel);
	channel_done(&decoder);
	if (rc == FL_OK)
		verdict_ok(&run->verdict, "");
	return rc;
}

static enum fl_rc run_decode(struct run *run, struct fl_err *err)
{
	return decode_run(&run->decode, err);
}

static enum fl_rc run_step(struct run *run, struct fl_err *err)
{
	plugin_step *step;
	memcpy(&step, (const char *)&run->plugin.calls + run->activity->step, sizeof(step));
	if (step != NULL)
		return plugin_step_call(&run->plugin, run->activity->name, step, &run->task, err);
	if (!run->activity->may_be_absent)
		return fl_fail(err, FL_E_NOT_SUPPORTED, 0, "this handler has no '%s'",
			       run->activity->name);
	verdict_ok(&run->verdict, "nothing to do");
	return FL_OK;
}

#define AT(step) offsetof(struct fl_handler, step)

static const struct activity activities[] = {
	{"enumerate", run_enumerate, 0, FL_CALL_ENUMERATE, false, 0},
	{"observe", run_observe, 0, FL_CALL_OBSERVE, false, 0},
	{"prepare", run_prepare, 0, FL_CALL_PREPARE, false, 0},
	{"stage", run_stage, 0, FL_CALL_STAGE, false, 1},
	{"verify", run_step, AT(verify), FL_CALL_VERIFY, true, 0},
	{"activate", run_step, AT(activate), FL_CALL_ACTIVATE, false, 0},
	{"restart", run_step, AT(restart), FL_CALL_RESTART, true, 0},
	{"check", run_step, AT(check), FL_CALL_CHECK, true, 0},
	{"commit", run_step, AT(commit), FL_CALL_COMMIT, false, 0},
	{"rollback", run_step, AT(rollback), FL_CALL_ROLLBACK, false, 0},
	{"cleanup", run_step, AT(cleanup), FL_CALL_CLEANUP, true, 0},
	{"decode", run_decode, 0, FL_CALL_HELLO, false, 1},
};

const struct activity *activity_find(const char *name)
{
	for (size_t i = 0; i < sizeof(activities) / sizeof(activities[0]); i++) {
		if (strcmp(activities[i].name, name) == 0)
			return &activities[i];
	}
	return NULL;
}

enum fl_call activity_call(const struct activity *activity)
{
	return activity->call;
}

bool activity_decodes(const struct activity *activity)
{
	return activity->run == run_decode;
}

size_t activity_channels(const struct activity *activity, const struct fl_ipc_start *start)
{
	return activity->run == run_stage && start->decoder ? 2 : activity->channels;
}

enum fl_rc activity_run(struct run *run, struct fl_err *err)
{
	return run->activity->run(run, err);
}
