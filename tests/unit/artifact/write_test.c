/* SPDX-License-Identifier: Apache-2.0 */
/* The writer: what it packs the reader unpacks, and the bytes depend on image, level and frame size
 * alone. */
#include <fairlead/artifact/frames.h>
#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define IMAGE_SIZE ((size_t)5 * 1024 * 1024 + 12345)
#define FRAME	   (4u * 65536)

static uint8_t *image;

static void set_up(void)
{
	image = malloc(IMAGE_SIZE);
	srand(3);
	for (size_t i = 0; i < IMAGE_SIZE; i++)
		image[i] = (uint8_t)(i / 65536 % 3 == 0 ? 0 : rand() % (int)(i / 65536 % 50 + 2));
}

static void tear_down(void)
{
	free(image);
}

TestSuite(artifact_write, .init = set_up, .fini = tear_down);

/* The packed file as a buffer, owned by the caller. */
static struct fl_buf write_image(size_t len, const struct fl_frames_options *options)
{
	struct fl_err err;
	FL_AUTO_FD in = memfd_create("in", MFD_CLOEXEC);
	FL_AUTO_FD out = memfd_create("out", MFD_CLOEXEC);
	struct fl_buf file = FL_BUF(IMAGE_SIZE * 2);
	uint64_t size = 0;
	cr_assert_eq(fl_pwrite_all(in, image, len, 0, &err), FL_OK);
	cr_assert_eq(ftruncate(out, 100000000), 0, "what stood there is replaced");
	cr_assert_eq(fl_frames_write(in, out, options, &size, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(fl_file_read_fd(out, &file, &err), FL_OK);
	cr_assert_eq(file.len, size);
	return file;
}

static void check_image(const struct fl_buf *file, size_t len, uint32_t frame)
{
	struct fl_err err;
	struct fl_frames *f = NULL;
	struct fl_frames_decoder *d = NULL;
	struct fl_frames_claim claim = {len, file->len, frame};
	cr_assert_eq(fl_frames_new(&claim, &f, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(fl_frames_feed(f, file->data, (size_t)fl_frames_table_size(f), &err), FL_OK,
		     "%s", err.msg);
	cr_assert(fl_frames_complete(f));
	cr_assert_eq(fl_frames_decoder_new(&d, &err), FL_OK);
	uint8_t *out = malloc(frame);
	for (uint32_t k = 0; k < fl_frames_count(f); k++) {
		uint64_t offset;
		uint32_t length;
		fl_frames_locate(f, k, &offset, &length);
		cr_assert_eq(fl_frames_decode(d, file->data + offset, length, out,
					      fl_frames_image_len(f, k), &err),
			     FL_OK, "%s", err.msg);
		cr_assert_eq(memcmp(out, image + (size_t)k * frame, fl_frames_image_len(f, k)), 0);
	}
	free(out);
	fl_frames_decoder_free(d);
	fl_frames_free(f);
}

Test(artifact_write, round_trip)
{
	const struct fl_frames_options options[] = {
		{FRAME, 1, 1}, {0, 3, 2}, {65536, 5, 1}, {FL_FRAMES_SIZE_MAX, 3, 2}};
	const size_t lengths[] = {IMAGE_SIZE, FRAME, FRAME + 1, FRAME - 1, 1, 0};
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++) {
			struct fl_buf file = write_image(lengths[k], &options[i]);
			check_image(&file, lengths[k],
				    options[i].frame_size == 0 ? FL_FRAMES_SIZE_DEFAULT
							       : options[i].frame_size);
			fl_buf_free(&file);
		}
	}
}

Test(artifact_write, same_bytes_whatever_the_number_of_workers)
{
	struct fl_frames_options options = {FRAME, 9, 1};
	struct fl_buf one = write_image(IMAGE_SIZE, &options);
	for (options.workers = 2; options.workers <= 16; options.workers += 7) {
		struct fl_buf many = write_image(IMAGE_SIZE, &options);
		cr_assert_eq(one.len, many.len);
		cr_assert_eq(memcmp(one.data, many.data, one.len), 0);
		fl_buf_free(&many);
	}
	fl_buf_free(&one);
}

Test(artifact_write, refuses_what_it_cannot_do)
{
	struct fl_err err;
	uint64_t size = 77;
	FL_AUTO_FD fd = memfd_create("in", MFD_CLOEXEC);
	const struct fl_frames_options bad[] = {{1000, 3, 1},
						{FL_FRAMES_SIZE_MAX + 65536, 3, 1},
						{0, 23, 1},
						{0, -1, 1},
						{0, 3, 17}};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(fl_frames_write(fd, fd, &bad[i], &size, &err), FL_E_INVALID_ARGUMENT);
	const struct fl_frames_options good = {0, 3, 1};
	int pipes[2];
	cr_assert_eq(pipe(pipes), 0);
	cr_expect_neq(fl_frames_write(pipes[0], fd, &good, &size, &err), FL_OK,
		      "a pipe has no size");
	cr_expect_eq(size, 77, "outputs stay untouched on failure");
	close(pipes[0]);
	close(pipes[1]);
}
