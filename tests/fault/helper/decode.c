/* SPDX-License-Identifier: Apache-2.0 */
/* An artifact that a decoder makes content of: two runners, told of by one event. */
#include "gateway.h"

#include <fairlead/base/clock.h>
#include <fairlead/base/file.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB	  ((uint64_t)1 << 20)
#define READ_ONLY "[component.rootfs]\nread_only = yes\n"

static struct gateway g;
static struct update u;

static void set_up(void)
{
	gw_init(&g);
	gw_write(&g, "plugins/delta.so", "x", 1);
	gw_write(&g, "input", "the delta and its tree", 22);
	gw_make_update(&g, 1, 10, &u, &(struct paper_release){.delta_memory = MIB});
}

static void tear_down(void)
{
	gw_done(&g);
}

TestSuite(helper_decode, .init = set_up, .fini = tear_down, .timeout = 60);

static uint64_t now_ms(void)
{
	return fl_clock_boot_ms(&fl_clock_system);
}

static enum fl_rc stage(const char *artifact, size_t n_fds)
{
	const struct fl_ipc_stage ask = {u.docs[0].digest, "rootfs", artifact};
	FL_AUTO_FD input = open(gw_path(&g, "input"), O_RDONLY | O_CLOEXEC);
	const int fds[] = {input, input, input};
	memset(&g.staged, 0, sizeof(g.staged));
	return gw_call(&g, FL_FRAME_STAGE, &ask, fds, n_fds);
}

static void begin(const char *handler, const char *decoder)
{
	setenv("FAKE_DECODER", decoder, 1);
	gw_configure(&g, READ_ONLY);
	gw_start(&g, handler);
	gw_to_open(&g, &u);
	cr_assert_eq(stage("delta", 2), FL_OK, "%s", g.text);
	cr_assert_geq(g.fd, 0, "the data channel");
}

static void expect(const char *result, const char *code, bool decoder)
{
	(void)gw_staged(&g, 20000);
	cr_assert(g.staged.code != NULL && strcmp(g.staged.result, result) == 0 &&
			  strcmp(g.staged.code, code) == 0 && g.staged.decoder == decoder,
		  "%s %s (%s), of the decoder: %d", g.staged.result, g.staged.code, g.staged.text,
		  g.staged.decoder);
}

/* Straight after the event nothing holds the target any more, and the next staging may begin. */
static void expect_free(void)
{
	const uint64_t before = now_ms();
	cr_assert_eq(stage("delta", 2), FL_OK, "%s", g.text);
	cr_assert_lt(now_ms() - before, 2000, "it waited for somebody");
	cr_assert_eq(gw_target(&g, FL_FRAME_STOP, &u.docs[0].digest), FL_OK, "%s", g.text);
}

Test(helper_decode, it_reads_the_agents_file_and_the_slot_that_runs)
{
	char want[64] = "";
	begin("starved", "read");
	expect("permanent", "plugin_refused", true);
	for (size_t i = 0; i < 16; i++)
		snprintf(want + 2 * i, 3, "%02x", i < 8 ? "the delta"[i] : g.images[0][i - 8]);
	cr_assert_str_eq(g.staged.text, want);
	expect_free();
}

Test(helper_decode, what_the_decoder_says_counts_where_the_handler_starved)
{
	static const struct {
		const char *mode, *result, *code;
	} cases[] = {{"refuse", "permanent", "plugin_refused"},
		     {"crash", "retry", "plugin_crashed"},
		     {"garbage", "retry", "plugin_crashed"},
		     {"hang", "retry", "plugin_hung"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		gw_kill(&g);
		begin("starved", cases[i].mode);
		expect(cases[i].result, cases[i].code, true);
		expect_free();
	}
}

Test(helper_decode, a_handler_that_starves_beside_a_decoder_that_is_done_tells_of_itself)
{
	begin("starved", "ok");
	expect("retry", "no_source", false);
	expect_free();
}

/* The handler is done; a decoder that does not end is ended, and changes nothing. */
Test(helper_decode, a_decoder_does_not_outlive_the_handler)
{
	static const char *const modes[] = {"hang", "slow", "stubborn 500"};
	for (size_t i = 0; i < 3; i++) {
		gw_kill(&g);
		begin(u.runner, modes[i]);
		const uint64_t before = now_ms();
		expect("ok", "ok", false);
		cr_assert_lt(now_ms() - before, 12000, "%s", modes[i]);
		expect_free();
	}
}

Test(helper_decode, a_handler_that_fails_for_its_own_reasons_is_heard)
{
	begin("refuse", "refuse");
	expect("permanent", "plugin_refused", false);
	expect_free();
}

Test(helper_decode, a_stop_ends_both)
{
	begin("careful 300", "slow");
	usleep(300 * 1000);
	cr_assert_eq(gw_target(&g, FL_FRAME_STOP, &u.docs[0].digest), FL_OK, "%s", g.text);
	cr_assert_eq(fl_rc_from_name(g.staged.code), FL_E_CANCELLED, "told before the answer");
	expect_free();
}

/* Nothing of it is begun: the slot is what it was, and not withdrawn. */
static void expect_refused(enum fl_rc want, const char *artifact, size_t n_fds, const char *conf)
{
	setenv("FAKE_DECODER", "ok", 1);
	gw_count_boot(&g);
	gw_configure(&g, conf);
	gw_start(&g, "hang");
	gw_to_open(&g, &u);
	(void)gw_verbs(&g);
	const enum fl_rc rc = stage(artifact, n_fds);
	cr_assert_eq(rc, want, "%s: %s", fl_rc_name(rc), g.text);
	cr_assert_null(strstr(gw_verbs(&g), "withdraw"));
}

Test(helper_decode, too_few_descriptors)
{
	expect_refused(FL_E_PEER_CLOSED, "delta", 1, READ_ONLY); /* a breach of the protocol */
}

Test(helper_decode, descriptors_for_the_full_one)
{
	expect_refused(FL_E_PEER_CLOSED, "full", 2, READ_ONLY);
}

Test(helper_decode, no_such_decoder)
{
	cr_assert_eq(unlink(gw_path(&g, "plugins/delta.so")), 0);
	expect_refused(FL_E_PLUGIN_MISSING, "delta", 2, READ_ONLY);
}

Test(helper_decode, more_memory_than_is_granted_here)
{
	gw_make_update(&g, 1, 10, &u, &(struct paper_release){.delta_memory = MIB + 1});
	expect_refused(FL_E_TOO_LARGE, "delta", 2, READ_ONLY "[runner]\ndecoder_memory_mib = 1\n");
}

Test(helper_decode, a_system_that_may_change_is_no_source)
{
	expect_refused(FL_E_NOT_SUPPORTED, "delta", 2, "");
}
