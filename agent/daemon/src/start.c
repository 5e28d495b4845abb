/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start and end. What stands on the data partition may come late, or be there for reading only:
 *
 *   configuration ▶ control socket ▶ identity, roots, store ──all there──▶ link, jobs, helper ▶ running
 *                                      │  ▲
 *                                      ▼  │ every RETRY_MS
 *                                     degraded: status and why answer, nothing else is done
 */
#include "agent.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_MEMORY_MAX ((size_t)4 * 1024 * 1024)
#define RETRY_MS	   1000

static void log_to_ring(void *ctx, enum fl_log_level level, const char *line)
{
	const struct fl_agent *agent = ctx;
	fl_log_ring_append(agent->ring, (int64_t)fl_agent_now_s(agent), (unsigned)level, line);
}

static void on_signal(uv_signal_t *signal, int number)
{
	struct fl_agent *agent = signal->data;
	(void)number;
	uv_stop(&agent->loop);
}

/* ---- the data partition ------------------------------------------------------------------------------------ */

static enum fl_rc open_store(struct fl_agent *agent, struct fl_err *err)
{
	bool rebuilt = false;
	enum fl_rc rc = fl_dir_make(agent->config.spool_dir, 0700, err);
	if (rc == FL_OK)
		rc = fl_log_ring_open(agent->config.store_dir, &agent->ring, err);
	if (rc != FL_OK)
		return rc;
	fl_log_set_sink(log_to_ring, agent);
	rc = fl_store_open(agent->config.store_dir, &agent->store, &rebuilt, err);
	if (rc == FL_OK && rebuilt)
		fl_log(FL_LOG_WARNING, "the database was damaged and set aside; the fleet and the helper tell again");
	if (rc == FL_OK)
		fl_db_init(&agent->db, &agent->loop, agent->store);
	return rc;
}

static void close_data(struct fl_agent *agent)
{
	fl_log_set_sink(NULL, NULL);
	fl_store_close(agent->store);
	agent->store = NULL;
	fl_log_ring_close(agent->ring);
	agent->ring = NULL;
	fl_trust_done(&agent->trust);
	agent->trust = (struct fl_trust){0};
	fl_identity_done(&agent->identity);
	agent->identity = (struct fl_identity){0};
}

/* All of it or nothing. */
static enum fl_rc open_data(struct fl_agent *agent, struct fl_err *err)
{
	const struct fl_config *config = &agent->config;
	enum fl_rc rc = config->store_mount == NULL ? FL_OK : fl_dir_check_mount(config->store_mount, err);
	if (rc == FL_OK)
		rc = fl_identity_open(config, &agent->identity, err);
	if (rc == FL_OK)
		rc = fl_trust_open(&agent->trust, config, &fl_key_public(agent->identity.key)->keyid, err);
	if (rc == FL_OK)
		rc = open_store(agent, err);
	if (rc == FL_OK)
		return FL_OK;
	close_data(agent);
	return fl_wrap(err, rc, "store '%s'", config->store_dir);
}

/* ---- start ------------------------------------------------------------------------------------------------- */

static uint64_t download_limit(void *ctx)
{
	const struct fl_agent *agent = ctx;
	return fl_rate_at(&agent->config.download_rate, fl_agent_knows_time(agent),
			  fl_agent_now_s(agent));
}

/* After a failure the agent ends, and is started again. */
static enum fl_rc run_parts(struct fl_agent *agent, struct fl_err *err)
{
	enum fl_rc rc = fl_http_init(&agent->http, &agent->loop, err);
	if (rc == FL_OK)
		rc = fl_link_init(&agent->link, agent, err);
	if (rc == FL_OK)
		rc = fl_outbox_open(&agent->outbox, agent, err);
	if (rc == FL_OK)
		rc = fl_baseline_load(agent, err);
	if (rc == FL_OK)
		rc = fl_ledger_load(&agent->ledger, agent, err);
	if (rc == FL_OK)
		rc = fl_jobs_load(&agent->jobs, agent, err);
	if (rc != FL_OK)
		return rc;
	agent->http.ca_path = agent->config.ca_path;
	agent->http.cert_path = agent->config.certificate_path;
	agent->http.key_path = agent->config.key_uri + strlen("file:");
	agent->http.proxy = agent->config.proxy.url;
	agent->http.content_ca_path = agent->config.download_ca;
	agent->http.private_redirects = agent->config.private_redirects;
	agent->http.limit = download_limit;
	agent->http.limit_ctx = agent;
	agent->running = true;
	fl_agent_connect(agent);
	return FL_OK;
}

static void on_retry(uv_timer_t *timer);

static void note_degraded(struct fl_agent *agent, const struct fl_err *why)
{
	const struct fl_err before = agent->degraded;
	(void)fl_fail(&agent->degraded, why->rc, 0, "degraded: %.200s", why->msg);
	if (strcmp(agent->degraded.msg, before.msg) != 0)
		fl_log(FL_LOG_ERROR, "%s", agent->degraded.msg);
	uv_timer_start(&agent->retry, on_retry, RETRY_MS, 0);
}

static void on_retry(uv_timer_t *timer)
{
	struct fl_agent *agent = timer->data;
	struct fl_err err = {0};
	if (open_data(agent, &err) != FL_OK) {
		note_degraded(agent, &err);
		return;
	}
	agent->degraded = (struct fl_err){0};
	fl_log(FL_LOG_NOTICE, "no longer degraded");
	if (run_parts(agent, &err) == FL_OK)
		return;
	fl_log_err(FL_LOG_ERROR, &err, "start");
	agent->failed = true;
	uv_stop(&agent->loop);
}

static void init_handles(struct fl_agent *agent)
{
	FL_BUG_ON(uv_signal_init(&agent->loop, &agent->sigterm) != 0);
	FL_BUG_ON(uv_signal_init(&agent->loop, &agent->sigint) != 0);
	FL_BUG_ON(uv_timer_init(&agent->loop, &agent->retry) != 0);
	agent->sigterm.data = agent->sigint.data = agent->retry.data = agent;
	FL_BUG_ON(uv_signal_start(&agent->sigterm, on_signal, SIGTERM) != 0);
	FL_BUG_ON(uv_signal_start(&agent->sigint, on_signal, SIGINT) != 0);
}

enum fl_rc fl_agent_start(struct fl_agent *agent, const char *config_path, struct fl_err *err)
{
	struct fl_err why = {0};
	FL_BUG_ON(uv_loop_init(&agent->loop) != 0); /* out of memory at start: started again */
	agent->clock = &fl_clock_system;
	agent->heartbeat_arena = FL_ARENA(MESSAGE_MEMORY_MAX);
	init_handles(agent);
	enum fl_rc rc = fl_config_load(config_path, &agent->config, err);
	if (rc == FL_OK)
		rc = fl_control_open(&agent->control, agent, err);
	if (rc != FL_OK)
		return rc;
	if (open_data(agent, &why) == FL_OK)
		return run_parts(agent, err);
	note_degraded(agent, &why);
	return FL_OK;
}

/* ---- end --------------------------------------------------------------------------------------------------- */

/* Nothing new begins; what the pool has in hand ends; then memory goes. */
static void stop(struct fl_agent *agent)
{
	fl_jobs_on_helper_down(&agent->jobs);
	fl_helper_done(&agent->helper);
	fl_enrol_done(&agent->enrol);
}

void fl_agent_done(struct fl_agent *agent)
{
	if (agent->running)
		stop(agent);
	uv_close((uv_handle_t *)&agent->sigterm, NULL);
	uv_close((uv_handle_t *)&agent->sigint, NULL);
	uv_close((uv_handle_t *)&agent->retry, NULL);
	fl_control_done(&agent->control);
	fl_http_done(&agent->http);
	fl_link_done(&agent->link);
	while (agent->db.first != NULL)
		uv_run(&agent->loop, UV_RUN_ONCE);
	fl_jobs_done(&agent->jobs);
	uv_run(&agent->loop, UV_RUN_DEFAULT); /* handles close */
	fl_outbox_done(&agent->outbox);
	close_data(agent);
	fl_arena_free(&agent->heartbeat_arena);
	fl_config_done(&agent->config);
}
