/* SPDX-License-Identifier: Apache-2.0 */
/* hello and observe: all that the helper knows, told anew from the anchor and the machine each time. */
#include "helper.h"

#include <fairlead/base/log.h>

#include <string.h>
#include <unistd.h>

#define HELPER_VERSION "0.1.0"

size_t list_protections(const struct helper *h, const char **names, size_t max)
{
	size_t n = 0;
	const bool root = geteuid() == 0;
	names[n++] = !root ? "seal: advisory" : h->config.runner_user == NULL ? "seal: as root" : "seal";
	names[n++] = root ? "anchor: root" : "anchor: own user";
	for (size_t i = 0; i < h->n_protections && n < max; i++)
		names[n++] = h->protections[i];
	return n;
}

static enum fl_rc list_job(struct helper *h, int place, struct fl_arena *arena,
			   struct fl_ipc_open_job *ret, struct fl_err *err)
{
	const struct fl_anchor_job *open = &h->anchor.jobs[place];
	size_t n = 0;
	struct fl_ipc_open_component *list =
		fl_arena_alloc(arena, FL_ANCHOR_COMPONENTS * sizeof(*list), err);
	if (list == NULL)
		return FL_E_NO_MEMORY;
	whole_digest(h, &open->job, &ret->job);
	whole_digest(h, &open->release, &ret->release);
	ret->job_seq = open->job_seq;
	for (size_t i = 0; i < h->anchor.n_components; i++) {
		const struct fl_anchor_component *known = &h->anchor.components[i];
		const struct component *c = config_component_by_key(&h->config, &known->name);
		if (c == NULL || !known->held || known->job != place)
			continue;
		const struct slot *slot = component_slot_by_tag(c, known->slot);
		list[n++] = (struct fl_ipc_open_component){c->name, fl_phase_name(known->phase),
							   slot == NULL ? NULL : slot->name};
	}
	ret->components.items = list;
	ret->components.n = n;
	return FL_OK;
}

static enum fl_rc list_jobs(struct helper *h, struct fl_arena *arena,
			    struct fl_ipc_hello_reply *reply, struct fl_err *err)
{
	struct fl_ipc_open_job *jobs = fl_arena_alloc(arena, FL_ANCHOR_JOBS * sizeof(*jobs), err);
	size_t n = 0;
	if (jobs == NULL)
		return FL_E_NO_MEMORY;
	for (int place = 0; place < FL_ANCHOR_JOBS; place++) {
		if (fl_anchor_id_is_zero(&h->anchor.jobs[place].job))
			continue;
		enum fl_rc rc = list_job(h, place, arena, &jobs[n++], err);
		if (rc != FL_OK)
			return rc;
	}
	reply->open_jobs.items = jobs;
	reply->open_jobs.n = n;
	return FL_OK;
}

static void list_component(struct helper *h, const struct component *c,
			   const struct fl_image_info *info, const char *running,
			   struct fl_arena *arena, struct fl_ipc_component *ret)
{
	struct committed committed;
	int place;
	const struct fl_image_info *good = trial_is_running(h, &place) ? NULL : info;
	trust_committed(h, c, good, arena, &committed);
	*ret = (struct fl_ipc_component){.name = c->name,
					 .handler = c->handler,
					 .release_seq = committed.release_seq,
					 .security_floor = committed.security_floor,
					 .release = committed.release};
	ret->permits_rollback_to.items = committed.permits_rollback_to.items;
	ret->permits_rollback_to.n = committed.permits_rollback_to.n;
	const struct slot *slot = component_slot(c, running);
	ret->slot = slot == NULL ? NULL : slot->name;
	if (info != NULL && strcmp(info->component, c->name) == 0) {
		ret->version = info->version;
		ret->security_version = info->security_version;
	}
	const struct said *said = &h->said[component_index(&h->config, c)];
	ret->observed = said->code[0] == '\0' ? NULL : said->code;
	ret->observed_text = said->text[0] == '\0' ? NULL : said->text;
	ret->source = c->read_only && slot != NULL;
}

static enum fl_rc list_components(struct helper *h, struct fl_arena *arena,
				  struct fl_ipc_hello_reply *reply, struct fl_err *err)
{
	char running[FL_NAME_MAX + 1];
	struct fl_image_info info;
	struct fl_err why;
	const size_t n = h->config.n_components;
	struct fl_ipc_component *list = fl_arena_alloc(arena, n * sizeof(*list), err);
	if (list == NULL)
		return FL_E_NO_MEMORY;
	const bool known = host_image_info(&h->config, arena, &info, &why) == FL_OK;
	host_running(&h->config, running);
	for (size_t i = 0; i < n; i++)
		list_component(h, &h->config.components[i], known ? &info : NULL, running, arena,
			       &list[i]);
	reply->components.items = list;
	reply->components.n = n;
	return FL_OK;
}

static void tell_trial(struct helper *h, struct fl_ipc_hello_reply *reply)
{
	int place;
	if (!trial_is_running(h, &place))
		return;
	reply->trial = fl_anchor_job_phase(&h->anchor, place) != FL_PHASE_DECIDED;
	reply->trial_well = h->anchor.trial_well;
	reply->trial_left_ms = trial_left_ms(h);
}

/* Of the boot before this one only a trial that failed is worth telling: why the helper fell back, or what the machine says. */
static void tell_failure(const struct helper *h, char *out, size_t size)
{
	bool failed = false;
	host_read_note(&h->config, FELL_BACK, out, size);
	for (size_t i = 0; i < h->anchor.n_components; i++) {
		const struct fl_anchor_component *c = &h->anchor.components[i];
		failed = failed || (c->held && c->phase == FL_PHASE_ROLLING_BACK);
	}
	if (out[0] == '\0' && failed)
		host_read_line(h->config.boot_failure, out, size);
}

enum fl_rc on_hello(struct helper *h, struct request *rq, struct fl_err *err)
{
	const struct fl_ipc_hello *hello = rq->body;
	const char *names[PROTECTIONS_MAX + 4];
	char boot_id[FL_NAME_MAX + 1];
	char failure[256];
	if (hello->proto != FL_IPC_PROTO)
		return fl_fail(err, FL_E_PROTOCOL, 0, "protocol %llu, ours is %d",
			       (unsigned long long)hello->proto, FL_IPC_PROTO);
	/* After a start the handlers' answers belong to what is told; who hangs is not waited for. */
	if (fl_clock_boot_ms(h->clock) < h->greet_by_ms && observing(h)) {
		h->must_wait = true;
		return fl_fail(err, FL_E_BUSY, 0, "handlers are observing");
	}
	if (heal_by_hand(h, err) != FL_OK)
		fl_log_err(FL_LOG_ERROR, err, "reset the anchor");
	host_read_line(h->config.boot_id, boot_id, sizeof(boot_id));
	tell_failure(h, failure, sizeof(failure));
	struct fl_ipc_hello_reply reply = {.proto = FL_IPC_PROTO,
					   .version = HELPER_VERSION,
					   .boot_id = boot_id,
					   .boot_failure = failure[0] == '\0' ? NULL : failure,
					   .anchor_lost = h->anchor.lost,
					   .root_version = h->root.version,
					   .epoch = h->root.epoch,
					   .job_seq = h->anchor.job_seq,
					   .offline_seq = h->anchor.offline_seq,
					   .t_min = trust_t_min(h)};
	tell_trial(h, &reply);
	reply.protections.items = names;
	reply.protections.n = list_protections(h, names, sizeof(names) / sizeof(names[0]));
	enum fl_rc rc = list_jobs(h, &rq->arena, &reply, err);
	if (rc == FL_OK)
		rc = list_components(h, &rq->arena, &reply, err);
	if (rc != FL_OK)
		return rc;
	h->greeted = true;
	send_agent(h, FL_FRAME_HELLO_REPLY, rq->id, &reply, -1);
	rq->answered = true;
	recheck_tell(h);
	return FL_OK;
}

static void observe_slot(const struct component *c, const struct boot_view *view, size_t i,
			 const struct fl_image_info *info, const struct said *said,
			 struct fl_ipc_slot *ret)
{
	const char *name = c->slots[i].name;
	*ret = (struct fl_ipc_slot){.name = name,
				    .running = strcmp(name, view->running) == 0,
				    .trial = strcmp(name, view->trial) == 0,
				    .good = strcmp(name, view->good) == 0,
				    .withdrawn = boot_is_withdrawn(view, name)};
	if (ret->running && info != NULL && strcmp(info->component, c->name) == 0) {
		ret->version = info->version;
		ret->release_seq = info->release_seq;
	} else if (!ret->running && strcmp(said->code, "ok") == 0 && strcmp(said->slot, name) == 0) {
		ret->version = said->version[0] == '\0' ? NULL : said->version;
		ret->release_seq = said->release_seq;
	}
}

/* True when the handler was asked for this request and has not answered yet. */
static bool ask_handler(struct helper *h, struct request *rq, const struct component *c)
{
	const size_t index = component_index(&h->config, c);
	if (!rq->asked)
		observe(h, index);
	rq->asked = true;
	return activity_of(h, index)->kind == CHILD_OBSERVE;
}

enum fl_rc on_observe(struct helper *h, struct request *rq, struct fl_err *err)
{
	const struct fl_ipc_target *ask = rq->body;
	const struct component *c = config_component(&h->config, ask->component);
	struct boot_view view;
	struct fl_image_info info;
	struct fl_err why;
	struct fl_ipc_slot slots[SLOTS_MAX];
	if (c == NULL)
		return fl_fail(err, FL_E_NOT_FOUND, 0, "no component '%s'", ask->component);
	if (ask_handler(h, rq, c)) {
		h->must_wait = true;
		return fl_fail(err, FL_E_BUSY, 0, "the handler is observing");
	}
	enum fl_rc rc = look(h, &view, err);
	if (rc != FL_OK)
		return rc;
	const struct said *said = &h->said[component_index(&h->config, c)];
	const bool known = host_image_info(&h->config, &rq->arena, &info, &why) == FL_OK;
	for (size_t i = 0; i < c->n_slots; i++)
		observe_slot(c, &view, i, known ? &info : NULL, said, &slots[i]);
	const struct fl_anchor_component *in_anchor = fl_anchor_find_component(&h->anchor, c->key);
	const enum fl_phase phase = in_anchor == NULL ? FL_PHASE_IDLE : in_anchor->phase;
	const struct fl_ipc_observation seen = {.code = "ok",
						.component = c->name,
						.observed = said->code[0] == '\0' ? NULL : said->code,
						.text = said->text[0] == '\0' ? NULL : said->text,
						.phase = fl_phase_name(phase),
						.slots = {slots, c->n_slots}};
	send_agent(h, FL_FRAME_OBSERVATION, rq->id, &seen, -1);
	rq->answered = true;
	return FL_OK;
}
