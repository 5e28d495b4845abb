/* SPDX-License-Identifier: Apache-2.0 */
/* fairleadctl against an agent that answers what the test wants, whole, in pieces, or not at all.
 */
#include "ctl.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char dir[64];
static char *out, *errors;
static int listener = -1;
static pthread_t thread;
static bool agent_runs;

/* What the agent does with one connection. */
static struct {
	const char *answer;
	size_t piece; /* bytes per write; 0: all */
	char asked[128];
	char file[64]; /* what the file says that came along */
} agent;

static void put_file(const char *name, const char *text)
{
	struct fl_err err = {0};
	cr_assert_eq(fl_file_replace(name, text, strlen(text), 0644, &err), FL_OK, "%s", err.msg);
}

static void set_up(void)
{
	char conf[256];
	(void)snprintf(dir, sizeof(dir), "/tmp/fl-ctl.XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
	(void)snprintf(conf, sizeof(conf), "[paths]\nroot = %s\n[control]\nsocket = agent.sock\n",
		       dir);
	put_file("gateway.conf", conf);
}

static void *serve(void *unused)
{
	(void)unused;
	int fd = accept(listener, NULL, NULL);
	char rights[CMSG_SPACE(sizeof(int))];
	struct iovec line = {agent.asked, sizeof(agent.asked) - 1};
	struct msghdr msg = {.msg_iov = &line, .msg_iovlen = 1, .msg_control = rights,
			     .msg_controllen = sizeof(rights)};
	ssize_t n = fd < 0 ? -1 : recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	if (n > 0 && CMSG_FIRSTHDR(&msg) != NULL) {
		int file;
		memcpy(&file, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(file));
		(void)!read(file, agent.file, sizeof(agent.file) - 1);
		fl_close(&file);
	}
	agent.asked[n < 0 ? 0 : n] = '\0';
	size_t len = strlen(agent.answer);
	size_t piece = agent.piece == 0 ? len : agent.piece;
	for (size_t at = 0; at < len; at += piece) {
		size_t step = len - at < piece ? len - at : piece;
		if (send(fd, agent.answer + at, step, MSG_NOSIGNAL) < 0)
			break;
	}
	fl_close(&fd);
	return NULL;
}

static void start_agent(const char *answer)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "agent.sock"};
	(void)unlink("agent.sock");
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(listener, 1), 0);
	agent.answer = answer;
	cr_assert_eq(pthread_create(&thread, NULL, serve, NULL), 0);
	agent_runs = true;
}

static void stop_agent(void)
{
	if (agent_runs)
		(void)pthread_join(thread, NULL);
	agent_runs = false;
	fl_close(&listener);
}

static void tear_down(void)
{
	stop_agent();
	free(out);
	free(errors);
	(void)unlink("agent.sock");
	(void)unlink("gateway.conf");
	(void)rmdir(dir);
}

TestSuite(ctl, .init = set_up, .fini = tear_down);

static int run(const char *const *args)
{
	char copies[8][64] = {"fairleadctl"};
	char *argv[9] = {copies[0]};
	int argc = 1;
	for (; args[argc - 1] != NULL; argc++) {
		(void)snprintf(copies[argc], sizeof(copies[argc]), "%s", args[argc - 1]);
		argv[argc] = copies[argc];
	}
	free(out);
	free(errors);
	size_t out_len = 0, errors_len = 0;
	FILE *o = open_memstream(&out, &out_len), *e = open_memstream(&errors, &errors_len);
	int status = fl_ctl_main(argc, argv, o, e);
	(void)fclose(o);
	(void)fclose(e);
	stop_agent();
	return status;
}
#define ctl(...) run((const char *const[]){"-c", "gateway.conf", __VA_ARGS__, NULL})

#define STATUS                                                                                     \
	"{\"device_id\":\"gw-1\",\"product\":\"p\",\"version\":\"1\",\"pid\":7,"                   \
	"\"fleet\":{\"connected\":false,\"enrolled\":true,\"url\":\"wss://x\"},"                   \
	"\"helper\":{\"connected\":true,\"anchor_lost\":true,\"trial\":false,"                     \
	"\"root_version\":3,\"job_seq\":9},\"components\":[{\"name\":\"rootfs\",\"slot\":\"b\","   \
	"\"version\":\"2.0\",\"release_seq\":4}],\"protections\":[\"sandbox: landlock\"],"         \
	"\"new_member\":{\"x\":[1]}}"

/* A note in the helper's folder, and only when somebody says that it is meant. */
Test(ctl, anchor_reset_is_a_note_for_the_helper)
{
	char conf[256];
	(void)snprintf(conf, sizeof(conf), "[paths]\nroot = %s\n[anchor]\ndir = anchor\n", dir);
	put_file("gateway.conf", conf);
	cr_assert_eq(mkdir("anchor", 0700), 0);
	cr_assert_not_null(freopen("/dev/null", "r", stdin));
	cr_assert_eq(ctl("anchor", "reset"), FL_CTL_FAILED);
	cr_assert_not_null(strstr(errors, "[denied]"), "%s", errors);
	cr_assert_neq(access("anchor/reset", F_OK), 0);
	cr_assert_eq(ctl("anchor", "forget", "--yes"), FL_CTL_FAILED);
	cr_assert_eq(ctl("anchor", "--yes"), FL_CTL_USAGE);
	cr_assert_eq(ctl("anchor", "reset", "--yes", "--json"), FL_CTL_DONE, "%s", errors);
	cr_assert_str_eq(out, "{\"reset\":true}\n");
	cr_assert_eq(unlink("anchor/reset"), 0);
	cr_assert_eq(rmdir("anchor"), 0);
}

/* The open file goes along, and its path, whole: the agent may have no right to open it. */
Test(ctl, install_hands_over_the_file)
{
	char want[160];
	put_file("x.bundle", "content");
	start_agent("{\"ok\":true,\"result\":{\"job_id\":\"j1\",\"state\":\"waiting_to_activate\","
		    "\"known\":true}}\n");
	cr_assert_eq(ctl("install", "x.bundle"), FL_CTL_DONE, "%s%s", out, errors);
	(void)snprintf(want, sizeof(want), "{\"verb\":\"install\",\"path\":\"%s/x.bundle\"}\n", dir);
	cr_assert_str_eq(agent.asked, want);
	cr_assert_str_eq(agent.file, "content");
	cr_assert_str_eq(out, "job         j1\nstate       waiting_to_activate\n");
	start_agent("{\"ok\":true,\"result\":{\"job_id\":\"j1\",\"state\":\"rejected\","
		    "\"reason\":\"expired\",\"known\":false}}\n");
	cr_assert_eq(ctl("install", "x.bundle", "--json"), FL_CTL_FAILED);
	cr_assert_str_eq(out, "{\"job_id\":\"j1\",\"state\":\"rejected\",\"reason\":\"expired\"}\n");
	start_agent("{\"ok\":false,\"code\":\"replayed\",\"text\":\"an older one\"}\n");
	cr_assert_eq(ctl("install", "x.bundle"), FL_CTL_FAILED);
	cr_assert_str_eq(errors, "fairleadctl: an older one [replayed]\n");
	(void)unlink("x.bundle");
}

Test(ctl, install_takes_one_file_that_is_there)
{
	cr_assert_eq(ctl("install", "none.bundle"), FL_CTL_FAILED);
	cr_assert_not_null(strstr(errors, "[not_found]"), "%s", errors);
	cr_assert_eq(ctl("install"), FL_CTL_USAGE);
	cr_assert_eq(ctl("install", "a", "b"), FL_CTL_USAGE);
	cr_assert_eq(ctl("status", "a"), FL_CTL_USAGE);
}

Test(ctl, status_for_people)
{
	start_agent("{\"ok\":true,\"result\":" STATUS "}\n");
	cr_assert_eq(ctl("status"), FL_CTL_DONE, "%s", errors);
	cr_assert_str_eq(agent.asked, "{\"verb\":\"status\"}\n");
	cr_assert_not_null(strstr(out, "device      gw-1\n"));
	cr_assert_not_null(strstr(out, "enrolled, not connected to wss://x\n"));
	cr_assert_not_null(strstr(out, "its anchor was lost"));
	cr_assert_not_null(strstr(out, "rootfs 2.0 in slot b (release_seq 4, security_version 0)"));
	cr_assert_not_null(strstr(out, "protections sandbox: landlock\n"));
}

Test(ctl, json_is_the_result_as_the_agent_gave_it)
{
	agent.piece = 1;
	start_agent("{\"ok\":true,\"result\":" STATUS "}\n");
	cr_assert_eq(ctl("status", "--json"), FL_CTL_DONE, "%s", errors);
	cr_assert_str_eq(out, STATUS "\n");
}

Test(ctl, a_job_with_its_progress_and_reason)
{
	start_agent("{\"ok\":true,\"result\":{\"jobs\":[{\"job_id\":\"j1\",\"job_seq\":1,"
		    "\"state\":\"staging\",\"intent\":\"install\",\"version\":\"2.0\","
		    "\"rate_bytes_s\":1048576,\"components\":[{\"name\":\"rootfs\",\"state\":"
		    "\"staging\","
		    "\"done_bytes\":1048576,\"total_bytes\":4194304}]},{\"job_id\":\"j2\","
		    "\"job_seq\":2,\"state\":\"waiting_to_activate\",\"reason\":\"window\","
		    "\"text\":\"closed\",\"until\":4102444800,\"next\":\"window\",\"components\":[]"
		    "}]}}\n");
	cr_assert_eq(ctl("jobs"), FL_CTL_DONE, "%s", errors);
	cr_assert_not_null(strstr(out, "rootfs: 25 %, 1.0 MiB of 4.0 MiB, 1.0 MiB/s\n"), "%s", out);
	cr_assert_not_null(strstr(out, "waiting_to_activate, window: closed\n"));
	cr_assert_not_null(strstr(out, "until       2100-01-01 00:00:00Z (in "));
}

Test(ctl, nothing_is_exit_code_2_also_as_json)
{
	start_agent("{\"ok\":true,\"result\":{\"jobs\":[]}}\n");
	cr_assert_eq(ctl("jobs"), FL_CTL_NOTHING);
	cr_assert_str_eq(out, "No job.\n");
	start_agent("{\"ok\":true,\"result\":{\"jobs\":[]}}\n");
	cr_assert_eq(ctl("jobs", "--json"), FL_CTL_NOTHING);
	cr_assert_str_eq(out, "{\"jobs\":[]}\n");
}

static void put_boot(const char *script)
{
	put_file("boot", script);
	cr_assert_eq(chmod("boot", 0755), 0);
}

/* fairlead-boot as the test wants it; the notes of a proof are in `anchor`. */
static void with_boot(const char *script)
{
	char conf[512];
	(void)snprintf(conf, sizeof(conf),
		       "[paths]\nroot = %s\n[control]\nsocket = agent.sock\n[boot]\nprogram = boot\n"
		       "[anchor]\ndir = anchor\n[host]\nboot_id = boot-id\nrestart_request = restart\n",
		       dir);
	put_file("gateway.conf", conf);
	put_boot(script);
	put_file("boot-id", "one\n");
	cr_assert_eq(mkdir("anchor", 0700), 0);
}

static void without_boot(void)
{
	static const char *const names[] = {"boot", "boot-id", "restart", "anchor/proving", "anchor/proof"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlink(names[i]);
	(void)rmdir("anchor");
	tear_down();
}

TestSuite(ctl_doctor, .init = set_up, .fini = without_boot);

#define OBSERVED "{\"running\":\"a\",\"good\":\"a\",\"trial\":\"\",\"withdrawn\":[],\"tries\":0}"
#define HEALTHY                                                                                    \
	"{\"ok\":true,\"result\":{\"helper\":{\"connected\":true},\"protections\":[\"seal: exclusive\"]}}\n"

Test(ctl_doctor, findings_slots_proof_and_protections)
{
	with_boot("#!/bin/sh\n[ \"$3\" = observe ] && echo '" OBSERVED "' && exit\necho 'ok    one'; echo 'ok    two'\n");
	put_file("anchor/proof", "ok the boot loader came back by itself\n");
	start_agent(HEALTHY);
	cr_assert_eq(ctl("doctor"), FL_CTL_DONE, "%s%s", out, errors);
	cr_assert_str_eq(out, "boot        ok    one\n            ok    two\n"
			      "slots       running a, fallback a, on trial -\n"
			      "proof       ok the boot loader came back by itself\n"
			      "agent       ok\nhelper      ok\nprotections seal: exclusive\n");
	start_agent(HEALTHY);
	cr_assert_eq(ctl("doctor", "--json"), FL_CTL_DONE);
	cr_assert_not_null(strstr(out, "{\"ok\":true,"), "%s", out);
	cr_assert_not_null(strstr(out, "\"findings\":[{\"ok\":true,\"text\":\"one\"}"), "%s", out);
}

Test(ctl_doctor, a_fault_or_a_failed_proof_is_exit_code_1)
{
	with_boot("#!/bin/sh\n[ \"$3\" = observe ] && echo '" OBSERVED "' && exit\necho 'FAULT one copy only'\nexit 3\n");
	start_agent(HEALTHY);
	cr_assert_eq(ctl("doctor"), FL_CTL_FAILED);
	cr_assert_not_null(strstr(out, "boot        FAULT one copy only\n"));
	put_boot("#!/bin/sh\n[ \"$3\" = observe ] && echo '" OBSERVED "'\nexit 0\n");
	put_file("anchor/proof", "FAULT the boot loader does not count the tries\n");
	start_agent(HEALTHY);
	cr_assert_eq(ctl("doctor", "--json"), FL_CTL_FAILED);
	cr_assert_not_null(strstr(out, "{\"ok\":false,"), "%s", out);
}

Test(ctl_doctor, what_answers_is_shown_without_the_rest)
{
	with_boot("#!/bin/sh\n[ \"$3\" = observe ] && echo '" OBSERVED "' && exit\necho 'ok    one'\n");
	cr_assert_eq(ctl("doctor"), FL_CTL_UNREACHABLE);
	cr_assert_not_null(strstr(out, "boot        ok    one\n"));
	cr_assert_not_null(strstr(out, "agent       the agent does not answer"));
	put_boot("#!/bin/sh\necho 'there is no decision' >&2\nexit 4\n");
	start_agent(HEALTHY);
	cr_assert_eq(ctl("doctor"), FL_CTL_FAILED);
	cr_assert_not_null(strstr(out, "fairlead-boot doctor: status 4: there is no decision"), "%s", out);
	cr_assert_not_null(strstr(out, "protections seal: exclusive\n"));
}

Test(ctl_doctor, a_proof_is_begun_only_when_it_is_wanted)
{
	with_boot("#!/bin/sh\n[ \"$3\" = prove ] && cp anchor/proving noted && echo set >set\n");
	put_file("anchor/proof", "ok of the last time\n");
	cr_assert_not_null(freopen("/dev/null", "r", stdin));
	cr_assert_eq(ctl("doctor", "--prove-fallback"), FL_CTL_FAILED);
	cr_assert_neq(access("set", F_OK), 0, "nobody agreed");
	cr_assert_neq(access("restart", F_OK), 0);
	cr_assert_eq(ctl("status", "--prove-fallback", "--yes"), FL_CTL_USAGE);
	cr_assert_eq(ctl("doctor", "--prove-fallback", "--yes"), FL_CTL_DONE, "%s", errors);
	cr_assert_eq(access("restart", F_OK), 0);
	cr_assert_neq(access("anchor/proof", F_OK), 0, "the last one says nothing of this one");
	struct fl_buf text = FL_BUF((size_t)128);
	struct fl_err err;
	cr_assert_eq(fl_file_read("noted", &text, &err), FL_OK);
	cr_assert_str_eq(fl_buf_str(&text), "0 one\n", "noted before the trial is set");
	fl_buf_free(&text);
	(void)unlink("noted");
	(void)unlink("set");
}

Test(ctl_doctor, a_proof_that_is_refused_restarts_nothing)
{
	with_boot("#!/bin/sh\necho \"slot 'b' is on trial\" >&2\nexit 3\n");
	cr_assert_eq(ctl("doctor", "--prove-fallback", "--yes"), FL_CTL_FAILED);
	cr_assert_not_null(strstr(errors, "slot 'b' is on trial"), "%s", errors);
	cr_assert_neq(access("restart", F_OK), 0);
}

Test(ctl, why_with_every_rule)
{
	start_agent("{\"ok\":true,\"result\":{\"answer\":\"it waits\",\"code\":\"window\","
		    "\"next\":\"window\",\"chain\":[{\"rule\":\"job\",\"verdict\":\"staged\","
		    "\"text\":\"\"},{\"rule\":\"window\",\"verdict\":\"wait_until\",\"text\":"
		    "\"Sat\"}]}}"
		    "\n");
	cr_assert_eq(ctl("why"), FL_CTL_DONE, "%s", errors);
	cr_assert_str_eq(out, "answer      it waits\nreason      window\nwaits for   window\n"
			      "asked       job: staged\n            window: wait_until, Sat\n");
}

#define LOG                                                                                        \
	"{\"ok\":true,\"result\":{\"lines\":[{\"utc\":1700000000,\"level\":3,\"text\":\"one\"},"   \
	"{\"utc\":1700000001,\"level\":6,\"text\":\"t\\u001b[2Jwo\"}]}}\n"

Test(ctl, log_lines_cannot_steer_the_terminal)
{
	start_agent(LOG);
	cr_assert_eq(ctl("log"), FL_CTL_DONE, "%s", errors);
	cr_assert_str_eq(
		out, "2023-11-14 22:13:20Z error   one\n2023-11-14 22:13:21Z info    t?[2Jwo\n");
	start_agent(LOG);
	cr_assert_eq(ctl("log", "-n", "1"), FL_CTL_DONE);
	cr_assert_eq(strncmp(out, "2023-11-14 22:13:21Z", 20), 0);
}

Test(ctl, a_refusal_is_told_with_its_code)
{
	start_agent("{\"ok\":false,\"code\":\"bad_request\",\"text\":\"unknown verb\"}\n");
	cr_assert_eq(ctl("why", "--json"), FL_CTL_FAILED);
	cr_assert_not_null(strstr(errors, "unknown verb [bad_request]"));
	cr_assert_str_eq(out, "{\"code\":\"bad_request\",\"text\":\"unknown verb\"}\n");
}

Test(ctl, answers_that_are_none)
{
	static const char *const bad[] = {"{}\n",
					  "\n",
					  "{\"ok\":true}\n",
					  "{\"ok\":true,\"result\":[]}\n",
					  "{\"ok\":true,\"result\":{\"jobs\":1}}\n",
					  "{\"ok\":true,\"ok\":true,\"result\":{\"jobs\":[]}}\n",
					  "HTTP/1.1 200 OK\n"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		start_agent(bad[i]);
		cr_assert_eq(ctl("jobs"), FL_CTL_FAILED, "%s", bad[i]);
		cr_assert_str_eq(out, "");
	}
}

Test(ctl, an_agent_that_does_not_answer_is_exit_code_4)
{
	cr_assert_eq(ctl("status"), FL_CTL_UNREACHABLE, "no socket");
	cr_assert_not_null(strstr(errors, "the agent does not answer"));
	start_agent("");
	cr_assert_eq(ctl("status"), FL_CTL_UNREACHABLE, "it hung up");
	start_agent("{\"ok\":true,\"result\":");
	cr_assert_eq(ctl("status"), FL_CTL_UNREACHABLE, "it hung up in the middle");
	cr_assert_eq(ctl("status", "--json"), FL_CTL_UNREACHABLE,
		     "an old socket, nobody behind it");
	cr_assert_eq(strncmp(out, "{\"code\":\"unreachable\"", 21), 0);
}

Test(ctl, an_endless_line_has_a_limit)
{
	char *endless = malloc(FL_CTL_ANSWER_MAX + 100000);
	memset(endless, ' ', FL_CTL_ANSWER_MAX + 99999);
	endless[FL_CTL_ANSWER_MAX + 99999] = '\0';
	start_agent(endless);
	cr_assert_eq(ctl("status"), FL_CTL_FAILED);
	cr_assert_not_null(strstr(errors, "[too_large]"), "%s", errors);
	free(endless);
}

Test(ctl, wrong_command_lines)
{
	cr_assert_eq(ctl("bogus"), FL_CTL_USAGE);
	cr_assert_eq(ctl("status", "jobs"), FL_CTL_USAGE);
	cr_assert_eq(ctl("--bogus", "status"), FL_CTL_USAGE);
	cr_assert_eq(ctl("log", "-n", "x"), FL_CTL_USAGE);
	cr_assert_eq(run((const char *const[]){NULL}), FL_CTL_USAGE);
	cr_assert_eq(run((const char *const[]){"-c", "missing", "status", NULL}), FL_CTL_FAILED);
	put_file("gateway.conf", "[control]\n");
	cr_assert_eq(ctl("status"), FL_CTL_FAILED);
	cr_assert_not_null(strstr(errors, "[control] socket is not set"));
}

Test(ctl, help_tells_every_verb)
{
	cr_assert_eq(run((const char *const[]){"--help", NULL}), FL_CTL_DONE);
	for (size_t i = 0; i < fl_ctl_n_verbs; i++)
		cr_assert_not_null(strstr(out, fl_ctl_verbs[i].name));
	cr_assert_eq(run((const char *const[]){"--version", NULL}), FL_CTL_DONE);
	cr_assert_eq(strncmp(out, "fairleadctl ", 12), 0);
}
