/* SPDX-License-Identifier: Apache-2.0 */
/* An agent that has been taken over: it can say anything, and gets nothing that the documents and the machine do not give. */
#include "gateway.h"

#include <fairlead/base/clock.h>
#include <fairlead/base/file.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct gateway g;
static struct update u;

static void set_up(void)
{
	gw_init(&g);
	gw_make_update(&g, 1, 10, &u, NULL);
}

static void tear_down(void)
{
	gw_done(&g);
}

TestSuite(helper_hostile, .init = set_up, .fini = tear_down, .timeout = 100);

static bool slot_is(const char *slot, const void *data, size_t len)
{
	struct fl_buf text = FL_BUF((size_t)1 << 20);
	cr_assert_eq(fl_file_read(gw_path(&g, slot), &text, NULL), FL_OK);
	bool same = text.len >= len && memcmp(text.data, data, len) == 0;
	fl_buf_free(&text);
	return same;
}

/* --- documents --- */

Test(helper_hostile, a_closed_job_is_never_opened_again)
{
	gw_to_staged(&g, &u);
	cr_assert_eq(gw_close(&g, &u.docs[0].digest, "failed"), FL_OK);
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_E_REPLAYED);
	gw_kill(&g);
	gw_start(&g, u.runner);
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_E_REPLAYED);
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_E_NOT_OPEN);
	cr_assert_eq(gw_target(&g, FL_FRAME_SEAL, &u.docs[0].digest), FL_E_NOT_OPEN);
	cr_assert_eq(gw_job(&g, FL_FRAME_ACTIVATE, &u.docs[0].digest), FL_E_NOT_OPEN);
	cr_assert_eq(gw_job(&g, FL_FRAME_RESTART, &u.docs[0].digest), FL_E_NOT_OPEN);
	cr_assert_eq(gw_commit(&g, &u.docs[0].digest, NULL), FL_E_NOT_OPEN);
	cr_assert_eq(gw_rollback(&g, &u.docs[0].digest), FL_E_NOT_OPEN);
}

Test(helper_hostile, an_older_job_is_refused)
{
	struct update older;
	gw_to_open(&g, &u);
	gw_make_update(&g, 2, 9, &older, NULL);
	cr_assert_eq(gw_present(&g, older.docs, 2), FL_E_REPLAYED);
	cr_assert_str_eq(gw_phase(&g, &u), "idle");
}

Test(helper_hostile, another_release_than_the_pinned_one_is_refused)
{
	struct update other;
	gw_start(&g, u.runner);
	gw_heal(&g);
	gw_make_update(&g, 2, 10, &other, NULL);
	const struct paper_doc mixed[] = {u.docs[0], other.docs[1]};
	cr_assert_eq(gw_present(&g, mixed, 2), FL_E_RELEASE_MISMATCH);
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_E_NOT_OPEN);
}

Test(helper_hostile, strangers_sign_nothing)
{
	struct paper_doc job;
	struct update forged;
	gw_start(&g, u.runner);
	gw_heal(&g);
	job = paper_job(&g.paper, &(struct paper_job){.job_seq = 11,
						      .release = &u.docs[1].digest,
						      .signer = g.paper.stranger});
	const struct paper_doc by_stranger[] = {job, u.docs[1]};
	cr_assert_eq(gw_present(&g, by_stranger, 2), FL_E_KEY_UNKNOWN);
	job = paper_job(&g.paper, &(struct paper_job){.job_seq = 11,
						      .release = &u.docs[1].digest,
						      .signer = g.paper.release});
	const struct paper_doc by_release[] = {job, u.docs[1]};
	cr_assert_eq(gw_present(&g, by_release, 2), FL_E_SCOPE);
	gw_make_update(&g, 1, 12, &forged, &(struct paper_release){.signer = g.paper.dispatch});
	cr_assert_eq(gw_present(&g, forged.docs, 2), FL_E_SCOPE);
	cr_assert_eq(gw_hello(&g), FL_OK);
	cr_assert_eq(g.hello.open_jobs.n, 0);
	cr_assert_eq(g.hello.job_seq, 0, "what is refused uses up no number");
}

Test(helper_hostile, jobs_for_others_or_of_other_times_are_refused)
{
	gw_start(&g, u.runner);
	gw_heal(&g);
	struct {
		struct paper_job ask;
		enum fl_rc code;
	} rows[] = {
		{{.job_seq = 11, .device_id = "gw-2"}, FL_E_WRONG_DEVICE},
		{{.job_seq = 11, .epoch = 2}, FL_E_WRONG_EPOCH},
		{{.job_seq = 11, .expires = PAPER_NOW - 1}, FL_E_EXPIRED},
		{{.job_seq = UINT64_C(1) << 40}, FL_E_REPLAYED},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		rows[i].ask.release = &u.docs[1].digest;
		const struct paper_doc docs[] = {paper_job(&g.paper, &rows[i].ask), u.docs[1]};
		cr_assert_eq(gw_present(&g, docs, 2), rows[i].code, "row %zu: %s", i, g.text);
	}
}

Test(helper_hostile, no_downgrade_below_the_running_image_even_with_a_lost_anchor)
{
	struct update old;
	gw_set_image_info(&g, "9.0", 9, 4);
	gw_start(&g, u.runner);
	gw_heal(&g);
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_E_BELOW_FLOOR, "%s", g.text);
	gw_make_update(&g, 1, 10, &old, &(struct paper_release){.security_version = 4});
	cr_assert_eq(gw_present(&g, old.docs, 2), FL_E_DOWNGRADE, "%s", g.text);
	const struct fl_ipc_component *c = gw_component(&g);
	cr_assert_eq(c->release_seq, 9);
	cr_assert_eq(c->security_floor, 4);
}

Test(helper_hostile, a_downgrade_needs_the_committed_release_to_permit_it)
{
	struct update second;
	struct update back;
	gw_make_update(&g, 2, 12, &back, &(struct paper_release){.release_seq = 1, .version = "1.1"});
	gw_make_update(&g, 1, 10, &u, &(struct paper_release){.permits = &back.docs[1].digest});
	gw_to_trial(&g, &u);
	const struct paper_doc heartbeat = gw_fresh_heartbeat(&g);
	cr_assert_eq(gw_commit(&g, &u.docs[0].digest, &heartbeat), FL_OK, "%s", g.text);
	gw_make_update(&g, 2, 11, &second, &(struct paper_release){.release_seq = 1});
	cr_assert_eq(gw_present(&g, second.docs, 2), FL_E_DOWNGRADE);
	cr_assert_eq(gw_component(&g)->permits_rollback_to.n, 1);
	cr_assert_eq(gw_present(&g, back.docs, 2), FL_OK, "%s", g.text);
}

Test(helper_hostile, a_release_revoked_while_it_waits_is_not_activated)
{
	gw_to_sealed(&g, &u);
	const struct paper_doc root =
		paper_root(&g.paper, &(struct paper_root){2, 1, &u.docs[1].digest, 0});
	cr_assert_eq(gw_present(&g, &root, 1), FL_OK, "%s", g.text);
	cr_assert_eq(gw_job(&g, FL_FRAME_ACTIVATE, &u.docs[0].digest), FL_E_KEY_REVOKED);
	cr_assert_str_eq(gw_phase(&g, &u), "sealed");
	cr_assert_eq(g.hello.root_version, 2);
}

Test(helper_hostile, a_floor_raised_while_it_waits_stops_it)
{
	gw_to_sealed(&g, &u);
	const struct paper_doc root = paper_root(&g.paper, &(struct paper_root){2, 1, NULL, 3});
	cr_assert_eq(gw_present(&g, &root, 1), FL_OK);
	cr_assert_eq(gw_job(&g, FL_FRAME_ACTIVATE, &u.docs[0].digest), FL_E_BELOW_FLOOR);
}

Test(helper_hostile, roots_come_one_after_the_other)
{
	struct paper_doc roots[4];
	for (size_t i = 0; i < 4; i++)
		roots[i] = paper_root(&g.paper, &(struct paper_root){i + 1, 1, NULL, 0});
	gw_start(&g, u.runner);
	cr_assert_eq(gw_present(&g, &roots[2], 1), FL_E_ROOT_VERSION);
	cr_assert_eq(gw_present(&g, &roots[1], 3), FL_OK);
	cr_assert_eq(gw_hello(&g), FL_OK);
	cr_assert_eq(g.hello.root_version, 4);
	cr_assert_eq(gw_present(&g, &roots[1], 1), FL_E_ROOT_VERSION);
	gw_kill(&g);
	gw_start(&g, u.runner);
	cr_assert_eq(g.hello.root_version, 4, "it outlives the helper");
}

/* The anchor's root is gone from beside it: only the very same documents lead back to its version. */
Test(helper_hostile, a_lost_root_document_comes_back_and_no_other_takes_its_place)
{
	struct paper_doc roots[3];
	char name[FL_DIGEST_HEX_SIZE];
	char path[160];
	for (size_t i = 0; i < 3; i++)
		roots[i] = paper_root(&g.paper, &(struct paper_root){i + 1, 1, NULL, 0});
	gw_start(&g, u.runner);
	gw_heal(&g);
	cr_assert_eq(gw_present(&g, &roots[1], 2), FL_OK);
	gw_kill(&g);
	fl_hex_encode(roots[2].digest.b, FL_DIGEST_SIZE, name);
	snprintf(path, sizeof(path), "anchor/%s", name);
	cr_assert_eq(unlink(gw_path(&g, path)), 0);
	gw_start(&g, u.runner);
	cr_assert_eq(g.hello.root_version, 1, "the factory's");
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_E_ROOT_VERSION, "an older root vouches for nothing");
	const struct paper_doc fork = paper_root(&g.paper, &(struct paper_root){3, 1, NULL, 7});
	cr_assert_eq(gw_present(&g, &roots[1], 1), FL_OK);
	cr_assert_eq(gw_present(&g, &fork, 1), FL_E_ROOT_VERSION, "signed, but another one");
	cr_assert_eq(gw_present(&g, &roots[2], 1), FL_OK, "%s", g.text);
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_OK, "%s", g.text);
	gw_kill(&g);
	gw_start(&g, u.runner);
	cr_assert_eq(g.hello.root_version, 3, "it was kept again");
}

Test(helper_hostile, a_lost_job_document_comes_back_by_presenting_it)
{
	char name[FL_DIGEST_HEX_SIZE];
	char path[160];
	gw_to_open(&g, &u);
	gw_kill(&g);
	for (size_t i = 0; i < 2; i++) {
		fl_hex_encode(u.docs[i].digest.b, FL_DIGEST_SIZE, name);
		snprintf(path, sizeof(path), "anchor/%s", name);
		cr_assert_eq(unlink(gw_path(&g, path)), 0);
	}
	gw_start(&g, u.runner);
	cr_assert_eq(g.hello.open_jobs.n, 1, "still open");
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_E_NOT_FOUND);
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_OK, "%s", g.text);
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_OK, "%s", g.text);
}

/* --- nonces --- */

Test(helper_hostile, a_commit_needs_a_heartbeat_on_a_nonce_of_this_helper)
{
	uint8_t nonces[4][32];
	gw_to_trial(&g, &u);
	cr_assert_eq(gw_commit(&g, &u.docs[0].digest, NULL), FL_E_NONCE);
	memset(nonces[0], 7, 32);
	struct paper_doc beat =
		paper_heartbeat(&g.paper, &(struct paper_heartbeat){.nonce = nonces[0]});
	cr_assert_eq(gw_commit(&g, &u.docs[0].digest, &beat), FL_E_NONCE, "made up");
	for (size_t i = 0; i < 4; i++)
		cr_assert_eq(gw_nonce(&g, nonces[i]), FL_OK);
	beat = paper_heartbeat(&g.paper, &(struct paper_heartbeat){.nonce = nonces[1]});
	cr_assert_eq(gw_commit(&g, &u.docs[0].digest, &beat), FL_E_NONCE, "the third newest");
	beat = paper_heartbeat(&g.paper, &(struct paper_heartbeat){.nonce = nonces[3],
								   .signer = g.paper.release});
	cr_assert_eq(gw_commit(&g, &u.docs[0].digest, &beat), FL_E_SCOPE);
	beat = paper_heartbeat(&g.paper, &(struct paper_heartbeat){.nonce = nonces[3]});
	gw_kill(&g);
	gw_start(&g, u.runner);
	cr_assert_eq(gw_commit(&g, &u.docs[0].digest, &beat), FL_E_NONCE, "of the helper before");
	cr_assert_str_eq(gw_phase(&g, &u), "trial");
	beat = gw_fresh_heartbeat(&g);
	cr_assert_eq(gw_commit(&g, &u.docs[0].digest, &beat), FL_OK, "%s", g.text);
}

Test(helper_hostile, a_heartbeat_from_before_the_restart_commits_nothing)
{
	gw_to_trial_set(&g, &u);
	const struct paper_doc beat = gw_fresh_heartbeat(&g);
	cr_assert_eq(gw_heartbeat(&g, &beat), FL_OK);
	cr_assert_eq(gw_commit(&g, &u.docs[0].digest, &beat), FL_E_PHASE, "the target does not run");
	cr_assert_eq(gw_boot_only(&g, false), 'b');
	gw_set_image_info(&g, "2.0", 2, 1);
	gw_start(&g, u.runner);
	cr_assert_eq(gw_commit(&g, &u.docs[0].digest, &beat), FL_E_NONCE);
}

Test(helper_hostile, the_running_image_must_be_the_releases)
{
	static const struct {
		const char *version;
		uint64_t seq, security;
	} rows[] = {{"1.0", 2, 1}, {"2.0", 1, 1}, {"2.0", 2, 2}};
	gw_to_trial(&g, &u);
	const struct paper_doc beat = gw_fresh_heartbeat(&g);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		gw_set_image_info(&g, rows[i].version, rows[i].seq, rows[i].security);
		cr_assert_eq(gw_commit(&g, &u.docs[0].digest, &beat), FL_E_IMAGE_INFO);
	}
	gw_write(&g, "run/image-info", "{}", 2);
	cr_assert_eq(gw_commit(&g, &u.docs[0].digest, &beat), FL_E_IMAGE_INFO);
	gw_set_image_info(&g, "2.0", 2, 1);
	cr_assert_eq(gw_commit(&g, &u.docs[0].digest, &beat), FL_OK, "%s", g.text);
}

Test(helper_hostile, a_lost_anchor_needs_the_root_the_fleet_knows)
{
	uint8_t nonce[32];
	gw_start(&g, u.runner);
	cr_assert_eq(gw_nonce(&g, nonce), FL_OK);
	const struct paper_doc beat = paper_heartbeat(
		&g.paper, &(struct paper_heartbeat){.nonce = nonce, .root_version = 2});
	cr_assert_eq(gw_heartbeat(&g, &beat), FL_E_ROOT_VERSION);
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_E_ANCHOR_LOST);
	const struct paper_doc root = paper_root(&g.paper, &(struct paper_root){2, 1, NULL, 0});
	cr_assert_eq(gw_present(&g, &root, 1), FL_OK);
	cr_assert_eq(gw_heartbeat(&g, &beat), FL_OK, "%s", g.text);
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_OK);
}

Test(helper_hostile, an_anchor_lost_later_accepts_nothing_old)
{
	uint8_t nonce[32];
	struct update next;
	gw_to_staged(&g, &u);
	cr_assert_eq(gw_close(&g, &u.docs[0].digest, "failed"), FL_OK);
	gw_kill(&g);
	cr_assert_eq(truncate(gw_path(&g, "anchor/anchor"), 0), 0);
	gw_start(&g, u.runner);
	cr_assert(g.hello.anchor_lost);
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_E_ANCHOR_LOST);
	cr_assert_eq(gw_nonce(&g, nonce), FL_OK);
	const struct paper_doc beat = paper_heartbeat(
		&g.paper, &(struct paper_heartbeat){.nonce = nonce, .latest_job_seq = 10});
	cr_assert_eq(gw_heartbeat(&g, &beat), FL_OK);
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_E_REPLAYED);
	gw_make_update(&g, 1, 11, &next, NULL);
	cr_assert_eq(gw_present(&g, next.docs, 2), FL_OK, "%s", g.text);
}

/* --- slots --- */

Test(helper_hostile, the_running_slot_is_never_opened)
{
	gw_to_open(&g, &u);
	/* The configured target is the running slot by another name. */
	cr_assert_eq(unlink(gw_path(&g, "slots/b.img")), 0);
	cr_assert_eq(link(gw_path(&g, "slots/a.img"), gw_path(&g, "slots/b.img")), 0);
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_E_SLOT_RUNNING, "%s", g.text);
	cr_assert_eq(unlink(gw_path(&g, "slots/b.img")), 0);
	cr_assert_eq(symlink("a.img", gw_path(&g, "slots/b.img")), 0);
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_E_SLOT_MISSING);
	cr_assert(slot_is("slots/a.img", g.images[0], sizeof(g.images[0])));
}

Test(helper_hostile, a_target_that_runs_meanwhile_is_left_alone)
{
	gw_to_staged(&g, &u);
	gw_write(&g, "run/slot", "b\n", 2); /* a person booted it by hand */
	cr_assert_eq(gw_target(&g, FL_FRAME_SEAL, &u.docs[0].digest), FL_E_SLOT_RUNNING);
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_E_SLOT_MISSING,
		     "the good slot is no target either: %s", g.text);
}

Test(helper_hostile, an_unknown_running_slot_is_no_licence)
{
	gw_to_open(&g, &u);
	cr_assert_eq(unlink(gw_path(&g, "run/slot")), 0);
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_E_SLOT_RUNNING);
	gw_write(&g, "run/slot", "z\n", 2);
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_E_SLOT_RUNNING);
}

Test(helper_hostile, a_slot_that_somebody_holds_is_busy)
{
	gw_to_open(&g, &u);
	int fd = open(gw_path(&g, "slots/b.img"), O_RDWR | O_CLOEXEC);
	cr_assert_eq(flock(fd, LOCK_EX), 0);
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_E_SLOT_BUSY);
	fl_close(&fd);
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_OK);
}

Test(helper_hostile, a_slot_that_is_too_small_is_refused)
{
	gw_to_open(&g, &u);
	cr_assert_eq(truncate(gw_path(&g, "slots/b.img"), 1000), 0);
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_E_SLOT_TOO_SMALL);
}

Test(helper_hostile, the_target_is_withdrawn_before_a_byte_is_written)
{
	struct fl_boot_state boot;
	gw_start(&g, "mute"); /* a runner that never gets to write */
	gw_to_open(&g, &u);
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_OK);
	gw_decision(&g, &boot);
	cr_assert(fl_boot_is_withdrawn(&boot, "b"));
}

/* --- the seal --- */

Test(helper_hostile, a_runner_that_lies_does_not_get_past_the_seal)
{
	gw_start(&g, "lie");
	gw_to_open(&g, &u);
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_OK);
	cr_assert_eq(gw_staged(&g, 5000), FL_OK);
	cr_assert_eq(gw_target(&g, FL_FRAME_SEAL, &u.docs[0].digest), FL_E_SEAL_MISMATCH);
	cr_assert_str_eq(gw_phase(&g, &u), "staging");
	cr_assert_eq(gw_job(&g, FL_FRAME_ACTIVATE, &u.docs[0].digest), FL_E_PHASE);
}

Test(helper_hostile, nothing_is_activated_without_a_seal)
{
	struct fl_boot_state boot;
	gw_to_open(&g, &u);
	cr_assert_eq(gw_job(&g, FL_FRAME_ACTIVATE, &u.docs[0].digest), FL_E_PHASE);
	gw_to_staged(&g, &u);
	cr_assert_eq(gw_job(&g, FL_FRAME_ACTIVATE, &u.docs[0].digest), FL_E_PHASE);
	cr_assert_eq(gw_job(&g, FL_FRAME_RESTART, &u.docs[0].digest), FL_E_PHASE);
	cr_assert_not(gw_restart_asked(&g));
	gw_decision(&g, &boot);
	cr_assert_str_eq(boot.trial, "");
}

Test(helper_hostile, a_seal_does_not_outlive_the_helper_that_holds_the_lock)
{
	gw_to_sealed(&g, &u);
	gw_kill(&g);
	int fd = open(gw_path(&g, "slots/b.img"), O_RDWR | O_CLOEXEC);
	cr_assert_eq(pwrite(fd, "rot", 3, 70000), 3);
	fl_close(&fd);
	gw_start(&g, u.runner);
	cr_assert_eq(gw_job(&g, FL_FRAME_ACTIVATE, &u.docs[0].digest), FL_E_PHASE);
	cr_assert_eq(gw_target(&g, FL_FRAME_SEAL, &u.docs[0].digest), FL_E_SEAL_MISMATCH);
}

Test(helper_hostile, one_flipped_bit_anywhere_breaks_the_seal)
{
	static const off_t places[] = {0, 65535, 65536, 131071, 199999};
	gw_to_staged(&g, &u);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		uint8_t byte;
		int fd = open(gw_path(&g, "slots/b.img"), O_RDWR | O_CLOEXEC);
		cr_assert_eq(pread(fd, &byte, 1, places[i]), 1);
		byte ^= 0x10;
		cr_assert_eq(pwrite(fd, &byte, 1, places[i]), 1);
		cr_assert_eq(gw_target(&g, FL_FRAME_SEAL, &u.docs[0].digest), FL_E_SEAL_MISMATCH);
		byte ^= 0x10;
		cr_assert_eq(pwrite(fd, &byte, 1, places[i]), 1);
		fl_close(&fd);
	}
	cr_assert_eq(gw_target(&g, FL_FRAME_SEAL, &u.docs[0].digest), FL_OK, "%s", g.text);
}

Test(helper_hostile, the_rest_of_the_slot_is_zero_where_the_release_says_so)
{
	gw_make_update(&g, 1, 10, &u, &(struct paper_release){.zero_tail = true});
	gw_to_staged(&g, &u);
	int fd = open(gw_path(&g, "slots/b.img"), O_RDWR | O_CLOEXEC);
	cr_assert_eq(pwrite(fd, "x", 1, 299999), 1);
	cr_assert_eq(gw_target(&g, FL_FRAME_SEAL, &u.docs[0].digest), FL_E_SEAL_MISMATCH);
	cr_assert_eq(pwrite(fd, "\0", 1, 299999), 1);
	fl_close(&fd);
	cr_assert_eq(gw_target(&g, FL_FRAME_SEAL, &u.docs[0].digest), FL_OK, "%s", g.text);
}

/* --- frames --- */

static void assert_cut_off(void)
{
	uint32_t id;
	void *body;
	cr_assert_eq(gw_next(&g, &id, &body, 5000), FL_E_PEER_CLOSED);
	gw_connect(&g); /* and the helper is still there */
}

Test(helper_hostile, frames_that_break_the_protocol_end_the_connection)
{
	static uint8_t noise[4096];
	uint8_t header[8] = {0, FL_FRAME_SEAL, 0, 0, 0, 0, 0, 1};
	gw_start(&g, u.runner);
	cr_assert_eq(fl_random(noise, sizeof(noise), NULL), FL_OK);
	gw_send_raw(&g, noise, sizeof(noise), NULL, 0);
	assert_cut_off();
	gw_send_raw(&g, "x", 1, NULL, 0);
	assert_cut_off();
	gw_send_raw(&g, header, sizeof(header), NULL, 0); /* a seal without its members */
	assert_cut_off();
	header[1] = FL_FRAME_REPLY; /* ours to send */
	gw_send_raw(&g, header, sizeof(header), NULL, 0);
	assert_cut_off();
	static uint8_t longer[FL_FRAME_MAX + 10];
	cr_assert_eq(send(g.sock, longer, sizeof(longer), 0), (ssize_t)sizeof(longer));
	assert_cut_off();
}

Test(helper_hostile, nothing_is_answered_before_hello)
{
	gw_start(&g, u.runner);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/run/helper.sock", g.dir);
	fl_close(&g.sock);
	g.sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	cr_assert_eq(connect(g.sock, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_E_PEER_CLOSED);
	gw_connect(&g);
	const struct fl_ipc_hello other = {99, "from the future"};
	cr_assert_eq(gw_call(&g, FL_FRAME_HELLO, &other, NULL, 0), FL_E_PEER_CLOSED);
}

static enum fl_rc present_with(const int *fds, size_t n_fds)
{
	struct fl_ipc_signature sig = {.keyid = u.docs[0].env.sigs[0].keyid,
				       .sig = {u.docs[0].env.sigs[0].sig, FL_SIG_SIZE}};
	const struct fl_ipc_document docs[] = {{FL_DOC_JOB, {&sig, 1}}, {FL_DOC_RELEASE, {&sig, 1}}};
	const struct fl_ipc_documents body = {{docs, 2}};
	enum fl_rc rc = gw_call(&g, FL_FRAME_PRESENT, &body, fds, n_fds);
	if (rc == FL_E_PEER_CLOSED)
		gw_connect(&g);
	return rc;
}

Test(helper_hostile, documents_come_in_sealed_memfds_and_in_nothing_else)
{
	int fds[9];
	gw_start(&g, u.runner);
	gw_heal(&g);
	const struct fl_bytes *job = &u.docs[0].env.payload;
	int writable = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	cr_assert_eq(write(writable, job->data, job->len), (ssize_t)job->len);
	int file = open(gw_path(&g, "root.json"), O_RDONLY | O_CLOEXEC);
	fds[0] = fds[1] = writable;
	cr_assert_eq(present_with(fds, 2), FL_E_PEER_CLOSED, "without seals");
	fds[0] = fds[1] = file;
	cr_assert_eq(present_with(fds, 2), FL_E_PEER_CLOSED, "a file");
	cr_assert_eq(present_with(fds, 1), FL_E_PEER_CLOSED, "too few");
	for (size_t i = 0; i < 8; i++)
		fds[i] = file;
	cr_assert_eq(present_with(fds, 8), FL_E_PEER_CLOSED, "too many");
	int pipes[2];
	cr_assert_eq(pipe(pipes), 0);
	fds[0] = fds[1] = pipes[0];
	cr_assert_eq(present_with(fds, 2), FL_E_PEER_CLOSED, "a pipe that would block");
	fl_close(&pipes[0]);
	fl_close(&pipes[1]);
	fl_close(&writable);
	fl_close(&file);
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_OK);
}

Test(helper_hostile, a_document_of_no_known_type_ends_the_connection)
{
	int fd;
	gw_start(&g, u.runner);
	for (uint64_t type = 0; type < 3; type++) {
		static const uint64_t types[] = {0, 9, UINT64_MAX};
		struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
		struct fl_ipc_document known = {.type = FL_DOC_ROOT};
		const struct fl_ipc_documents shape = {{&known, 1}};
		cr_assert_eq(fl_frame_encode(FL_FRAME_PRESENT, 1, &shape, &frame, NULL), FL_OK);
		for (int i = 0; i < 8; i++) /* the type is the first number after the count */
			frame.data[12 + i] = (uint8_t)(types[type] >> (56 - 8 * i));
		cr_assert_eq(fl_memfd_new("{}", 2, &fd, NULL), FL_OK);
		gw_send_raw(&g, frame.data, frame.len, &fd, 1);
		fl_close(&fd);
		fl_buf_free(&frame);
		assert_cut_off();
	}
}

static size_t count_fds(pid_t pid)
{
	char path[64];
	size_t n = 0;
	for (int fd = 0; fd < 256; fd++) {
		struct stat st;
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
		n += lstat(path, &st) == 0;
	}
	return n;
}

Test(helper_hostile, no_descriptor_stays_behind)
{
	int fds[8];
	gw_start(&g, u.runner);
	gw_heal(&g);
	cr_assert_eq(gw_hello(&g), FL_OK);
	const size_t before = count_fds(g.helper);
	int file = open(gw_path(&g, "root.json"), O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < 8; i++)
		fds[i] = file;
	for (int round = 0; round < 20; round++)
		cr_assert_eq(present_with(fds, 8), FL_E_PEER_CLOSED);
	fl_close(&file);
	gw_to_sealed(&g, &u);
	cr_assert_eq(gw_close(&g, &u.docs[0].digest, "failed"), FL_OK);
	cr_assert_eq(count_fds(g.helper), before);
}

Test(helper_hostile, a_second_connection_takes_over)
{
	uint32_t id;
	void *body;
	gw_start(&g, "slow");
	gw_to_open(&g, &u);
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_OK);
	int first = g.sock;
	g.sock = -1;
	gw_connect(&g);
	cr_assert_str_eq(gw_phase(&g, &u), "staging");
	int second = g.sock;
	g.sock = first;
	cr_assert_eq(gw_next(&g, &id, &body, 5000), FL_E_PEER_CLOSED);
	fl_close(&g.sock);
	g.sock = second;
	cr_assert_eq(gw_target(&g, FL_FRAME_STOP, &u.docs[0].digest), FL_OK);
}

Test(helper_hostile, the_event_reaches_the_newer_agent)
{
	gw_start(&g, "hang"); /* ends by its deadline, 0.7 s */
	gw_to_open(&g, &u);
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_OK);
	fl_close(&g.sock);
	gw_connect(&g);
	cr_assert_eq(gw_staged(&g, 5000), FL_E_PLUGIN_HUNG);
}

Test(helper_hostile, an_agent_that_does_not_read_is_let_go)
{
	const struct fl_ipc_empty empty = {false};
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	gw_start(&g, u.runner);
	cr_assert_eq(fl_frame_encode(FL_FRAME_NONCE, 1, &empty, &frame, NULL), FL_OK);
	for (int i = 0; i < 5000; i++) {
		if (send(g.sock, frame.data, frame.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			usleep(100);
	}
	fl_buf_free(&frame);
	gw_connect(&g);
	cr_assert_eq(gw_hello(&g), FL_OK);
}

/* 0: served; 1: cut off. Run as that user. */
static int hello_as(uid_t uid)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct fl_ipc_hello hello = {FL_IPC_PROTO, "test"};
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	char byte;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/run/helper.sock", g.dir);
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (setuid(uid) != 0 || fl_frame_encode(FL_FRAME_HELLO, 1, &hello, &frame, NULL) != FL_OK ||
	    connect(sock, (struct sockaddr *)&address, sizeof(address)) != 0)
		return 2;
	(void)!send(sock, frame.data, frame.len, MSG_NOSIGNAL);
	return recv(sock, &byte, 1, 0) > 0 ? 0 : 1;
}

Test(helper_hostile, another_user_is_not_served_and_does_not_take_over)
{
	int status;
	if (geteuid() != 0)
		return; /* nobody else to be */
	gw_start(&g, u.runner);
	cr_assert_eq(chmod(gw_path(&g, "run/helper.sock"), 0666), 0);
	for (uid_t uid = 0; uid < 2; uid++) {
		pid_t pid = fork();
		if (pid == 0)
			_exit(hello_as(uid == 0 ? 0 : 65534));
		waitpid(pid, &status, 0);
		cr_assert_eq(WEXITSTATUS(status), uid == 0 ? 0 : 1);
		if (uid == 0)
			gw_connect(&g); /* root took our place */
	}
	cr_assert_eq(gw_hello(&g), FL_OK);
}

Test(helper_hostile, two_helpers_do_not_share_an_anchor)
{
	gw_start(&g, u.runner);
	pid_t first = g.helper;
	int sock = g.sock;
	g.helper = fork();
	if (g.helper == 0) {
		char config[160];
		snprintf(config, sizeof(config), "%s/gateway.conf", g.dir);
		execl(FL_HELPER, "fairlead-helper", "--config", config, (char *)NULL);
		_exit(127);
	}
	cr_assert_eq(gw_wait(&g), 1);
	g.helper = first;
	g.sock = sock;
	cr_assert_eq(gw_hello(&g), FL_OK);
}

Test(helper_hostile, a_stranger_s_key_is_not_pinned_twice)
{
	struct paper_doc docs[2];
	gw_to_open(&g, &u);
	cr_assert_eq(gw_close(&g, &u.docs[0].digest, "failed"), FL_OK);
	const struct fl_pubkey *pub = fl_key_public(g.paper.stranger);
	gw_write(&g, "device.pub", pub->spki, pub->spki_len);
	gw_kill(&g);
	gw_start(&g, u.runner);
	docs[0] = paper_job(&g.paper, &(struct paper_job){.job_seq = 11, .release = &u.docs[1].digest});
	docs[1] = u.docs[1];
	cr_assert_eq(gw_present(&g, docs, 2), FL_OK, "the pinned key stays: %s", g.text);
}
