/* Configuration of datastores: a name for a place where VM disks live. */
#ifndef DATASTORE_CONFIG_H
#define DATASTORE_CONFIG_H

#include <storage/config.h>

#define DATASTORE_NAME_MAX 31
#define DATASTORE_MAX 32

enum datastore_kind { DATASTORE_NFS, DATASTORE_ISCSI, DATASTORE_RAM };

/* For tests: a layer of delay and errors between the datastore's disks and their storage. */
struct datastore_fault_config {
	bool enabled;
	uint32_t delay_us;
	uint32_t error_every; /* every n-th request fails with -EIO; 0 = none */
};

struct datastore_config {
	char name[DATASTORE_NAME_MAX + 1];
	enum datastore_kind kind;
	union {
		struct nfs_config nfs;
		struct iscsi_config iscsi;
		struct ram_config ram;
	};
	struct datastore_fault_config fault;
};

#endif
