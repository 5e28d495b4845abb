/* SPDX-License-Identifier: Apache-2.0 */
/* The ABI of decoders never moves: a plugin built against 1.0 must be understood for ever. */
#include <fairlead/decoder.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define AT(type, member, place)                                                                    \
	{                                                                                          \
#type "." #member, offsetof(struct type, member), (place)                          \
	}

/* In pointers (P) and bytes, as 1.0 laid it out. */
#define P     sizeof(void *)
#define FIRST ((size_t)(P == 8 ? 16 : 12)) /* behind the three that stay for ever */
static const struct {
	const char *what;
	size_t is, was;
} places[] = {
	AT(fl_decoder, abi_major, 0),
	AT(fl_decoder, abi_minor, 4),
	AT(fl_decoder, size, 8),
	AT(fl_decoder, name, FIRST),
	AT(fl_decoder, version, FIRST + P),
	AT(fl_decoder, hello, FIRST + 2 * P),
	AT(fl_decoder, decode, FIRST + 3 * P),
	AT(fl_decoder_host, abi_major, 0),
	AT(fl_decoder_host, abi_minor, 4),
	AT(fl_decoder_host, size, 8),
	AT(fl_decoder_host, ctx, FIRST),
	AT(fl_decoder_host, read_input, FIRST + P),
	AT(fl_decoder_host, read_source, FIRST + 2 * P),
	AT(fl_decoder_host, wanted, FIRST + 3 * P),
	AT(fl_decoder_host, write_output, FIRST + 4 * P),
	AT(fl_decoder_host, alloc, FIRST + 5 * P),
	AT(fl_decoder_host, release, FIRST + 6 * P),
	AT(fl_decoder_host, progress, FIRST + 7 * P),
	AT(fl_decoder_host, keepalive, FIRST + 8 * P),
	AT(fl_decoder_host, log, FIRST + 9 * P),
	AT(fl_decoder_host, cancelled, FIRST + 10 * P),
	AT(fl_decoder_hello, size, 0),
	AT(fl_decoder_hello, deadline_ms, 4),
	AT(fl_decoder_hello, memory_min_bytes, 8),
	AT(fl_decoder_hello, formats, 16),
	AT(fl_decoder_hello, self, 16 + P),
	AT(fl_decode_task, size, 0),
	AT(fl_decode_task, params_len, 4),
	AT(fl_decode_task, format, 8),
	AT(fl_decode_task, params, 8 + P),
	AT(fl_decode_task, input_size, 8 + 2 * P),
	AT(fl_decode_task, source_size, 16 + 2 * P),
	AT(fl_decode_task, output_size, 24 + 2 * P),
	AT(fl_decode_task, memory_bytes, 32 + 2 * P),
};

Test(sdk_decoder, nothing_moved)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		cr_expect_eq(places[i].is, places[i].was, "%s: %zu, was %zu", places[i].what,
			     places[i].is, places[i].was);
	cr_expect_eq(FL_DECODER_ABI_MAJOR, 1);
	cr_expect_eq(FL_DECODER_SIZE_1_0, FIRST + 4 * P);
	cr_expect_eq(FL_DECODER_CHUNK, FL_HANDLER_CHUNK);
}

/* The header alone, as C11 and as C++11, without a warning. */
Test(sdk_decoder, compiles_alone)
{
	const char *const languages[] = {"-x c -std=c11", "-x c++ -std=c++11"};
	for (size_t i = 0; i < 2; i++) {
		char command[1024];
		(void)snprintf(command, sizeof(command),
			       "echo '#include <fairlead/decoder.h>' | clang %s -Wall -Wextra "
			       "-Wpedantic -Wconversion "
			       "-Werror -fsyntax-only -I" SDK_INCLUDE " -",
			       languages[i]);
		cr_expect_eq(system(command), 0, "%s", command);
	}
}
