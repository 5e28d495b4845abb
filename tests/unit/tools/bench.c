/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include "run_program.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char bench_dir[256];
char *bench_out, *bench_errors;

void bench_open(void)
{
	(void)snprintf(bench_dir, sizeof(bench_dir), "/tmp/fl-tools.XXXXXX");
	cr_assert_not_null(mkdtemp(bench_dir));
	cr_assert_eq(chdir(bench_dir), 0);
	unsetenv("FAIRLEAD_FLEET");
	unsetenv("FAIRLEAD_TOKEN_FILE");
	unsetenv("FAIRLEAD_CA");
	unsetenv("SOURCE_DATE_EPOCH");
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

void bench_close(void)
{
	free(bench_out);
	free(bench_errors);
	cr_assert_eq(chdir("/"), 0);
	(void)nftw(bench_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int fairlead_(const char *const *args)
{
	char *argv[65] = {strdup("fairlead")};
	int argc = 1;
	for (; args[argc - 1] != NULL && argc < 64; argc++)
		argv[argc] = strdup(args[argc - 1]);
	char *made[65];
	memcpy(made, argv, sizeof(made)); /* getopt reorders argv */
	free(bench_out);
	free(bench_errors);
	size_t out_len = 0, errors_len = 0;
	FILE *out = open_memstream(&bench_out, &out_len);
	FILE *errors = open_memstream(&bench_errors, &errors_len);
	int status = fl_tools_main(argc, argv, out, errors);
	(void)fclose(out);
	(void)fclose(errors);
	for (int i = 0; i < argc; i++)
		free(made[i]);
	return status;
}

bool told(const char *text)
{
	return strstr(bench_errors, text) != NULL;
}

void write_file(const char *path, const void *data, size_t len)
{
	struct fl_err err = {0};
	cr_assert_eq(fl_file_replace(path, data, len, 0644, &err), FL_OK, "%s", err.msg);
}

uint8_t *read_whole(const char *path, size_t *len)
{
	struct fl_err err = {0};
	struct fl_buf text = FL_BUF((size_t)64 << 20);
	cr_assert_eq(fl_file_read(path, &text, &err), FL_OK, "%s: %s", path, err.msg);
	*len = text.len;
	return text.data;
}

void flip_bit(const char *path, size_t byte)
{
	size_t len;
	uint8_t *data = read_whole(path, &len);
	cr_assert_lt(byte, len);
	data[byte] ^= 1;
	write_file(path, data, len);
	free(data);
}

bool is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

void make_ext4(const char *path, const char *info)
{
	struct fl_err err = {0};
	struct fl_buf said = FL_BUF((size_t)65536);
	uint8_t noise[200000];
	char where[300];
	(void)snprintf(where, sizeof(where), "%s", path);
	cr_assert_eq(fl_dir_make("image.tree/usr/lib/fairlead", 0755, &err), FL_OK);
	srand(11);
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)rand();
	write_file("image.tree/usr/noise", noise, sizeof(noise));
	(void)unlink("image.tree/usr/lib/fairlead/image-info");
	if (info != NULL)
		write_file("image.tree/usr/lib/fairlead/image-info", info, strlen(info));
	const char *argv[] = {"mke2fs", "-q",	      "-t",  "ext4", "-O", "^has_journal",
			      "-d",	"image.tree", where, "2M",   NULL};
	cr_assert_eq(fl_tools_run_program(argv, &said, &err), FL_OK, "%s", err.msg);
	fl_buf_free(&said);
}

const char *info_of(const char *version, int release_seq, int security_version)
{
	static char info[256];
	(void)snprintf(info, sizeof(info),
		       "{\"product\":\"gw\",\"component\":\"rootfs\",\"version\":\"%s\","
		       "\"release_seq\":%d,\"security_version\":%d}",
		       version, release_seq, security_version);
	return info;
}

const char *only_file(const char *dir)
{
	static char path[600];
	DIR *d = opendir(dir);
	cr_assert_not_null(d, "%s", dir);
	path[0] = '\0';
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		if (e->d_name[0] == '.')
			continue;
		cr_assert_eq(path[0], '\0', "more than one file in %s", dir);
		(void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
	}
	(void)closedir(d);
	cr_assert_neq(path[0], '\0', "no file in %s", dir);
	return path;
}

void make_release(void)
{
	cr_assert_eq(fairlead("keys", "init", "keys", "--product", "gw"), 0, "%s", bench_errors);
	make_ext4("v1.ext4", info_of("1.0.0", 1, 1));
	cr_assert_eq(fairlead("release", "create", "--product", "gw", "--version", "1.0.0",
			      "--component", "rootfs=v1.ext4", "--class", CLASS, "--hw-rev", "1-3",
			      "--frame", "65536", "-o", "r1"),
		     0, "%s", bench_errors);
}
