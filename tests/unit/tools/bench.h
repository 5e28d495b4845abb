/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of `fairlead` share: a folder for each test, small images, and the program in this
 * process. */
#ifndef TOOLS_BENCH_H
#define TOOLS_BENCH_H

#include "command.h"

#include <fairlead/base/buf.h>

#define CLASS "6661cafe-0000-4000-8000-00000000c1a5"

extern char bench_dir[256];
/* What the last fairlead() printed. */
extern char *bench_out, *bench_errors;

/* A new working folder; gone after the test. */
void bench_open(void);
void bench_close(void);

/* Runs `fairlead ARGS…` (NULL ends them); its exit code. */
int fairlead_(const char *const *args);
#define fairlead(...) fairlead_((const char *const[]){__VA_ARGS__, NULL})
/* Did the last call say so on standard error? */
bool told(const char *text);

void write_file(const char *path, const void *data, size_t len);
/* The whole file; free with free. */
uint8_t *read_whole(const char *path, size_t *len);
void flip_bit(const char *path, size_t byte);
bool is_there(const char *path);

/* An ext4 image of 2 MiB with that image-info (NULL: none), and some random bytes. */
void make_ext4(const char *path, const char *info);
/* The image-info of product gw, component rootfs. */
const char *info_of(const char *version, int release_seq, int security_version);

/* The name of the only file in a folder, as a path. */
const char *only_file(const char *dir);
/* Keys in "keys", image "v1.ext4" (1.0.0, 1, 1), release "r1" of it, unsigned. */
void make_release(void);

#endif
