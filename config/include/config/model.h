/*
 * The whole host configuration as plain data: each layer's own configuration struct, composed. Made by config/read.c from JSON (on the host
 * and in `berth`), checked by config/check.c (pure, the same in both), applied by config/builtin.c.
 */
#ifndef CONFIG_MODEL_H
#define CONFIG_MODEL_H

#include <datastore/config.h>
#include <net/config.h>
#include <vswitch/config.h>

#define CONFIG_NAME_MAX 63
#define CONFIG_MAX_VMS 64
#define CONFIG_MAX_VM_DISKS 16
#define CONFIG_MAX_VM_NICS 8
#define CONFIG_MAX_VM_MODULES 8
#define CONFIG_REF_MAX 511
#define CONFIG_CMDLINE_MAX 2047

struct config_vm_disk {
	uint8_t datastore;             /* index */
	char file[CONFIG_REF_MAX + 1]; /* "" for a raw LUN or a RAM datastore's whole disk */
	uint64_t size_bytes;           /* RAM datastore with file: size; else 0 = as found */
	bool read_only;
};

struct config_vm_nic {
	uint8_t portgroup; /* index */
	bool has_mac;      /* else derived from the VM's name and the NIC's index */
	uint8_t mac[6];
	uint16_t queues;            /* pairs; 0 = one for each CPU */
	struct vsw_port_config own; /* over what its port group says */
};

enum config_boot { CONFIG_BOOT_LINUX, CONFIG_BOOT_MULTIBOOT };

/* A file of a VM's boot: "module:NAME" (boot module of the host) or "DATASTORE:path". */
struct config_file_ref {
	bool present;
	bool is_module;
	uint8_t datastore; /* when not a module */
	char path[CONFIG_REF_MAX + 1];
};

struct config_vm {
	char name[CONFIG_NAME_MAX + 1];
	unsigned cpus;
	uint64_t memory_bytes;
	enum config_boot boot;
	struct config_file_ref kernel, initrd;
	struct config_file_ref modules[CONFIG_MAX_VM_MODULES];
	unsigned module_count;
	char cmdline[CONFIG_CMDLINE_MAX + 1];
	bool debug_exit;
	struct config_vm_disk disks[CONFIG_MAX_VM_DISKS];
	unsigned disk_count;
	struct config_vm_nic nics[CONFIG_MAX_VM_NICS];
	unsigned nic_count;
};

struct config_host {
	char name[CONFIG_NAME_MAX + 1];
	unsigned io_cores;                 /* 1 */
	char initiator[ISCSI_IQN_MAX + 1]; /* iSCSI name of this host; default iqn.2026-01.io.berth:<name> */
	bool power_off_when_idle;          /* when all VMs have ended: power the machine off (the lab); default true */
};

#define CONFIG_MAX_POSITIONS 4096
#define CONFIG_FILE_NAME_MAX 63

/* On which line of the YAML file each place stands: config_position() reads it. */
struct config_positions {
	char file[CONFIG_FILE_NAME_MAX + 1]; /* "": not known */
	unsigned count;
	uint64_t lines[CONFIG_MAX_POSITIONS]; /* a hash of the path << 20 | the line, ascending */
};

struct config {
	struct config_host host;
	struct vsw_config vsw;
	struct net_config net;
	struct datastore_config datastores[DATASTORE_MAX];
	unsigned datastore_count;
	struct config_vm vms[CONFIG_MAX_VMS];
	unsigned vm_count;
	struct config_positions positions;
};

#endif
