#include "kit.h"

#include <errno.h>
#include <hv/core.h>
#include <hv/mem.h>
#include <stdlib.h>
#include <storage/file.h>
#include <storage/iscsi.h>
#include <storage/nfs.h>

#define LINKS 40
#define FILES 16

int kit_open_error, kit_file_error;
bool kit_file_slow;
unsigned kit_files_open;

static uint64_t free_before;

/* ---- links ---- */

struct kit_link {
	struct storage_link link;
	char name[64];
	bool open;
	struct lun lun;
};
static struct kit_link links[LINKS];

static int submit(struct blk_dev *dev, struct blk_req *req)
{
	blk_complete(req, 0);
	return 0;
}

static void close_lun(struct blk_dev *dev)
{
}

static const struct blk_ops lun_ops = {.submit = submit, .close = close_lun};

static struct blk_dev device(const struct blk_ops *ops, const char *name, uint64_t size_bytes)
{
	return (struct blk_dev){.ops = ops,
		.name = name,
		.size_bytes = size_bytes,
		.block_bytes = 512,
		.physical_bytes = 512,
		.max_bytes = 1 << 20,
		.max_segs = 64};
}

static struct kit_link *link_named(const char *name)
{
	for (unsigned i = 0; i < LINKS; i++)
		if (links[i].open && strcmp(links[i].name, name) == 0)
			return &links[i];
	return NULL;
}

static struct kit_link *link_open(const char *proto, const char *name, void (*changed)(struct storage_link *, void *), void *arg)
{
	struct kit_link *l = links;

	while (l->open)
		l++;
	assert_true(l < links + LINKS);
	*l = (struct kit_link){.open = true};
	strcpy(l->name, name);
	storage_link_init(&l->link, proto, l->name);
	l->link.changed = changed;
	l->link.changed_arg = arg;
	storage_link_set(&l->link, STORAGE_LINK_CONNECTING);
	return l;
}

static void link_close(struct kit_link *l)
{
	assert_true(l->open);
	storage_link_set(&l->link, STORAGE_LINK_CLOSED);
	l->open = false;
}

void kit_link(const char *name, enum storage_link_state state)
{
	struct kit_link *l = link_named(name);

	assert_non_null(l);
	if (state == STORAGE_LINK_LOST)
		kit_link_fail(name, "the cable is out");
	else
		storage_link_set(&l->link, state);
}

void kit_link_fail(const char *name, const char *reason)
{
	struct kit_link *l = link_named(name);

	assert_non_null(l);
	storage_link_fail(&l->link, false, "%s", reason);
}

bool kit_link_open(const char *name)
{
	return link_named(name) != NULL;
}

/* ---- the SAN ---- */

int iscsi_initiator_open(const struct iscsi_config *config, const char *name, void (*changed)(struct storage_link *, void *), void *arg,
	struct iscsi_initiator **out)
{
	struct kit_link *l;

	if (kit_open_error)
		return kit_open_error;
	l = link_open("iscsi", name, changed, arg);
	l->lun.blk = device(&lun_ops, l->name, KIT_LUN_BYTES);
	*out = (struct iscsi_initiator *)l;
	return 0;
}

void iscsi_initiator_close(struct iscsi_initiator *s)
{
	link_close((struct kit_link *)s);
}

struct lun *iscsi_initiator_lun(struct iscsi_initiator *s)
{
	return &((struct kit_link *)s)->lun;
}

const struct storage_link *iscsi_initiator_link(const struct iscsi_initiator *s)
{
	return &((const struct kit_link *)s)->link;
}

/* ---- the NAS ---- */

struct kit_file {
	char path[64];
	uint64_t size_bytes;
};
static struct kit_file files[FILES];

static struct kit_file *file_named(const char *path)
{
	for (unsigned i = 0; i < FILES; i++)
		if (files[i].path[0] && strcmp(files[i].path, path) == 0)
			return &files[i];
	return NULL;
}

void kit_file_add(const char *path, uint64_t size_bytes)
{
	struct kit_file *f = file_named(path);

	for (unsigned i = 0; !f && i < FILES; i++)
		if (!files[i].path[0])
			f = &files[i];
	assert_non_null(f);
	strcpy(f->path, path);
	f->size_bytes = size_bytes;
}

int64_t kit_file_size(const char *path)
{
	const struct kit_file *f = file_named(path);

	return f ? (int64_t)f->size_bytes : -1;
}

/* What every operation does first. */
static int begin(void)
{
	if (kit_file_slow)
		hv_fiber_yield();
	return kit_file_error;
}

static int store_stat(struct file_store *store, const char *path, struct file_info *info, uint64_t deadline_ns)
{
	const struct kit_file *f = file_named(path);
	int err = begin();

	if (!err && f)
		*info = (struct file_info){.size_bytes = f->size_bytes};
	return err ? err : f ? 0 : -ENOENT;
}

static void file_closed(struct blk_dev *dev)
{
	kit_files_open--;
	free(hv_container_of(dev, struct file, blk));
}

static int file_read(struct blk_dev *dev, struct blk_req *req)
{
	if (req->op == BLK_READ)
		blk_segs_from_buf(req->segs, req->nsegs, 0, KIT_FILE_TEXT, HV_MIN(sizeof(KIT_FILE_TEXT), req->length_bytes));
	return submit(dev, req);
}

static const struct blk_ops file_ops = {.submit = file_read, .close = file_closed};

static int store_open(struct file_store *store, const char *path, unsigned flags, struct file **out, uint64_t deadline_ns)
{
	const struct kit_file *f = file_named(path);
	int err = begin();

	if (err || !f)
		return err ? err : -ENOENT;
	*out = calloc(1, sizeof(**out));
	(*out)->blk = device(&file_ops, f->path, HV_ALIGN_DOWN(f->size_bytes, 512));
	(*out)->blk.read_only = flags & FILE_READ_ONLY;
	(*out)->store = store;
	(*out)->size_bytes = f->size_bytes;
	kit_files_open++;
	return 0;
}

static int store_create(struct file_store *store, const char *path, uint64_t size_bytes, uint64_t deadline_ns)
{
	int err = begin();

	if (!err)
		kit_file_add(path, size_bytes);
	return err;
}

static const struct file_store_ops store_ops = {.stat = store_stat, .open = store_open, .create = store_create};
static struct file_store store = {.ops = &store_ops, .name = "kit"};
static struct nfs_durability_stats durability;

int nfs_initiator_open(const struct nfs_config *config, const char *name, void (*changed)(struct storage_link *, void *), void *arg,
	struct nfs_initiator **out)
{
	if (kit_open_error)
		return kit_open_error;
	*out = (struct nfs_initiator *)link_open("nfs", name, changed, arg);
	return 0;
}

void nfs_initiator_close(struct nfs_initiator *n)
{
	link_close((struct kit_link *)n);
}

struct file_store *nfs_initiator_store(struct nfs_initiator *n)
{
	return &store;
}

const struct storage_link *nfs_initiator_link(const struct nfs_initiator *n)
{
	return &((const struct kit_link *)n)->link;
}

bool kit_settling;

bool nfs_initiator_settling(const struct nfs_initiator *n)
{
	return kit_settling;
}

const struct nfs_durability_stats *nfs_initiator_durability(const struct nfs_initiator *n)
{
	return &durability;
}

/* ---- the bench ---- */

static uint64_t memory_free(void)
{
	uint64_t total, unused;

	hv_mem_usage(&total, &unused);
	return unused;
}

void kit_storage_start(void)
{
	native_start(1);
	memset(links, 0, sizeof(links));
	memset(files, 0, sizeof(files));
	kit_open_error = kit_file_error = 0;
	kit_file_slow = false;
	kit_files_open = 0;
	free_before = memory_free();
}

void kit_storage_end(void)
{
	while (datastore_count())
		datastore_close(datastore_get(0));
	assert_int_equal(kit_files_open, 0);
	for (unsigned i = 0; i < LINKS; i++)
		assert_false(links[i].open);
	assert_int_equal(memory_free(), free_before);
}

struct datastore_config kit_config(const char *name, enum datastore_kind kind)
{
	struct datastore_config c = {.kind = kind};

	strcpy(c.name, name);
	return c;
}

struct datastore *kit_open(const char *name, enum datastore_kind kind)
{
	struct datastore_config c = kit_config(name, kind);
	struct datastore *ds;

	assert_int_equal(datastore_open(&c, &ds), 0);
	return ds;
}

struct kit_call {
	void (*fn)(void *arg);
	void *arg;
	bool ended;
};

static void call(void *arg)
{
	struct kit_call *c = arg;

	c->fn(c->arg);
	c->ended = true;
}

bool kit_fiber(void (*fn)(void *arg), void *arg)
{
	struct kit_call c = {.fn = fn, .arg = arg};

	assert_int_equal(hv_fiber_spawn("test", call, &c, 0), 0);
	native_run(200);
	assert_true(c.ended); /* c is on this stack */
	return c.ended;
}
