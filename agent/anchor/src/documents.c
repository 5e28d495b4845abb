/* SPDX-License-Identifier: Apache-2.0 */
/* Documents beside the anchor: DIR/<digest in hex>, its bytes in docs/internals/anchor.md. */
#include "documents.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>
#include <fairlead/trust/digest.h>

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

static const char magic[8] = {'F', 'L', 'D', 'O', 'C', 'U', 'M', '1'};

#define HEAD_SIZE (sizeof(magic) + 4 + 4 + 4) /* type, signatures, payload's length */
#define SIG_ROW	  (FL_DIGEST_SIZE + FL_SIG_SIZE)
#define FILE_MAX  (HEAD_SIZE + FL_SIGS_MAX * SIG_ROW + FL_DOC_PAYLOAD_MAX)
#define HEX_LEN	  ((size_t)2 * FL_DIGEST_SIZE)

static void put32(uint8_t *p, size_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static enum fl_rc write_document(const struct fl_envelope *env, struct fl_buf *out,
				 struct fl_err *err)
{
	uint8_t head[HEAD_SIZE];
	memcpy(head, magic, sizeof(magic));
	put32(head + 8, (size_t)env->type);
	put32(head + 12, env->n_sigs);
	put32(head + 16, env->payload.len);
	enum fl_rc rc = fl_buf_append(out, head, sizeof(head), err);
	for (size_t i = 0; i < env->n_sigs && rc == FL_OK; i++) {
		rc = fl_buf_append(out, env->sigs[i].keyid.b, FL_DIGEST_SIZE, err);
		if (rc == FL_OK)
			rc = fl_buf_append(out, env->sigs[i].sig, FL_SIG_SIZE, err);
	}
	if (rc == FL_OK)
		rc = fl_buf_append(out, env->payload.data, env->payload.len, err);
	return rc;
}

enum fl_rc fl_documents_keep(const char *dir, const struct fl_envelope *env, struct fl_err *err)
{
	char name[FL_DIGEST_HEX_SIZE];
	char path[PATH_MAX];
	struct fl_digest digest;
	struct fl_buf out = FL_BUF(FILE_MAX);
	FL_BUG_ON(env->n_sigs > FL_SIGS_MAX);
	enum fl_rc rc = fl_sha256(NULL, 0, env->payload.data, env->payload.len, &digest, err);
	if (rc != FL_OK)
		return rc;
	fl_hex_encode(digest.b, sizeof(digest.b), name);
	rc = fl_path_join(path, sizeof(path), dir, name, err);
	if (rc == FL_OK)
		rc = write_document(env, &out, err);
	if (rc == FL_OK)
		rc = fl_file_replace(path, out.data, out.len, 0600, err);
	fl_buf_free(&out);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "keep a document");
}

static bool read_document(const struct fl_buf *in, struct fl_arena *arena, struct fl_envelope *ret,
			  struct fl_err *err)
{
	if (in->len < HEAD_SIZE || memcmp(in->data, magic, sizeof(magic)) != 0)
		return false;
	size_t n_sigs = get32(in->data + 12);
	size_t payload = get32(in->data + 16);
	if (n_sigs > FL_SIGS_MAX || in->len - HEAD_SIZE < n_sigs * SIG_ROW ||
	    in->len - HEAD_SIZE - n_sigs * SIG_ROW != payload)
		return false;
	struct fl_envelope env = {.type = (enum fl_doc_type)get32(in->data + 8), .n_sigs = n_sigs};
	const uint8_t *p = in->data + HEAD_SIZE;
	for (size_t i = 0; i < n_sigs; i++, p += SIG_ROW) {
		memcpy(env.sigs[i].keyid.b, p, FL_DIGEST_SIZE);
		memcpy(env.sigs[i].sig, p + FL_DIGEST_SIZE, FL_SIG_SIZE);
	}
	env.payload.data = (const uint8_t *)fl_arena_copy(arena, p, payload, err);
	env.payload.len = payload;
	*ret = env;
	return env.payload.data != NULL;
}

/* "<hex>" of the file whose digest starts with id. */
static bool find_name(const char *dir, const struct fl_anchor_id *id,
		      char name[FL_DIGEST_HEX_SIZE])
{
	char prefix[2 * sizeof(id->b) + 1];
	bool found = false;
	fl_hex_encode(id->b, sizeof(id->b), prefix);
	DIR *d = opendir(dir);
	if (d == NULL)
		return false;
	for (const struct dirent *e = readdir(d); e != NULL && !found; e = readdir(d)) {
		found = strlen(e->d_name) == HEX_LEN &&
			strncmp(e->d_name, prefix, sizeof(prefix) - 1) == 0;
		if (found)
			memcpy(name, e->d_name, HEX_LEN + 1);
	}
	closedir(d);
	return found;
}

enum fl_rc fl_documents_fetch(const char *dir, const struct fl_anchor_id *id,
			      struct fl_arena *arena, struct fl_envelope *ret,
			      struct fl_digest *digest, struct fl_err *err)
{
	char name[FL_DIGEST_HEX_SIZE];
	char path[PATH_MAX];
	struct fl_digest want;
	struct fl_digest is;
	struct fl_envelope env;
	struct fl_buf in = FL_BUF(FILE_MAX);
	if (fl_anchor_id_is_zero(id) || !find_name(dir, id, name) ||
	    !fl_hex_decode(name, HEX_LEN, want.b, sizeof(want.b)))
		return fl_fail(err, FL_E_NOT_FOUND, 0, "no such document beside the anchor");
	enum fl_rc rc = fl_path_join(path, sizeof(path), dir, name, err);
	if (rc == FL_OK)
		rc = fl_file_read(path, &in, err);
	if (rc == FL_OK && !read_document(&in, arena, &env, err))
		rc = fl_fail(err, FL_E_CORRUPT, 0, "'%s'", path);
	fl_buf_free(&in);
	if (rc == FL_OK)
		rc = fl_sha256(NULL, 0, env.payload.data, env.payload.len, &is, err);
	if (rc == FL_OK && !fl_digest_equal(&is, &want))
		rc = fl_fail(err, FL_E_CORRUPT, 0, "'%s': not what its name says", path);
	if (rc != FL_OK)
		return rc;
	*ret = env;
	if (digest != NULL)
		*digest = is;
	return FL_OK;
}

static bool names(const struct fl_anchor *a, const struct fl_anchor_id *id)
{
	struct fl_anchor_id root = fl_anchor_id(&a->root);
	bool found = fl_anchor_id_equal(id, &root);
	for (size_t i = 0; i < FL_ANCHOR_JOBS && !found; i++)
		found = fl_anchor_id_equal(id, &a->jobs[i].job) ||
			fl_anchor_id_equal(id, &a->jobs[i].release);
	for (size_t i = 0; i < a->n_components && !found; i++)
		found = fl_anchor_id_equal(id, &a->components[i].release);
	return found;
}

/* A name of ours that nothing needs: a document no anchor names, or the rest of a cut-off write. */
static bool is_garbage(const char *name, const struct fl_anchor *const *anchors, size_t n)
{
	struct fl_digest digest;
	size_t len = strlen(name);
	if (len < HEX_LEN || !fl_hex_decode(name, HEX_LEN, digest.b, sizeof(digest.b)))
		return false;
	if (len > HEX_LEN)
		return strcmp(name + HEX_LEN, ".new") == 0;
	struct fl_anchor_id id = fl_anchor_id(&digest);
	for (size_t i = 0; i < n; i++) {
		if (names(anchors[i], &id))
			return false;
	}
	return true;
}

void fl_documents_sweep(const char *dir, const struct fl_anchor *const *anchors, size_t n)
{
	DIR *d = opendir(dir);
	if (d == NULL)
		return;
	for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		if (is_garbage(e->d_name, anchors, n) && unlinkat(dirfd(d), e->d_name, 0) != 0)
			fl_log(FL_LOG_WARNING, "anchor: remove '%s': errno %d", e->d_name, errno);
	}
	closedir(d);
}
