/* SPDX-License-Identifier: Apache-2.0 */
/* What a trial looks at: programs, the user's checks, the service manager, the gateway, and the
 * rules of a soak. */
#include "checks.h"
#include "gateway.h"
#include "soak_rules.h"
#include "units.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uv_loop_t loop;
static char dir[64];
static struct {
	int calls;
	enum fl_rc rc;
	struct fl_err err;
	char text[512];
	struct fl_units_answer units;
	bool answers;
} seen;

static void set_up(void)
{
	cr_assert_eq(uv_loop_init(&loop), 0);
	memset(&seen, 0, sizeof(seen));
	snprintf(dir, sizeof(dir), "/tmp/unit-daemon-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
}

/* Nothing may be left open: every handle was closed by whoever opened it. */
static void tear_down(void)
{
	char command[96];
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&loop), 0);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	cr_assert_eq(system(command), 0);
}

TestSuite(health, .init = set_up, .fini = tear_down);

static const char *script(const char *name, const char *body)
{
	static char path[128];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *file = fopen(path, "w");
	cr_assert_not_null(file);
	fprintf(file, "#!/bin/sh\n%s\n", body);
	cr_assert_eq(fclose(file), 0);
	cr_assert_eq(chmod(path, 0755), 0);
	return path;
}

static uint64_t run_loop(void)
{
	const uint64_t begin = uv_hrtime();
	uv_run(&loop, UV_RUN_DEFAULT);
	return (uv_hrtime() - begin) / 1000000;
}

/* ---- program ---- */

static void on_program(struct fl_program *program, enum fl_rc rc, const struct fl_err *err,
		       const struct fl_buf *output)
{
	cr_assert_null(program->run, "it may be started again from here");
	seen.calls++;
	seen.rc = rc;
	seen.err = *err;
	snprintf(seen.text, sizeof(seen.text), "%s", fl_buf_str(output));
}

static struct fl_program start(const char *path, uint64_t deadline_ms, struct fl_program *program)
{
	struct fl_err err;
	char *argv[] = {(char *)(uintptr_t)path, NULL};
	cr_assert_eq(fl_program_start(program, &loop, argv, deadline_ms, on_program, NULL, &err),
		     FL_OK);
	return *program;
}

Test(health, a_program_ends_with_its_output_and_status)
{
	struct fl_program program = {0};
	start(script("p", "echo one; echo two"), 5000, &program);
	cr_assert_eq(seen.calls, 0, "never inside start");
	run_loop();
	cr_assert_eq(seen.calls, 1);
	cr_assert_eq(seen.rc, FL_OK);
	cr_assert_str_eq(seen.text, "one\ntwo\n");
	start(script("p", "exit 3"), 5000, &program);
	run_loop();
	cr_assert_eq(seen.rc, FL_E_CHECK_FAILED);
	cr_assert_str_eq(seen.err.msg, "'p': exit status 3");
	start(script("p", "kill -SEGV $$"), 5000, &program);
	run_loop();
	cr_assert_str_eq(seen.err.msg, "'p': signal 11");
}

Test(health, a_program_that_hangs_is_killed_at_its_deadline)
{
	struct fl_program program = {0};
	start(script("p", "echo begun; exec sleep 60"), 200, &program);
	cr_assert_lt(run_loop(), 5000);
	cr_assert_eq(seen.calls, 1);
	cr_assert_eq(seen.rc, FL_E_TIMEOUT);
	cr_assert_str_eq(seen.text, "begun\n");
}

Test(health, a_child_that_keeps_the_output_open_holds_nobody_up)
{
	struct fl_program program = {0};
	start(script("p", "sleep 5 & echo done"), 4000, &program);
	cr_assert_lt(run_loop(), 3000);
	cr_assert_eq(seen.rc, FL_OK);
	cr_assert_str_eq(seen.text, "done\n");
}

Test(health, endless_output_is_cut_not_kept)
{
	struct fl_program program = {0};
	start(script("p", "head -c 1000000 /dev/zero | tr '\\0' x"), 5000, &program);
	run_loop();
	cr_assert_eq(seen.rc, FL_OK);
	cr_assert_eq(strlen(seen.text), sizeof(seen.text) - 1);
}

Test(health, a_program_that_is_not_there_fails_at_once)
{
	struct fl_err err;
	struct fl_program program = {0};
	char *argv[] = {(char *)(uintptr_t) "/nonexistent/p", NULL};
	cr_assert_eq(fl_program_start(&program, &loop, argv, 1000, on_program, NULL, &err),
		     FL_E_CHECK_FAILED);
	run_loop();
	cr_assert_eq(seen.calls, 0);
	cr_assert_null(program.run);
}

Test(health, a_cancelled_program_is_killed_and_says_nothing)
{
	struct fl_program program = {0};
	start(script("p", "exec sleep 60"), 60000, &program);
	fl_program_cancel(&program);
	fl_program_cancel(&program);
	cr_assert_lt(run_loop(), 5000);
	cr_assert_eq(seen.calls, 0);
}

/* ---- checks ---- */

static void on_checks(struct fl_checks *checks, enum fl_rc rc, const struct fl_err *err)
{
	cr_assert_null(checks->run);
	seen.calls++;
	seen.rc = rc;
	seen.err = *err;
}

static void check(const char *in)
{
	struct fl_err err;
	static struct fl_checks checks;
	checks = (struct fl_checks){0};
	cr_assert_eq(fl_checks_start(&checks, &loop, in, on_checks, NULL, &err), FL_OK);
	cr_assert_eq(seen.calls, 0);
	run_loop();
	cr_assert_eq(seen.calls, 1);
}

Test(health, no_folder_is_no_failure)
{
	check(NULL);
	cr_assert_eq(seen.rc, FL_OK);
}

Test(health, checks_run_in_the_order_of_their_names)
{
	char body[96];
	snprintf(body, sizeof(body), "echo 1 >> %s/trace", dir);
	script("10-first", body);
	snprintf(body, sizeof(body), "echo 2 >> %s/trace", dir);
	script("20-second", body);
	script(".hidden", "exit 1");
	check(dir);
	cr_assert_eq(seen.rc, FL_OK, "%s", seen.err.msg);
	snprintf(body, sizeof(body), "test \"$(cat %s/trace | tr -d '\\n')\" = 12", dir);
	cr_assert_eq(system(body), 0);
}

Test(health, a_failed_check_is_named_with_its_last_line_and_ends_the_row)
{
	char body[96];
	snprintf(body, sizeof(body), "touch %s/trace", dir);
	script("20-second", body);
	script("10-first", "echo looking; printf 'no modem\\033[0m\\n\\n'; exit 2");
	check(dir);
	cr_assert_eq(seen.rc, FL_E_CHECK_FAILED);
	cr_assert_str_eq(seen.err.msg, "check '10-first': exit status 2: no modem?[0m");
	snprintf(body, sizeof(body), "%s/trace", dir);
	cr_assert_neq(access(body, F_OK), 0);
}

/* ---- units ---- */

Test(health, all_units_active)
{
	struct fl_err err;
	struct fl_units_answer a;
	cr_assert_eq(
		fl_units_read("Id=a.service\nNRestarts=0\nLoadState=loaded\nActiveState=active\n\n"
			      "Id=b.socket\nLoadState=loaded\nActiveState=active\n",
			      2, &a, &err),
		FL_OK);
	cr_assert_eq(a.state, FL_UNITS_ACTIVE);
	cr_assert_eq(a.restarts, 0);
	cr_assert_str_eq(a.worst, "");
}

Test(health, the_worst_unit_is_told)
{
	struct fl_err err;
	struct fl_units_answer a;
	cr_assert_eq(
		fl_units_read(
			"Id=a.service\nNRestarts=4\nLoadState=loaded\nActiveState=activating\n\n"
			"Id=b.service\nNRestarts=1\nLoadState=not-found\nActiveState=inactive\n\n"
			"Id=c.service\nLoadState=loaded\nActiveState=active\n",
			3, &a, &err),
		FL_OK);
	cr_assert_eq(a.state, FL_UNITS_FAILED);
	cr_assert_eq(a.restarts, 4);
	cr_assert_str_eq(a.worst, "b.service is not there");
	cr_assert_eq(fl_units_read("Id=a.service\nActiveState=activating\nLoadState=loaded\n", 1,
				   &a, &err),
		     FL_OK);
	cr_assert_eq(a.state, FL_UNITS_STARTING);
}

Test(health, an_answer_that_is_none_is_refused)
{
	static const char *const odd[] = {"", "\n\n", "Id=a.service\n", "ActiveState=active\n",
					  "Id=a\nId=b\nActiveState=active\n"};
	struct fl_err err;
	struct fl_units_answer a = {.restarts = 77};
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		cr_assert_eq(fl_units_read(odd[i], 1, &a, &err), FL_E_PROTOCOL, "%zu", i);
	cr_assert_eq(fl_units_read("Id=a\nActiveState=active\n", 2, &a, &err), FL_E_PROTOCOL);
	cr_assert_eq(a.restarts, 77, "untouched");
}

static void on_units(struct fl_units *units, enum fl_rc rc, const struct fl_err *err,
		     const struct fl_units_answer *answer)
{
	(void)units;
	seen.calls++;
	seen.rc = rc;
	seen.err = *err;
	seen.units = *answer;
}

Test(health, the_service_manager_is_asked_for_every_unit_at_once)
{
	static const char *const names[] = {"a.service", "b.service"};
	struct fl_err err;
	struct fl_units units = {0};
	const char *path = script(
		"systemctl", "test \"$*\" = 'show --property=Id,ActiveState,LoadState,NRestarts -- "
			     "a.service b.service' || exit 9\n"
			     "printf 'Id=a.service\\nActiveState=active\\nLoadState=loaded\\n\\n'\n"
			     "printf 'Id=b.service\\nActiveState=failed\\nLoadState=loaded\\n'");
	cr_assert_eq(fl_units_start(&units, &loop, path, names, 2, on_units, NULL, &err), FL_OK);
	run_loop();
	cr_assert_eq(seen.calls, 1);
	cr_assert_eq(seen.rc, FL_OK, "%s", seen.err.msg);
	cr_assert_eq(seen.units.state, FL_UNITS_FAILED);
	cr_assert_str_eq(seen.units.worst, "b.service is failed");
}

/* ---- gateway ---- */

Test(health, default_routes_are_found_among_others)
{
	struct sockaddr_storage hops[4];
	cr_assert_eq(fl_gateway_routes4(
			     "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n"
			     "eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n"
			     "eth0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\n"
			     "eth0\tzz\t0101A8C0\t0003\n"
			     "wwan0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\n",
			     hops, 4),
		     1);
	const struct sockaddr_in *four = (const struct sockaddr_in *)&hops[0];
	const uint8_t *b = (const uint8_t *)&four->sin_addr;
	cr_assert(b[0] + b[3] == 192 + 1 && b[1] + b[2] == 168 + 1);
	cr_assert_eq(
		fl_gateway_routes6(
			"00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
			"fe800000000000000000000000000001 00000400 00000001 00000000 00000003      "
			" lo\n"
			"fe800000000000000000000000000000 40 00000000000000000000000000000000 00 "
			"00000000000000000000000000000000 00000100 00000001 00000000 00000001      "
			" lo\n"
			"garbage\n",
			hops, 4),
		1);
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&hops[0];
	cr_assert_eq(six->sin6_addr.s6_addr[0], 0xfe);
	cr_assert_eq(six->sin6_addr.s6_addr[15], 1);
	cr_assert_neq(six->sin6_scope_id, 0);
	cr_assert_eq(fl_gateway_routes4("", hops, 4) + fl_gateway_routes6("", hops, 4), 0);
}

static void on_gateway(struct fl_gateway *gateway, bool answers)
{
	cr_assert_null(gateway->run);
	seen.calls++;
	seen.answers = answers;
}

static uint64_t ask(const char *address)
{
	struct fl_err err;
	static struct fl_gateway gateway;
	gateway = (struct fl_gateway){0};
	seen.calls = 0;
	cr_assert_eq(fl_gateway_start(&gateway, &loop, address, on_gateway, NULL, &err), FL_OK);
	cr_assert_eq(seen.calls, 0, "never inside start");
	const uint64_t ms = run_loop();
	cr_assert_eq(seen.calls, 1);
	return ms;
}

Test(health, a_neighbour_that_refuses_answers)
{
	ask("127.0.0.1"); /* nobody listens at most of these ports */
	cr_assert(seen.answers);
	ask("::1");
	cr_assert(seen.answers);
}

Test(health, nobody_to_ask_is_no_answer)
{
	cr_assert_lt(ask("not-an-address"), 1000);
	cr_assert_not(seen.answers);
	cr_assert_lt(ask("255.255.255.255"), 7000); /* nobody can be connected to there */
	cr_assert_not(seen.answers);
}

Test(health, a_cancelled_question_is_forgotten)
{
	struct fl_err err;
	struct fl_gateway gateway = {0};
	cr_assert_eq(fl_gateway_start(&gateway, &loop, "127.0.0.1", on_gateway, NULL, &err), FL_OK);
	fl_gateway_cancel(&gateway);
	fl_gateway_cancel(&gateway);
	run_loop();
	cr_assert_eq(seen.calls, 0);
}

/* ---- soak ---- */

static const struct fl_soak limits = {.duration_s = 7200,
				      .memory_pct = 150,
				      .load_pct = 200,
				      .round_trip_pct = 300,
				      .restarts = 1};
static const struct fl_vitals before = {200 * 1024, 100, 300000, 0};

static enum fl_rc soak(const struct fl_vitals *sample, unsigned times,
		       struct fl_soak_strikes *strikes)
{
	enum fl_rc rc = FL_OK;
	for (unsigned i = 0; i < times && rc == FL_OK; i++)
		rc = fl_soak_judge(&limits, &before, sample, strikes, &seen.err);
	return rc;
}

Test(health, an_equal_system_passes_for_ever)
{
	struct fl_soak_strikes strikes = {0};
	cr_assert_eq(soak(&before, 1000, &strikes), FL_OK);
	const struct fl_vitals at_limit = {300 * 1024, 200, 900000, 1};
	cr_assert_eq(soak(&at_limit, 1000, &strikes), FL_OK);
}

Test(health, each_limit_counts_when_it_is_broken_often_enough)
{
	const struct fl_vitals bad[] = {{300 * 1024 + 1, 100, 300000, 0},
					{200 * 1024, 201, 300000, 0},
					{200 * 1024, 100, 900001, 0}};
	static const char *const names[] = {"memory:", "load:", "round trip:"};
	for (size_t i = 0; i < 3; i++) {
		struct fl_soak_strikes strikes = {0};
		cr_assert_eq(soak(&bad[i], FL_SOAK_STRIKES - 1, &strikes), FL_OK);
		cr_assert_eq(soak(&before, 1, &strikes), FL_OK, "a good sample forgives");
		cr_assert_eq(soak(&bad[i], FL_SOAK_STRIKES - 1, &strikes), FL_OK);
		cr_assert_eq(soak(&bad[i], 1, &strikes), FL_E_SOAK);
		cr_assert_eq(strncmp(seen.err.msg, names[i], strlen(names[i])), 0, "%s",
			     seen.err.msg);
	}
}

Test(health, a_restart_too_many_counts_at_once)
{
	struct fl_soak_strikes strikes = {0};
	struct fl_vitals sample = before;
	sample.restarts = 2;
	cr_assert_eq(soak(&sample, 1, &strikes), FL_E_SOAK);
	cr_assert_str_eq(seen.err.msg, "2 restarts, at most 1 are allowed");
}

Test(health, what_was_not_measured_is_not_judged)
{
	const struct fl_vitals none = {0};
	const struct fl_vitals huge = {1 << 30, 10000, 100000000, 0};
	struct fl_soak_strikes strikes = {0};
	for (int i = 0; i < 20; i++) {
		cr_assert_eq(fl_soak_judge(&limits, &none, &huge, &strikes, &seen.err), FL_OK);
		cr_assert_eq(fl_soak_judge(&limits, &before, &none, &strikes, &seen.err), FL_OK);
	}
}

Test(health, an_idle_machines_noise_is_no_verdict)
{
	const struct fl_vitals idle = {1024, 1, 1000, 0};
	const struct fl_vitals busier = {1024 + 16 * 1024, 51, 501000, 0};
	struct fl_soak_strikes strikes = {0};
	for (int i = 0; i < 20; i++)
		cr_assert_eq(fl_soak_judge(&limits, &idle, &busier, &strikes, &seen.err), FL_OK);
}

Test(health, samples_are_a_sixtieth_of_the_soak_apart)
{
	cr_assert_eq(fl_soak_period_ms(&(struct fl_soak){.duration_s = 60}), 10000);
	cr_assert_eq(fl_soak_period_ms(&(struct fl_soak){.duration_s = 3600}), 60000);
	cr_assert_eq(fl_soak_period_ms(&(struct fl_soak){.duration_s = 604800}), 600000);
}

Test(health, vitals_are_read_from_the_kernels_texts)
{
	cr_assert_eq(fl_vitals_memory_kib(
			     "MemTotal:       1000 kB\nMemFree:   1 kB\nMemAvailable:    400 kB\n"),
		     600);
	cr_assert_eq(fl_vitals_memory_kib("MemTotal: 1000 kB\n"), 0);
	cr_assert_eq(fl_vitals_memory_kib("MemTotal: 10 kB\nMemAvailable: 20 kB\n"), 0);
	cr_assert_eq(fl_vitals_load_centi("0.31 12.05 1.78 1/200 4242\n"), 1205);
	cr_assert_eq(fl_vitals_load_centi(""), 0);
}
