/*
 * Datastores: named places where VM disks live: an NFS export, a raw LUN, host memory.
 *
 * All functions: loop context on the storage core (the core that opened the datastore, which runs the network). "Fiber" = may wait, from a
 * fiber only. The number of datastores is bounded (DATASTORE_MAX); they are never waited for at boot, and none waits for another.
 */
#ifndef DATASTORE_DATASTORE_H
#define DATASTORE_DATASTORE_H

#include <datastore/config.h>
#include <hv/blk.h>
#include <storage/link.h>

struct datastore;

enum datastore_state {
	DATASTORE_ATTACHING, /* not reached yet since it was opened */
	DATASTORE_ONLINE,
	DATASTORE_WAITING, /* lost; its disks' requests wait */
	DATASTORE_CLOSED,
};

const char *datastore_state_text(enum datastore_state state);

/*
 * Opens a datastore and returns at once; it attaches, and after a loss attaches again, in the background for ever. The configuration is
 * copied. -EINVAL (impossible configuration), -EEXIST (name in use), -ENOMEM, -ENOSPC (DATASTORE_MAX).
 */
int datastore_open(const struct datastore_config *config, struct datastore **out) HV_MUST_CHECK;
/* Ends it and the disks' requests that still wait (-ESHUTDOWN). @pre all disks closed, no fiber in a call. */
void datastore_close(struct datastore *ds);

const char *datastore_name(const struct datastore *ds);
enum datastore_kind datastore_kind(const struct datastore *ds);
enum datastore_state datastore_state(const struct datastore *ds);
/* Calls changed(ds, arg) after each change of state; one at a time, NULL = none. */
void datastore_on_change(struct datastore *ds, void (*changed)(struct datastore *ds, void *arg), void *arg);
/* Fiber: until it has been reached once. 0, -ETIMEDOUT (deadline_ns on hv_now_ns()'s scale, 0 = for ever), -ESHUTDOWN. */
int datastore_wait(struct datastore *ds, uint64_t deadline_ns) HV_MUST_CHECK;

struct datastore_disk_options {
	uint64_t size_bytes; /* NFS: a new or smaller file is made this large; RAM: size of a named disk. 0 = as found */
	bool read_only;
	uint64_t deadline_ns; /* of opening; 0 = waits for ever */
};

/*
 * Fiber: opens a disk, waiting for the datastore. NFS: `file` is its path. LUN: "" (the LUN is one disk). RAM: "" = all of it, or a name.
 * A disk is open once, except read-only by all. -EBUSY, -ENOENT, -EINVAL, -ETIMEDOUT, -ENOMEM, -ENOSPC, what storage/file.h says.
 */
int datastore_disk_open(
	struct datastore *ds, const char *file, const struct datastore_disk_options *options, struct blk_dev **out) HV_MUST_CHECK;
/* @pre no request in flight. A RAM disk keeps its contents until the datastore is closed. */
void datastore_disk_close(struct datastore *ds, struct blk_dev *disk);

/*
 * Fiber: a whole file of an NFS datastore in memory (kernels, initrds), waiting for the datastore. Free with datastore_file_unload.
 * -EOPNOTSUPP (no files here), -EFBIG, what storage/file.h says.
 */
int datastore_file_load(
	struct datastore *ds, const char *path, size_t max_bytes, void **data, size_t *bytes, uint64_t deadline_ns) HV_MUST_CHECK;
void datastore_file_unload(void *data, size_t bytes);

/* All datastores, in the order of opening: i from 0 to datastore_count() - 1. */
unsigned datastore_count(void);
struct datastore *datastore_get(unsigned i);
struct datastore *datastore_find(const char *name);

struct datastore_stats {
	enum datastore_state state;
	uint64_t state_changes, waiting_ns; /* time not ONLINE since it was first reached, until now */
	struct blk_stats io;                /* of all its disks, also closed ones; in_flight is of now */
	struct storage_link_stats link;     /* zero for RAM */
	const char *reason;                 /* why it is not online, "" otherwise */
	/* NFS only: storage/nfs.h. */
	uint64_t commits, resent, verifier_changes, lost_writes;
};

void datastore_stats(const struct datastore *ds, struct datastore_stats *out);
/* True while disks that were closed have writes which a loss of the server, or this host's end, could still lose. NFS only; it passes by
 * itself. */
bool datastore_settling(const struct datastore *ds);
/* Open disks: i from 0; NULL at the end. *name: the file, valid until the disk is closed. */
struct blk_dev *datastore_disk_get(const struct datastore *ds, unsigned i, const char **name);

#endif
