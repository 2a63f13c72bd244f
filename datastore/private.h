/* A datastore's state, shared by the files of this folder. Owner: the storage core. */
#ifndef DATASTORE_PRIVATE_H
#define DATASTORE_PRIVATE_H

#include <datastore/datastore.h>
#include <hv/core.h>
#include <storage/iscsi.h>
#include <storage/nfs.h>

#define DISK_NAME_MAX 1023

/* An open disk, or a RAM disk that is closed and keeps its contents. */
struct datastore_disk {
	struct datastore_disk *next;
	struct blk_dev *dev;  /* what the user has: the fault layer's when there is one */
	struct blk_dev *base; /* what storage gave */
	bool open, read_only;
	char name[DISK_NAME_MAX + 1];
};

struct datastore_waiter {
	struct hv_fiber *fiber;
	struct datastore_waiter *next;
};

struct datastore {
	struct datastore_config config;
	enum datastore_state state;
	uint64_t since_ns, waiting_ns, state_changes;
	void (*changed)(struct datastore *ds, void *arg);
	void *changed_arg;
	struct datastore_waiter *waiters;
	struct nfs_initiator *nfs;
	struct iscsi_initiator *iscsi;
	struct datastore_disk *disks;
	struct blk_stats closed_io; /* of disks that are closed */
};

/* disk.c */
void disk_forget_all(struct datastore *ds);
void disk_stats(const struct datastore *ds, struct blk_stats *out);

#endif
