/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder plugin in a bare host: PLUGIN SOURCE DELTA IMAGE SIZE makes IMAGE, as xdelta3 -d and
 * bspatch do, without the runner's sandbox and hashes.
 */
#include <fairlead/decoder.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int source, delta, image;
static uint64_t at, size;

static int read_input(const struct fl_decoder_host *host, uint64_t offset, void *data, uint32_t len)
{
	(void)host;
	return pread(delta, data, len, (off_t)offset) == (ssize_t)len ? 0 : -1;
}

static int read_source(const struct fl_decoder_host *host, uint64_t offset, void *data,
		       uint32_t len)
{
	(void)host;
	return pread(source, data, len, (off_t)offset) == (ssize_t)len ? 0 : -1;
}

static int wanted(const struct fl_decoder_host *host, uint64_t *offset, uint64_t *len)
{
	(void)host;
	*offset = at;
	*len = size - at;
	return *len > 0;
}

static int write_output(const struct fl_decoder_host *host, uint64_t offset, const void *data,
			uint32_t len)
{
	(void)host;
	at = offset + len;
	return write(image, data, len) == (ssize_t)len ? 0 : -1;
}

static void *give(const struct fl_decoder_host *host, size_t n)
{
	(void)host;
	return malloc(n);
}

static void take_back(const struct fl_decoder_host *host, void *data)
{
	(void)host;
	free(data);
}

static void progress(const struct fl_decoder_host *host, uint64_t done, uint64_t total)
{
	(void)host;
	(void)done;
	(void)total;
}

static int cancelled(const struct fl_decoder_host *host)
{
	(void)host;
	return 0;
}

static uint64_t size_of(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

int main(int argc, char **argv)
{
	const struct fl_decoder_host host = {.abi_major = FL_DECODER_ABI_MAJOR,
					     .abi_minor = FL_DECODER_ABI_MINOR,
					     .size = sizeof(host),
					     .read_input = read_input,
					     .read_source = read_source,
					     .wanted = wanted,
					     .write_output = write_output,
					     .alloc = give,
					     .release = take_back,
					     .progress = progress,
					     .cancelled = cancelled};
	struct fl_decoder_hello hello = {.size = sizeof(hello)};
	struct fl_result result = {0};
	void *object = argc == 6 ? dlopen(argv[1], RTLD_NOW) : NULL;
	const struct fl_decoder *plugin =
		object == NULL ? NULL
			       : (const struct fl_decoder *)dlsym(object, "fl_decoder_plugin");
	if (plugin == NULL)
		return 2;
	source = open(argv[2], O_RDONLY);
	delta = open(argv[3], O_RDONLY);
	image = open(argv[4], O_WRONLY | O_CREAT | O_TRUNC, 0644);
	size = strtoull(argv[5], NULL, 10);
	const struct fl_decode_task task = {.size = sizeof(task),
					    .format = "delta",
					    .input_size = size_of(delta),
					    .source_size = size_of(source),
					    .output_size = size,
					    .memory_bytes = 12u << 20};
	int cls = plugin->hello(&host, &hello, &result);
	if (cls == FL_CLASS_OK)
		cls = plugin->decode(hello.self, &task, &result);
	return cls;
}
