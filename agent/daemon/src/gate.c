/* SPDX-License-Identifier: Apache-2.0 */
/* waiting_to_download and waiting_to_activate: the policy is asked, and asked again when its answer may change. */
#include "agent.h"

#include <netinet/in.h>
#include <sys/statvfs.h>

#define BUSY_RETRY_MS	  2000
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

/* At most: nobody knows yet what stands in the targets already. */
static uint64_t fetch_bytes(const struct fl_job_run *run)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < run->row.n_components; i++) {
		const struct fl_store_component *row = &run->row.components[i];
		const struct fl_component *c = fl_release_component(&run->release, row->name);
		const struct fl_artifact *artifact =
			c == NULL ? NULL : fl_component_artifact(c, row->artifact, NULL);
		bytes += artifact == NULL || row->state == FL_JOB_STAGED ? 0 : artifact->size;
	}
	return bytes > run->cost.bytes ? bytes - run->cost.bytes : 0;
}

bool fl_gate_open(struct fl_job_run *run, enum fl_gate gate)
{
	struct fl_agent *agent = run->agent;
	const struct fl_ledger_left left = fl_ledger_left(&agent->ledger, run, interface_of(run));
	const struct fl_policy_facts facts = {.time_known = fl_agent_knows_time(agent),
					      .space_bytes = free_bytes(agent->config.store_dir),
					      .day_left_bytes = left.day,
					      .day_ends_s = left.day_ends_s,
					      .deployment_left_bytes = left.deployment};
	const struct fl_policy_request request = {
		.gate = gate,
		.not_before_s = run->job.not_before,
		.expires_s = run->job.expires,
		.need_bytes = gate == FL_GATE_DOWNLOAD ? SPOOL_NEED_BYTES : 0,
		.fetch_bytes = gate == FL_GATE_DOWNLOAD ? fetch_bytes(run) : 0,
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

static void on_download_again(uv_timer_t *timer)
{
	fl_step_waiting_to_download(timer->data);
}

void fl_step_waiting_to_download(struct fl_job_run *run)
{
	const struct fl_job_run *older = fl_jobs_older_holder(&run->agent->jobs, run);
	if (older != NULL) {
		struct fl_err why = {0};
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
