/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every back end has to keep, one test for all: the verbs do what the pure rules say and
 * nothing else; doing one twice is doing it once; and at every instant, whoever kills, cuts or
 * fails what, the boot loader finds the old decision or the new one. The loader is a model here;
 * tests/system/boot has the real ones.
 *
 * A new back end is a row of `kinds`.
 */
#include "sd_loader.h"

#include <fairlead/base/file.h>
#include <fairlead/boot/boot.h>

#include <child.h>
#include <criterion/criterion.h>
#include <flshim.h>
#include <replay.h>
#include <scratch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERBS	   11
#define VARIANTS   8
#define BOOTS	   5
#define MUTANTS	   3
#define ENV_SIZE   0x4000
#define ENV_FIRST  0x10000
#define ENV_SECOND 0x20000
#define DISK_SIZE  0x30000

TestSuite(boot_contract, .timeout = 300);

/* What a loader takes from what it finds. `left`: tries of the trial. */
struct view {
	bool found;
	char good, trial; /* 0: none; 'p': prove */
	unsigned left;
};

struct kind {
	const char *name;
	void (*prepare)(void);
	/* What a machine boots in a row when no trial says good. */
	void (*boots)(const char *dir, char out[BOOTS + 1]);
	bool spawns;   /* its changes are made by another program */
	bool menu;     /* of entries: one may be there twice; a change half made is made again */
	unsigned walk; /* steps of the walk over the verbs */
	const char *synced[MUTANTS]; /* whose sync somebody must miss; the rest NULL */
};

static char top[SCRATCH_MAX];
static char dir[SCRATCH_MAX + 8]; /* the back end's folder in it; what is cut and replayed */
static char program[128];

/* --- scratch --- */

static void set_up(const struct kind *kind)
{
	scratch_make(top);
	snprintf(dir, sizeof(dir), "%s/boot", top);
	cr_assert_eq(mkdir(dir, 0755), 0);
	if (kind->prepare != NULL)
		kind->prepare();
}

static void tear_down(void)
{
	scratch_remove(top);
}

static void boots_of(const struct view *view, char out[BOOTS + 1])
{
	for (unsigned i = 0; i < BOOTS; i++)
		out[i] = (char)(!view->found ? '-' : i < view->left ? view->trial : view->good);
	out[BOOTS] = '\0';
}

static struct fl_boot_host host_of(char running)
{
	struct fl_boot_host host = {.dir = dir, .program = program, .n_slots = 3};
	host.running[0] = running;
	for (size_t i = 0; i < 3; i++)
		host.slots[i] = (struct fl_boot_slot){{(char)('a' + i)}};
	return host;
}

/* --- sim and exec: a file of text --- */

static void boots_by_text(const char *where, char out[BOOTS + 1])
{
	char path[256];
	struct view view = {0};
	struct fl_boot_state s;
	struct fl_buf text = FL_BUF((size_t)8192);
	snprintf(path, sizeof(path), "%s/decision", where);
	view.found = fl_file_read(path, &text, NULL) == FL_OK &&
		     fl_boot_decision_parse(&text, &s, NULL) == FL_OK;
	if (view.found)
		view = (struct view){true, s.good[0], s.trial[0], s.tries};
	fl_buf_free(&text);
	boots_of(&view, out);
}

/* The example as it is; `plan` is where a test puts the shim's variables. */
static void prepare_exec(void)
{
	char command[512];
	char wrapper[512];
	snprintf(program, sizeof(program), "%s/bin/keep", top);
	snprintf(command, sizeof(command), "mkdir %s/bin && cp " FL_LOADER "/exec/example %s/bin/",
		 top, top);
	cr_assert_eq(system(command), 0);
	snprintf(wrapper, sizeof(wrapper), "#!/bin/sh\n. %s/bin/plan\nexec %s/bin/example \"$@\"\n",
		 top, top);
	scratch_put(top, "bin/keep", wrapper);
	cr_assert_eq(chmod(program, 0755), 0);
	scratch_put(top, "bin/plan", "");
}

static void plan_exec(const char *plan, const char *log)
{
	char text[512];
	snprintf(text, sizeof(text),
		 "export LD_PRELOAD=" FL_SHIM " FLSHIM=%s FLSHIM_DIR=%s FLSHIM_CHILDREN=1\n"
		 "%s%s\n",
		 plan, dir, log == NULL ? "" : "export FLSHIM_LOG=", log == NULL ? "" : log);
	scratch_put(top, "bin/plan", text);
}

/* --- U-Boot: two copies of the environment and a count in one file, as on a disk --- */

static void prepare_uboot(void)
{
	char path[256];
	char text[512];
	snprintf(path, sizeof(path), "%s/disk", dir);
	scratch_put(top, "boot/disk", "");
	cr_assert_eq(truncate(path, DISK_SIZE), 0);
	snprintf(text, sizeof(text), "%s 0x%x 0x%x\n%s 0x%x 0x%x\n", path, ENV_FIRST, ENV_SIZE,
		 path, ENV_SECOND, ENV_SIZE);
	scratch_put(top, "boot/fw_env.config", text);
	snprintf(text, sizeof(text), "%s 0x0 0x200\n", path);
	scratch_put(top, "boot/fw_count.config", text);
	scratch_put(top, "boot/u-boot-initial-env", "# none of its own\n");
}

static uint32_t crc32_of(const uint8_t *data, size_t len)
{
	uint32_t crc = UINT32_MAX;
	for (size_t i = 0; i < len; i++) {
		crc ^= data[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ ((crc & 1) != 0 ? UINT32_C(0xedb88320) : 0);
	}
	return ~crc;
}

static bool is_whole(const uint8_t *area, size_t size, size_t head)
{
	uint32_t sum;
	memcpy(&sum, area, sizeof(sum));
	return sum == crc32_of(area + head, size - head);
}

/* The value of a variable; "" when there is none. */
static const char *variable(const uint8_t *area, size_t size, size_t head, const char *name)
{
	const char *p = (const char *)area + head;
	const char *last = (const char *)area + size;
	const size_t len = strlen(name);
	for (; p < last && *p != '\0'; p += strlen(p) + 1) {
		if (strncmp(p, name, len) == 0 && p[len] == '=')
			return p + len + 1;
	}
	return "";
}

/* As boot.cmd reads a disk. */
static struct view look_at_disk(const char *where)
{
	static uint8_t disk[DISK_SIZE + 1];
	char path[256];
	struct view view = {0};
	const uint8_t *a = disk + ENV_FIRST;
	const uint8_t *b = disk + ENV_SECOND;
	snprintf(path, sizeof(path), "%s/disk", where);
	FILE *file = fopen(path, "rbe");
	cr_assert_not_null(file);
	memset(disk, 0, sizeof(disk));
	(void)!fread(disk, 1, DISK_SIZE, file);
	(void)fclose(file);
	const bool first = is_whole(a, ENV_SIZE, 5);
	const bool second = is_whole(b, ENV_SIZE, 5);
	if (!first && !second)
		return view;
	const bool newer = b[4] == (uint8_t)(a[4] + 1);
	const uint8_t *env = first && second ? (newer ? b : a) : first ? a : b;
	const char *seq = variable(env, ENV_SIZE, 5, "fairlead_seq");
	view.found = *seq != '\0';
	view.good = *variable(env, ENV_SIZE, 5, "fairlead_good");
	view.trial = *variable(env, ENV_SIZE, 5, "fairlead_trial");
	if (view.trial == '\0' || strcmp(variable(env, ENV_SIZE, 5, "upgrade_available"), "1") != 0)
		return view;
	const unsigned limit = (unsigned)atoi(variable(env, ENV_SIZE, 5, "bootlimit"));
	const bool counts = is_whole(disk, 512, 4) &&
			    strcmp(variable(disk, 512, 4, "fairlead_count_seq"), seq) == 0;
	const unsigned used = (unsigned)atoi(variable(disk, 512, 4, "fairlead_count"));
	view.left = counts && used < limit ? limit - used : 0;
	return view;
}

static void boots_by_disk(const char *where, char out[BOOTS + 1])
{
	const struct view view = look_at_disk(where);
	boots_of(&view, out);
}

/* --- GRUB: what the back end itself reads; grub.c asks GRUB --- */

static void boots_by_grub(const char *where, char out[BOOTS + 1])
{
	struct fl_boot_host host = host_of('a');
	struct fl_boot_state s;
	struct view view = {0};
	host.dir = where;
	if (fl_boot_observe(fl_boot_backend_find("grub"), &host, &s, NULL) == FL_OK)
		view = (struct view){true, s.good[0], s.trial[0], s.tries - s.used};
	boots_of(&view, out);
}

/* --- systemd-boot: entries --- */

static void prepare_sdboot(void)
{
	scratch_put(top, "boot/fairlead.conf", SD_SETTINGS);
}

static void boots_by_entries(const char *where, char out[BOOTS + 1])
{
	sd_boots(where, BOOTS, out);
}

static const struct kind kinds[] = {
	{"sim", NULL, boots_by_text, false, false, 3000, {"*"}},
	{"exec", prepare_exec, boots_by_text, true, false, 120, {"*"}},
	{"uboot", prepare_uboot, boots_by_disk, false, false, 3000, {"*"}},
	{"grub", NULL, boots_by_grub, false, false, 1000, {"*"}},
	{"systemd-boot",
	 prepare_sdboot,
	 boots_by_entries,
	 false,
	 true,
	 1000,
	 {"*", "fairlead.new", "entries"}},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* --- the verbs against the rules --- */

struct step {
	unsigned verb;
	char slot[2];
	unsigned tries;
	const char *hash;
};

static enum fl_rc by_back_end(const struct fl_boot_backend *b, struct fl_boot_host *host,
			      const struct step *s)
{
	switch (s->verb) {
	case 0:
		return fl_boot_withdraw(b, host, s->slot, NULL);
	case 1:
		return fl_boot_trial(b, host, &(struct fl_boot_trial){s->slot, s->tries, s->hash},
				     NULL);
	case 2:
		return fl_boot_good(b, host, NULL);
	case 3:
		return fl_boot_fallback(b, host, NULL);
	case 4:
		return fl_boot_prove(b, host, s->tries, NULL);
	default:
		return fl_boot_init(b, host, s->slot, NULL);
	}
}

static enum fl_rc by_rule(struct fl_boot_host *host, struct fl_boot_state *state,
			  const struct step *s, bool *changed)
{
	*changed = false;
	switch (s->verb) {
	case 0:
		return fl_boot_rule_withdraw(host, state, s->slot, changed, NULL);
	case 1:
		return fl_boot_rule_trial(host, state,
					  &(struct fl_boot_trial){s->slot, s->tries, s->hash},
					  changed, NULL);
	case 2:
		return fl_boot_rule_good(host, state, changed, NULL);
	case 3:
		return fl_boot_rule_fallback(state, changed, NULL);
	case 4:
		return fl_boot_rule_prove(host, state, s->tries, changed, NULL);
	default:
		return fl_boot_find_slot(host, s->slot) == NULL ? FL_E_SLOT_MISSING
		       : strcmp(state->good, s->slot) == 0	? FL_OK
								: FL_E_EXISTS;
	}
}

static bool lists_equal(const struct fl_boot_state *a, const struct fl_boot_state *b)
{
	if (a->n_withdrawn != b->n_withdrawn || a->n_hashes != b->n_hashes)
		return false;
	for (size_t i = 0; i < a->n_withdrawn; i++) {
		if (!fl_boot_is_withdrawn(b, a->withdrawn[i]))
			return false;
	}
	for (size_t i = 0; i < a->n_hashes; i++) {
		const char *hash = fl_boot_root_hash(b, a->hashes[i].slot);
		if (hash == NULL || strcmp(hash, a->hashes[i].hex) != 0)
			return false;
	}
	return true;
}

static void assert_same(const struct fl_boot_backend *b, const struct fl_boot_state *want)
{
	struct fl_boot_host host = host_of('a');
	struct fl_boot_state got;
	struct fl_err err = {0};
	cr_assert_eq(fl_boot_observe(b, &host, &got, &err), FL_OK, "%s: %s", b->name, err.msg);
	cr_assert_eq(got.seq, want->seq, "%s", b->name);
	cr_assert_str_eq(got.good, want->good, "%s", b->name);
	cr_assert_str_eq(got.trial, want->trial, "%s", b->name);
	cr_assert_eq(got.tries, want->tries, "%s", b->name);
	cr_assert_eq(got.used, 0, "%s", b->name);
	cr_assert(lists_equal(&got, want), "%s", b->name);
}

static struct step step_of(unsigned luck)
{
	static const char *const hashes[] = {
		NULL, "00000000000000000000000000000000000000000000000000000000000000aa",
		"11111111111111111111111111111111111111111111111111111111111111bb", "not one"};
	return (struct step){(luck >> 8) % 6,
			     {(char)('a' + (luck >> 12) % 4)},
			     (luck >> 16) % 12,
			     hashes[(luck >> 20) % 4]};
}

static void walk(const struct kind *kind)
{
	const struct fl_boot_backend *b = fl_boot_backend_find(kind->name);
	struct fl_boot_host host = host_of('a');
	struct fl_boot_state want = {.seq = 1, .good = "a"};
	struct fl_boot_state none;
	unsigned rng = 7;
	set_up(kind);
	const enum fl_rc before = fl_boot_observe(b, &host, &none, NULL);
	cr_assert(before == FL_E_NOT_FOUND || before == FL_E_CORRUPT, "%s", kind->name);
	cr_assert_neq(fl_boot_fallback(b, &host, NULL), FL_OK);
	cr_assert_eq(fl_boot_init(b, &host, "a", NULL), FL_OK, "%s", kind->name);
	for (unsigned i = 0; i < kind->walk; i++) {
		bool changed;
		rng = rng * 1103515245 + 12345;
		const struct step step = step_of(rng);
		host = host_of("abc"[(rng >> 28) % 3]);
		host.running[0] = (rng >> 24) % 8 == 0 ? '\0' : host.running[0];
		const enum fl_rc expected = by_rule(&host, &want, &step, &changed);
		changed = changed && expected == FL_OK;
		want.seq += changed;
		flshim_plan("count", dir, NULL);
		cr_assert_eq(by_back_end(b, &host, &step), expected, "%s, step %u", kind->name, i);
		cr_assert(changed || flshim_counts().calls == 0, "%s, step %u: it wrote",
			  kind->name, i);
		flshim_plan(NULL, NULL, NULL);
		assert_same(b, &want);
	}
	cr_assert_gt(want.seq, kind->walk / 20, "too many refusals to mean anything");
	tear_down();
}

Test(boot_contract, the_verbs_do_what_the_rules_say)
{
	for (size_t i = 0; i < KINDS; i++)
		walk(&kinds[i]);
}

/* --- crashes --- */

/* Verb n of an update, one that fell back, another: each changes something, so seq tells how far it
 * came. */
static enum fl_rc verb(const struct fl_boot_backend *b, uint64_t n)
{
	static const struct step steps[VERBS] = {
		{5, "a", 0, NULL}, {0, "b", 0, NULL}, {1, "b", 1, NULL}, {3, "", 0, NULL},
		{1, "b", 2, NULL}, {0, "c", 0, NULL}, {2, "", 0, NULL},	 {0, "a", 0, NULL},
		{4, "", 2, NULL},  {3, "", 0, NULL},  {1, "c", 3, NULL},
	};
	struct fl_boot_host host = host_of(n > 6 ? 'b' : 'a');
	return by_back_end(b, &host, &steps[n - 1]);
}

/* What a machine boots after each verb when no trial ever says good. */
static const char *const series[VERBS + 1] = {"-----", "aaaaa", "aaaaa", "baaaa", "aaaaa", "bbaaa",
					      "bbaaa", "bbbbb", "bbbbb", "ppbbb", "bbbbb", "cccbb"};

/* A trial that goes on beside a change may be over early; as an entry it may be there twice. */
static bool is_trial_beside_a_change(const struct kind *kind, const char *got)
{
	return strcmp(got, "aaaaa") == 0 || (kind->menu && strcmp(got, "bbbba") == 0);
}

/* Old or new; and what was withdrawn is in no menu any more. */
static bool is_sound(const struct kind *kind, const char *where, uint64_t acked)
{
	char got[BOOTS + 1];
	kind->boots(where, got);
	const char *new = series[acked < VERBS ? acked + 1 : VERBS];
	const bool offered = kind->menu && acked >= 8 && sd_count(where, "-a") > 0;
	return !offered && (strcmp(got, series[acked]) == 0 || strcmp(got, new) == 0 ||
			    (acked == 5 && is_trial_beside_a_change(kind, got)));
}

static void flow(const void *backend, volatile uint64_t *acked)
{
	for (uint64_t n = 1; n <= VERBS; n++) {
		if (verb(backend, n) != FL_OK)
			return;
		*acked = n;
		flshim_mark(n);
	}
}

static uint64_t run(const struct kind *kind, const char *plan, const char *log, bool *struck)
{
	return child_run(flow, fl_boot_backend_find(kind->name), plan, dir, log, struck);
}

/* What is left can be taken up: the verb that was cut off is done again, and the rest after it. */
static void finish(const struct kind *kind, uint64_t acked)
{
	const struct fl_boot_backend *b = fl_boot_backend_find(kind->name);
	struct fl_boot_host host = host_of('a');
	struct fl_boot_state got;
	struct fl_boot_state want = {.seq = VERBS,
				     .good = "b",
				     .trial = "c",
				     .tries = 3,
				     .n_withdrawn = 1,
				     .withdrawn = {"a"}};
	for (uint64_t n = acked + 1; n <= VERBS; n++)
		cr_assert_eq(verb(b, n), FL_OK, "%s: verb %u again", kind->name, (unsigned)n);
	cr_assert_eq(fl_boot_observe(b, &host, &got, NULL), FL_OK);
	if (kind->menu && got.seq == VERBS + 1)
		want.seq++;
	assert_same(b, &want);
}

/* Of a program that is started for each verb, every process counts by itself: the plan is in force
 * for one verb. */
static uint64_t run_spawned(const struct kind *kind, const char *plan, uint64_t at)
{
	const struct fl_boot_backend *b = fl_boot_backend_find(kind->name);
	uint64_t acked = 0;
	for (uint64_t n = 1; n <= at && n <= VERBS; n++) {
		if (n == at)
			plan_exec(plan, NULL);
		if (verb(b, n) != FL_OK)
			break;
		acked = n;
	}
	scratch_put(top, "bin/plan", "");
	return acked;
}

static unsigned sweep(const struct kind *kind, const char *how, const char *error)
{
	unsigned struck = 0;
	for (unsigned n = 1; n < 1000; n++) {
		char plan[32];
		bool fired;
		uint64_t acked;
		set_up(kind);
		snprintf(plan, sizeof(plan), "%s:%u%s", how, kind->spawns ? 1 + n % 4 : n, error);
		if (kind->spawns) {
			acked = run_spawned(kind, plan, 1 + n / 4);
			fired = n / 4 < VERBS;
		} else {
			acked = run(kind, plan, NULL, &fired);
		}
		cr_assert(is_sound(kind, dir, acked), "%s, %s after verb %u", kind->name, plan,
			  (unsigned)acked);
		finish(kind, acked);
		tear_down();
		if (!fired)
			break;
		struck++;
	}
	return struck;
}

static void sweep_all(const char *how, const char *error)
{
	for (size_t i = 0; i < KINDS; i++)
		cr_assert_gt(sweep(&kinds[i], how, error), 20, "%s", kinds[i].name);
}

Test(boot_contract, killed_at_every_change)
{
	sweep_all("kill", "");
}

Test(boot_contract, torn_at_every_write)
{
	sweep_all("tear", "");
}

Test(boot_contract, every_change_fails_once)
{
	sweep_all("fail", ":EIO");
	sweep_all("fail", ":ENOSPC");
}

/* --- power --- */

static unsigned violations(const struct kind *kind, const char *initial, const char *log,
			   const char *ignore, unsigned *states)
{
	char state[128];
	uint64_t mark = 0;
	unsigned bad = 0;
	snprintf(state, sizeof(state), "%s/state", top);
	(void)mkdir(state, 0755);
	struct replay *replay = replay_new(log, initial, ignore);
	*states = 0;
	for (uint64_t call = 0; replay_step(replay, &mark); call++) {
		const unsigned n = replay_pending(replay) ? VARIANTS : 1;
		for (unsigned v = 0; v < n; v++) {
			replay_write(replay, v, call, state);
			const bool sound = is_sound(kind, state, mark);
			if (!sound && ignore == NULL)
				fprintf(stderr, "%s: call %u, variant %u, after verb %u\n",
					kind->name, (unsigned)call, v, (unsigned)mark);
			bad += !sound;
			++*states;
		}
	}
	replay_free(replay);
	return bad;
}

static void record(const struct kind *kind, const char *log)
{
	bool fired;
	if (!kind->spawns) {
		cr_assert_eq(run(kind, "record", log, &fired), VERBS);
		return;
	}
	plan_exec("record", log);
	flshim_plan("record", dir, log); /* for the marks */
	uint64_t acked = 0;
	flow(fl_boot_backend_find(kind->name), &acked);
	flshim_plan(NULL, NULL, NULL);
	cr_assert_eq(acked, VERBS);
}

static void cut_everywhere(const struct kind *kind)
{
	char command[256];
	char initial[128];
	char log[128];
	unsigned states;
	set_up(kind);
	snprintf(initial, sizeof(initial), "%s/initial", top);
	snprintf(log, sizeof(log), "%s/log", top);
	snprintf(command, sizeof(command), "cp -r %s %s", dir, initial);
	cr_assert_eq(system(command), 0);
	record(kind, log);
	cr_assert_eq(violations(kind, initial, log, NULL, &states), 0, "%s", kind->name);
	cr_assert_gt(states, 100, "%s: %u", kind->name, states);
	for (size_t i = 0; i < MUTANTS && kind->synced[i] != NULL; i++)
		cr_assert_gt(violations(kind, initial, log, kind->synced[i], &states), 0,
			     "%s: nobody misses the sync of %s", kind->name, kind->synced[i]);
	tear_down();
}

Test(boot_contract, power_off_after_every_change)
{
	for (size_t i = 0; i < KINDS; i++)
		cut_everywhere(&kinds[i]);
}
