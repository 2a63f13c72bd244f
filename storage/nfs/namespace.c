/*
 * Names: lookup, stat, create, truncate, list. Control work, written as straight code for a fiber: each RPC waits for the link, is sent,
 * and is sent again when the connection was lost meanwhile or the server asks to wait. All of them are idempotent (CREATE is UNCHECKED), so
 * a repetition after a lost answer does no harm.
 */
#include "client.h"
#include <errno.h>
#include <hv/log.h>
#include <string.h>

#define MS 1000000ULL
#define AGAIN_NS (200 * MS)
#define LIST_BYTES 4096u /* an entry is at least 36 bytes: fewer than the 128 that the decoder takes */

static struct nfs_initiator *from_store(struct file_store *store)
{
	return hv_container_of(store, struct nfs_initiator, store);
}

void namespace_wake(struct nfs_initiator *n)
{
	for (struct nfs_call *c = n->waiters; c; c = c->next)
		hv_fiber_wake(c->fiber);
}

static int wait_ready(struct nfs_initiator *n, struct nfs_call *call, uint64_t deadline_ns)
{
	struct nfs_call **at = &n->waiters;
	int err = 0;

	call->next = n->waiters;
	n->waiters = call;
	while (!nfs_ready(n) && n->link.state != STORAGE_LINK_CLOSED && !err)
		err = hv_fiber_park(deadline_ns);
	for (at = &n->waiters; *at != call; at = &(*at)->next)
		;
	*at = call->next;
	if (n->link.state == STORAGE_LINK_CLOSED)
		return trace_error(-ESHUTDOWN);
	return err;
}

static int wait_again(uint64_t deadline_ns)
{
	uint64_t again = hv_now_ns() + AGAIN_NS;

	if (deadline_ns && deadline_ns < again)
		again = deadline_ns;
	while (hv_now_ns() < again)
		(void)hv_fiber_park(again); /* its end is what is waited for */
	return deadline_ns && hv_now_ns() >= deadline_ns ? -ETIMEDOUT : 0;
}

static void call_reply(struct nfs_op *op, void *data)
{
	struct nfs_call *call = op->call;

	rpc_op_put(op);
	if (!call)
		return;
	call->got(call, data);
	call->state = CALL_ANSWERED;
	hv_fiber_wake(call->fiber);
}

/* One of the library's rpc_nfs3_*_async functions; their argument structures are all passed by pointer. */
typedef int (*send_fn)(struct rpc_context *rpc, rpc_cb cb, void *args, void *private_data);

/* One RPC until it is answered with anything but "later". 0 or -errno. */
static int call_once(struct nfs_initiator *n, struct nfs_call *call, send_fn send, void *args, uint64_t deadline_ns)
{
	struct nfs_op *op;
	int err = wait_ready(n, call, deadline_ns);

	if (err)
		return err;
	op = rpc_op_get(n, NULL, NFS_OP_CALL, call_reply);
	if (!op)
		return -EAGAIN;
	op->call = call;
	call->state = CALL_PENDING;
	if (send(n->rpc, rpc_answered, args, op) != 0) {
		rpc_op_put(op);
		return -EAGAIN;
	}
	while (call->state == CALL_PENDING) {
		if (hv_fiber_park(deadline_ns) && call->state == CALL_PENDING) {
			op->call = NULL; /* the answer, if one comes, is dropped */
			return trace_error(-ETIMEDOUT);
		}
	}
	return call->state == CALL_LOST ? -EAGAIN : 0;
}

static int call_run(struct nfs_initiator *n, struct nfs_call *call, send_fn send, void *args, uint64_t deadline_ns)
{
	struct status_verdict v;
	unsigned retries = 0;
	int err;

	call->fiber = hv_fiber_self();
	hv_assert(call->fiber);
	for (;;) {
		err = call_once(n, call, send, args, deadline_ns);
		if (err && err != -EAGAIN)
			return err;
		if (!err) {
			v = status_judge(call->status);
			if (v.action == STATUS_OK)
				return 0;
			if (v.action == STATUS_STALE)
				return trace_error(-ENOENT);
			if (v.action == STATUS_FAIL || (v.action == STATUS_RETRY && ++retries > NFS_MAX_RETRIES))
				return trace_error(v.error);
		}
		err = wait_again(deadline_ns);
		if (err)
			return trace_error(err);
	}
}

/* The library's functions, each behind the type of send_fn. */
#define SENDER(name)                                                                                                                       \
	static int send_##name(struct rpc_context *rpc, rpc_cb cb, void *args, void *private_data)                                         \
	{                                                                                                                                  \
		return rpc_nfs3_##name##_async(rpc, cb, args, private_data);                                                               \
	}
SENDER(lookup)
SENDER(getattr)
SENDER(setattr)
SENDER(create)
SENDER(readdirplus)

/* ---- names to handles ---- */

struct handle_call {
	struct nfs_call call;
	struct nfs_handle handle;
};

static void got_lookup(struct nfs_call *call, void *result)
{
	struct handle_call *c = hv_container_of(call, struct handle_call, call);
	const LOOKUP3res *res = result;

	call->status = (uint32_t)res->status;
	if (res->status == NFS3_OK &&
		!rpc_handle_copy(&c->handle, res->LOOKUP3res_u.resok.object.data.data_val, res->LOOKUP3res_u.resok.object.data.data_len))
		call->status = NFS3ERR_SERVERFAULT;
}

static int lookup(struct nfs_initiator *n, const struct nfs_handle *dir, char *name, struct nfs_handle *out, uint64_t deadline_ns)
{
	struct handle_call c = {.call = {.got = got_lookup}};
	LOOKUP3args args = {.what = {.dir = rpc_handle(dir), .name = name}};
	int err = call_run(n, &c.call, send_lookup, &args, deadline_ns);

	if (!err)
		*out = c.handle;
	return err;
}

/* Walks all components but, when last is given, the last one, which is copied there. */
static int walk(struct nfs_initiator *n, const char *path, char *last, struct nfs_handle *out, uint64_t deadline_ns)
{
	struct nfs_call wait = {.fiber = hv_fiber_self()};
	char name[FILE_NAME_MAX + 1];
	int err = wait_ready(n, &wait, deadline_ns); /* the root's handle is known then */

	if (err)
		return err;
	*out = n->root;
	while (*path) {
		size_t length = strcspn(path, "/");

		memcpy(name, path, length);
		name[length] = 0;
		path += length + (path[length] == '/');
		if (last && !*path) {
			memcpy(last, name, length + 1);
			return 0;
		}
		struct nfs_handle dir = *out;

		err = lookup(n, &dir, name, out, deadline_ns);
		if (err)
			return err;
	}
	return last ? trace_error(-EISDIR) : 0;
}

struct attributes_call {
	struct nfs_call call;
	struct file_info info;
	bool regular;
};

static void got_attributes(struct nfs_call *call, void *result)
{
	struct attributes_call *c = hv_container_of(call, struct attributes_call, call);
	const GETATTR3res *res = result;
	const fattr3 *attributes = &res->GETATTR3res_u.resok.obj_attributes;

	call->status = (uint32_t)res->status;
	if (res->status != NFS3_OK)
		return;
	c->info = (struct file_info){.size_bytes = attributes->size, .is_directory = attributes->type == NF3DIR};
	c->regular = attributes->type == NF3REG;
}

static int attributes(struct nfs_initiator *n, const struct nfs_handle *handle, struct attributes_call *c, uint64_t deadline_ns)
{
	GETATTR3args args = {.object = rpc_handle(handle)};

	*c = (struct attributes_call){.call = {.got = got_attributes}};
	return call_run(n, &c->call, send_getattr, &args, deadline_ns);
}

static int namespace_stat(struct file_store *store, const char *path, struct file_info *info, uint64_t deadline_ns)
{
	struct nfs_initiator *n = from_store(store);
	struct attributes_call c;
	struct nfs_handle handle;
	int err = walk(n, path, NULL, &handle, deadline_ns);

	if (!err)
		err = attributes(n, &handle, &c, deadline_ns);
	if (!err)
		*info = c.info;
	return err;
}

/* ---- open ---- */

static void file_size(struct nfs_file *f, uint64_t bytes)
{
	f->file.size_bytes = bytes;
	f->file.blk.size_bytes = HV_ALIGN_DOWN(bytes, 512ull);
	if (f->file.blk.changed)
		f->file.blk.changed(&f->file.blk, f->file.blk.changed_arg);
}

static int file_make(struct nfs_initiator *n, const char *path, unsigned flags, const struct nfs_handle *handle, struct nfs_file **out)
{
	struct nfs_file *f = hv_contig_alloc(sizeof(*f), 4096);
	bool read_only = flags & FILE_READ_ONLY;

	if (!f)
		return trace_error(-ENOMEM);
	memset(f, 0, sizeof(*f));
	if (!read_only && log_open(&f->log)) {
		hv_contig_free(f, sizeof(*f));
		return trace_error(-ENOMEM);
	}
	strcpy(f->path, path); /* file_path_check bounds it */
	f->n = n;
	f->handle = *handle;
	f->file.store = &n->store;
	f->file.blk = (struct blk_dev){.ops = &file_blk_ops,
		.name = f->path,
		.block_bytes = 512,
		.physical_bytes = 4096,
		.max_bytes = n->max_bytes,
		.max_segs = 256,
		.core = (uint16_t)hv_core_self(),
		.read_only = read_only,
		.state = nfs_ready(n) ? BLK_STATE_ONLINE : BLK_STATE_WAITING};
	f->next = n->files;
	n->files = f;
	*out = f;
	return 0;
}

static bool lingers(const struct nfs_initiator *n, const struct nfs_handle *handle)
{
	for (const struct nfs_file *f = n->files; f; f = f->next)
		if (f->closing && f->handle.bytes == handle->bytes && memcmp(f->handle.data, handle->data, handle->bytes) == 0)
			return true;
	return false;
}

/*
 * A file that was closed with writes that are not stable yet: it may have to send them again, which must not happen behind the back of a
 * new user's writes and reads.
 */
static int wait_stable(struct nfs_initiator *n, const struct nfs_handle *handle, uint64_t deadline_ns)
{
	int err = 0;

	while (!err && lingers(n, handle))
		err = n->link.state == STORAGE_LINK_CLOSED ? trace_error(-ESHUTDOWN) : wait_again(deadline_ns);
	return err;
}

static int namespace_open(struct file_store *store, const char *path, unsigned flags, struct file **out, uint64_t deadline_ns)
{
	struct nfs_initiator *n = from_store(store);
	struct attributes_call c;
	struct nfs_handle handle;
	struct nfs_file *f = NULL;
	int err = walk(n, path, NULL, &handle, deadline_ns);

	if (!err)
		err = wait_stable(n, &handle, deadline_ns);
	if (!err)
		err = attributes(n, &handle, &c, deadline_ns);
	if (!err && !c.regular)
		err = trace_error(c.info.is_directory ? -EISDIR : -EINVAL);
	if (!err && c.info.size_bytes > INT64_MAX)
		err = trace_error(-EIO);
	if (!err)
		err = file_make(n, path, flags, &handle, &f);
	if (err)
		return err;
	file_size(f, c.info.size_bytes);
	*out = &f->file;
	return 0;
}

/* ---- create, truncate ---- */

static void got_create(struct nfs_call *call, void *result)
{
	struct handle_call *c = hv_container_of(call, struct handle_call, call);
	const CREATE3res *res = result;
	const post_op_fh3 *obj = &res->CREATE3res_u.resok.obj;

	call->status = (uint32_t)res->status;
	if (res->status != NFS3_OK || !obj->handle_follows)
		return; /* no handle: the name is looked up */
	if (!rpc_handle_copy(&c->handle, obj->post_op_fh3_u.handle.data.data_val, obj->post_op_fh3_u.handle.data.data_len))
		call->status = NFS3ERR_SERVERFAULT;
}

static void got_setattr(struct nfs_call *call, void *result)
{
	call->status = (uint32_t)((const SETATTR3res *)result)->status;
}

static int set_size(struct nfs_initiator *n, const struct nfs_handle *handle, uint64_t size_bytes, uint64_t deadline_ns)
{
	struct nfs_call call = {.got = got_setattr};
	SETATTR3args args = {.object = rpc_handle(handle)};

	args.new_attributes.size.set_it = 1;
	args.new_attributes.size.set_size3_u.size = size_bytes;
	return call_run(n, &call, send_setattr, &args, deadline_ns);
}

static int namespace_create(struct file_store *store, const char *path, uint64_t size_bytes, uint64_t deadline_ns)
{
	struct nfs_initiator *n = from_store(store);
	struct handle_call c = {.call = {.got = got_create}};
	struct nfs_handle dir;
	char name[FILE_NAME_MAX + 1];
	CREATE3args args = {.where = {.name = name}, .how = {.mode = UNCHECKED}};
	int err = walk(n, path, name, &dir, deadline_ns);

	if (err)
		return err;
	args.where.dir = rpc_handle(&dir);
	args.how.createhow3_u.obj_attributes.mode.set_it = 1;
	args.how.createhow3_u.obj_attributes.mode.set_mode3_u.mode = 0600;
	err = call_run(n, &c.call, send_create, &args, deadline_ns);
	if (!err && !c.handle.bytes)
		err = lookup(n, &dir, name, &c.handle, deadline_ns);
	return err ? err : set_size(n, &c.handle, size_bytes, deadline_ns);
}

static int namespace_truncate(struct file *file, uint64_t size_bytes, uint64_t deadline_ns)
{
	struct nfs_file *f = hv_container_of(file, struct nfs_file, file);
	int err;

	if (file->blk.read_only)
		return trace_error(-EROFS);
	err = set_size(f->n, &f->handle, size_bytes, deadline_ns);
	if (!err)
		file_size(f, size_bytes);
	return err;
}

/* ---- list ---- */

struct list_call {
	struct nfs_call call;
	void (*entry)(void *arg, const char *name, const struct file_info *info);
	void *arg;
	cookie3 cookie;
	cookieverf3 verifier;
	bool end;
};

static void list_entry(struct list_call *c, const entryplus3 *e)
{
	const post_op_attr *a = &e->name_attributes;
	struct file_info info = {0};

	c->cookie = e->cookie;
	if (!e->name || strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0)
		return;
	if (a->attributes_follow) {
		info.size_bytes = a->post_op_attr_u.attributes.size;
		info.is_directory = a->post_op_attr_u.attributes.type == NF3DIR;
	}
	c->entry(c->arg, e->name, &info);
}

static void got_list(struct nfs_call *call, void *result)
{
	struct list_call *c = hv_container_of(call, struct list_call, call);
	const READDIRPLUS3res *res = result;
	const READDIRPLUS3resok *ok = &res->READDIRPLUS3res_u.resok;

	call->status = (uint32_t)res->status;
	if (res->status != NFS3_OK)
		return;
	memcpy(c->verifier, ok->cookieverf, sizeof(c->verifier));
	for (const entryplus3 *e = ok->reply.entries; e; e = e->nextentry)
		list_entry(c, e);
	c->end = ok->reply.eof || !ok->reply.entries;
}

static int namespace_list(struct file_store *store, const char *path,
	void (*entry)(void *arg, const char *name, const struct file_info *info), void *arg, uint64_t deadline_ns)
{
	struct nfs_initiator *n = from_store(store);
	struct list_call c = {.call = {.got = got_list}, .entry = entry, .arg = arg};
	struct nfs_handle dir;
	int err = walk(n, path, NULL, &dir, deadline_ns);

	while (!err && !c.end) {
		READDIRPLUS3args args = {.dir = rpc_handle(&dir), .cookie = c.cookie, .dircount = LIST_BYTES, .maxcount = LIST_BYTES};

		memcpy(args.cookieverf, c.verifier, sizeof(args.cookieverf));
		err = call_run(n, &c.call, send_readdirplus, &args, deadline_ns);
	}
	return err;
}

const struct file_store_ops namespace_ops = {
	.stat = namespace_stat,
	.open = namespace_open,
	.create = namespace_create,
	.truncate = namespace_truncate,
	.list = namespace_list,
};
