/* See storage/file.h: the protocol-neutral half of the file contract. */
#include <errno.h>
#include <hv/core.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <storage/file.h>
#include <string.h>

/* Loads run this many reads at once: enough to fill a network's round trip. */
#define LOAD_DEPTH 8
#define LOAD_CHUNK_BYTES (256u * 1024)

int file_path_check(const char *path)
{
	size_t length = strlen(path), component = 0;

	if (length > FILE_PATH_MAX)
		return trace_error(-ENAMETOOLONG);
	for (size_t i = 0; i <= length; i++) {
		if (path[i] && path[i] != '/') {
			if (++component > FILE_NAME_MAX)
				return trace_error(-ENAMETOOLONG);
			continue;
		}
		const char *name = path + i - component;
		bool dots = (component == 1 && name[0] == '.') || (component == 2 && name[0] == '.' && name[1] == '.');

		if (dots || (component == 0 && length > 0))
			return trace_error(-EINVAL);
		component = 0;
	}
	return 0;
}

int file_stat(struct file_store *store, const char *path, struct file_info *info, uint64_t deadline_ns)
{
	int err = file_path_check(path);

	return err ? err : store->ops->stat(store, path, info, deadline_ns);
}

int file_open(struct file_store *store, const char *path, unsigned flags, struct file **out, uint64_t deadline_ns)
{
	int err = file_path_check(path);

	return err ? err : store->ops->open(store, path, flags, out, deadline_ns);
}

int file_create(struct file_store *store, const char *path, uint64_t size_bytes, uint64_t deadline_ns)
{
	int err = file_path_check(path);

	return err ? err : store->ops->create(store, path, size_bytes, deadline_ns);
}

int file_truncate(struct file *file, uint64_t size_bytes, uint64_t deadline_ns)
{
	return file->store->ops->truncate(file, size_bytes, deadline_ns);
}

int file_list(struct file_store *store, const char *path, void (*entry)(void *arg, const char *name, const struct file_info *info),
	void *arg, uint64_t deadline_ns)
{
	int err = file_path_check(path);

	return err ? err : store->ops->list(store, path, entry, arg, deadline_ns);
}

/* ---- loading a whole file ---- */

struct load {
	struct file *file;
	uint8_t *data;
	uint64_t bytes, next, deadline_ns; /* bytes: rounded up to the disk's block */
	unsigned in_flight;
	int status;
	struct hv_fiber *fiber;
	struct load_slot {
		struct blk_req req;
		struct hv_seg seg;
		struct load *load;
		bool busy;
	} slots[LOAD_DEPTH];
};

static void load_done(struct blk_req *req, int status)
{
	struct load_slot *slot = req->owner;

	slot->busy = false;
	slot->load->in_flight--;
	if (status && !slot->load->status)
		slot->load->status = status;
	hv_fiber_wake(slot->load->fiber);
}

/* Starts one more read in a free slot. False when nothing could be started now. */
static bool load_start_one(struct load *load)
{
	struct blk_dev *dev = &load->file->blk;
	uint32_t chunk = HV_MIN(LOAD_CHUNK_BYTES, dev->max_bytes);
	unsigned i = 0;

	while (i < LOAD_DEPTH && load->slots[i].busy)
		i++;
	if (i == LOAD_DEPTH || load->next >= load->bytes || load->status)
		return false;

	struct load_slot *slot = &load->slots[i];
	uint32_t len = HV_MIN(chunk, load->bytes - load->next);

	slot->load = load;
	slot->seg = (struct hv_seg){.base = load->data + load->next, .len = len};
	slot->req = (struct blk_req){.op = BLK_READ,
		.nsegs = 1,
		.segs = &slot->seg,
		.offset_bytes = load->next,
		.length_bytes = len,
		.deadline_ns = load->deadline_ns,
		.done = load_done,
		.owner = slot};
	slot->busy = true;
	load->in_flight++;
	int err = blk_submit(dev, &slot->req);

	if (err) {
		slot->busy = false;
		load->in_flight--;
		if (err != -EAGAIN)
			load->status = err;
		return false;
	}
	load->next += len;
	return true;
}

static int load_read_all(struct load *load)
{
	while (load->next < load->bytes && !load->status) {
		while (load_start_one(load))
			;
		if (load->in_flight)
			(void)hv_fiber_park(0); /* woken by each end; the reads carry the deadline */
		else
			hv_fiber_yield();
	}
	while (load->in_flight)
		(void)hv_fiber_park(0); /* as above */
	return load->status;
}

int file_load(struct file_store *store, const char *path, size_t max_bytes, void **data, size_t *bytes, uint64_t deadline_ns)
{
	struct file *file;
	struct load *load;
	int err;

	*data = NULL;
	*bytes = 0;
	err = file_open(store, path, FILE_READ_ONLY, &file, deadline_ns);
	if (err)
		return err;
	err = file->size_bytes > max_bytes ? trace_error(-EFBIG) : 0;
	if (err || file->size_bytes == 0)
		goto close;

	uint64_t rounded = HV_ALIGN_UP(file->size_bytes, file->blk.block_bytes);

	err = -ENOMEM;
	load = hv_contig_alloc(sizeof(*load), 4096);
	if (!load)
		goto close;
	*load = (struct load){.file = file, .bytes = rounded, .deadline_ns = deadline_ns, .fiber = hv_fiber_self()};
	load->data = hv_contig_alloc(rounded, 4096);
	if (!load->data)
		goto free_load;
	file->blk.size_bytes = rounded; /* the tail after the end of the file reads as zeroes */
	err = load_read_all(load);
	if (err) {
		hv_contig_free(load->data, rounded);
	} else {
		*data = load->data;
		*bytes = file->size_bytes;
	}
free_load:
	hv_contig_free(load, sizeof(*load));
close:
	file->blk.ops->close(&file->blk);
	return err;
}

void file_unload(void *data, size_t bytes)
{
	if (data)
		hv_contig_free(data, HV_ALIGN_UP(bytes, 512));
}
