/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The crash contract of the back end systemd-boot, judged by a model of systemd-boot 252: which
 * entries it reads, how it sorts them and how it counts in their names. A machine whose trial never
 * says good is started again and again on what a power cut left: it boots the old decision's series
 * or the new one's.
 */
#include <fairlead/boot/boot.h>

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <dirent.h>
#include <flshim.h>
#include <ftw.h>
#include <replay.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define VERBS	 9
#define VARIANTS 8
#define BOOTS	 4

static char top[64]; /* scratch of one test */
static char dir[96]; /* the folder `loader` in it */

TestSuite(boot_sdboot, .timeout = 120);

static int remove_entry(const char *name, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(name);
}

static void remove_tree(const char *path)
{
	(void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *path, const char *text)
{
	cr_assert_eq(fl_file_replace(path, text, strlen(text), 0644, NULL), FL_OK);
}

static void make_esp(void)
{
	char path[160];
	remove_tree(dir);
	cr_assert_eq(mkdir(dir, 0755), 0);
	snprintf(path, sizeof(path), "%s/entries", dir);
	cr_assert_eq(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/fairlead.conf", dir);
	put(path,
	    "[entry]\nkernel = /EFI/fairlead/{slot}/vmlinuz\ninitrd = /EFI/fairlead/{slot}/initrd\n"
	    "options = ro panic=10\npartuuid.a = 1-01\npartuuid.b = 1-02\npartuuid.c = 1-03\n");
}

static void set_up(void)
{
	snprintf(top, sizeof(top), "%s/fl-sdboot-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	cr_assert_not_null(mkdtemp(top));
	snprintf(dir, sizeof(dir), "%s/loader", top);
	make_esp();
}

static void tear_down(void)
{
	remove_tree(top);
}

/* --- the verbs --- */

static const struct fl_boot_backend *sdboot(void)
{
	return fl_boot_backend_find("systemd-boot");
}

static struct fl_boot_host host_of(char running)
{
	struct fl_boot_host host = {.dir = dir, .n_slots = 3};
	host.running[0] = running;
	host.slots[0] = (struct fl_boot_slot){"a", "/nowhere"};
	host.slots[1] = (struct fl_boot_slot){"b", "/nowhere"};
	host.slots[2] = (struct fl_boot_slot){"c", "/nowhere"};
	return host;
}

static enum fl_rc verb(uint64_t n)
{
	struct fl_boot_host on_a = host_of('a');
	struct fl_boot_host on_b = host_of('b');
	switch (n) {
	case 0:
		return fl_boot_init(sdboot(), &on_a, "a", NULL);
	case 1:
		return fl_boot_withdraw(sdboot(), &on_a, "b", NULL);
	case 2:
		return fl_boot_trial(sdboot(), &on_a, &(struct fl_boot_trial){"b", 1, NULL}, NULL);
	case 3:
		return fl_boot_fallback(sdboot(), &on_a, NULL);
	case 4:
		return fl_boot_trial(sdboot(), &on_a, &(struct fl_boot_trial){"b", 2, NULL}, NULL);
	case 5:
		return fl_boot_good(sdboot(), &on_b, NULL);
	case 6:
		return fl_boot_withdraw(sdboot(), &on_b, "a", NULL);
	case 7:
		return fl_boot_prove(sdboot(), &on_b, 1, NULL);
	case 8:
		return fl_boot_fallback(sdboot(), &on_b, NULL);
	default:
		return fl_boot_trial(sdboot(), &on_b, &(struct fl_boot_trial){"c", 3, NULL}, NULL);
	}
}

/* What a machine boots after each verb when no trial ever says good. */
static const char *const series[VERBS + 1] = {"aaaa", "aaaa", "baaa", "aaaa", "bbaa",
					      "bbbb", "bbbb", "pbbb", "bbbb", "cccb"};

static void flow(volatile uint64_t *acked, uint64_t first)
{
	for (uint64_t n = first; n <= VERBS; n++) {
		if (verb(n) != FL_OK)
			return;
		*acked = n + 1;
		flshim_mark(n + 1);
	}
}

/* How many verbs were acknowledged, the first decision included. */
static uint64_t run(uint64_t first, const char *plan, const char *log, bool *fired)
{
	volatile uint64_t *shared =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	shared[0] = first;
	pid_t pid = fork();
	if (pid == 0) {
		flshim_plan(plan, dir, log);
		flow(shared, first);
		shared[1] = flshim_counts().fired;
		_exit(0);
	}
	int status;
	waitpid(pid, &status, 0);
	*fired = WIFSIGNALED(status) || shared[1] > 0;
	const uint64_t acked = shared[0];
	munmap((void *)(uintptr_t)shared, 4096);
	return acked;
}

/* --- the model of the loader --- */

struct entry {
	char file[64];
	char id[64]; /* its name without count and suffix */
	char sort_key[32];
	char slot;     /* of fairlead.slot=; 'p' for prove */
	bool on_trial; /* says fairlead.trial=1 */
	int left;      /* -1: not counted */
	int done;
};

/* "+LEFT-DONE" in front of ".conf" */
static void parse_count(struct entry *e)
{
	e->left = -1;
	e->done = 0;
	snprintf(e->id, sizeof(e->id), "%.*s", (int)(strlen(e->file) - 5), e->file);
	char *plus = strrchr(e->id, '+');
	if (plus == NULL)
		return;
	char *end;
	e->left = (int)strtol(plus + 1, &end, 10);
	if (*end == '-')
		e->done = (int)strtol(end + 1, NULL, 10);
	*plus = '\0';
}

/* No `linux`, no entry; and none when the kernel is not there: its path names the slot, and
 * `missing` one such. */
static bool read_entry(const char *at, const char *file, char missing, struct entry *e)
{
	char path[320];
	char gone[64];
	struct fl_buf text = FL_BUF(65536);
	const size_t len = strlen(file);
	if (len < 6 || len >= sizeof(e->file) || strcasecmp(file + len - 5, ".conf") != 0)
		return false;
	memset(e, 0, sizeof(*e));
	memcpy(e->file, file, len + 1);
	parse_count(e);
	snprintf(path, sizeof(path), "%s/entries/%s", at, file);
	if (fl_file_read(path, &text, NULL) != FL_OK)
		return false;
	snprintf(gone, sizeof(gone), "/EFI/fairlead/%c/vmlinuz", missing);
	const char *kernel = strstr(fl_buf_str(&text), "\nlinux /EFI/fairlead/");
	const bool boots = kernel != NULL && strstr(kernel, "/vmlinuz") != NULL &&
			   strncmp(kernel + 7, gone, strlen(gone)) != 0;
	const char *slot = strstr(fl_buf_str(&text), "fairlead.slot=");
	const char *key = strstr(fl_buf_str(&text), "\nsort-key ");
	e->slot = slot == NULL ? '?' : slot[strlen("fairlead.slot=")];
	e->on_trial = strstr(fl_buf_str(&text), " fairlead.trial=1 ") != NULL;
	if (key != NULL)
		snprintf(e->sort_key, sizeof(e->sort_key), "%.*s", (int)strcspn(key + 10, "\n"),
			 key + 10);
	fl_buf_free(&text);
	return boots;
}

/* Used up last; with a sort key before those without; then by name, the higher one first; then the
 * fewer tries first. */
static int compare(const struct entry *a, const struct entry *b)
{
	if ((a->left == 0) != (b->left == 0))
		return a->left == 0 ? 1 : -1;
	if ((a->sort_key[0] == '\0') != (b->sort_key[0] == '\0'))
		return a->sort_key[0] == '\0' ? 1 : -1;
	int r = strcmp(a->sort_key, b->sort_key);
	if (r == 0)
		r = -strverscmp(a->id, b->id);
	return r != 0 ? r : b->left - a->left;
}

static void count_boot(const char *at, const struct entry *e)
{
	char from[320];
	char to[320];
	if (e->left <= 0)
		return;
	snprintf(from, sizeof(from), "%s/entries/%s", at, e->file);
	snprintf(to, sizeof(to), "%s/entries/%s+%d-%d.conf", at, e->id, e->left - 1, e->done + 1);
	cr_assert_eq(rename(from, to), 0);
}

static char boot_without(const char *at, char missing)
{
	char path[160];
	struct entry best = {0};
	snprintf(path, sizeof(path), "%s/entries", at);
	DIR *d = opendir(path);
	if (d == NULL)
		return '-';
	for (const struct dirent *e; (e = readdir(d)) != NULL;) {
		struct entry one;
		if (read_entry(at, e->d_name, missing, &one) &&
		    (best.file[0] == '\0' || compare(&one, &best) < 0))
			best = one;
	}
	(void)closedir(d);
	if (best.file[0] == '\0')
		return '-';
	cr_assert_eq(best.on_trial, best.left >= 0 && best.slot != 'p', "%s", best.file);
	count_boot(at, &best);
	return best.slot;
}

static char boot(const char *at)
{
	return boot_without(at, '!');
}

static void boot_series(const char *at, char out[BOOTS + 1])
{
	for (size_t i = 0; i < BOOTS; i++)
		out[i] = boot(at);
	out[BOOTS] = '\0';
}

/* How many names in entries/ have this in them. */
static unsigned count_in(const char *at, const char *part)
{
	char path[160];
	unsigned n = 0;
	snprintf(path, sizeof(path), "%s/entries", at);
	DIR *d = opendir(path);
	if (d == NULL)
		return 0;
	for (const struct dirent *e; (e = readdir(d)) != NULL;)
		n += strstr(e->d_name, part) != NULL;
	(void)closedir(d);
	return n;
}

static unsigned count_named(const char *part)
{
	return count_in(dir, part);
}

/* Old or new after `done` verbs; and what was withdrawn has no entry any more. */
static bool is_sound(const char *at, uint64_t done)
{
	char got[BOOTS + 1];
	const unsigned withdrawn = done >= 7 ? count_in(at, "-a") : 0;
	boot_series(at, got);
	const bool old = strcmp(got, done == 0 ? "----" : series[done - 1]) == 0;
	const bool new = done <= VERBS &&strcmp(got, series[done]) == 0;
	return withdrawn == 0 && (old || new);
}

/* --- tests --- */

Test(boot_sdboot, the_loader_boots_what_was_decided)
{
	char got[BOOTS + 1];
	char copy[96];
	char command[256];
	set_up();
	snprintf(copy, sizeof(copy), "%s/copy", top);
	for (uint64_t n = 0; n <= VERBS; n++) {
		cr_assert_eq(verb(n), FL_OK, "verb %u", (unsigned)n);
		snprintf(command, sizeof(command), "rm -rf %s && cp -r %s %s", copy, dir, copy);
		cr_assert_eq(system(command), 0);
		boot_series(copy, got);
		cr_assert_str_eq(got, series[n], "verb %u: %s", (unsigned)n, got);
	}
	tear_down();
}

Test(boot_sdboot, names_tell_who_is_offered)
{
	set_up();
	for (uint64_t n = 0; n <= 4; n++)
		cr_assert_eq(verb(n), FL_OK);
	cr_assert_eq(count_named("-b+2.conf"), 1, "on trial");
	cr_assert_eq(count_named("-a.conf"), 1, "to fall back to");
	cr_assert_eq(count_named(".conf"), 2);
	cr_assert_eq(verb(5), FL_OK);
	cr_assert_eq(count_named("-b.conf"), 1, "good");
	cr_assert_eq(count_named("+"), 0);
	cr_assert_eq(verb(6), FL_OK);
	cr_assert_eq(count_named("-a"), 0, "withdrawn");
	tear_down();
}

/* What systemd-boot has counted is what fairlead-boot tells, and it stays when another decision
 * takes over. */
Test(boot_sdboot, a_used_try_stays_used)
{
	char got[BOOTS + 1];
	struct fl_boot_state s;
	set_up();
	struct fl_boot_host host = host_of('a');
	cr_assert_eq(verb(0), FL_OK);
	cr_assert_eq(fl_boot_trial(sdboot(), &host, &(struct fl_boot_trial){"b", 3, NULL}, NULL),
		     FL_OK);
	cr_assert_eq(boot(dir), 'b');
	cr_assert_eq(fl_boot_observe(sdboot(), &host, &s, NULL), FL_OK);
	cr_assert_eq(s.used, 1);
	cr_assert_eq(fl_boot_withdraw(sdboot(), &host, "c", NULL), FL_OK);
	cr_assert_eq(fl_boot_observe(sdboot(), &host, &s, NULL), FL_OK);
	cr_assert_eq(s.used, 1);
	boot_series(dir, got);
	cr_assert_str_eq(got, "bbaa");
	cr_assert_eq(fl_boot_observe(sdboot(), &host, &s, NULL), FL_OK);
	cr_assert_str_eq(s.trial, "b", "used up is not ended");
	cr_assert_eq(s.used, 3);
	tear_down();
}

Test(boot_sdboot, a_kernel_that_is_gone_gives_way_to_the_good_slot)
{
	set_up();
	for (uint64_t n = 0; n <= 4; n++)
		cr_assert_eq(verb(n), FL_OK);
	cr_assert_eq(boot_without(dir, 'b'), 'a');
	tear_down();
}

/* An entry that was lost with its name, as firmware may lose it while it counts, ends the trial. */
Test(boot_sdboot, a_lost_entry_is_the_decision_before)
{
	char got[BOOTS + 1];
	char command[256];
	struct fl_boot_state s;
	set_up();
	struct fl_boot_host host = host_of('a');
	for (uint64_t n = 0; n <= 4; n++)
		cr_assert_eq(verb(n), FL_OK);
	snprintf(command, sizeof(command), "rm %s/entries/*-b+2.conf", dir);
	cr_assert_eq(system(command), 0);
	cr_assert_eq(fl_boot_observe(sdboot(), &host, &s, NULL), FL_OK);
	cr_assert_str_eq(s.trial, "");
	cr_assert_str_eq(s.good, "a");
	cr_assert_eq(verb(4), FL_OK);
	boot_series(dir, got);
	cr_assert_str_eq(got, "bbaa");
	tear_down();
}

/* The fallback's entry is written anew before a trial, should it be gone. */
Test(boot_sdboot, a_trial_is_never_without_a_fallback)
{
	char got[BOOTS + 1];
	char command[256];
	set_up();
	struct fl_boot_host host = host_of('a');
	for (uint64_t n = 0; n <= 2; n++)
		cr_assert_eq(verb(n), FL_OK);
	snprintf(command, sizeof(command), "rm %s/entries/*-a.conf", dir);
	cr_assert_eq(system(command), 0);
	cr_assert_eq(fl_boot_trial(sdboot(), &host, &(struct fl_boot_trial){"b", 2, NULL}, NULL),
		     FL_OK);
	boot_series(dir, got);
	cr_assert_str_eq(got, "bbaa");
	tear_down();
}

/* Entry n of a list that is cut at every length, by itself and with the rest zero: it boots
 * nothing. */
Test(boot_sdboot, a_cut_entry_is_none)
{
	char command[512];
	set_up();
	for (uint64_t n = 0; n <= 2; n++)
		cr_assert_eq(verb(n), FL_OK);
	snprintf(command, sizeof(command),
		 "cp -r %s %s/whole && cd %s/whole/entries && mv *-b+1.conf ../b", dir, top, top);
	cr_assert_eq(system(command), 0);
	char path[160];
	struct fl_buf text = FL_BUF(65536);
	snprintf(path, sizeof(path), "%s/whole/b", top);
	cr_assert_eq(fl_file_read(path, &text, NULL), FL_OK);
	for (size_t len = 0; len < text.len; len++) {
		snprintf(path, sizeof(path), "%s/whole/entries/fairlead-0000000099-b+1.conf", top);
		FILE *f = fopen(path, "w");
		fwrite(text.data, 1, len, f);
		fclose(f);
		snprintf(path, sizeof(path), "%s/whole", top);
		const char kept = (char)text.data[len];
		text.data[len] = '\0';
		if (boot(path) != 'a') /* then all that it needs is there */
			cr_assert(strstr(fl_buf_str(&text), " panic=10\ninitrd ") != NULL &&
					  strstr(fl_buf_str(&text), "\nlinux ") != NULL,
				  "%zu bytes", len);
		text.data[len] = (uint8_t)kept;
	}
	fl_buf_free(&text);
	tear_down();
}

/* seq is the number of verbs done. */
static bool check(uint64_t acked)
{
	static const char *const goods[] = {"a", "a", "a", "a", "a", "b", "b", "b", "b", "b"};
	static const char *const trials[] = {"", "", "b", "", "b", "", "", "prove", "", "c"};
	struct fl_boot_host host = host_of('a');
	struct fl_boot_state s;
	enum fl_rc rc = fl_boot_observe(sdboot(), &host, &s, NULL);
	if (rc == FL_E_NOT_FOUND)
		return acked == 0;
	return rc == FL_OK && (s.seq == acked || s.seq == acked + 1) &&
	       strcmp(s.good, goods[s.seq - 1]) == 0 && strcmp(s.trial, trials[s.seq - 1]) == 0 &&
	       s.used == 0;
}

static void sweep(const char *how, const char *error)
{
	unsigned struck = 0;
	set_up();
	for (unsigned n = 1; n < 1000; n++) {
		char plan[32];
		char got[BOOTS + 1];
		bool fired;
		make_esp();
		snprintf(plan, sizeof(plan), "%s:%u%s", how, n, error);
		const uint64_t acked = run(0, plan, NULL, &fired);
		cr_assert(check(acked), "%s after verb %u", plan, (unsigned)acked);
		for (uint64_t v = acked; v <= VERBS; v++)
			cr_assert_eq(verb(v), FL_OK, "verb %u again", (unsigned)v);
		cr_assert_eq(count_named("-a"), 0, "%s: what is withdrawn has no entry", plan);
		boot_series(dir, got);
		cr_assert_str_eq(got, series[VERBS]);
		if (!fired)
			break;
		struck++;
	}
	cr_assert_gt(struck, 80);
	tear_down();
}

Test(boot_sdboot, killed_at_every_change)
{
	sweep("kill", "");
}

Test(boot_sdboot, torn_at_every_write)
{
	sweep("tear", "");
}

Test(boot_sdboot, every_change_fails_once)
{
	sweep("fail", ":EIO");
	sweep("fail", ":ENOSPC");
}

static unsigned violations(const char *log, const char *ignore, unsigned *states)
{
	char state[160];
	unsigned bad = 0;
	uint64_t mark = 0;
	snprintf(state, sizeof(state), "%s/state", top);
	struct replay *replay = replay_new(log, NULL, ignore);
	*states = 0;
	for (uint64_t call = 0; replay_step(replay, &mark); call++) {
		const unsigned n = replay_pending(replay) ? VARIANTS : 1;
		for (unsigned v = 0; v < n; v++) {
			replay_write(replay, v, call, state);
			const bool sound = is_sound(state, mark);
			bad += !sound;
			if (!sound && ignore == NULL)
				fprintf(stderr, "call %u variant %u after %u verbs\n",
					(unsigned)call, v, (unsigned)mark);
			++*states;
		}
	}
	replay_free(replay);
	return bad;
}

Test(boot_sdboot, power_off_after_every_change)
{
	char path[160];
	char log[128];
	bool fired;
	unsigned states;
	set_up();
	snprintf(path, sizeof(path), "%s/entries", dir);
	cr_assert_eq(rmdir(path), 0);
	snprintf(path, sizeof(path), "%s/state", top);
	cr_assert_eq(mkdir(path, 0755), 0);
	snprintf(log, sizeof(log), "%s/log", top);
	cr_assert_eq(run(0, "record", log, &fired), VERBS + 1);
	cr_assert_eq(violations(log, NULL, &states), 0);
	cr_assert_gt(states, 200);
	cr_assert_gt(violations(log, "fairlead.new", &states), 0, "nobody misses the entry's sync");
	cr_assert_gt(violations(log, "entries", &states), 0, "nobody misses the folder's sync");
	tear_down();
}
