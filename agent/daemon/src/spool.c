/* SPDX-License-Identifier: Apache-2.0 */
#include "spool.h"

#include "agent.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY_S	   86400
#define BLOCK	   512u /* of st_blocks, stat(2) */
#define NAME_CHARS (FL_DIGEST_HEX_SIZE - 1 + sizeof(".blob") - 1)

void fl_spool_path(const char *dir, enum fl_spool_kind kind, const struct fl_digest *root,
		   char ret[FL_SPOOL_PATH_MAX])
{
	char hex[FL_DIGEST_HEX_SIZE];
	fl_hex_encode(root->b, sizeof(root->b), hex);
	(void)snprintf(ret, FL_SPOOL_PATH_MAX, "%s/%s.%s", dir, hex,
		       kind == FL_SPOOL_BLOB ? "blob" : "tree");
}

/* ---- who uses what ---------------------------------------------------------------------------------------- */

static bool component_uses(const struct fl_component *c, const struct fl_digest *root)
{
	bool uses = c->installed != NULL && fl_digest_equal(&c->installed->tree->root, root);
	for (size_t i = 0; i < c->artifacts.n && !uses; i++)
		uses = fl_digest_equal(&c->artifacts.items[i].tree->root, root);
	return uses;
}

/* A job whose release isn't known yet may use anything. */
static bool job_uses(const struct fl_job_run *run, const struct fl_digest *root)
{
	bool uses = !run->has_release;
	for (size_t i = 0; i < run->release.components.n && !uses; i++)
		uses = component_uses(&run->release.components.items[i], root);
	return uses;
}

static bool in_use(const struct fl_agent *agent, const struct fl_digest *root)
{
	for (const struct fl_job_run *run = agent->jobs.first; run != NULL; run = run->next) {
		if (!fl_job_state_final(run->row.state) && job_uses(run, root))
			return true;
	}
	return false;
}

/* ---- the folder ------------------------------------------------------------------------------------------- */

struct file {
	char name[NAME_CHARS + 1];
	struct fl_digest root;
	uint64_t bytes; /* on the disk */
	int64_t used_s; /* last */
};

/* Only names that this module gives; whatever else stands there is nobody's. */
static bool look_at(int dir, const char *name, struct file *ret)
{
	struct stat st;
	const size_t hex = FL_DIGEST_HEX_SIZE - 1;
	if (strlen(name) != NAME_CHARS || !fl_hex_decode(name, hex, ret->root.b, sizeof(ret->root.b)) ||
	    (strcmp(name + hex, ".blob") != 0 && strcmp(name + hex, ".tree") != 0) ||
	    fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	memcpy(ret->name, name, sizeof(ret->name));
	ret->bytes = (uint64_t)st.st_blocks * BLOCK;
	ret->used_s = st.st_mtim.tv_sec;
	return true;
}

typedef void visit_fn(void *ctx, int dir, const struct file *file);

static void visit(const struct fl_agent *agent, visit_fn *fn, void *ctx)
{
	struct file file;
	const struct dirent *entry;
	DIR *dir = opendir(agent->config.spool_dir);
	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL) {
		if (look_at(dirfd(dir), entry->d_name, &file))
			fn(ctx, dirfd(dir), &file);
	}
	(void)closedir(dir);
}

static void drop(int dir, const struct file *file)
{
	if (unlinkat(dir, file->name, 0) == 0)
		fl_log(FL_LOG_INFO, "spool: %s removed, %" PRIu64 " bytes", file->name, file->bytes);
}

/* ---- removal by age --------------------------------------------------------------------------------------- */

static void drop_old(void *ctx, int dir, const struct file *file)
{
	const struct fl_agent *agent = ctx;
	const int64_t age_s = (int64_t)fl_agent_now_s(agent) - file->used_s;
	if (age_s >= (int64_t)agent->config.spool_keep_days * DAY_S && !in_use(agent, &file->root))
		drop(dir, file);
}

void fl_spool_sweep(struct fl_agent *agent)
{
	if (agent->config.spool_keep_days == 0 || fl_agent_knows_time(agent))
		visit(agent, drop_old, agent);
}

/* ---- room ------------------------------------------------------------------------------------------------- */

struct census {
	const struct fl_agent *agent;
	const struct fl_digest *wanted; /* not counted: it is what the room is for */
	uint64_t bytes, kept_bytes;	/* of all, and of those that open jobs use */
	struct file oldest;		/* of the others; name "": none */
};

static void count(void *ctx, int dir, const struct file *file)
{
	struct census *c = ctx;
	(void)dir;
	if (fl_digest_equal(&file->root, c->wanted))
		return;
	c->bytes += file->bytes;
	if (in_use(c->agent, &file->root))
		c->kept_bytes += file->bytes;
	else if (c->oldest.name[0] == '\0' || file->used_s < c->oldest.used_s)
		c->oldest = *file;
}

static struct census take_census(const struct fl_agent *agent, const struct fl_digest *wanted)
{
	struct census c = {.agent = agent, .wanted = wanted};
	visit(agent, count, &c);
	return c;
}

/* The least recently used one goes; false: open jobs use all that is there. */
static bool drop_oldest(const struct fl_agent *agent, const struct census *c)
{
	FL_AUTO_FD dir = open(agent->config.spool_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->oldest.name[0] == '\0' || dir < 0 || unlinkat(dir, c->oldest.name, 0) != 0)
		return false;
	fl_log(FL_LOG_INFO, "spool: %s gives way, %" PRIu64 " bytes", c->oldest.name, c->oldest.bytes);
	return true;
}

static enum fl_rc keep_quota(const struct fl_agent *agent, const struct fl_digest *root, uint64_t size,
			     struct fl_err *err)
{
	const uint64_t quota = agent->config.spool_quota_mib << 20;
	if (size > quota)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "%" PRIu64 " bytes, the spool may have %" PRIu64,
			       size, quota);
	struct census c = take_census(agent, root);
	while (c.bytes > quota - size && drop_oldest(agent, &c))
		c = take_census(agent, root);
	if (c.bytes > quota - size)
		return fl_fail(err, FL_E_NO_SPACE, 0,
			       "open jobs hold %" PRIu64 " of the spool's %" PRIu64 " bytes", c.kept_bytes,
			       quota);
	return FL_OK;
}

/* Blocks for all of it: what lacks is known before the first byte is paid for. Some file systems can't tell. */
static enum fl_rc allocate(const struct fl_agent *agent, const struct fl_digest *root, int fd,
			   uint64_t size, struct fl_err *err)
{
	while (size > 0 && fallocate(fd, 0, 0, (off_t)size) != 0 && errno != EOPNOTSUPP) {
		const int why = errno;
		const struct census c = take_census(agent, root);
		if (why != ENOSPC || !drop_oldest(agent, &c))
			return fl_fail(err, fl_rc_from_errno(why), why,
				       "room for %" PRIu64 " bytes in the spool", size);
	}
	return FL_OK;
}

enum fl_rc fl_spool_reserve(struct fl_agent *agent, const struct fl_digest *root, uint64_t size, int *ret,
			    struct fl_err *err)
{
	char path[FL_SPOOL_PATH_MAX];
	fl_spool_path(agent->config.spool_dir, FL_SPOOL_BLOB, root, path);
	enum fl_rc rc = keep_quota(agent, root, size, err);
	if (rc != FL_OK)
		return rc;
	FL_AUTO_FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "'%s'", path);
	(void)futimens(fd, NULL); /* used now */
	rc = allocate(agent, root, fd, size, err);
	if (rc == FL_OK && ftruncate(fd, (off_t)size) != 0)
		rc = fl_fail(err, fl_rc_from_errno(errno), errno, "'%s'", path);
	if (rc != FL_OK)
		return rc;
	*ret = fd;
	fd = -1;
	return FL_OK;
}

uint64_t fl_spool_lacks(const struct fl_agent *agent, const struct fl_digest *root, uint64_t size)
{
	char path[FL_SPOOL_PATH_MAX];
	struct stat st;
	fl_spool_path(agent->config.spool_dir, FL_SPOOL_BLOB, root, path);
	const uint64_t has = stat(path, &st) == 0 ? (uint64_t)st.st_blocks * BLOCK : 0;
	return size > has ? size - has : 0;
}
