/*
 * Disks of a datastore. A disk is what storage gives (a file, the LUN, memory), with the fault layer on it when the configuration says so;
 * nothing of this file is on the path of a request. Owner: the storage core.
 */
#include "private.h"
#include <errno.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <storage/fault.h>
#include <storage/file.h>
#include <storage/ram.h>
#include <string.h>

static struct datastore_disk *disk_find(struct datastore *ds, const char *name)
{
	struct datastore_disk *d = ds->disks;

	while (d && strcmp(d->name, name) != 0)
		d = d->next;
	return d;
}

/* -EBUSY when somebody has the disk in a way that does not go together with this one. */
static int disk_sharing_check(struct datastore *ds, const char *name, bool read_only)
{
	for (const struct datastore_disk *d = ds->disks; d; d = d->next)
		if (d->open && strcmp(d->name, name) == 0 && !(d->read_only && read_only && ds->config.kind == DATASTORE_NFS))
			return trace_error(-EBUSY);
	return 0;
}

/* ---- what storage gives ---- */

static int open_file(struct datastore *ds, const char *name, const struct datastore_disk_options *o, struct blk_dev **out)
{
	struct file_store *store = nfs_initiator_store(ds->nfs);
	struct file_info info;
	struct file *file;
	int err;

	if (o->size_bytes && !o->read_only) {
		err = file_stat(store, name, &info, o->deadline_ns);
		if (err == -ENOENT || (!err && !info.is_directory && info.size_bytes < o->size_bytes))
			err = file_create(store, name, o->size_bytes, o->deadline_ns);
		if (err)
			return err;
	}
	err = file_open(store, name, o->read_only ? FILE_READ_ONLY : 0, &file, o->deadline_ns);
	if (!err)
		*out = &file->blk;
	return err;
}

static int open_lun(struct datastore *ds, const char *name, const struct datastore_disk_options *o, struct blk_dev **out)
{
	struct lun *lun = iscsi_initiator_lun(ds->iscsi);

	if (name[0])
		return trace_error(-ENOENT); /* a raw LUN holds no files */
	if (o->size_bytes > lun->blk.size_bytes)
		return trace_error(-ENOSPC);
	lun->blk.read_only = o->read_only;
	*out = &lun->blk;
	return 0;
}

static uint64_t ram_used(const struct datastore *ds)
{
	uint64_t used = 0;

	for (const struct datastore_disk *d = ds->disks; d; d = d->next)
		used += d->base ? d->base->size_bytes : 0;
	return used;
}

static int open_ram(struct datastore *ds, const char *name, const struct datastore_disk_options *o, struct blk_dev **out)
{
	uint64_t size = o->size_bytes ? o->size_bytes : name[0] ? 0 : ds->config.ram.size_bytes;

	if (!size)
		return trace_error(-EINVAL);
	if (ds->config.ram.size_bytes && size > ds->config.ram.size_bytes - HV_MIN(ram_used(ds), ds->config.ram.size_bytes))
		return trace_error(-ENOSPC);
	return ram_lun_create(ds->config.name, size, out);
}

/* ---- open, close ---- */

static int base_open(struct datastore *ds, const char *name, const struct datastore_disk_options *o, struct blk_dev **out)
{
	switch (ds->config.kind) {
	case DATASTORE_NFS:
		return open_file(ds, name, o, out);
	case DATASTORE_ISCSI:
		return open_lun(ds, name, o, out);
	default:
		return open_ram(ds, name, o, out);
	}
}

static int fault_stack(struct datastore *ds, struct datastore_disk *d)
{
	const struct datastore_fault_config *f = &ds->config.fault;
	struct fault_config config = {.delay_us = f->delay_us, .error_every = f->error_every};

	d->dev = d->base;
	return f->enabled ? fault_lun_create(d->name, d->base, &config, &d->dev) : 0;
}

int datastore_disk_open(struct datastore *ds, const char *file, const struct datastore_disk_options *options, struct blk_dev **out)
{
	static const struct datastore_disk_options defaults;
	const struct datastore_disk_options *o = options ? options : &defaults;
	struct datastore_disk *d;
	int err;

	if (strlen(file) > DISK_NAME_MAX)
		return trace_error(-ENAMETOOLONG);
	err = datastore_wait(ds, o->deadline_ns);
	if (!err)
		err = disk_sharing_check(ds, file, o->read_only);
	if (err)
		return err;
	d = ds->config.kind == DATASTORE_RAM ? disk_find(ds, file) : NULL;
	if (d)
		goto found;
	d = hv_contig_alloc(sizeof(*d), 4096);
	if (!d)
		return trace_error(-ENOMEM);
	memset(d, 0, sizeof(*d));
	strcpy(d->name, file);
	/* Taken before base_open may yield, so that two fibers cannot both pass the sharing check. */
	d->open = true;
	d->read_only = o->read_only;
	d->next = ds->disks;
	ds->disks = d;
	err = base_open(ds, file, o, &d->base);
	if (!err)
		err = fault_stack(ds, d);
	if (err)
		goto fail;
found:
	d->open = true;
	d->read_only = o->read_only;
	if (ds->config.kind == DATASTORE_RAM)
		d->dev->read_only = o->read_only;
	*out = d->dev;
	return 0;
fail:
	if (d->base)
		d->base->ops->close(d->base);
	for (struct datastore_disk **at = &ds->disks; *at; at = &(*at)->next) {
		if (*at == d) {
			*at = d->next;
			break;
		}
	}
	hv_contig_free(d, sizeof(*d));
	return err;
}

static void stats_add(struct blk_stats *sum, const struct blk_stats *s)
{
	for (unsigned i = 0; i < BLK_OP_COUNT; i++) {
		sum->ios[i] += s->ios[i];
		sum->bytes[i] += s->bytes[i];
		sum->errors[i] += s->errors[i];
	}
	for (unsigned i = 0; i < BLK_LATENCY_BUCKETS; i++)
		sum->latency[i] += s->latency[i];
	sum->in_flight += s->in_flight;
	sum->again += s->again;
}

/* Takes the disk out of the list and releases all of it. */
static void disk_release(struct datastore *ds, struct datastore_disk *d)
{
	struct datastore_disk **at = &ds->disks;

	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	stats_add(&ds->closed_io, &d->dev->stats);
	d->dev->stats = (struct blk_stats){0}; /* a LUN's device lives on */
	d->dev->ops->close(d->dev);
	hv_contig_free(d, sizeof(*d));
}

void datastore_disk_close(struct datastore *ds, struct blk_dev *disk)
{
	struct datastore_disk *d = ds->disks;

	while (d && (d->dev != disk || !d->open))
		d = d->next;
	hv_assert(d);
	disk->changed = NULL;
	if (ds->config.kind == DATASTORE_RAM)
		d->open = false;
	else
		disk_release(ds, d);
}

void disk_forget_all(struct datastore *ds)
{
	while (ds->disks) {
		hv_assert(!ds->disks->open);
		disk_release(ds, ds->disks);
	}
}

void disk_stats(const struct datastore *ds, struct blk_stats *out)
{
	*out = ds->closed_io;
	for (const struct datastore_disk *d = ds->disks; d; d = d->next)
		if (d->dev)
			stats_add(out, &d->dev->stats);
}

struct blk_dev *datastore_disk_get(const struct datastore *ds, unsigned i, const char **name)
{
	const struct datastore_disk *d = ds->disks;

	while (d && (!d->open || !d->dev || i-- > 0))
		d = d->next;
	if (!d)
		return NULL;
	if (name)
		*name = d->name;
	return d->dev;
}
