/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The crash contract of the back end grub, judged by GRUB itself: whatever a power cut leaves of
 * the recorded writes is laid into a disk image, and grub-emu boots it with the real grub.cfg,
 * again and again, as a machine whose trial never says good. What it boots is the old decision's
 * series or the new one's. What else every back end has to keep is in contract.c.
 */
#include <fairlead/boot/boot.h>

#include <fairlead/base/file.h>
#include <fairlead/trust/digest.h>

#include <child.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <flshim.h>
#include <replay.h>
#include <scratch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERBS	 9
#define VARIANTS 4
#define BOOTS	 4
#define FILES	 5

static const char *const files[FILES] = {"count", "first", "first.sum", "second", "second.sum"};

static char top[SCRATCH_MAX];
static char dir[SCRATCH_MAX + 16]; /* the back end's folder in it */
static long offsets[FILES];

TestSuite(boot_grub, .timeout = 240);

static void tear_down(void)
{
	scratch_remove(top);
}

static void set_up(void)
{
	scratch_make(top);
	snprintf(dir, sizeof(dir), "%s/fairlead", top);
}

/* What the command wrote to its standard output. */
__attribute__((format(printf, 1, 2))) static const char *sh(const char *fmt, ...)
{
	static char output[16384];
	char command[4096];
	va_list ap;
	va_start(ap, fmt);
	const int used =
		snprintf(command, sizeof(command), "PATH=$PATH:/usr/sbin:/sbin; cd %s && ", top);
	vsnprintf(command + used, sizeof(command) - (size_t)used, fmt, ap);
	va_end(ap);
	FILE *p = popen(command, "r");
	output[fread(output, 1, sizeof(output) - 1, p)] = '\0';
	cr_assert_eq(pclose(p), 0, "%s", command);
	return output;
}

/* --- the verbs --- */

static struct fl_boot_host host_of(char running)
{
	struct fl_boot_host host = {.dir = dir, .n_slots = 3};
	host.running[0] = running;
	host.slots[0] = (struct fl_boot_slot){"a"};
	host.slots[1] = (struct fl_boot_slot){"b"};
	host.slots[2] = (struct fl_boot_slot){"c"};
	return host;
}

static enum fl_rc verb(uint64_t n)
{
	const struct fl_boot_backend *grub = fl_boot_backend_find("grub");
	struct fl_boot_host on_a = host_of('a');
	struct fl_boot_host on_b = host_of('b');
	switch (n) {
	case 0:
		return fl_boot_init(grub, &on_a, "a", NULL);
	case 1:
		return fl_boot_withdraw(grub, &on_a, "b", NULL);
	case 2:
		return fl_boot_trial(grub, &on_a, &(struct fl_boot_trial){"b", 1, NULL}, NULL);
	case 3:
		return fl_boot_fallback(grub, &on_a, NULL);
	case 4:
		return fl_boot_trial(grub, &on_a, &(struct fl_boot_trial){"b", 2, NULL}, NULL);
	case 5:
		return fl_boot_withdraw(grub, &on_a, "c", NULL);
	case 6:
		return fl_boot_good(grub, &on_b, NULL);
	case 7:
		return fl_boot_withdraw(grub, &on_b, "a", NULL);
	case 8:
		return fl_boot_prove(grub, &on_b, 1, NULL);
	default:
		return fl_boot_fallback(grub, &on_b, NULL);
	}
}

/* What a machine boots after each verb when no trial ever says good. */
static const char *const series[VERBS + 1] = {"aaaa", "aaaa", "baaa", "aaaa", "bbaa",
					      "bbaa", "bbbb", "bbbb", "pbbb", "bbbb"};

/* All after the first decision. */
static void flow(const void *ctx, volatile uint64_t *acked)
{
	(void)ctx;
	for (uint64_t n = 1; n <= VERBS; n++) {
		if (verb(n) != FL_OK)
			return;
		*acked = n;
		flshim_mark(n);
	}
}

/* --- what GRUB boots --- */

/* The real script, with the kernel's loader and the end of a boot replaced by what can be told from
 * outside. */
static void make_disk(void)
{
	static const char *const letters = "abc";
	sh("mkdir -p boot/grub slot/boot && cp -r fairlead boot/grub/ && echo k >slot/boot/vmlinuz "
	   "&& "
	   "sed -e 's/^insmod regexp/&\\nfunction linux { test -f $1; }/' -e 's/^  boot$/  exit/' "
	   "-e 's/^sleep 30/exit/' " FL_LOADER "/grub/grub.cfg >boot/grub/grub.cfg && "
	   "grep -q '^  exit$' boot/grub/grub.cfg");
	sh("{ echo 'set fl_slots=\"a b c\"'; echo set fl_kernel=/boot/vmlinuz; for i in a b c; do "
	   "echo set fl_part_$i=11111111-1111-1111-1111-11111111110$i; done; } "
	   ">boot/grub/fairlead/slots.cfg");
	sh("truncate -s 10M disk && { echo label: gpt; echo start=2048,size=8192; for i in a b c; "
	   "do echo "
	   "size=2048,uuid=11111111-1111-1111-1111-11111111110$i; done; } | sfdisk -q disk");
	sh("mke2fs -q -t ext4 -b 4096 -d boot -E offset=1048576 disk 4M");
	for (unsigned i = 0; letters[i] != '\0'; i++)
		sh("mke2fs -q -t ext2 -d slot -E offset=%u disk 1M", (5 + i) << 20);
	sh("echo \"(hd0) $PWD/now\" >map");
	for (size_t i = 0; i < FILES; i++) {
		const char *block =
			sh("debugfs -R 'blocks /grub/fairlead/%s' 'disk?offset=1048576' "
			   "2>/dev/null",
			   files[i]);
		offsets[i] = (1L << 20) + 4096 * strtol(block, NULL, 10);
		cr_assert_gt(offsets[i], 1L << 20);
	}
}

/* The image with these files; a file that is not there, or shorter, leaves zeros. */
static void lay(const char *from, const char *name)
{
	sh("cp disk %s", name);
	char path[160];
	snprintf(path, sizeof(path), "%s/%s", top, name);
	FL_AUTO_FD disk = open(path, O_RDWR | O_CLOEXEC);
	for (size_t i = 0; i < FILES; i++) {
		char part[192];
		char block[4096] = {0};
		snprintf(part, sizeof(part), "%s/%s", from, files[i]);
		FL_AUTO_FD fd = open(part, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			(void)!read(fd, block, sizeof(block));
		cr_assert_eq(pwrite(disk, block, sizeof(block), offsets[i]),
			     (ssize_t)sizeof(block));
	}
}

/* A letter, 'p' for prove, '-' for none. */
static char boot(void)
{
	const char *found = "as -";
	const char *out = sh("grub-emu -m map -d /grub -r hd0,gpt1 </dev/null 2>&1");
	for (const char *p = out; (p = strstr(p, "Fairlead: slot ")) != NULL; p++)
		found = strstr(p, "as ");
	return strstr(out, "no slot can be booted") != NULL ? '-' : found[3];
}

static void boot_series(char out[BOOTS + 1])
{
	for (size_t i = 0; i < BOOTS; i++)
		out[i] = boot();
	out[BOOTS] = '\0';
}

static void start(void)
{
	set_up();
	cr_assert_eq(mkdir(dir, 0755), 0);
	cr_assert_eq(verb(0), FL_OK);
	make_disk();
}

Test(boot_grub, grub_boots_what_was_decided)
{
	char got[BOOTS + 1];
	start();
	for (uint64_t n = 0; n <= VERBS; n++) {
		if (n > 0)
			cr_assert_eq(verb(n), FL_OK);
		lay(dir, "now");
		sh("cp now before");
		boot_series(got);
		cr_assert_str_eq(got, series[n], "verb %u: %s", (unsigned)n, got);
		if (strchr("bp", series[n][0]) == NULL || series[n][3] == series[n][0])
			sh("cmp now before"); /* no trial: no byte is written */
	}
	tear_down();
}

/* What GRUB has counted is what fairlead-boot tells, and it stays when the decision changes beside
 * it. */
Test(boot_grub, a_used_try_stays_used)
{
	struct fl_boot_host host = host_of('a');
	struct fl_boot_state s;
	const struct fl_boot_backend *grub = fl_boot_backend_find("grub");
	start();
	cr_assert_eq(fl_boot_trial(grub, &host, &(struct fl_boot_trial){"b", 3, NULL}, NULL),
		     FL_OK);
	lay(dir, "now");
	cr_assert_eq(boot(), 'b');
	sh("dd if=now of=fairlead/count bs=1024 count=1 skip=%ld conv=notrunc status=none",
	   offsets[0] / 1024);
	cr_assert_eq(fl_boot_observe(grub, &host, &s, NULL), FL_OK);
	cr_assert_eq(s.used, 1);
	cr_assert_eq(fl_boot_withdraw(grub, &host, "c", NULL), FL_OK);
	cr_assert_eq(fl_boot_observe(grub, &host, &s, NULL), FL_OK);
	cr_assert_eq(s.used, 1);
	char got[BOOTS + 1];
	lay(dir, "now");
	boot_series(got);
	cr_assert_str_eq(got, "bbaa");
	tear_down();
}

/* The same, remembered: most states are the same bytes as one before. */
static void judge(const char *from, char out[BOOTS + 1])
{
	static struct {
		struct fl_digest digest;
		char series[BOOTS + 1];
	} known[1000];
	static size_t n_known;
	struct fl_digest digest = {0};
	for (size_t i = 0; i < FILES; i++) {
		char part[192];
		struct fl_buf bytes = FL_BUF(8192);
		snprintf(part, sizeof(part), "%s/%s", from, files[i]);
		cr_assert_eq(fl_file_read(part, &bytes, NULL), FL_OK);
		cr_assert_eq(
			fl_sha256(&digest, sizeof(digest), bytes.data, bytes.len, &digest, NULL),
			FL_OK);
		fl_buf_free(&bytes);
	}
	for (size_t i = 0; i < n_known; i++) {
		if (fl_digest_equal(&known[i].digest, &digest)) {
			memcpy(out, known[i].series, BOOTS + 1);
			return;
		}
	}
	cr_assert_lt(n_known, sizeof(known) / sizeof(known[0]));
	lay(from, "now");
	boot_series(out);
	known[n_known].digest = digest;
	memcpy(known[n_known++].series, out, BOOTS + 1);
}

/* How many states GRUB boots neither as before nor as after the verb that was going on; of a
 * mutant, the first. */
static unsigned violations(const char *log, const char *ignore, unsigned *states)
{
	char initial[160];
	char state[160];
	char got[BOOTS + 1];
	unsigned bad = 0;
	uint64_t mark = 0;
	snprintf(initial, sizeof(initial), "%s/initial", top);
	snprintf(state, sizeof(state), "%s/state", top);
	struct replay *replay = replay_new(log, initial, ignore);
	*states = 0;
	for (uint64_t call = 0; replay_step(replay, &mark) && (ignore == NULL || bad == 0);
	     call++) {
		const unsigned n = replay_pending(replay) ? VARIANTS : 1;
		for (unsigned v = 0; v < n; v++) {
			replay_write(replay, v, call, state);
			judge(state, got);
			const char *next = series[mark < VERBS ? mark + 1 : VERBS];
			const bool known = strcmp(got, series[mark]) == 0 || strcmp(got, next) == 0;
			bad += !known;
			if (!known && ignore == NULL)
				fprintf(stderr, "call %u variant %u after verb %u: %s\n",
					(unsigned)call, v, (unsigned)mark, got);
			++*states;
		}
	}
	replay_free(replay);
	return bad;
}

static void record(char log[128])
{
	bool struck;
	start();
	snprintf(log, 128, "%s/log", top);
	sh("cp -r fairlead initial && mkdir state");
	cr_assert_eq(child_run(flow, NULL, "record", dir, log, &struck), VERBS);
}

Test(boot_grub, power_off_after_every_change)
{
	char log[128];
	unsigned states;
	record(log);
	cr_assert_eq(violations(log, NULL, &states), 0);
	cr_assert_gt(states, 200);
	tear_down();
}

Test(boot_grub, no_sync_could_be_left_out)
{
	char log[128];
	unsigned states;
	record(log);
	for (size_t i = 0; i < FILES; i++)
		cr_assert_gt(violations(log, files[i], &states), 0, "nobody misses the sync of %s",
			     files[i]);
	tear_down();
}

/* --- damage --- */

/* n bytes of a file of the back end at `at` become `byte`. */
static void spoil(const char *name, long at, long n, int byte)
{
	char path[192];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FL_AUTO_FD fd = open(path, O_RDWR | O_CLOEXEC);
	for (long i = 0; i < n; i++) {
		const char c = (char)byte;
		cr_assert_eq(pwrite(fd, &c, 1, at + i), 1);
	}
}

static void expect(const char *want, const char *when)
{
	char got[BOOTS + 1];
	lay(dir, "now");
	boot_series(got);
	cr_assert_str_eq(got, want, "%s: %s", when, got);
}

/* One copy is enough, whatever became of the other, and whichever it is. */
Test(boot_grub, one_damaged_copy_changes_nothing)
{
	static const struct {
		const char *name;
		long at, n;
		int byte;
	} damages[] = {
		{"first", 30, 1, 'x'},	    {"first", 4000, 1, 'x'}, {"first", 0, 4096, 0},
		{"first.sum", 5, 1, 'x'},   {"first.sum", 0, 72, 0}, {"first.sum", 0, 72, '\n'},
		{"second", 30, 1, 'x'},	    {"second", 0, 4096, 0},  {"second.sum", 0, 73, ' '},
		{"second.sum", 66, 1, 'x'}, {"second.sum", 64, 9, 0}};
	start();
	for (uint64_t n = 1; n <= 4; n++)
		cr_assert_eq(verb(n), FL_OK);
	sh("cp -r fairlead whole");
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		sh("cp whole/* fairlead/");
		spoil(damages[i].name, damages[i].at, damages[i].n, damages[i].byte);
		expect("bbaa", damages[i].name);
	}
	/* An empty list of checksums passes as checked: a false decision beside it must not. */
	sh("cp whole/* fairlead/ && sed -i s/fl_seq=5/fl_seq=9/ fairlead/first && "
	   "sed -i s/fl_trial=b/fl_trial=c/ fairlead/first");
	lay(dir, "now");
	sh("debugfs -w -R 'set_inode_field /grub/fairlead/first.sum size 0' 'now?offset=1048576' "
	   "2>/dev/null");
	cr_assert_eq(boot(), 'b');
	sh("cp whole/* fairlead/ && cp whole/first fairlead/second && "
	   "cp whole/first.sum fairlead/second.sum");
	expect("bbaa", "the first copy in the second's place");
	sh("cp whole/second fairlead/first && cp whole/second.sum fairlead/first.sum && "
	   "cp whole/second* fairlead/");
	expect("bbaa", "the second copy in the first's place");
	tear_down();
}

/* Every byte of both fields, and what the block needs to be one. */
Test(boot_grub, a_damaged_count_is_a_used_up_trial)
{
	static const long at[] = {1,  24, 25, 35, 36, 40, 51, 52, 62, 63, 64, 65, 66,
				  67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79};
	start();
	for (uint64_t n = 1; n <= 4; n++)
		cr_assert_eq(verb(n), FL_OK);
	sh("cp -r fairlead whole");
	expect("bbaa", "whole");
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		sh("cp whole/* fairlead/");
		spoil("count", at[i], 1, at[i] == 79 ? 'x' : '#');
		const char *want =
			at[i] >= 36 && at[i] < 52 ? "bbaa" : "aaaa"; /* the other field */
		if (at[i] == 52 || at[i] == 25 || at[i] == 35)
			continue; /* keys of the other field: either is safe */
		expect(want, "one byte");
	}
	for (int byte = 0; byte < 256; byte += 85) {
		spoil("count", 0, 1024, byte);
		expect("aaaa", "all bytes");
	}
	/* The tries of another decision: those of the trial before. */
	sh("cp whole/* fairlead/");
	cr_assert_eq(verb(3), FL_OK);
	cr_assert_eq(verb(2), FL_OK);
	sh("cp whole/count fairlead/count");
	expect("aaaa", "an old count");
	tear_down();
}

/* Then what was offered last is offered, the good slot first; and if that is lost too, the first
 * slot that loads. */
Test(boot_grub, without_any_decision_a_slot_boots_that_was_not_withdrawn)
{
	start();
	for (uint64_t n = 1; n <= 7; n++)
		cr_assert_eq(verb(n), FL_OK);
	spoil("first", 100, 1, 'x');
	spoil("second.sum", 0, 1, 'x');
	expect("bbbb", "a is withdrawn");
	sh("rm -r slot && mkdir slot && mke2fs -q -t ext2 -d slot -E offset=%u disk 1M", 6 << 20);
	expect("----", "b does not load, a and c are withdrawn");
	spoil("count", 95, 1, 'x');
	expect("aaaa", "nothing is known");
	tear_down();
}

Test(boot_grub, a_slot_that_does_not_load_gives_way_to_the_good_one)
{
	start();
	sh("rm -r slot && mkdir slot && mke2fs -q -t ext2 -d slot -E offset=%u disk 1M", 6 << 20);
	cr_assert_eq(verb(2), FL_OK);
	expect("aaaa", "no kernel on trial");
	cr_assert_eq(verb(3), FL_OK);
	sh("dd if=/dev/zero of=disk bs=1M count=1 seek=5 conv=notrunc status=none");
	expect("cccc", "no file system in the good slot, nor a kernel in b");
	cr_assert_eq(verb(5), FL_OK);
	expect("----", "c is withdrawn");
	tear_down();
}
