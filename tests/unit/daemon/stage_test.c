/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Staging from the agent's side, with a helper and a runner that the test plays. The runner asks for the top page of the
 * installed tree, which the spool has, over and over: pieces without a network.
 */
#include "agent.h"

#include <criterion/criterion.h>
#include <fairlead/base/file.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define IMAGE_SIZE ((uint64_t)64 * 1024 * 1024) /* a top page of 32 KiB: a few fill the socket */
#define TURNS	   200
#define QUIET_MS   2000

static struct fl_agent agent;
static struct fl_stage stage;
static char dir[64], socket_path[96];
static int helper = -1, runner = -1; /* the ends that the test holds */
static struct fl_digest root;
static struct fl_tree_ref tree = {"sha256-wide1", 65536, {{0}}};
static struct fl_installed_ref installed = {.size = IMAGE_SIZE, .tree = &tree};
static struct fl_artifact artifact = {
	.id = "full", .format = "zstd-frames", .frame = 1 << 20, .size = IMAGE_SIZE, .tree = &tree};
static struct fl_component component = {
	.name = "rootfs", .installed = &installed, .artifacts = {&artifact, 1}};
static const char *const sources[] = {"https://127.0.0.1:1/"};
static const struct fl_digest job = {{1}};
static bool done;
static struct fl_err why;
static uint64_t bad_bytes;

/* ---- what a quick runner does while the agent is in the middle of sending ------------------------------------ */

static void (*after_send)(void);
static int busy_sends; /* so many sends find the socket full */

enum fl_rc real_send(int sock, const void *frame, size_t len, const int *fds, size_t n_fds,
		     struct fl_err *err) __asm__("__real_fl_frame_send");
enum fl_rc wrapped_send(int sock, const void *frame, size_t len, const int *fds, size_t n_fds,
			struct fl_err *err) __asm__("__wrap_fl_frame_send");

enum fl_rc wrapped_send(int sock, const void *frame, size_t len, const int *fds, size_t n_fds,
			struct fl_err *err)
{
	const bool pieces = sock == stage.channel && sock > 0;
	if (pieces && busy_sends > 0) {
		busy_sends--;
		return fl_fail(err, FL_E_BUSY, 0, "full");
	}
	enum fl_rc rc = real_send(sock, frame, len, fds, n_fds, err);
	if (pieces && after_send != NULL)
		after_send();
	return rc;
}

/* ---- the world ---------------------------------------------------------------------------------------------- */

static void put_tree_into_spool(void)
{
	struct fl_tree_builder *builder = NULL;
	struct fl_buf object = FL_BUF((size_t)1024 * 1024);
	struct fl_err err = {0};
	uint64_t size = 0;
	char *zeros = calloc(1, 65536), hex[FL_DIGEST_HEX_SIZE], path[256];
	cr_assert_eq(fl_tree_builder_new(&builder, &err), FL_OK);
	for (uint64_t at = 0; at < IMAGE_SIZE; at += 65536)
		cr_assert_eq(fl_tree_builder_add(builder, zeros, 65536, &err), FL_OK);
	cr_assert_eq(fl_tree_builder_finish(builder, &root, &size, &object, &err), FL_OK);
	fl_tree_builder_free(builder);
	free(zeros);
	tree.root = root;
	fl_hex_encode(root.b, sizeof(root.b), hex);
	snprintf(path, sizeof(path), "%s/%s.tree", dir, hex);
	FILE *out = fopen(path, "w");
	cr_assert(out != NULL && fwrite(object.data, object.len, 1, out) == 1 && fclose(out) == 0);
	fl_buf_free(&object);
}

static void turn(void)
{
	uv_run(&agent.loop, UV_RUN_NOWAIT);
}

static void on_done(struct fl_stage *s, const struct fl_staged *staged)
{
	(void)s;
	done = true;
	why = staged->why;
	bad_bytes = staged->bad_bytes;
}

static void nothing(void *ctx)
{
	(void)ctx;
}

static void on_event(void *ctx, const struct fl_ipc_staged *event)
{
	(void)ctx;
	fl_stage_on_staged(&stage, event);
}

static void send_frame(int sock, enum fl_frame_type type, uint32_t id, const void *body, int fd)
{
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	struct fl_err err = {0};
	cr_assert_eq(fl_frame_encode(type, id, body, &frame, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(real_send(sock, frame.data, frame.len, &fd, fd >= 0 ? 1 : 0, &err), FL_OK, "%s", err.msg);
	fl_buf_free(&frame);
}

/* The request's number. */
static uint32_t take_request(enum fl_frame_type want)
{
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	int fds[FL_FRAME_FDS_MAX];
	size_t n_fds = 0;
	enum fl_frame_type type;
	uint32_t id = 0;
	struct fl_err err = {0};
	cr_assert_eq(fl_frame_recv(helper, &frame, fds, &n_fds, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(fl_frame_peek(frame.data, frame.len, &type, &id, &err), FL_OK);
	cr_assert_eq(type, want);
	fl_buf_free(&frame);
	return id;
}

static void be_helper(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	snprintf(socket_path, sizeof(socket_path), "%s/helper", dir);
	memcpy(addr.sun_path, socket_path, strlen(socket_path) + 1);
	cr_assert(bind(listener, (struct sockaddr *)&addr, sizeof(addr)) == 0 && listen(listener, 1) == 0);
	const struct fl_helper_events events = {.up = nothing, .down = nothing, .staged = on_event};
	fl_helper_init(&agent.helper, &agent.loop, socket_path, &events);
	helper = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert_geq(helper, 0);
	close(listener);
	const struct fl_ipc_hello_reply reply = {
		.proto = FL_IPC_PROTO, .version = "0", .boot_id = "6661cafe-0000-4000-8000-000000000001"};
	send_frame(helper, FL_FRAME_HELLO_REPLY, take_request(FL_FRAME_HELLO), &reply, -1);
	turn();
}

/* The spool's only question to a clock. */
uint64_t fl_agent_now_s(const struct fl_agent *a)
{
	(void)a;
	return 0;
}

bool fl_agent_knows_time(const struct fl_agent *a)
{
	(void)a;
	return false;
}

static void start_stage(void)
{
	const struct fl_stage_request request = {
		&job, &component, {"rootfs", &installed, &artifact, NULL, sources, 1, NULL}};
	const struct fl_ipc_reply ok = {"ok", NULL};
	struct fl_err err = {0};
	int pair[2];
	cr_assert_eq(fl_stage_start(&stage, &agent, &request, on_done, NULL, &err), FL_OK, "%s", err.msg);
	const uint32_t id = take_request(FL_FRAME_STAGE);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	send_frame(helper, FL_FRAME_REPLY, id, &ok, pair[1]);
	close(pair[1]);
	runner = pair[0];
	turn();
	cr_assert_eq(stage.state, FL_STAGE_SERVING);
}

static void set_up(void)
{
	struct fl_err err = {0};
	snprintf(dir, sizeof(dir), "/tmp/unit-stage-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	put_tree_into_spool();
	cr_assert_eq(uv_loop_init(&agent.loop), 0);
	agent.config.spool_dir = dir;
	agent.http.ca_path = agent.http.cert_path = agent.http.key_path = "/nonexistent";
	cr_assert_eq(fl_http_init(&agent.http, &agent.loop, &err), FL_OK);
	be_helper();
	start_stage();
}

static void tear_down(void)
{
	char command[128];
	fl_stage_cancel(&stage);
	fl_helper_done(&agent.helper);
	fl_http_done(&agent.http);
	uv_run(&agent.loop, UV_RUN_DEFAULT);
	cr_expect_eq(uv_loop_close(&agent.loop), 0);
	close(helper);
	close(runner);
	snprintf(command, sizeof(command), "rm -r '%s'", dir);
	cr_assert_eq(system(command), 0);
}

TestSuite(stage, .init = set_up, .fini = tear_down);

/* ---- the runner --------------------------------------------------------------------------------------------- */

static void need_page(void)
{
	const struct fl_ipc_need need = {FL_OBJECT_INSTALLED_TREE, 0, 1};
	send_frame(runner, FL_FRAME_NEED, 0, &need, -1);
}

/* What comes next: a frame's type, or 0 for the end of the channel; fails when nothing does. */
static int take(void)
{
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	int fds[FL_FRAME_FDS_MAX];
	size_t n_fds = 0;
	enum fl_frame_type type = FL_FRAME_PIECE;
	uint32_t id = 0;
	struct fl_err err = {0};
	struct pollfd ready = {runner, POLLIN, 0};
	cr_assert_eq(poll(&ready, 1, QUIET_MS), 1, "the runner would wait for ever");
	enum fl_rc rc = fl_frame_recv(runner, &frame, fds, &n_fds, &err);
	if (rc == FL_OK)
		rc = fl_frame_peek(frame.data, frame.len, &type, &id, &err);
	fl_buf_free(&frame);
	cr_assert(rc == FL_OK || rc == FL_E_PEER_CLOSED, "%s", err.msg);
	return rc == FL_OK ? (int)type : 0;
}

/* Pieces until the agent holds one back; returns how many are on the way. */
static size_t fill_socket(void)
{
	size_t n = 0;
	for (; stage.n_out == 0; n++) {
		cr_assert_lt(n, TURNS);
		need_page();
		turn();
	}
	return n - 1;
}

Test(stage, pieces_come_in_order_of_the_needs)
{
	for (int i = 0; i < 4; i++)
		need_page();
	for (int i = 0; i < 4; i++)
		turn();
	for (int i = 0; i < 4; i++)
		cr_assert_eq(take(), FL_FRAME_PIECE);
	cr_assert_eq(stage.n_needs, 0);
}

/* Found as a job that stood in staging for ever: `end` met a full socket and was lost, and the runner went on waiting. */
Test(stage, a_runner_with_a_full_socket_hears_of_the_end)
{
	const size_t pieces = fill_socket();
	const struct fl_ipc_need outside = {FL_OBJECT_INSTALLED_TREE, 1, 1};
	send_frame(runner, FL_FRAME_NEED, 0, &outside, -1);
	turn();
	cr_assert_eq(stage.state, FL_STAGE_ENDING);
	for (size_t i = 0; i < pieces; i++)
		cr_assert_eq(take(), FL_FRAME_PIECE);
	const int last = take();
	cr_assert(last == 0 || last == FL_FRAME_END);
	const struct fl_ipc_staged event = {job, "rootfs", "retry", "peer_closed", "end of the connection", false};
	send_frame(helper, FL_FRAME_STAGED, 0, &event, -1);
	turn();
	cr_assert(done);
	cr_assert_eq(why.rc, FL_E_PROTOCOL); /* this side's reason, not what the runner makes of it */
}

static int fifth;

/* Takes the piece and asks at once, as a runner does that has four needs under way. */
static void take_and_ask(void)
{
	if (fifth++ > 0)
		return;
	cr_assert_eq(take(), FL_FRAME_PIECE);
	need_page();
}

/* The piece that ends a need is out, and the next need is there, before the agent has looked at either. */
Test(stage, a_runner_may_ask_as_soon_as_it_has_its_piece)
{
	busy_sends = 1;
	need_page();
	turn();
	cr_assert_eq(stage.n_out, 1);
	for (int i = 0; i < 3; i++)
		need_page();
	after_send = take_and_ask;
	for (int i = 0; i < 8; i++)
		turn();
	after_send = NULL;
	cr_assert_eq(stage.state, FL_STAGE_SERVING, "%s", stage.failure.msg);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(take(), FL_FRAME_PIECE);
}
