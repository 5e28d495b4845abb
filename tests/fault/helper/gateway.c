/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway.h"

#include "flshim.h"

#include <fairlead/base/clock.h>
#include <fairlead/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MS 20000

#define OK(call)                                                                                   \
	do {                                                                                       \
		struct fl_err err = {0};                                                           \
		cr_assert_eq((call), FL_OK, "%s: %s", #call, err.msg);                             \
	} while (0)

char *gw_path(const struct gateway *g, const char *name)
{
	static char paths[8][160];
	static size_t next;
	char *path = paths[next++ % 8];
	snprintf(path, sizeof(paths[0]), "%s/%s", g->dir, name);
	return path;
}

void gw_write(const struct gateway *g, const char *name, const void *data, size_t len)
{
	OK(fl_file_replace(gw_path(g, name), data, len, 0644, &err));
}

void gw_set_image_info(const struct gateway *g, const char *version, uint64_t seq, uint64_t security)
{
	char text[256];
	int n = snprintf(text, sizeof(text),
			 "{\"product\":\"gw\",\"component\":\"rootfs\",\"version\":\"%s\","
			 "\"release_seq\":%llu,\"security_version\":%llu}\n",
			 version, (unsigned long long)seq, (unsigned long long)security);
	gw_write(g, "run/image-info", text, (size_t)n);
}

static void write_config(const struct gateway *g, const char *boot)
{
	char text[4096];
	int n = snprintf(
		text, sizeof(text),
		"[paths]\nroot = %s\n[device]\ndevice_id = gw-1\nproduct = gw\nclass_id = " PAPER_CLASS
		"\nhw_rev = 1\n[trust]\nroot = root.json\n[identity]\npublic = device.pub\n"
		"[helper]\nsocket = run/helper.sock\n[anchor]\ndir = anchor\n"
		"[runner]\nprogram = " FL_FAKE_RUNNER "\nplugins = plugins\n%s"
		"[boot]\nprogram = %s\nbackend = sim\ndir = boot\n"
		"[host]\nrunning_slot = run/slot\nimage_info = run/image-info\nboot_id = run/boot-id\n"
		"boot_failure = run/boot-failure\nrestart_request = run/restart\n"
		"[component.rootfs]\nhandler = rootfs\nslot.a = slots/a.img\nslot.b = slots/b.img\n",
		g->dir, geteuid() == 0 ? "user = nobody\n" : "", boot);
	gw_write(g, "gateway.conf", text, (size_t)n);
}

static void write_trust(struct gateway *g)
{
	struct fl_buf text = FL_BUF(FL_ENVELOPE_MAX);
	const struct paper_doc root = paper_root(&g->paper, &(struct paper_root){1, 1, NULL, 0});
	const struct fl_pubkey *pub = fl_key_public(g->paper.device);
	OK(fl_envelope_write(&root.env, &text, &err));
	gw_write(g, "root.json", text.data, text.len);
	gw_write(g, "device.pub", pub->spki, pub->spki_len);
	fl_buf_free(&text);
}

static void new_boot_id(struct gateway *g)
{
	char id[37];
	OK(fl_uuid_new(id, &err));
	gw_write(g, "run/boot-id", id, strlen(id));
}

static void init_boot(const struct gateway *g)
{
	char command[300];
	snprintf(command, sizeof(command), "%s --config %s/gateway.conf init a", FL_BOOT, g->dir);
	cr_assert_eq(system(command), 0);
}

void gw_init(struct gateway *g)
{
	static const char *const folders[] = {"run", "boot", "slots", "plugins"};
	memset(g, 0, sizeof(*g));
	g->sock = g->fd = -1;
	g->arena = FL_ARENA((size_t)64 << 20);
	snprintf(g->dir, sizeof(g->dir), "/tmp/fl-helper-XXXXXX");
	cr_assert_not_null(mkdtemp(g->dir));
	cr_assert_eq(chmod(g->dir, 0755), 0);
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		cr_assert_eq(mkdir(gw_path(g, folders[i]), 0755), 0);
	paper_init(&g->paper);
	for (size_t i = 0; i < 3; i++)
		OK(fl_random(g->images[i], sizeof(g->images[i]), &err));
	gw_write(g, "slots/a.img", g->images[0], sizeof(g->images[0]));
	gw_write(g, "image-1", g->images[1], sizeof(g->images[1]));
	gw_write(g, "image-2", g->images[2], sizeof(g->images[2]));
	gw_write(g, "slots/b.img", "", 0);
	cr_assert_eq(truncate(gw_path(g, "slots/b.img"), 300000), 0);
	cr_assert_eq(truncate(gw_path(g, "slots/a.img"), 300000), 0);
	gw_write(g, "plugins/rootfs.so", "x", 1);
	gw_write(g, "run/slot", "a\n", 2);
	gw_set_image_info(g, "1.0", 1, 1);
	new_boot_id(g);
	write_config(g, FL_BOOT);
	write_trust(g);
	init_boot(g);
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

void gw_done(struct gateway *g)
{
	gw_kill(g);
	(void)nftw(g->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	paper_done(&g->paper);
	fl_arena_free(&g->arena);
}

/* --- the processes --- */

static void preload(const struct gateway *g, const char *plan)
{
	setenv("FLSHIM", plan, 1);
	setenv("FLSHIM_DIR", g->plan_dir == NULL ? g->dir : g->plan_dir, 1);
	setenv("FLSHIM_OUT", gw_path(g, "counts"), 1);
	setenv("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0", 1);
	setenv("LD_PRELOAD", FL_SHIM, 1);
}

uint64_t gw_fired(const struct gateway *g)
{
	struct flshim_counts counts = {0};
	int fd = open(gw_path(g, "counts"), O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, &counts, sizeof(counts));
	fl_close(&fd);
	return n == (ssize_t)sizeof(counts) ? counts.fired : 0;
}

void gw_break_boot(struct gateway *g, unsigned call, unsigned n)
{
	char text[1024];
	char plan[32];
	int len = snprintf(text, sizeof(text),
			   "#!/bin/sh\ncd %s\necho >> calls\n"
			   "if [ $(wc -l < calls) -eq %u ]; then\n"
			   "export FLSHIM=$(cat plan) FLSHIM_DIR=%s/boot FLSHIM_OUT=%s/counts\n"
			   "export ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=" FL_SHIM "\nfi\n"
			   "exec " FL_BOOT " \"$@\"\n",
			   g->dir, call, g->dir, g->dir);
	gw_write(g, "boot-wrapper", text, (size_t)len);
	cr_assert_eq(chmod(gw_path(g, "boot-wrapper"), 0755), 0);
	len = snprintf(plan, sizeof(plan), "kill:%u", n);
	gw_write(g, "plan", plan, (size_t)len);
	write_config(g, "boot-wrapper");
}

void gw_break_verb(struct gateway *g, const char *verb)
{
	char text[512];
	int len = snprintf(text, sizeof(text),
			   "#!/bin/sh\nif [ \"$3\" = %s ] && mv %s/armed %s/spent; then exit 1; fi\n"
			   "exec " FL_BOOT " \"$@\"\n",
			   verb, g->dir, g->dir);
	gw_write(g, "armed", "", 0);
	gw_write(g, "boot-wrapper", text, (size_t)len);
	cr_assert_eq(chmod(gw_path(g, "boot-wrapper"), 0755), 0);
	write_config(g, "boot-wrapper");
}

void gw_count_boot(struct gateway *g)
{
	char text[256];
	int len = snprintf(text, sizeof(text), "#!/bin/sh\necho \"$3\" >> %s/verbs\nexec " FL_BOOT " \"$@\"\n",
			   g->dir);
	gw_write(g, "boot-wrapper", text, (size_t)len);
	cr_assert_eq(chmod(gw_path(g, "boot-wrapper"), 0755), 0);
	write_config(g, "boot-wrapper");
}

const char *gw_verbs(struct gateway *g)
{
	static char verbs[256];
	struct fl_buf text = FL_BUF(sizeof(verbs) - 1);
	(void)!fl_file_read(gw_path(g, "verbs"), &text, NULL);
	snprintf(verbs, sizeof(verbs), "%s", fl_buf_str(&text));
	for (char *end = strchr(verbs, '\n'); end != NULL; end = strchr(end, '\n'))
		*end = ' ';
	fl_buf_free(&text);
	(void)unlink(gw_path(g, "verbs"));
	return verbs;
}

void gw_configure(struct gateway *g, const char *more)
{
	struct fl_buf text = FL_BUF(8192);
	OK(fl_file_read(gw_path(g, "gateway.conf"), &text, &err));
	OK(fl_buf_append_str(&text, more, &err));
	gw_write(g, "gateway.conf", text.data, text.len);
	fl_buf_free(&text);
}

void gw_add_component(struct gateway *g)
{
	gw_configure(g, "[component.app]\nhandler = rootfs\n"
			"slot.a = slots/app-a.img\nslot.b = slots/app-b.img\n");
	gw_write(g, "slots/app-a.img", g->images[0], sizeof(g->images[0]));
	gw_write(g, "slots/app-b.img", g->images[0], sizeof(g->images[0]));
}

static void start_helper(struct gateway *g, const char *runner)
{
	char config[160];
	char log[160];
	snprintf(config, sizeof(config), "%s/gateway.conf", g->dir);
	snprintf(log, sizeof(log), "%s/helper.log", g->dir);
	const char *plan = g->plan;
	g->plan = NULL;
	g->helper = fork();
	cr_assert_geq(g->helper, 0);
	if (g->helper != 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setenv("FAKE_RUNNER", runner == NULL ? "lie" : runner, 1);
	setenv("FAKE_OBSERVE", g->observe == NULL ? "" : g->observe, 1);
	if (plan != NULL)
		preload(g, plan);
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	execl(FL_HELPER, "fairlead-helper", "--config", config, (char *)NULL);
	_exit(127);
}

static bool try_connect(struct gateway *g)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/run/helper.sock", g->dir);
	g->sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (connect(g->sock, (struct sockaddr *)&address, sizeof(address)) == 0)
		return true;
	fl_close(&g->sock);
	return false;
}

static void show_log(const struct gateway *g)
{
	struct fl_buf text = FL_BUF((size_t)1 << 20);
	if (fl_file_read(gw_path(g, "helper.log"), &text, NULL) == FL_OK)
		fprintf(stderr, "%s\n", fl_buf_str(&text));
	fl_buf_free(&text);
}

void gw_connect(struct gateway *g)
{
	fl_close(&g->sock);
	for (int i = 0; i < 2000 && !try_connect(g); i++)
		usleep(5000);
	if (g->sock < 0)
		show_log(g);
	cr_assert_geq(g->sock, 0, "the helper does not listen");
	cr_assert_eq(gw_hello(g), FL_OK);
}

void gw_start(struct gateway *g, const char *runner)
{
	cr_assert(gw_try_start(g, runner), "the helper does not start");
}

/* True when it greeted us; false when it has ended meanwhile. */
bool gw_try_start(struct gateway *g, const char *runner)
{
	(void)unlink(gw_path(g, "run/helper.sock"));
	start_helper(g, runner);
	fl_close(&g->sock);
	for (int i = 0; i < 4000 && !try_connect(g); i++) {
		if (waitpid(g->helper, NULL, WNOHANG) == g->helper) {
			g->helper = 0;
			return false;
		}
		usleep(5000);
	}
	if (g->sock < 0)
		show_log(g);
	return gw_hello(g) == FL_OK;
}

void gw_kill(struct gateway *g)
{
	fl_close(&g->sock);
	if (g->helper <= 0)
		return;
	kill(g->helper, SIGKILL);
	waitpid(g->helper, NULL, 0);
	g->helper = 0;
}

int gw_wait(struct gateway *g)
{
	int status = -1;
	waitpid(g->helper, &status, 0);
	g->helper = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* --- the machine --- */

void gw_decision(const struct gateway *g, struct fl_boot_state *state)
{
	struct fl_buf text = FL_BUF(4096);
	OK(fl_file_read(gw_path(g, "boot/decision"), &text, &err));
	OK(fl_boot_decision_parse(&text, state, &err));
	fl_buf_free(&text);
}

char gw_running(const struct gateway *g)
{
	struct fl_buf text = FL_BUF(64);
	OK(fl_file_read(gw_path(g, "run/slot"), &text, &err));
	char slot = fl_buf_str(&text)[0];
	fl_buf_free(&text);
	return slot;
}

bool gw_restart_asked(const struct gateway *g)
{
	return access(gw_path(g, "run/restart"), F_OK) == 0;
}

/* As script/machine: a trial is counted before it is tried. */
char gw_boot_only(struct gateway *g, bool dead)
{
	struct fl_boot_state state;
	gw_kill(g);
	(void)unlink(gw_path(g, "run/restart"));
	gw_decision(g, &state);
	bool on_trial = state.trial[0] != '\0';
	if (on_trial && g->trial_seq != state.seq) {
		g->trial_seq = state.seq;
		g->used = 0;
		(void)unlink(gw_path(g, "run/boot-failure"));
	}
	on_trial = on_trial && g->used < state.tries;
	g->used += on_trial;
	if (on_trial && dead) {
		gw_write(g, "run/boot-failure", "slot b: no init\n", 16);
		on_trial = false;
	}
	const char *slot = on_trial ? state.trial : state.good;
	gw_write(g, "run/slot", slot, strlen(slot));
	new_boot_id(g);
	return slot[0];
}

char gw_reboot(struct gateway *g, const char *runner)
{
	char slot = gw_boot_only(g, false);
	gw_start(g, runner);
	return slot;
}

/* --- frames --- */

void gw_send_raw(struct gateway *g, const void *data, size_t len, const int *fds, size_t n_fds)
{
	OK(fl_frame_send(g->sock, data, len, fds, n_fds, &err));
}

enum fl_rc gw_next(struct gateway *g, uint32_t *id, void **body, int timeout_ms)
{
	struct pollfd p = {g->sock, POLLIN, 0};
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	int fds[FL_FRAME_FDS_MAX];
	size_t n_fds;
	if (poll(&p, 1, timeout_ms) != 1)
		return FL_E_TIMEOUT;
	enum fl_rc rc = fl_frame_recv(g->sock, &frame, fds, &n_fds, NULL);
	if (rc != FL_OK) {
		fl_buf_free(&frame);
		return FL_E_PEER_CLOSED;
	}
	fl_close(&g->fd);
	g->fd = n_fds > 0 ? fds[0] : -1;
	OK(fl_frame_peek(frame.data, frame.len, &g->type, id, &err));
	*body = fl_arena_alloc(&g->arena, fl_frame_schema(g->type)->size, NULL);
	OK(fl_frame_decode(g->type, frame.data, frame.len, &g->arena, *body, &err));
	fl_buf_free(&frame);
	return FL_OK;
}

static void keep_text(struct gateway *g, const char *text)
{
	snprintf(g->text, sizeof(g->text), "%s", text == NULL ? "" : text);
}

static enum fl_rc judge(struct gateway *g, void *body)
{
	const struct fl_ipc_reply *reply = body; /* present_reply starts alike */
	switch ((int)g->type) {
	case FL_FRAME_REPLY:
	case FL_FRAME_PRESENT_REPLY:
		keep_text(g, reply->text);
		return fl_rc_from_name(reply->code);
	case FL_FRAME_HELLO_REPLY:
		g->hello = *(struct fl_ipc_hello_reply *)body;
		return FL_OK;
	default:
		return FL_OK;
	}
}

enum fl_rc gw_call(struct gateway *g, enum fl_frame_type type, const void *body, const int *fds,
		   size_t n_fds)
{
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	const uint32_t id = ++g->id;
	OK(fl_frame_encode(type, id, body, &frame, &err));
	enum fl_rc rc = fl_frame_send(g->sock, frame.data, frame.len, fds, n_fds, NULL);
	fl_buf_free(&frame);
	while (rc == FL_OK) {
		uint32_t answered = 0;
		void *answer;
		rc = gw_next(g, &answered, &answer, ANSWER_MS);
		if (rc == FL_OK && answered == id)
			return judge(g, answer);
		if (rc == FL_OK && g->type == FL_FRAME_STAGED)
			g->staged = *(struct fl_ipc_staged *)answer;
	}
	return rc;
}

enum fl_rc gw_hello(struct gateway *g)
{
	const struct fl_ipc_hello hello = {FL_IPC_PROTO, "test"};
	return gw_call(g, FL_FRAME_HELLO, &hello, NULL, 0);
}

static void describe(const struct paper_doc *doc, struct fl_ipc_signature *sigs,
		     struct fl_ipc_document *ret, int *fd)
{
	for (size_t i = 0; i < doc->env.n_sigs; i++) {
		sigs[i].keyid = doc->env.sigs[i].keyid;
		sigs[i].sig = (struct fl_bytes){doc->env.sigs[i].sig, FL_SIG_SIZE};
	}
	ret->type = (uint64_t)doc->env.type;
	ret->sigs.items = sigs;
	ret->sigs.n = doc->env.n_sigs;
	OK(fl_memfd_new(doc->env.payload.data, doc->env.payload.len, fd, &err));
}

static enum fl_rc send_documents(struct gateway *g, enum fl_frame_type type,
				 const struct paper_doc *docs, size_t n)
{
	struct fl_ipc_signature sigs[8][FL_SIGS_MAX];
	struct fl_ipc_document list[8];
	int fds[8] = {0};
	for (size_t i = 0; i < n; i++)
		describe(&docs[i], sigs[i], &list[i], &fds[i]);
	const struct fl_ipc_documents body = {{list, n}};
	enum fl_rc rc = gw_call(g, type, &body, fds, n);
	for (size_t i = 0; i < n; i++)
		fl_close(&fds[i]);
	return rc;
}

enum fl_rc gw_present(struct gateway *g, const struct paper_doc *docs, size_t n)
{
	return send_documents(g, FL_FRAME_PRESENT, docs, n);
}

enum fl_rc gw_heartbeat(struct gateway *g, const struct paper_doc *heartbeat)
{
	return send_documents(g, FL_FRAME_HEARTBEAT, heartbeat, 1);
}

enum fl_rc gw_nonce(struct gateway *g, uint8_t nonce[32])
{
	const struct fl_ipc_empty empty = {false};
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	uint32_t answered;
	void *body;
	OK(fl_frame_encode(FL_FRAME_NONCE, ++g->id, &empty, &frame, &err));
	gw_send_raw(g, frame.data, frame.len, NULL, 0);
	fl_buf_free(&frame);
	enum fl_rc rc = gw_next(g, &answered, &body, ANSWER_MS);
	if (rc == FL_OK && g->type == FL_FRAME_NONCE_REPLY)
		memcpy(nonce, ((struct fl_ipc_nonce_reply *)body)->nonce.data, 32);
	return rc;
}

enum fl_rc gw_stage(struct gateway *g, const struct fl_digest *job)
{
	return gw_stage_of(g, job, "rootfs");
}

enum fl_rc gw_stage_of(struct gateway *g, const struct fl_digest *job, const char *component)
{
	const struct fl_ipc_stage ask = {*job, component, "full"};
	memset(&g->staged, 0, sizeof(g->staged));
	return gw_call(g, FL_FRAME_STAGE, &ask, NULL, 0);
}

enum fl_rc gw_staged(struct gateway *g, int timeout_ms)
{
	uint32_t id;
	void *body;
	while (g->staged.code == NULL) {
		enum fl_rc rc = gw_next(g, &id, &body, timeout_ms);
		if (rc != FL_OK)
			return rc;
		if (g->type == FL_FRAME_STAGED)
			g->staged = *(struct fl_ipc_staged *)body;
	}
	return fl_rc_from_name(g->staged.code);
}

enum fl_rc gw_target(struct gateway *g, enum fl_frame_type type, const struct fl_digest *job)
{
	return gw_target_of(g, type, job, "rootfs");
}

enum fl_rc gw_target_of(struct gateway *g, enum fl_frame_type type, const struct fl_digest *job,
			const char *component)
{
	const struct fl_ipc_target ask = {*job, component};
	return gw_call(g, type, &ask, NULL, 0);
}

enum fl_rc gw_job(struct gateway *g, enum fl_frame_type type, const struct fl_digest *job)
{
	const struct fl_ipc_job_ref ask = {*job};
	return gw_call(g, type, &ask, NULL, 0);
}

enum fl_rc gw_commit(struct gateway *g, const struct fl_digest *job,
		     const struct paper_doc *heartbeat)
{
	struct fl_ipc_signature sigs[FL_SIGS_MAX];
	struct fl_ipc_document doc;
	struct fl_ipc_commit ask = {.job = *job};
	int fd = -1;
	if (heartbeat != NULL) {
		describe(heartbeat, sigs, &doc, &fd);
		ask.heartbeat = true;
		ask.documents.items = &doc;
		ask.documents.n = 1;
	}
	enum fl_rc rc = gw_call(g, FL_FRAME_COMMIT, &ask, &fd, fd >= 0 ? 1 : 0);
	fl_close(&fd);
	return rc;
}

enum fl_rc gw_rollback(struct gateway *g, const struct fl_digest *job)
{
	const struct fl_ipc_rollback ask = {*job, "check_failed", "a test"};
	return gw_call(g, FL_FRAME_ROLLBACK, &ask, NULL, 0);
}

enum fl_rc gw_close(struct gateway *g, const struct fl_digest *job, const char *state)
{
	const struct fl_ipc_close ask = {*job, state};
	return gw_call(g, FL_FRAME_CLOSE, &ask, NULL, 0);
}

/* --- steps --- */

struct paper_doc gw_fresh_heartbeat(struct gateway *g)
{
	uint8_t nonce[32];
	cr_assert_eq(gw_nonce(g, nonce), FL_OK);
	return paper_heartbeat(&g->paper, &(struct paper_heartbeat){.nonce = nonce});
}

void gw_heal(struct gateway *g)
{
	const struct paper_doc heartbeat = gw_fresh_heartbeat(g);
	cr_assert_eq(gw_heartbeat(g, &heartbeat), FL_OK, "%s", g->text);
}

void gw_make_update(struct gateway *g, size_t image, uint64_t job_seq, struct update *u,
		    const struct paper_release *more)
{
	struct paper_release ask = more == NULL ? (struct paper_release){0} : *more;
	char version[16];
	snprintf(version, sizeof(version), "%zu.0", image + 1);
	ask.version = ask.version == NULL ? version : ask.version;
	ask.release_seq = ask.release_seq == 0 ? image + 1 : ask.release_seq;
	ask.security_version = ask.security_version == 0 ? 1 : ask.security_version;
	ask.image = g->images[image];
	ask.image_len = sizeof(g->images[image]);
	u->docs[1] = paper_release(&g->paper, &ask);
	u->docs[0] = paper_job(&g->paper, &(struct paper_job){.job_seq = job_seq,
							      .release = &u->docs[1].digest});
	snprintf(u->runner_text, sizeof(u->runner_text), "write %s/image-%zu", g->dir, image);
	u->runner = u->runner_text;
}

void gw_make_offline(struct gateway *g, size_t image, uint64_t offline_seq, struct update *u,
		     const struct paper_release *more)
{
	gw_make_update(g, image, 1, u, more);
	u->docs[0] = paper_job(&g->paper, &(struct paper_job){.offline_seq = offline_seq,
							      .release = &u->docs[1].digest});
}

void gw_to_open(struct gateway *g, const struct update *u)
{
	if (g->helper <= 0)
		gw_start(g, u->runner);
	if (g->hello.anchor_lost)
		gw_heal(g);
	cr_assert_eq(gw_present(g, u->docs, 2), FL_OK, "%s", g->text);
}

void gw_to_staged(struct gateway *g, const struct update *u)
{
	gw_to_open(g, u);
	cr_assert_eq(gw_stage(g, &u->docs[0].digest), FL_OK, "%s", g->text);
	cr_assert_eq(gw_staged(g, 10000), FL_OK);
}

void gw_to_sealed(struct gateway *g, const struct update *u)
{
	gw_to_staged(g, u);
	cr_assert_eq(gw_target(g, FL_FRAME_SEAL, &u->docs[0].digest), FL_OK, "%s", g->text);
}

void gw_to_trial_set(struct gateway *g, const struct update *u)
{
	gw_to_sealed(g, u);
	cr_assert_eq(gw_job(g, FL_FRAME_ACTIVATE, &u->docs[0].digest), FL_OK, "%s", g->text);
}

void gw_to_trial(struct gateway *g, const struct update *u)
{
	gw_to_trial_set(g, u);
	cr_assert_eq(gw_job(g, FL_FRAME_RESTART, &u->docs[0].digest), FL_OK, "%s", g->text);
	cr_assert(gw_restart_asked(g));
	cr_assert_eq(gw_boot_only(g, false), 'b');
	gw_set_image_info(g, "2.0", 2, 1);
	gw_start(g, u->runner);
}

const char *gw_phase(struct gateway *g, const struct update *u)
{
	cr_assert_eq(gw_hello(g), FL_OK);
	for (size_t i = 0; i < g->hello.open_jobs.n; i++) {
		const struct fl_ipc_open_job *job = &g->hello.open_jobs.items[i];
		if (!fl_digest_equal(&job->job, &u->docs[0].digest))
			continue;
		cr_assert(fl_digest_equal(&job->release, &u->docs[1].digest));
		cr_assert_eq(job->components.n, 1);
		return job->components.items[0].phase;
	}
	return "closed";
}

const struct fl_ipc_component *gw_component(struct gateway *g)
{
	cr_assert_eq(gw_hello(g), FL_OK);
	cr_assert_eq(g->hello.components.n, 1);
	return &g->hello.components.items[0];
}
