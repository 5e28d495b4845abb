/* SPDX-License-Identifier: Apache-2.0 */
/*
 * waiting_to_download and waiting_to_activate: the policy is asked, and asked again when its answer may change. Before the
 * first the artifacts are chosen: what runs now is what they are made for.
 */
#include "agent.h"
#include "choice.h"
#include "spool.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#define BUSY_RETRY_MS	  2000
#define BUNDLE_RETRY_MS	  3000
#define SPACE_RETRY_MS	  5000
#define WINDOW_LOOK_MS	  (UINT64_C(60) * 1000) /* the clock may jump: never sleep longer */
#define SPOOL_NEED_BYTES  ((uint64_t)8 * 1024 * 1024) /* tree pages and the database */
#define SEAL_BYTES_S	  ((uint64_t)30 * 1024 * 1024) /* a careful guess of how fast a slot is read back */

static uint64_t free_bytes(const char *dir)
{
	struct statvfs st;
	if (statvfs(dir, &st) != 0)
		return UINT64_MAX; /* not known: do not wait for it */
	return (uint64_t)st.f_bavail * st.f_frsize;
}

static uint64_t seal_s(const struct fl_job_run *run)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < run->row.n_components; i++) {
		const struct fl_component *c =
			fl_release_component(&run->release, run->row.components[i].name);
		bytes += c == NULL || c->installed == NULL ? 0 : c->installed->size;
	}
	return bytes / SEAL_BYTES_S + 1;
}

/* That a download would use: the connection's to the fleet, else the last one's. */
static size_t interface_of(const struct fl_job_run *run)
{
	char address[INET6_ADDRSTRLEN];
	fl_link_local_address(&run->agent->link, address, sizeof(address));
	return address[0] == '\0' ? run->interface
				  : fl_ledger_interface(&run->agent->ledger, address);
}

/* What is still to do, at most: nobody knows yet what stands in the targets already. */
struct costs {
	uint64_t fetch_bytes;	       /* over the network */
	uint64_t spool_bytes;	       /* of the disk */
	uint64_t fallback_bytes, full_bytes; /* of the first: what is taken in place of less, and all of that artifact */
};

static void add_costs(const struct fl_job_run *run, const struct fl_store_component *row, struct costs *costs)
{
	const struct fl_component *c = fl_release_component(&run->release, row->name);
	const struct fl_artifact *a = c == NULL ? NULL : fl_component_artifact(c, row->artifact, NULL);
	if (a == NULL || row->state == FL_JOB_STAGED)
		return;
	const bool fallback = fl_choice_is_fallback(c, a, run->job.artifact);
	const uint64_t bytes = fallback && run->bad_bytes != 0 && run->bad_bytes < a->size ? run->bad_bytes : a->size;
	costs->fetch_bytes += bytes;
	if (a != fl_choice_full(c))
		costs->spool_bytes += fl_spool_lacks(run->agent, &a->tree->root, a->size);
	if (fallback) {
		costs->fallback_bytes += bytes;
		costs->full_bytes += a->size;
	}
}

static struct costs costs_of(const struct fl_job_run *run)
{
	struct costs costs = {0};
	for (size_t i = 0; i < run->row.n_components; i++)
		add_costs(run, &run->row.components[i], &costs);
	if (run->offline_seq != 0) /* a bundle costs no link anything */
		return (struct costs){.spool_bytes = costs.spool_bytes};
	if (run->bad_bytes == 0) /* else what was paid for bought something else */
		costs.fetch_bytes -= costs.fetch_bytes < run->cost.bytes ? costs.fetch_bytes : run->cost.bytes;
	return costs;
}

static bool is_metered(const struct fl_job_run *run, size_t interface)
{
	const struct fl_config *config = &run->agent->config;
	return interface != FL_LEDGER_NONE && config->interfaces[interface].metered;
}

bool fl_gate_open(struct fl_job_run *run, enum fl_gate gate)
{
	struct fl_agent *agent = run->agent;
	const size_t interface = interface_of(run);
	const struct fl_ledger_left left = fl_ledger_left(&agent->ledger, run, interface);
	const struct costs costs = gate == FL_GATE_DOWNLOAD ? costs_of(run) : (struct costs){0};
	const struct fl_policy_facts facts = {.time_known = fl_agent_knows_time(agent),
					      .space_bytes = free_bytes(agent->config.store_dir),
					      .day_left_bytes = left.day,
					      .day_ends_s = left.day_ends_s,
					      .deployment_left_bytes = left.deployment,
					      .metered = is_metered(run, interface) &&
							 !agent->config.full_on_metered};
	const struct fl_policy_request request = {
		.gate = gate,
		.not_before_s = run->job.not_before,
		.expires_s = run->job.expires,
		.need_bytes = gate == FL_GATE_DOWNLOAD ? SPOOL_NEED_BYTES + costs.spool_bytes : 0,
		.fetch_bytes = costs.fetch_bytes,
		.fallback_bytes = costs.fallback_bytes,
		.full_bytes = costs.full_bytes,
		.duration_s = gate == FL_GATE_ACTIVATE ? seal_s(run) : 0,
	};
	fl_policy_decide(&agent->config.policy_set, &facts, &request, fl_agent_now_s(agent), &run->policy);
	return run->policy.verdict == FL_GO;
}

static uint64_t look_again_ms(const struct fl_job_run *run)
{
	const uint64_t now = fl_agent_now_s(run->agent);
	if (run->policy.verdict == FL_WAIT_FOR)
		return SPACE_RETRY_MS;
	const uint64_t ms = run->policy.until_s > now ? (run->policy.until_s - now) * 1000 + 50 : 1000;
	return ms < WINDOW_LOOK_MS ? ms : WINDOW_LOOK_MS;
}

/* A closed gate: wait, or end when it will never open. */
static void obey(struct fl_job_run *run, uv_timer_cb again)
{
	const struct fl_policy_answer *p = &run->policy;
	struct fl_err why = {0};
	(void)fl_fail(&why, p->code == FL_OK ? FL_E_POLICY : p->code, 0, "%s",
		      p->n_reasons == 0 ? "policy" : p->reasons[p->n_reasons - 1].text);
	if (p->verdict == FL_REFUSE && why.rc == FL_E_EXPIRED)
		fl_job_enter_err(run, FL_JOB_CANCELLED, &why);
	else if (p->verdict == FL_REFUSE)
		fl_job_enter_err(run, FL_JOB_FAILED, &why);
	else
		fl_job_wait(run, &why, p->next == NULL ? "policy" : p->next, p->until_s, look_again_ms(run),
			    again);
}

static const struct fl_ipc_component *installed_of(const struct fl_job_run *run, const char *name)
{
	const struct fl_ipc_hello_reply *facts = fl_helper_facts(&run->agent->helper);
	for (size_t i = 0; facts != NULL && i < facts->components.n; i++) {
		if (strcmp(facts->components.items[i].name, name) == 0)
			return &facts->components.items[i];
	}
	return NULL;
}

/* Of a bundle the one that is read where it stands, with nothing in the spool. */
static const struct fl_artifact *choose(const struct fl_job_run *run, const struct fl_choice *choice,
					const struct fl_component *c)
{
	const struct fl_artifact *full = fl_choice_full(c);
	if (run->offline_seq != 0 && full != NULL)
		return full;
	return fl_choice_make(choice, c, run->job.artifact);
}

/* Once: what was begun is gone on with, and a delta that did not do is not tried again. */
static enum fl_rc choose_artifacts(struct fl_job_run *run, struct fl_err *err)
{
	for (size_t i = 0; i < run->row.n_components; i++) {
		struct fl_store_component *row = &run->row.components[i];
		const struct fl_component *c = fl_release_component(&run->release, row->name);
		const struct fl_ipc_component *now = installed_of(run, row->name);
		const struct fl_choice choice = {.source = now != NULL && now->source,
						 .release_seq = now == NULL ? 0 : now->release_seq,
						 .spool_bytes = run->agent->config.spool_quota_mib << 20};
		if (row->artifact[0] != '\0' || c == NULL)
			continue;
		const struct fl_artifact *a = choose(run, &choice, c);
		if (a == NULL)
			return fl_fail(err, FL_E_NOT_SUPPORTED, 0,
				       "component '%s' has no artifact for what runs here", row->name);
		snprintf(row->artifact, sizeof(row->artifact), "%s", a->id);
	}
	return FL_OK;
}

static void on_download_again(uv_timer_t *timer)
{
	fl_step_waiting_to_download(timer->data);
}

void fl_step_waiting_to_download(struct fl_job_run *run)
{
	const struct fl_job_run *older = fl_jobs_older_holder(&run->agent->jobs, run);
	struct fl_err why = {0};
	if (older != NULL) {
		(void)fl_fail(&why, FL_E_COMPONENT_BUSY, 0, "job %s holds the component", older->row.job_id);
		fl_job_wait(run, &why, "component", 0, BUSY_RETRY_MS, on_download_again);
		return;
	}
	const uint64_t now = uv_now(&run->agent->loop);
	if (run->resume_ms > now) { /* something that may pass went wrong */
		fl_job_wait(run, &run->resume_why, run->resume_next, run->resume_s,
			    run->resume_ms - now, on_download_again);
		return;
	}
	if (!run->opened)
		fl_job_present(run);
	else if (fl_job_find_bundle(run, &why) != FL_OK)
		fl_job_wait(run, &why, "bundle", 0, BUNDLE_RETRY_MS, on_download_again);
	else if (choose_artifacts(run, &why) != FL_OK)
		fl_job_enter_err(run, FL_JOB_FAILED, &why);
	else if (fl_gate_open(run, FL_GATE_DOWNLOAD))
		fl_job_enter(run, FL_JOB_STAGING, FL_OK, NULL);
	else
		obey(run, on_download_again);
}

static void on_activate_again(uv_timer_t *timer)
{
	fl_step_waiting_to_activate(timer->data);
}

void fl_step_waiting_to_activate(struct fl_job_run *run)
{
	if (fl_gate_open(run, FL_GATE_ACTIVATE))
		fl_job_enter(run, FL_JOB_SEALING, FL_OK, NULL);
	else
		obey(run, on_activate_again);
}
