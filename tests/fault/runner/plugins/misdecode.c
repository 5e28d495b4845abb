/* SPDX-License-Identifier: Apache-2.0 */
/* A decoder that does in chunk N what its parameters, "DEED N", say; else it does what it must. */
#include "patch.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static char deed[32];
static unsigned long long at_chunk;
static struct fl_result ending; /* of deeds that end decode */
static int ending_class = -1;

static int is(const char *what)
{
	return strcmp(deed, what) == 0;
}

static int end_with(int cls, const char *code)
{
	ending_class = cls;
	(void)snprintf(ending.code, sizeof(ending.code), "%s", code);
	return -1;
}

static void nap(long ms)
{
	const struct timespec time = {0, ms * 1000000};
	(void)nanosleep(&time, NULL);
}

static void hang(void)
{
	sigset_t all;
	uint8_t byte;
	(void)sigfillset(&all);
	for (;;) {
		(void)sigprocmask(SIG_BLOCK, &all, NULL);
		if (is("reread"))
			(void)host->read_input(host, 0, &byte, 1);
		if (is("resource"))
			(void)host->read_source(host, 0, &byte, 1);
	}
}

/* All that is granted, and keeps it; work goes on. */
static void take_all(size_t step)
{
	for (uint8_t *p; (p = (uint8_t *)host->alloc(host, step)) != NULL;)
		memset(p, 1, step);
}

/* So that not even a word can be said. */
static void take_last_byte(void)
{
	for (size_t step = 1 << 17; step >= 16; step -= 16) {
		for (uint8_t *p; (p = (uint8_t *)malloc(step)) != NULL;)
			memset(p, 1, step);
	}
}

/* How much there is, in KiB, as a line of the log. */
static int take_memory(void *take(size_t))
{
	const size_t step = 4096;
	unsigned long long got = 0;
	char line[64];
	for (uint8_t *p; got < (1ull << 30) && (p = (uint8_t *)take(step)) != NULL; got += step)
		memset(p, 1, step);
	(void)snprintf(line, sizeof(line), "%llu KiB", got >> 10);
	host->log(host, FL_LEVEL_INFO, line);
	return end_with(FL_CLASS_RETRY, "no_memory");
}

static void *from_host(size_t size)
{
	return host->alloc(host, size);
}

static int grow_stack(int depth)
{
	volatile uint8_t room[65536];
	room[depth % 65536] = 1;
	return depth < 100000 ? grow_stack(depth + 1) + room[0] : room[1];
}

static int misread(const struct patch *p, uint8_t *data)
{
	if (is("source_past"))
		return host->read_source(host, p->task->source_size - 1, data, 2);
	if (is("source_wrap"))
		return host->read_source(host, UINT64_MAX - 1, data, 4);
	if (is("input_past"))
		return host->read_input(host, p->task->input_size, data, 1);
	if (is("input_wrap"))
		return host->read_input(host, UINT64_MAX - 1, data, 4);
	if (is("ignore")) /* that it has failed */
		(void)host->read_input(host, p->task->input_size, data, 1);
	return 0;
}

static int miswrite(const struct patch *p, uint64_t offset, uint8_t *data, uint32_t len)
{
	if (is("cut"))
		return host->write_output(host, offset, data, len - 1);
	if (is("long"))
		return host->write_output(host, offset, data, len + 1);
	if (is("past"))
		return host->write_output(host, p->task->output_size, data, 1);
	if (is("far"))
		return host->write_output(host, UINT64_MAX - 1, data, len);
	if (is("order"))
		return host->write_output(host, offset + FL_DECODER_CHUNK, data, len);
	if (is("between"))
		return host->write_output(host, offset + 1, data, len);
	if (is("twice") && host->write_output(host, offset, data, len) != 0)
		return -1;
	return host->write_output(host, offset, data, len);
}

static int misbehave(const struct patch *p, uint64_t offset, uint8_t *data, uint32_t len)
{
	if (is("crash"))
		__builtin_trap();
	if (is("exit"))
		_exit(0);
	if (is("hang") || is("reread") || is("resource"))
		hang();
	if (is("hog"))
		return take_memory(from_host);
	if (is("malloc"))
		return take_memory(malloc);
	if (is("last_byte"))
		return end_with(FL_CLASS_RETRY, "no_memory");
	if (is("stack"))
		return grow_stack(0);
	if (is("short"))
		return end_with(FL_CLASS_OK, "");
	if (is("unsafe"))
		return end_with(FL_CLASS_UNSAFE, "io");
	if (is("person"))
		return end_with(FL_CLASS_NEEDS_USER, "");
	if (is("refuse"))
		return end_with(FL_CLASS_PERMANENT, "format");
	if (is("greedy"))
		take_all(at_chunk == 3 ? 1000 : 140000);
	if (is("flip"))
		data[len / 2] ^= 4;
	if (misread(p, data) != 0)
		return -1;
	return miswrite(p, offset, data, len);
}

static int write_chunk(const struct patch *p, uint64_t offset, uint8_t *data, uint32_t len)
{
	uint64_t chunk = offset / FL_DECODER_CHUNK;
	if (is("slow")) {
		nap(20);
		host->progress(host, chunk, chunk + 1);
	}
	if (is("flips") && chunk % 3 == at_chunk)
		data[0] ^= 1;
	if (chunk == at_chunk)
		return misbehave(p, offset, data, len);
	return host->write_output(host, offset, data, len);
}

static int decode(void *self, const struct fl_decode_task *task, struct fl_result *result)
{
	char params[64] = "";
	(void)self;
	if (task->params_len >= sizeof(params))
		return fl_result_fail(result, FL_CLASS_PERMANENT, "internal", "parameters");
	if (task->params_len > 0)
		memcpy(params, task->params, task->params_len);
	if (sscanf(params, "%31s %llu", deed, &at_chunk) < 1)
		return fl_result_fail(result, FL_CLASS_PERMANENT, "internal", "parameters");
	if (is("unasked")) {
		static uint8_t zeros[FL_DECODER_CHUNK];
		(void)host->write_output(host, 0, zeros, sizeof(zeros));
	}
	int cls = patch_decode(task, write_chunk, result);
	if (is("last_byte"))
		take_last_byte();
	if (ending_class < 0)
		return cls;
	memcpy(result->code, ending.code, sizeof(ending.code));
	return ending_class;
}

TEST_DECODER("misdecode");
