/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Releases: what `create` makes is recomputed here from the formats page and not by the code that
 * made it; what `sign`, `verify` and `publish` must refuse.
 */
#include "bench.h"
#include "release.h"

#include <fairlead/artifact/frames.h>
#include <fairlead/trust/tree.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

TestSuite(tools_release, .init = bench_open, .fini = bench_close);

#define CHUNK 65536u

static void put_u64(uint8_t *out, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t)(v >> (56 - 8 * i));
}

static void put_u32(uint8_t *out, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* SHA-256(tag ‖ level ‖ u64be index ‖ u32be len ‖ data): docs/formats.md, section 4. */
static void node(uint8_t tag, uint8_t level, uint64_t index, const void *data, size_t len,
		 struct fl_digest *ret)
{
	uint8_t head[14] = {tag, level};
	struct fl_err err;
	put_u64(head + 2, index);
	put_u32(head + 10, (uint32_t)len);
	cr_assert_eq(fl_sha256(head, sizeof(head), data, len, ret, &err), FL_OK);
}

/* The root of a content of at most 2,048 chunks: one page. */
static struct fl_digest root_by_hand(const uint8_t *data, size_t len)
{
	static uint8_t page[2048 * 32];
	struct fl_digest leaf, root;
	size_t n = len == 0 ? 1 : (len + CHUNK - 1) / CHUNK;
	cr_assert_leq(n, 2048);
	for (size_t i = 0; i < n; i++) {
		size_t left = len - i * CHUNK;
		node(0, 0, i, data + i * CHUNK, left < CHUNK ? left : CHUNK, &leaf);
		memcpy(page + 32 * i, leaf.b, 32);
	}
	uint8_t top[44];
	put_u32(top, CHUNK);
	put_u64(top + 4, len);
	node(1, 1, 0, page, 32 * n, &leaf);
	memcpy(top + 12, leaf.b, 32);
	node(2, 0, 0, top, sizeof(top), &root);
	return root;
}

static struct fl_tools_release release;

static const struct fl_component *open_release(const char *dir)
{
	struct fl_err err = {0};
	cr_assert_eq(fl_tools_release_open(dir, &release, &err), FL_OK, "%s", err.msg);
	return &release.doc.components.items[0];
}

static uint8_t *read_blob(const char *dir, const struct fl_digest *root, size_t *len)
{
	char path[FL_TOOLS_PATH_MAX];
	struct fl_err err = {0};
	cr_assert_eq(fl_tools_content_path(dir, FL_TOOLS_BLOB, root, path, &err), FL_OK);
	return read_whole(path, len);
}

Test(tools_release, both_trees_are_those_of_the_bytes)
{
	size_t image_len, blob_len;
	make_release();
	const struct fl_component *c = open_release("r1");
	uint8_t *image = read_whole("v1.ext4", &image_len);
	uint8_t *blob = read_blob("r1", &c->artifacts.items[0].tree->root, &blob_len);
	struct fl_digest installed = root_by_hand(image, image_len);
	struct fl_digest transport = root_by_hand(blob, blob_len);
	cr_assert_eq(c->installed->size, image_len);
	cr_assert_eq(c->artifacts.items[0].size, blob_len);
	cr_assert(fl_digest_equal(&c->installed->tree->root, &installed));
	cr_assert(fl_digest_equal(&c->artifacts.items[0].tree->root, &transport));
	free(image);
	free(blob);
	fl_tools_release_close(&release);
}

static void decode_frame(struct fl_frames *frames, struct fl_frames_decoder *decoder, uint32_t k,
			 const uint8_t *blob, const uint8_t *image)
{
	static uint8_t out[CHUNK];
	struct fl_err err = {0};
	uint64_t offset;
	uint32_t length, len = fl_frames_image_len(frames, k);
	fl_frames_locate(frames, k, &offset, &length);
	cr_assert_eq(fl_frames_decode(decoder, blob + offset, length, out, len, &err), FL_OK, "%s",
		     err.msg);
	cr_assert_eq(memcmp(out, image + (size_t)k * CHUNK, len), 0, "frame %u", k);
}

Test(tools_release, frames_decode_back_to_the_image)
{
	size_t image_len, blob_len;
	struct fl_err err = {0};
	make_release();
	const struct fl_component *c = open_release("r1");
	uint8_t *image = read_whole("v1.ext4", &image_len);
	uint8_t *blob = read_blob("r1", &c->artifacts.items[0].tree->root, &blob_len);
	cr_assert_eq(c->artifacts.items[0].frame, CHUNK);
	const struct fl_frames_claim claim = {image_len, blob_len, CHUNK};
	struct fl_frames *frames = NULL;
	struct fl_frames_decoder *decoder = NULL;
	cr_assert_eq(fl_frames_new(&claim, &frames, &err), FL_OK);
	cr_assert_eq(fl_frames_decoder_new(&decoder, &err), FL_OK);
	cr_assert_eq(fl_frames_feed(frames, blob, fl_frames_table_size(frames), &err), FL_OK);
	cr_assert_eq(fl_frames_count(frames), image_len / CHUNK);
	for (uint32_t k = 0; k < fl_frames_count(frames); k++)
		decode_frame(frames, decoder, k, blob, image);
	fl_frames_decoder_free(decoder);
	fl_frames_free(frames);
	free(image);
	free(blob);
	fl_tools_release_close(&release);
}

/* Makes a release of v1.ext4 in dir, with more options. */
static int create_(const char *dir, const char *version, const char *const *more)
{
	const char *args[48] = {"release",   "create", "--product",   "gw",
				"--version", version,  "--component", "rootfs=v1.ext4",
				"--class",   CLASS,    "--hw-rev",    "1-3",
				"-o",	     dir};
	size_t n = 14;
	for (; *more != NULL; more++)
		args[n++] = *more;
	return fairlead_(args);
}
#define create(dir, version, ...) create_(dir, version, (const char *const[]){__VA_ARGS__, NULL})

Test(tools_release, the_document_says_what_was_asked_for)
{
	make_ext4("v1.ext4", info_of("1.0.0", 5, 2));
	cr_assert_eq(
		create("r", "1.0.0", "--reach", "fleet,local", "--deadline-s", "90", "--kind",
		       "security", "--permits-rollback-to",
		       "sha256:1111111111111111111111111111111111111111111111111111111111111111",
		       "--expires-days", "10", "--notes-url", "https://x/"),
		0, "%s", bench_errors);
	const struct fl_component *c = open_release("r");
	const struct fl_release *doc = &release.doc;
	cr_assert_eq(release.env.n_sigs, 0);
	cr_assert_str_eq(doc->product, "gw");
	cr_assert_str_eq(doc->kind, "security");
	cr_assert_str_eq(doc->notes_url, "https://x/");
	cr_assert_eq(doc->expires - doc->created, 864000);
	cr_assert_eq(doc->compat->hw_rev_min, 1);
	cr_assert_eq(doc->compat->hw_rev_max, 3);
	cr_assert_str_eq(doc->compat->class_ids.items[0], CLASS);
	cr_assert_eq(doc->set->health->reach.n, 2);
	cr_assert_str_eq(doc->set->health->reach.items[1], "local");
	cr_assert_eq(doc->set->health->deadline_s, 90);
	cr_assert_eq(doc->permits_rollback_to.n, 1);
	cr_assert_str_eq(c->handler, "rootfs");
	cr_assert_str_eq(c->restart, "host");
	cr_assert_eq(c->release_seq, 5, "from the image");
	cr_assert_eq(c->security_version, 2, "from the image");
	fl_tools_release_close(&release);
}

#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

Test(tools_release, the_document_says_what_a_trial_must_show)
{
	make_ext4("v1.ext4", info_of("1.0.0", 5, 2));
	cr_assert_eq(create("r", "1.0.0", "--unit", "nginx.service", "--unit", "app.service",
			    "--soak-s", "7200", "--soak-limit", "memory=120", "--soak-limit",
			    "restarts=0", "--slot-fill", "rootfs=zero", "--verity-root",
			    "rootfs=" HEX64),
		     0, "%s", bench_errors);
	const struct fl_component *c = open_release("r");
	const struct fl_health *health = release.doc.set->health;
	cr_assert_eq(health->units.n, 2);
	cr_assert_str_eq(health->units.items[1], "app.service");
	cr_assert_eq(health->soak->duration_s, 7200);
	cr_assert_eq(health->soak->memory_pct, 120);
	cr_assert_eq(health->soak->load_pct, 300, "unless told otherwise");
	cr_assert_eq(health->soak->restarts, 0);
	cr_assert_str_eq(c->installed->slot_fill, "zero");
	cr_assert(c->installed->verity_root.b[1] == 0x11 &&
		  c->installed->verity_root.b[31] == 0xff);
	fl_tools_release_close(&release);
}

Test(tools_release, what_no_trial_could_show_is_refused)
{
	static const char *const odd[][4] = {
		{"--unit", "nginx"},
		{"--soak-s", "59"},
		{"--soak-limit", "memory=150"},
		{"--soak-s", "60", "--soak-limit", "memory=99"},
		{"--soak-s", "60", "--soak-limit", "disk=1"},
		{"--slot-fill", "rootfs=random"},
		{"--slot-fill", "other=zero"},
		{"--verity-root", "rootfs=00ff"},
	};
	make_ext4("v1.ext4", info_of("1.0.0", 5, 2));
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		cr_assert_neq(create("r", "1.0.0", odd[i][0], odd[i][1], odd[i][2], odd[i][3]), 0,
			      "%s %s", odd[i][0], odd[i][1]);
}

Test(tools_release, the_same_input_gives_the_same_release)
{
	make_ext4("v1.ext4", info_of("1.0.0", 1, 1));
	setenv("SOURCE_DATE_EPOCH", "1735689600", 1);
	cr_assert_eq(create("a", "1.0.0", NULL), 0, "%s", bench_errors);
	cr_assert_eq(create("b", "1.0.0", NULL), 0, "%s", bench_errors);
	cr_assert_eq(create("c", "1.0.0", "--deadline-s", "60"), 0, "%s", bench_errors);
	size_t a_len, b_len;
	uint8_t *a = read_whole("a/release.json", &a_len);
	uint8_t *b = read_whole("b/release.json", &b_len);
	cr_assert(a_len == b_len && memcmp(a, b, a_len) == 0);
	free(a);
	free(b);
	char id[40];
	(void)open_release("a");
	(void)snprintf(id, sizeof(id), "%s", release.doc.release_id);
	fl_tools_release_close(&release);
	(void)open_release("c");
	cr_assert_str_neq(id, release.doc.release_id, "another release has another id");
	fl_tools_release_close(&release);
}

Test(tools_release, an_image_of_something_else_is_refused)
{
	make_ext4("v1.ext4", info_of("1.0.0", 5, 2));
	cr_assert_eq(create("r", "1.0.1", NULL), FL_TOOLS_FAILED);
	cr_assert(told("[image_info]"));
	cr_assert_eq(create("r", "1.0.0", "--release-seq", "6"), FL_TOOLS_FAILED);
	cr_assert(told("[image_info]"));
	cr_assert_eq(create("r", "1.0.0", "--security-version", "1"), FL_TOOLS_FAILED);
	cr_assert(told("[image_info]"));
	cr_assert_eq(fairlead("release", "create", "--product", "gx", "--version", "1.0.0",
			      "--component", "rootfs=v1.ext4", "--class", CLASS, "--hw-rev", "1",
			      "-o", "r"),
		     FL_TOOLS_FAILED);
	cr_assert(told("[image_info]"));
	cr_assert_eq(fairlead("release", "create", "--product", "gw", "--version", "1.0.0",
			      "--component", "app=v1.ext4", "--class", CLASS, "--hw-rev", "1", "-o",
			      "r"),
		     FL_TOOLS_FAILED);
	cr_assert(told("[image_info]"));
	make_ext4("v1.ext4", NULL);
	cr_assert_eq(create("r", "1.0.0", "--release-seq", "5", "--security-version", "2"),
		     FL_TOOLS_FAILED, "a system image tells its numbers itself");
	cr_assert(told("[image_info]"));
	cr_assert_not(is_there("r"), "nothing was made");
	cr_assert_eq(create("r", "1.0.0", "--release-seq", "0"), FL_TOOLS_FAILED);
}

Test(tools_release, what_has_no_image_info_needs_its_numbers)
{
	write_file("fw.bin", "firmware", 8);
	cr_assert_eq(fairlead("release", "create", "--product", "gw", "--version", "1.0.0",
			      "--component", "meter=fw.bin", "--handler", "meter=mcu", "--class",
			      CLASS, "--hw-rev", "1-1", "-o", "r"),
		     FL_TOOLS_USAGE);
	cr_assert_eq(fairlead("release", "create", "--product", "gw", "--version", "1.0.0",
			      "--component", "meter=fw.bin", "--handler", "meter=mcu",
			      "--component-version", "meter=9.9", "--class", CLASS, "--hw-rev",
			      "1-1", "--release-seq", "4", "--security-version", "1", "-o", "r"),
		     0, "%s", bench_errors);
	const struct fl_component *c = open_release("r");
	cr_assert_str_eq(c->handler, "mcu");
	cr_assert_str_eq(c->version, "9.9");
	cr_assert_str_eq(c->restart, "component");
	cr_assert_eq(c->release_seq, 4);
	fl_tools_release_close(&release);
}

Test(tools_release, several_components_keep_their_order)
{
	make_ext4("v1.ext4", info_of("1.0.0", 4, 1));
	write_file("fw.bin", "firmware", 8);
	cr_assert_eq(create("r", "1.0.0", "--component", "a-script=fw.bin", "--handler",
			    "a-script=script", "--release-seq", "4", "--security-version", "1"),
		     0, "%s", bench_errors);
	(void)open_release("r");
	cr_assert_eq(release.doc.components.n, 2);
	cr_assert_str_eq(release.doc.set->order.items[0], "rootfs");
	cr_assert_str_eq(release.doc.set->order.items[1], "a-script");
	cr_assert_str_eq(release.doc.components.items[1].restart, "none");
	fl_tools_release_close(&release);
}

Test(tools_release, wrong_options)
{
	make_ext4("v1.ext4", info_of("1.0.0", 1, 1));
	cr_assert_eq(create("r", "1.0.0", "--handler", "typo=mcu"), FL_TOOLS_USAGE);
	cr_assert(told("no --component 'typo'"));
	cr_assert_eq(create("r", "1.0.0", "--component", "rootfs=v1.ext4"), FL_TOOLS_USAGE);
	cr_assert_eq(create("r", "1.0.0", "--component", "noimage"), FL_TOOLS_USAGE);
	cr_assert_eq(create("r", "1.0.0", "--component", "../x=v1.ext4"), FL_TOOLS_USAGE);
	cr_assert_eq(create("r", "1.0.0", "--hw-rev", "3-1"), FL_TOOLS_USAGE);
	cr_assert_eq(create("r", "1.0.0", "--hw-rev", "a"), FL_TOOLS_USAGE);
	cr_assert_eq(create("r", "1.0.0", "--deadline-s", "29"), FL_TOOLS_USAGE);
	cr_assert_eq(create("r", "1.0.0", "--permits-rollback-to", "x"), FL_TOOLS_USAGE);
	cr_assert_eq(create("r", "1.0.0", "--class", "not-a-uuid"), FL_TOOLS_USAGE);
	cr_assert_eq(create("r", "1.0.0", "--reach", "fleet,bogus"), FL_TOOLS_USAGE);
	cr_assert_eq(create("r", "1.0.0", "--kind", "bogus"), FL_TOOLS_USAGE);
	cr_assert_eq(create("r", "1.0.0", "--frame", "100000"), FL_TOOLS_USAGE);
	cr_assert_not(is_there("r"), "nothing was made");
	cr_assert_eq(create("r", "1.0.0", NULL), 0);
	cr_assert_eq(create("r", "1.0.0", NULL), FL_TOOLS_FAILED, "a release is never replaced");
	cr_assert(told("[exists]"));
}

static int sign(void)
{
	return fairlead("release", "sign", "r1", "--key", "keys/release.key");
}

static int verify(void)
{
	return fairlead("release", "verify", "r1", "--root", "keys/root.json");
}

Test(tools_release, signed_and_verified)
{
	make_release();
	cr_assert_eq(verify(), FL_TOOLS_FAILED, "unsigned");
	cr_assert_eq(sign(), 0, "%s", bench_errors);
	cr_assert_not_null(strstr(bench_out, "rootfs"), "it says what it signs");
	cr_assert_not_null(strstr(bench_out, "1.0.0"));
	cr_assert_eq(verify(), 0, "%s", bench_errors);
	cr_assert_eq(sign(), 0);
	(void)open_release("r1");
	cr_assert_eq(release.env.n_sigs, 1, "renewed, not doubled");
	fl_tools_release_close(&release);
	cr_assert_eq(fairlead("release", "verify", "r1/release.json", "--root", "keys/root.json"),
		     0);
}

Test(tools_release, only_the_release_keys_of_that_root_count)
{
	make_release();
	cr_assert_eq(fairlead("keys", "init", "other", "--product", "gw"), 0);
	cr_assert_eq(fairlead("keys", "init", "scoped", "--product", "another"), 0);
	cr_assert_eq(fairlead("release", "sign", "r1", "--key", "keys/dispatch.key"), 0);
	cr_assert_eq(verify(), FL_TOOLS_FAILED);
	cr_assert_eq(fairlead("release", "sign", "r1", "--key", "other/release.key"), 0);
	cr_assert_eq(verify(), FL_TOOLS_FAILED);
	cr_assert_eq(fairlead("release", "sign", "r1", "--key", "scoped/release.key"), 0);
	cr_assert_eq(fairlead("release", "verify", "r1", "--root", "scoped/root.json"),
		     FL_TOOLS_FAILED, "signed for another product");
	cr_assert_eq(sign(), 0);
	cr_assert_eq(verify(), 0, "%s", bench_errors);
}

static size_t size_of(const char *path)
{
	struct stat st;
	cr_assert_eq(stat(path, &st), 0);
	return (size_t)st.st_size;
}

/* No signature, and no file changed, however it was asked for. */
static void expect_unsigned(const char *why)
{
	cr_assert_eq(sign(), FL_TOOLS_FAILED, "%s", why);
	cr_assert_eq(fairlead("release", "sign", "r1/release.json", "--key", "keys/release.key"),
		     FL_TOOLS_FAILED, "%s", why);
	cr_assert_eq(fairlead("keys", "sign", "r1/release.json", "--key", "keys/release.key"),
		     FL_TOOLS_FAILED, "%s", why);
	(void)open_release("r1");
	cr_assert_eq(release.env.n_sigs, 0, "%s", why);
	fl_tools_release_close(&release);
}

Test(tools_release, no_bit_of_the_blob_may_differ_when_it_is_signed)
{
	make_release();
	char blob[600];
	(void)snprintf(blob, sizeof(blob), "%s", only_file("r1/blobs/sha256-wide1"));
	size_t len = size_of(blob);
	for (size_t byte = 0; byte < len; byte += len / 7) {
		flip_bit(blob, byte);
		expect_unsigned("a flipped bit");
		flip_bit(blob, byte);
	}
	cr_assert_eq(sign(), 0, "%s", bench_errors);
}

Test(tools_release, trees_and_sizes_are_checked_too)
{
	struct fl_err err = {0};
	char tree[2][FL_TOOLS_PATH_MAX];
	make_release();
	const struct fl_component *c = open_release("r1");
	cr_assert_eq(fl_tools_content_path("r1", FL_TOOLS_TREE, &c->installed->tree->root, tree[0],
					   &err),
		     FL_OK);
	cr_assert_eq(fl_tools_content_path("r1", FL_TOOLS_TREE, &c->artifacts.items[0].tree->root,
					   tree[1], &err),
		     FL_OK);
	fl_tools_release_close(&release);
	for (int i = 0; i < 2; i++) {
		flip_bit(tree[i], 33);
		expect_unsigned("a flipped bit in a tree");
		flip_bit(tree[i], 33);
	}
	const char *blob = only_file("r1/blobs/sha256-wide1");
	size_t len;
	uint8_t *data = read_whole(blob, &len);
	write_file(blob, data, len - 1);
	expect_unsigned("a blob cut short");
	write_file(blob, data, len);
	cr_assert_eq(remove(tree[0]), 0);
	expect_unsigned("a tree that lacks");
	free(data);
}

/* A document whose installed tree is that of another image: only decoding the blob can tell. */
Test(tools_release, the_blob_must_decode_to_the_installed_tree)
{
	make_release();
	make_ext4("v1.ext4", info_of("1.0.0", 1, 1));
	flip_bit("v1.ext4", (2u << 20) - 1);
	cr_assert_eq(fairlead("release", "create", "--product", "gw", "--version", "1.0.0",
			      "--component", "rootfs=v1.ext4", "--class", CLASS, "--hw-rev", "1-3",
			      "--frame", "65536", "-o", "r2"),
		     0, "%s", bench_errors);
	struct fl_tools_release one, two;
	struct fl_err err = {0};
	cr_assert_eq(fl_tools_release_open("r1", &one, &err), FL_OK);
	cr_assert_eq(fl_tools_release_open("r2", &two, &err), FL_OK);
	const struct fl_component *a = one.doc.components.items, *b = two.doc.components.items;
	cr_assert_not(fl_digest_equal(&a->installed->tree->root, &b->installed->tree->root));
	cr_assert_eq(fl_tools_content_check("r1", a->artifacts.items, a->installed, &err), FL_OK);
	cr_assert_eq(fl_tools_content_check("r1", a->artifacts.items, b->installed, &err),
		     FL_E_CHUNK_MISMATCH);
	struct fl_installed_ref longer = *a->installed;
	longer.size += 1;
	cr_assert_neq(fl_tools_content_check("r1", a->artifacts.items, &longer, &err), FL_OK);
	fl_tools_release_close(&one);
	fl_tools_release_close(&two);
}

static void copy_content(const char *from_dir, const struct fl_digest *from, const char *to_dir,
			 const struct fl_digest *to)
{
	char source[FL_TOOLS_PATH_MAX], target[FL_TOOLS_PATH_MAX];
	struct fl_err err;
	for (int content = FL_TOOLS_BLOB; content <= FL_TOOLS_TREE; content++) {
		size_t len;
		cr_assert_eq(fl_tools_content_path(from_dir, content, from, source, &err), FL_OK);
		cr_assert_eq(fl_tools_content_path(to_dir, content, to, target, &err), FL_OK);
		uint8_t *data = read_whole(source, &len);
		write_file(target, data, len);
		free(data);
	}
}

/* Another packing of the same image under the name of the first: only its own tree can tell. */
Test(tools_release, the_blob_must_be_the_one_that_is_named)
{
	struct fl_tools_release one, two;
	struct fl_err err = {0};
	make_release();
	cr_assert_eq(create("r2", "1.0.0", "--frame", "65536", "--level", "1"), 0, "%s",
		     bench_errors);
	cr_assert_eq(fl_tools_release_open("r1", &one, &err), FL_OK);
	cr_assert_eq(fl_tools_release_open("r2", &two, &err), FL_OK);
	const struct fl_component *a = one.doc.components.items, *b = two.doc.components.items;
	struct fl_artifact claimed = *a->artifacts.items;
	claimed.size = b->artifacts.items->size;
	cr_assert_not(fl_digest_equal(&claimed.tree->root, &b->artifacts.items->tree->root));
	copy_content("r2", &b->artifacts.items->tree->root, "r1", &claimed.tree->root);
	cr_assert_eq(fl_tools_content_check("r1", &claimed, a->installed, &err),
		     FL_E_CHUNK_MISMATCH);
	fl_tools_release_close(&one);
	fl_tools_release_close(&two);
}

Test(tools_release, verification_covers_the_content)
{
	make_release();
	cr_assert_eq(sign(), 0);
	cr_assert_eq(verify(), 0, "%s", bench_errors);
	flip_bit(only_file("r1/blobs/sha256-wide1"), 400);
	cr_assert_eq(verify(), FL_TOOLS_FAILED);
	cr_assert(told("[chunk_mismatch]"), "%s", bench_errors);
}

Test(tools_release, a_changed_blob_is_not_published)
{
	make_release();
	cr_assert_eq(sign(), 0);
	write_file("token", "abc", 3);
	write_file("ca.pem", "", 0);
	setenv("FAIRLEAD_FLEET", "https://127.0.0.1:1", 1);
	setenv("FAIRLEAD_TOKEN_FILE", "token", 1);
	setenv("FAIRLEAD_CA", "ca.pem", 1);
	flip_bit(only_file("r1/blobs/sha256-wide1"), 400);
	cr_assert_eq(fairlead("release", "publish", "r1"), FL_TOOLS_FAILED);
	cr_assert(told("[chunk_mismatch]"), "%s", bench_errors);
	flip_bit(only_file("r1/blobs/sha256-wide1"), 400);
	cr_assert_eq(fairlead("release", "publish", "r1"), FL_TOOLS_UNREACHABLE, "%s",
		     bench_errors);
}

Test(tools_release, an_unsigned_release_is_not_published)
{
	make_release();
	cr_assert_eq(fairlead("release", "publish", "r1"), FL_TOOLS_FAILED);
	cr_assert(told("[signature]"));
}

Test(tools_release, show_as_text_and_json)
{
	make_release();
	cr_assert_eq(fairlead("release", "show", "r1"), 0);
	cr_assert_not_null(strstr(bench_out, "nobody yet"));
	cr_assert_eq(fairlead("release", "show", "r1", "--json"), 0);
	cr_assert_eq(strncmp(bench_out, "{\"digest\":\"sha256:", 18), 0);
	cr_assert_eq(fairlead("release", "show", "missing"), FL_TOOLS_NOTHING);
	cr_assert_eq(fairlead("release", "show", "keys/root.json"), FL_TOOLS_FAILED);
}
