/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main() of <target>_replay: hands each file it is given, and each file of each folder, to the
 * fuzz target, in a copy of the exact length so that a sanitizer sees a read past its end. Prints
 * how many there were.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long replayed;

static int replay_file(const char *path, int fd, size_t size)
{
	uint8_t *data = malloc(size == 0 ? 1 : size);
	if (data == NULL || read(fd, data, size) != (ssize_t)size) {
		perror(path);
		free(data);
		return 1;
	}
	LLVMFuzzerTestOneInput(data, size);
	replayed++;
	free(data);
	return 0;
}

static int replay(const char *path);

static int replay_folder(const char *path)
{
	int failed = 0;
	DIR *dir = opendir(path);
	if (dir == NULL) {
		perror(path);
		return 1;
	}
	for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
		char inner[PATH_MAX];
		if (entry->d_name[0] == '.')
			continue;
		snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
		failed |= replay(inner);
	}
	closedir(dir);
	return failed;
}

static int replay(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0) {
		perror(path);
		if (fd >= 0)
			close(fd);
		return 1;
	}
	int failed = S_ISDIR(st.st_mode) ? replay_folder(path)
					 : replay_file(path, fd, (size_t)st.st_size);
	close(fd);
	return failed;
}

int main(int argc, char **argv)
{
	int failed = 0;
	for (int i = 1; i < argc; i++)
		failed |= replay(argv[i]);
	printf("%lu inputs\n", replayed);
	return failed;
}
