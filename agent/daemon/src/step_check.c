/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checking: is the new system as good as the release demands?
 *
 *   user's checks ▶ units ▶ reach ─┬──────────────────────────────────────────────▶ committing
 *                                  └▶ soak (samples) ▶ user's checks ▶ units ▶ reach ─▲
 *
 * Reach: a heartbeat of the fleet on the helper's nonce; where the release allows a weaker rule, that one counts once half of
 * the deadline has passed. Until the soak all must be well within the release's deadline. The helper is told every BEAT_MS
 * that the agent lives, and once that all is well; it keeps both deadlines by itself, and looks again when it commits.
 */
#include "agent.h"

#include <fairlead/base/log.h>

#include <stdio.h>
#include <string.h>

#define HEARTBEAT_EVERY_MS 10000 /* the helper takes the answers to its last two nonces */
#define UNITS_AGAIN_MS	   2000
#define AHEAD_OF_HELPER_MS 3000
#define BEHIND_HELPER_MS   1000
#define BEAT_MS		   15000
#define WELL_AGAIN_MS	   1000

static void look(struct fl_job_run *run);
static void look_at_reach(struct fl_job_run *run);

static void fail(struct fl_job_run *run, const struct fl_err *why)
{
	fl_job_enter_err(run, FL_JOB_ROLLING_BACK, why);
}

static const struct fl_health *health_of(const struct fl_job_run *run)
{
	return run->release.set->health;
}

static uint64_t now_ms(const struct fl_job_run *run)
{
	return uv_now(&run->agent->loop);
}

static void set_deadline(struct fl_job_run *run, uint64_t left_ms)
{
	run->deadline_ms = now_ms(run) + left_ms;
	run->deadline_s = fl_agent_now_s(run->agent) + left_ms / 1000;
}

/* ---- the helper hears that the agent lives ------------------------------------------------------------------ */

/* The helper counts the soak from the first time that it hears that all is well, and so do we. */
static void on_beat_taken(struct fl_helper_call *call, enum fl_rc rc, const struct fl_err *err,
			  struct fl_helper_answer *answer)
{
	struct fl_job_run *run = call->ctx;
	(void)answer;
	if (rc != FL_OK && rc != FL_E_PEER_CLOSED)
		fl_log_err(FL_LOG_WARNING, err, "the helper's trial");
	if (rc == FL_OK && run->beat_well && !run->well_told) {
		run->well_told = true;
		run->soak_end_ms = now_ms(run) + health_of(run)->soak->duration_s * 1000 + BEHIND_HELPER_MS;
	}
}

static void beat(struct fl_job_run *run, bool well)
{
	struct fl_err err = {0};
	const struct fl_ipc_alive body = {run->row.job, well};
	if (fl_helper_call_open(&run->call))
		return;
	fl_helper_call_init(&run->call, on_beat_taken, run);
	run->beat_well = well;
	if (fl_helper_send(&run->agent->helper, &run->call, FL_FRAME_ALIVE, &body, NULL, 0, &err) != FL_OK)
		fl_log_err(FL_LOG_WARNING, &err, "the helper's trial");
	run->beat_ms = now_ms(run);
}

static void beat_when_due(struct fl_job_run *run)
{
	if (now_ms(run) - run->beat_ms >= BEAT_MS)
		beat(run, run->well);
}

/* ---- soak --------------------------------------------------------------------------------------------------- */

static void on_sample_due(uv_timer_t *timer);

static uint64_t until_next_ms(const struct fl_job_run *run)
{
	const uint64_t left = run->soak_end_ms > now_ms(run) ? run->soak_end_ms - now_ms(run) : 0;
	if (!run->well_told || left < WELL_AGAIN_MS)
		return WELL_AGAIN_MS;
	return left < BEAT_MS ? left : BEAT_MS;
}

static void judge(struct fl_job_run *run, uint64_t restarts)
{
	struct fl_err why = {0};
	struct fl_vitals sample = fl_vitals_measure(run->agent);
	sample.restarts = restarts;
	if (fl_soak_judge(health_of(run)->soak, &run->agent->baseline.vitals, &sample, &run->strikes, &why) != FL_OK) {
		fail(run, &why);
		return;
	}
	if (now_ms(run) < run->soak_end_ms || !run->well_told) {
		uv_timer_start(&run->wait, on_sample_due, until_next_ms(run), 0);
		return;
	}
	run->soaked = true;
	set_deadline(run, run->deadline_len_ms);
	look(run);
}

static void on_sampled_units(struct fl_units *units, enum fl_rc rc, const struct fl_err *err,
			     const struct fl_units_answer *answer)
{
	struct fl_job_run *run = units->ctx;
	struct fl_err why = {0};
	if (rc != FL_OK)
		fl_log_err(FL_LOG_WARNING, err, "soak");
	if (rc == FL_OK && answer->state == FL_UNITS_FAILED) {
		(void)fl_fail(&why, FL_E_UNIT_FAILED, 0, "%s", answer->worst);
		fail(run, &why);
		return;
	}
	judge(run, rc == FL_OK ? answer->restarts : 0);
}

/* Every BEAT_MS a beat, every period a sample. */
static void on_sample_due(uv_timer_t *timer)
{
	struct fl_job_run *run = timer->data;
	const struct fl_health *health = health_of(run);
	struct fl_err err = {0};
	if (!run->well_told)
		beat(run, true);
	beat_when_due(run);
	if (now_ms(run) < run->sample_ms && now_ms(run) < run->soak_end_ms) {
		uv_timer_start(&run->wait, on_sample_due, until_next_ms(run), 0);
		return;
	}
	run->sample_ms = now_ms(run) + fl_soak_period_ms(health->soak);
	fl_agent_ask_heartbeat(run->agent); /* the next sample's round trip */
	if (health->units.n == 0)
		judge(run, 0);
	else if (fl_units_start(&run->units, &run->agent->loop, run->agent->config.systemctl, health->units.items,
				health->units.n, on_sampled_units, run, &err) != FL_OK)
		judge(run, 0);
}

/* left_ms: of the soak, when a part of it is over. */
static void soak(struct fl_job_run *run, uint64_t left_ms)
{
	const struct fl_err why = {.msg = "soak: all is well, and must stay so"};
	const uint64_t until_s = fl_agent_now_s(run->agent) + left_ms / 1000;
	run->well = true;
	run->soak_end_ms = now_ms(run) + left_ms + BEHIND_HELPER_MS;
	run->sample_ms = 0;
	fl_job_wait(run, &why, "soak", until_s, until_next_ms(run), on_sample_due);
}

/* ---- reach -------------------------------------------------------------------------------------------------- */

static bool reach_allows(const struct fl_job_run *run, const char *rule)
{
	const struct fl_health *health = health_of(run);
	for (size_t i = 0; i < health->reach.n; i++) {
		if (strcmp(health->reach.items[i], rule) == 0)
			return true;
	}
	return false;
}

static void all_is_well(struct fl_job_run *run)
{
	run->reaching = false;
	if (health_of(run)->soak == NULL || run->soaked) {
		fl_job_enter(run, FL_JOB_COMMITTING, FL_OK, NULL);
		return;
	}
	beat(run, true);
	soak(run, health_of(run)->soak->duration_s * 1000);
}

/* By a rule that needs no word of the fleet. */
static void well_without_fleet(struct fl_job_run *run, const char *rule)
{
	fl_log(FL_LOG_NOTICE, "job %s: the fleet does not answer; the rule '%s' is kept", run->row.job_id, rule);
	run->heartbeat_len = 0;
	all_is_well(run);
}

static void on_reach_again(uv_timer_t *timer)
{
	look_at_reach(timer->data);
}

/* An answer takes a moment; only what is not there at the second look is told. */
static void wait_for_fleet(struct fl_job_run *run)
{
	struct fl_err why = {0};
	const uint64_t left = run->deadline_ms - now_ms(run);
	const uint64_t delay = left < HEARTBEAT_EVERY_MS ? left : HEARTBEAT_EVERY_MS;
	fl_agent_ask_heartbeat(run->agent);
	if (!run->asked_fleet && run->row.next[0] == '\0') {
		uv_timer_start(&run->wait, on_reach_again, delay, 0);
	} else {
		(void)fl_fail(&why, FL_E_UNREACHABLE, 0, "no heartbeat of the fleet over the new system yet");
		fl_job_wait(run, &why, "heartbeat", run->deadline_s, delay, on_reach_again);
	}
	run->asked_fleet = true;
}

static void on_gateway(struct fl_gateway *gateway, bool answers)
{
	struct fl_job_run *run = gateway->ctx;
	if (answers)
		well_without_fleet(run, "fleet-or-gateway");
	else
		wait_for_fleet(run);
}

static void look_at_reach(struct fl_job_run *run)
{
	struct fl_err why = {0};
	run->reaching = true;
	beat_when_due(run);
	if (now_ms(run) >= run->deadline_ms) {
		(void)fl_fail(&why, FL_E_UNREACHABLE, 0, "no heartbeat of the fleet over the new system");
		fail(run, &why);
	} else if (now_ms(run) < run->deadline_ms - run->deadline_len_ms / 2) {
		wait_for_fleet(run);
	} else if (reach_allows(run, "local")) {
		well_without_fleet(run, "local");
	} else if (!reach_allows(run, "fleet-or-gateway") || run->gateway.run != NULL ||
		   fl_gateway_start(&run->gateway, &run->agent->loop, run->agent->config.check_gateway, on_gateway, run,
				    &why) != FL_OK) {
		wait_for_fleet(run);
	}
}

static void keep_heartbeat(struct fl_job_run *run, const struct fl_envelope *heartbeat)
{
	memcpy(run->heartbeat, heartbeat->payload.data, heartbeat->payload.len);
	run->heartbeat_len = heartbeat->payload.len;
	run->heartbeat_env = *heartbeat;
	run->heartbeat_env.payload = (struct fl_bytes){run->heartbeat, run->heartbeat_len};
}

/*
 * The helper has taken this heartbeat: it was on a nonce that it made since this boot. A commit that was refused once has
 * asked for a fresh one, and takes it with its next try.
 */
void fl_jobs_on_heartbeat(struct fl_jobs *jobs, const struct fl_envelope *heartbeat)
{
	struct fl_job_run *next = NULL;
	for (struct fl_job_run *run = jobs->first; run != NULL; run = next) {
		next = run->next;
		if (run->saving || run->parked || heartbeat->payload.len > sizeof(run->heartbeat))
			continue;
		if (run->row.state == FL_JOB_COMMITTING && !fl_helper_call_open(&run->call))
			keep_heartbeat(run, heartbeat);
		if (run->row.state != FL_JOB_CHECKING || !run->reaching)
			continue;
		fl_gateway_cancel(&run->gateway);
		keep_heartbeat(run, heartbeat);
		all_is_well(run);
	}
}

/* ---- units -------------------------------------------------------------------------------------------------- */

static void look_at_units(struct fl_job_run *run);

static void on_units_again(uv_timer_t *timer)
{
	look_at_units(timer->data);
}

static void units_failed(struct fl_job_run *run, const char *text)
{
	struct fl_err why = {0};
	(void)fl_fail(&why, FL_E_UNIT_FAILED, 0, "%s", text);
	fail(run, &why);
}

static void wait_for_units(struct fl_job_run *run, const char *text)
{
	struct fl_err why = {0};
	snprintf(why.msg, sizeof(why.msg), "%s", text);
	fl_job_wait(run, &why, "units", run->deadline_s, UNITS_AGAIN_MS, on_units_again);
}

static void on_units(struct fl_units *units, enum fl_rc rc, const struct fl_err *err,
		     const struct fl_units_answer *answer)
{
	struct fl_job_run *run = units->ctx;
	const bool late = now_ms(run) + UNITS_AGAIN_MS >= run->deadline_ms;
	if (rc == FL_OK && answer->state == FL_UNITS_ACTIVE)
		look_at_reach(run);
	else if (rc == FL_OK && (late || answer->state == FL_UNITS_FAILED))
		units_failed(run, answer->worst);
	else if (late)
		units_failed(run, err->msg);
	else
		wait_for_units(run, rc == FL_OK ? answer->worst : err->msg);
}

/* What has yet to start is asked for again; what cannot be asked is no proof that it runs. */
static void look_at_units(struct fl_job_run *run)
{
	const struct fl_health *health = health_of(run);
	struct fl_err err = {0};
	beat_when_due(run);
	if (health->units.n == 0)
		look_at_reach(run);
	else if (fl_units_start(&run->units, &run->agent->loop, run->agent->config.systemctl, health->units.items,
				health->units.n, on_units, run, &err) != FL_OK)
		units_failed(run, err.msg);
}

/* ---- the user's checks -------------------------------------------------------------------------------------- */

static void on_checks_done(struct fl_checks *checks, enum fl_rc rc, const struct fl_err *err)
{
	struct fl_job_run *run = checks->ctx;
	if (rc != FL_OK)
		fail(run, err);
	else
		look_at_units(run);
}

static void on_look_again(uv_timer_t *timer)
{
	look(timer->data);
}

static void look(struct fl_job_run *run)
{
	struct fl_err err = {0};
	beat(run, run->well);
	if (fl_checks_start(&run->checks, &run->agent->loop, run->agent->config.check_dir, on_checks_done, run,
			    &err) != FL_OK)
		fl_job_wait(run, &err, "memory", 0, fl_job_backoff_ms(run), on_look_again);
}

void fl_step_checking(struct fl_job_run *run)
{
	const struct fl_ipc_hello_reply *facts = fl_helper_facts(&run->agent->helper);
	const uint64_t len = health_of(run)->deadline_s * 1000;
	uint64_t left = facts != NULL && facts->trial ? facts->trial_left_ms : len;
	run->deadline_len_ms = len;
	run->soaked = run->reaching = run->asked_fleet = false;
	run->strikes = (struct fl_soak_strikes){0};
	run->well = facts != NULL && facts->trial_well && health_of(run)->soak != NULL;
	run->well_told = run->well;
	if (run->well && left > len) { /* this agent, or one before it, has begun the soak */
		soak(run, left - len);
		return;
	}
	run->soaked = run->well;
	left = left < len ? left : len;
	if (left > AHEAD_OF_HELPER_MS)
		left -= AHEAD_OF_HELPER_MS; /* who knows the reason rolls back first */
	set_deadline(run, left);
	look(run);
}

void fl_step_checking_stop(struct fl_job_run *run)
{
	run->reaching = false;
	fl_checks_cancel(&run->checks);
	fl_units_cancel(&run->units);
	fl_gateway_cancel(&run->gateway);
}
