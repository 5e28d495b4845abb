/* SPDX-License-Identifier: Apache-2.0 */
#include "replay.h"

#include "flshim.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR	  512
#define NAMES_MAX 256

/* One call, as read from the log. */
struct event {
	struct flshim_record r;
	char *path, *path2;
	struct event *next;
};

/* A change that waits: of an inode's content, or of a name. Points into an event and the log. */
struct change {
	const struct flshim_record *r;
	const char *path, *path2;
	const uint8_t *data;
	struct inode *inode; /* of the name, or the one changed */
	struct change *next;
};

struct content {
	uint8_t *data;
	size_t len, cap;
};

struct inode {
	struct content safe;
	struct change *first, **last;
	struct inode *next;
};

struct name {
	char path[256];
	struct inode *inode;
};

struct names {
	struct name items[NAMES_MAX];
	size_t n;
};

struct replay {
	uint8_t *log;
	size_t len, at;
	const char *ignore;
	uint64_t mark;
	struct event *events;
	struct inode *inodes;
	struct names live;	      /* as the program sees them */
	struct names safe;	      /* as they are after the last sync of each directory */
	struct change *first, **last; /* of names, in order */
};

static void *need(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

static void resize(struct content *c, size_t len)
{
	if (len > c->cap) {
		c->cap = len * 2;
		c->data = need(realloc(c->data, c->cap));
	}
	if (len > c->len)
		memset(c->data + c->len, 0, len - c->len);
	c->len = len;
}

static void put(struct content *c, size_t offset, const uint8_t *data, size_t len)
{
	if (offset + len > c->len)
		resize(c, offset + len);
	if (len > 0)
		memcpy(c->data + offset, data, len);
}

static struct inode *new_inode(struct replay *r)
{
	struct inode *inode = need(calloc(1, sizeof(*inode)));
	inode->last = &inode->first;
	inode->next = r->inodes;
	r->inodes = inode;
	return inode;
}

/* ---- names ---- */

static struct name *find(struct names *names, const char *path)
{
	for (size_t i = 0; i < names->n; i++) {
		if (strcmp(names->items[i].path, path) == 0)
			return &names->items[i];
	}
	return NULL;
}

static void set_name(struct names *names, const char *path, struct inode *inode)
{
	struct name *name = find(names, path);
	if (name == NULL) {
		if (names->n == NAMES_MAX || strlen(path) >= sizeof(name->path))
			abort();
		name = &names->items[names->n++];
		snprintf(name->path, sizeof(name->path), "%s", path);
	}
	name->inode = inode;
}

static void drop_name(struct names *names, const char *path)
{
	struct name *name = find(names, path);
	if (name != NULL)
		*name = names->items[--names->n];
}

static void apply_name(struct names *names, const struct change *c)
{
	uint32_t op = c->r->op;
	if (op == FLSHIM_RENAME || op == FLSHIM_UNLINK)
		drop_name(names, c->path);
	if (op == FLSHIM_CREATE || op == FLSHIM_MKDIR) /* a directory has no inode here */
		set_name(names, c->path, c->inode);
	if (op == FLSHIM_RENAME || op == FLSHIM_LINK)
		set_name(names, c->path2, c->inode);
}

static bool in_directory(const char *path, const char *dir)
{
	size_t len = strlen(dir);
	const char *slash = strrchr(path, '/');
	size_t parent = slash == NULL ? 0 : (size_t)(slash - path);
	return path[0] != '\0' && parent == len && strncmp(path, dir, len) == 0;
}

static void sync_names(struct replay *r, const char *dir)
{
	struct change **at = &r->first;
	while (*at != NULL) {
		struct change *c = *at;
		if (!in_directory(c->path, dir) && !in_directory(c->path2, dir)) {
			at = &c->next;
			continue;
		}
		apply_name(&r->safe, c);
		*at = c->next;
		free(c);
	}
	r->last = at;
}

/* ---- contents ---- */

static void apply_content(struct content *to, const struct change *c)
{
	if (c->r->op == FLSHIM_WRITE)
		put(to, c->r->offset, c->data, c->r->data_len);
	else if (c->r->op == FLSHIM_TRUNCATE || c->r->offset > to->len)
		resize(to, c->r->offset);
}

static void sync_content(struct inode *inode)
{
	while (inode->first != NULL) {
		struct change *c = inode->first;
		apply_content(&inode->safe, c);
		inode->first = c->next;
		free(c);
	}
	inode->last = &inode->first;
}

/* ---- the log ---- */

static uint8_t *read_whole(const char *path, size_t *len)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		abort();
	uint8_t *data = need(malloc((size_t)st.st_size + 1));
	if (read(fd, data, (size_t)st.st_size) != st.st_size)
		abort();
	(void)close(fd);
	*len = (size_t)st.st_size;
	return data;
}

/* Files of one directory, no deeper. */
static void load_initial(struct replay *r, const char *dir)
{
	DIR *d = need(opendir(dir));
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		char path[PATH_MAX];
		size_t len = 0;
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		struct inode *inode = new_inode(r);
		uint8_t *data = read_whole(path, &len);
		put(&inode->safe, 0, data, len);
		free(data);
		set_name(&r->live, e->d_name, inode);
		set_name(&r->safe, e->d_name, inode);
	}
	(void)closedir(d);
}

struct replay *replay_new(const char *log, const char *initial, const char *ignore)
{
	struct replay *r = need(calloc(1, sizeof(*r)));
	r->last = &r->first;
	r->ignore = ignore;
	r->log = read_whole(log, &r->len);
	if (initial != NULL)
		load_initial(r, initial);
	return r;
}

static void free_changes(struct change *c)
{
	while (c != NULL) {
		struct change *next = c->next;
		free(c);
		c = next;
	}
}

void replay_free(struct replay *r)
{
	while (r->inodes != NULL) {
		struct inode *next = r->inodes->next;
		free_changes(r->inodes->first);
		free(r->inodes->safe.data);
		free(r->inodes);
		r->inodes = next;
	}
	free_changes(r->first);
	while (r->events != NULL) {
		struct event *next = r->events->next;
		free(r->events->path);
		free(r->events->path2);
		free(r->events);
		r->events = next;
	}
	free(r->log);
	free(r);
}

static char *text(const uint8_t *p, size_t len)
{
	char *s = need(calloc(1, len + 1));
	memcpy(s, p, len);
	return s;
}

static bool ignored(const struct replay *r, const char *path)
{
	return r->ignore != NULL && (strcmp(r->ignore, "*") == 0 || strcmp(r->ignore, path) == 0);
}

static void append(struct change ***last, struct change c)
{
	struct change *copy = need(malloc(sizeof(*copy)));
	*copy = c;
	copy->next = NULL;
	**last = copy;
	*last = &copy->next;
}

static void sync_path(struct replay *r, const char *path)
{
	struct name *name = find(&r->live, path);
	if (ignored(r, path))
		return;
	if (name != NULL && name->inode != NULL)
		sync_content(name->inode);
	else
		sync_names(r, path);
}

static void take(struct replay *r, struct change c)
{
	struct name *name = find(&r->live, c.path);
	c.inode = name == NULL ? NULL : name->inode;
	switch ((enum flshim_op)c.r->op) {
	case FLSHIM_MARK:
		r->mark = c.r->offset;
		break;
	case FLSHIM_SYNC:
		sync_path(r, c.path);
		break;
	case FLSHIM_WRITE:
	case FLSHIM_TRUNCATE:
	case FLSHIM_ALLOCATE:
		if (c.inode != NULL) /* else: a file whose last name is gone */
			append(&c.inode->last, c);
		break;
	case FLSHIM_CREATE:
		c.inode = new_inode(r);
		__attribute__((fallthrough));
	case FLSHIM_RENAME:
	case FLSHIM_UNLINK:
	case FLSHIM_LINK:
	case FLSHIM_MKDIR:
		apply_name(&r->live, &c);
		append(&r->last, c);
		break;
	}
}

bool replay_step(struct replay *r, uint64_t *mark)
{
	if (r->at + sizeof(struct flshim_record) > r->len)
		return false;
	struct event *e = need(calloc(1, sizeof(*e)));
	memcpy(&e->r, r->log + r->at, sizeof(e->r));
	const uint8_t *p = r->log + r->at + sizeof(e->r);
	e->path = text(p, e->r.path_len);
	e->path2 = text(p + e->r.path_len, e->r.path2_len);
	e->next = r->events;
	r->events = e;
	p += e->r.path_len + e->r.path2_len;
	r->at = (size_t)(p - r->log) + e->r.data_len;
	take(r, (struct change){.r = &e->r, .path = e->path, .path2 = e->path2, .data = p});
	*mark = r->mark;
	return true;
}

bool replay_pending(const struct replay *r)
{
	bool pending = r->first != NULL;
	for (const struct inode *i = r->inodes; i != NULL; i = i->next)
		pending = pending || i->first != NULL;
	return pending;
}

/* ---- a state ---- */

static uint64_t rnd(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15)); /* splitmix64 */
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static void put_some_sectors(struct content *to, const struct change *c, uint64_t *seed)
{
	size_t at = c->r->offset;
	size_t end = at + c->r->data_len;
	while (at < end) {
		size_t next = (at / SECTOR + 1) * SECTOR;
		next = next < end ? next : end;
		if (rnd(seed) % 2 == 0)
			put(to, at, c->data + (at - c->r->offset), next - at);
		at = next;
	}
}

/* A third of the waiting changes is there, a third is not, a third of the writes in parts. */
static void apply_some(struct content *to, const struct change *c, uint64_t *seed)
{
	uint64_t luck = rnd(seed) % 3;
	if (luck == 0 && c->r->op == FLSHIM_WRITE)
		put_some_sectors(to, c, seed);
	else if (luck == 1)
		apply_content(to, c);
}

static void write_file(const char *dir, const struct name *name, unsigned variant, uint64_t *seed)
{
	char path[PATH_MAX];
	struct content c = {0};
	snprintf(path, sizeof(path), "%s/%s", dir, name->path);
	put(&c, 0, name->inode->safe.data, name->inode->safe.len);
	for (const struct change *w = name->inode->first; w != NULL; w = w->next) {
		if (variant == REPLAY_ALL)
			apply_content(&c, w);
		else if (variant != REPLAY_NOTHING)
			apply_some(&c, w, seed);
	}
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || (c.len > 0 && write(fd, c.data, c.len) != (ssize_t)c.len))
		abort();
	(void)close(fd);
	free(c.data);
}

static void make_directory(const char *dir, const char *path)
{
	char whole[PATH_MAX];
	snprintf(whole, sizeof(whole), "%s/%s", dir, path);
	(void)mkdir(whole, 0755);
}

static void clear(const char *dir)
{
	char path[PATH_MAX];
	DIR *d = need(opendir(dir));
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (unlink(path) == 0)
			continue;
		clear(path);
		(void)rmdir(path);
	}
	(void)closedir(d);
}

static size_t count(const struct change *c)
{
	size_t n = 0;
	for (; c != NULL; c = c->next)
		n++;
	return n;
}

void replay_write(struct replay *r, unsigned variant, uint64_t seed, const char *dir)
{
	uint64_t state = seed * UINT64_C(1000003) + variant;
	struct names names = r->safe;
	size_t n = count(r->first);
	size_t there = variant == REPLAY_NOTHING ? 0 : n;
	if (variant > REPLAY_ALL)
		there = (size_t)(rnd(&state) % (n + 1));
	for (const struct change *c = r->first; there > 0; c = c->next, there--)
		apply_name(&names, c);
	clear(dir);
	for (size_t i = 0; i < names.n; i++) {
		if (names.items[i].inode == NULL)
			make_directory(dir, names.items[i].path);
	}
	for (size_t i = 0; i < names.n; i++) {
		if (names.items[i].inode != NULL)
			write_file(dir, &names.items[i], variant, &state);
	}
}
