/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files: what is read, and what is refused rather than misread. */
#include <fairlead/base/conf.h>
#include <fairlead/base/log.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[64];
static struct fl_conf *conf;
static struct fl_err err;

static void setup(void)
{
	strcpy(path, "/tmp/fl-conf-XXXXXX");
	int fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	close(fd);
	conf = NULL;
}

static void teardown(void)
{
	fl_conf_free(conf);
	unlink(path);
}

TestSuite(conf, .init = setup, .fini = teardown);

static enum fl_rc load_bytes(const void *text, size_t len)
{
	FILE *f = fopen(path, "w");
	cr_assert_eq(fwrite(text, 1, len, f), len);
	fclose(f);
	fl_conf_free(conf);
	conf = NULL;
	return fl_conf_load(path, &conf, &err);
}

static enum fl_rc load(const char *text)
{
	return load_bytes(text, strlen(text));
}

static bool says(const char *part)
{
	return strstr(err.msg, part) != NULL;
}

Test(conf, sections_keys_and_comments)
{
	cr_assert_eq(load("# a comment\n; another\n\n[device]\ntenant = acme\n device_id=gw-1\n"),
		     FL_E_CONFIG, "indented");
	cr_assert_eq(load("# a comment\n; another\n\n[device]\ntenant = "
			  "acme\ndevice_id=gw-1\n\n[fleet]\nurl = wss://h:1/x\n"),
		     FL_OK, "%s", err.msg);
	cr_assert_str_eq(fl_conf_get(conf, "device", "tenant", NULL), "acme");
	cr_assert_str_eq(fl_conf_get(conf, "device", "device_id", NULL), "gw-1");
	cr_assert_str_eq(fl_conf_get(conf, "fleet", "url", NULL), "wss://h:1/x");
	cr_assert_null(fl_conf_get(conf, "fleet", "tenant", NULL), "of another section");
	cr_assert_str_eq(fl_conf_get(conf, "none", "x", "fallback"), "fallback");
}

Test(conf, the_last_one_set_wins)
{
	cr_assert_eq(load("[a]\nx = 1\nx = 2\n[b]\ny = 1\n[a]\nx = 3\n"), FL_OK);
	cr_assert_str_eq(fl_conf_get(conf, "a", "x", NULL), "3");
}

Test(conf, a_needed_key_names_itself_when_missing)
{
	const char *value = "untouched";
	cr_assert_eq(load("[a]\nx =\n"), FL_OK);
	cr_assert_eq(fl_conf_need(conf, "a", "y", &value, &err), FL_E_CONFIG);
	cr_assert(says("[a] y"));
	cr_assert_eq(fl_conf_need(conf, "a", "x", &value, &err), FL_E_CONFIG, "empty is missing");
	cr_assert_str_eq(value, "untouched");
}

Test(conf, numbers_are_whole_and_in_range)
{
	uint64_t n = 77;
	cr_assert_eq(load("[a]\ngood = 12\nneg = -1\ntail = 12k\nhex = 0x1\nbig = "
			  "18446744073709551616\nempty =\nplus = +1\n"
			  "max = 18446744073709551615\n"),
		     FL_OK, "%s", err.msg);
	cr_assert_eq(fl_conf_u64(conf, "a", "good", 1, 12, 5, &n, &err), FL_OK);
	cr_assert_eq(n, 12);
	static const char *const bad[] = {"neg", "tail", "hex", "big", "empty", "plus"};
	for (size_t i = 0; i < 6; i++)
		cr_expect_eq(fl_conf_u64(conf, "a", bad[i], 0, UINT64_MAX, 5, &n, &err),
			     FL_E_CONFIG, "%s", bad[i]);
	cr_assert_eq(fl_conf_u64(conf, "a", "good", 13, 20, 5, &n, &err), FL_E_CONFIG);
	cr_assert(says("line 2"));
	cr_assert_eq(fl_conf_u64(conf, "a", "good", 1, 11, 5, &n, &err), FL_E_CONFIG);
	cr_assert_eq(n, 12, "untouched");
	cr_assert_eq(fl_conf_u64(conf, "a", "max", 0, UINT64_MAX, 5, &n, &err), FL_OK);
	cr_assert_eq(n, UINT64_MAX);
	cr_assert_eq(fl_conf_u64(conf, "a", "unset", 0, 9, 5, &n, &err), FL_OK);
	cr_assert_eq(n, 5);
}

Test(conf, booleans_are_one_of_eight_words)
{
	bool b = false;
	cr_assert_eq(load("[a]\nt1=true\nt2=yes\nt3=on\nt4=1\nf1=false\nf2=no\nf3=off\nf4=0\nx="
			  "True\ny=2\n"),
		     FL_OK);
	for (int i = 1; i <= 4; i++) {
		char key[] = {'t', (char)('0' + i), '\0'};
		cr_assert_eq(fl_conf_bool(conf, "a", key, false, &b, &err), FL_OK);
		cr_assert(b);
		key[0] = 'f';
		cr_assert_eq(fl_conf_bool(conf, "a", key, true, &b, &err), FL_OK);
		cr_assert_not(b);
	}
	cr_assert_eq(fl_conf_bool(conf, "a", "x", false, &b, &err), FL_E_CONFIG);
	cr_assert_eq(fl_conf_bool(conf, "a", "y", false, &b, &err), FL_E_CONFIG);
	cr_assert_eq(fl_conf_bool(conf, "a", "unset", true, &b, &err), FL_OK);
	cr_assert(b);
}

Test(conf, sections_of_a_kind_are_listed_once)
{
	cr_assert_eq(load("[component.a]\nx=1\ny=2\n[other]\nz=1\n[component.b]\nx=1\n[component.a]"
			  "\nz=1\n"),
		     FL_OK);
	cr_assert_str_eq(fl_conf_section(conf, "component.", 0), "component.a");
	cr_assert_str_eq(fl_conf_section(conf, "component.", 1), "component.b");
	cr_assert_null(fl_conf_section(conf, "component.", 2));
}

Test(conf, a_line_that_is_neither_is_named)
{
	cr_assert_eq(load("[a]\nx = 1\nnonsense\n"), FL_E_CONFIG);
	cr_assert(says("line 3"), "%s", err.msg);
	cr_assert_eq(load("[a\nx = 1\n"), FL_E_CONFIG);
}

/* inih takes an indented line as more of the value above: a permission would vanish into a path */
Test(conf, an_indented_line_is_refused)
{
	cr_assert_eq(load("[a]\nx = 1\n  y = 2\n"), FL_E_CONFIG);
	cr_assert(says("line 3: indented"), "%s", err.msg);
	cr_assert_eq(load("[a]\nx = 1\n   \n  # a comment\n\t; another\ny = 2\n"), FL_OK, "%s",
		     err.msg);
	cr_assert_str_eq(fl_conf_get(conf, "a", "y", NULL), "2");
}

/* inih would cut a line of 200 bytes in two, and take the rest for a line of its own */
Test(conf, a_long_line_is_refused_not_cut)
{
	char text[400] = "[a]\nx = ";
	size_t head = strlen(text);
	memset(text + head, 'v', 195);
	strcpy(text + head + 195, "\n");
	cr_assert_eq(load(text), FL_OK, "%s", err.msg);
	cr_assert_eq(strlen(fl_conf_get(conf, "a", "x", "")), 195);
	strcpy(text + head + 195, "v\n");
	cr_assert_eq(load(text), FL_E_CONFIG);
	cr_assert(says("line 2"), "%s", err.msg);
}

Test(conf, a_long_section_name_is_refused_not_cut)
{
	cr_assert_eq(load("[component.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\nx=1\n"), FL_OK,
		     "%s", err.msg);
	cr_assert_str_eq(fl_conf_section(conf, "", 0),
			 "component.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	cr_assert_eq(load("[component.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\nx=1\n"),
		     FL_E_CONFIG);
}

static const char *path_of(const char *root, const char *value)
{
	static char joined[16];
	char text[64];
	snprintf(text, sizeof(text), "[paths]\n%s%s\n", root == NULL ? "" : "root = ",
		 root == NULL ? "" : root);
	cr_assert_eq(load(text), FL_OK);
	return fl_conf_path(conf, value, joined, sizeof(joined), &err) == FL_OK ? joined : "refused";
}

Test(conf, relative_paths_start_from_the_root)
{
	cr_assert_str_eq(path_of("/data", "store"), "/data/store");
	cr_assert_str_eq(path_of("/data/", "store"), "/data/store");
	cr_assert_str_eq(path_of("/data", "/store"), "/store");
	cr_assert_str_eq(path_of(NULL, "store"), "/store");
	cr_assert_str_eq(path_of("", "store"), "/store");
	cr_assert_str_eq(path_of("/data", "123456789"), "/data/123456789");
	cr_assert_str_eq(path_of("/data", "1234567890"), "refused", "15 bytes fit");
	cr_assert_eq(err.rc, FL_E_CONFIG);
}

Test(conf, a_zero_byte_does_not_end_the_file)
{
	cr_assert_eq(load_bytes("[a]\nx=1\n\0[b]\ny=2\n", 18), FL_E_CONFIG);
}

Test(conf, limits_and_missing_files)
{
	struct fl_conf *none = NULL;
	char *big = malloc(65537);
	memset(big, '#', 65537);
	cr_assert_eq(load_bytes(big, 65537), FL_E_CONFIG);
	free(big);
	char *many = malloc(20000), *p = many + sprintf(many, "[a]\n");
	for (int i = 0; i < 1001; i++)
		p += sprintf(p, "k%d=1\n", i);
	cr_assert_eq(load(many), FL_E_CONFIG);
	cr_assert(says("1000 entries"), "%s", err.msg);
	free(many);
	cr_assert_eq(fl_conf_load("/nonexistent", &none, &err), FL_E_CONFIG);
	cr_assert_null(none);
	fl_conf_free(NULL);
}

static char lines[8][256];
static int n_lines;

static void sink(void *ctx, enum fl_log_level level, const char *line)
{
	(void)ctx;
	(void)level;
	snprintf(lines[n_lines++ % 8], sizeof(lines[0]), "%s", line);
}

Test(conf, keys_nobody_asked_for_are_warned_of_with_their_line)
{
	const char *const prefixes[] = {"mine", NULL};
	cr_assert_eq(load("[mine]\nknown=1\nunknwon=2\n[other]\nx=1\n"), FL_OK);
	(void)fl_conf_get(conf, "mine", "known", NULL);
	fl_log_set_sink(sink, NULL);
	fl_conf_warn_unknown(conf, prefixes);
	cr_assert_eq(n_lines, 1);
	cr_assert_not_null(strstr(lines[0], "line 3: unknown setting [mine] unknwon"));
}
