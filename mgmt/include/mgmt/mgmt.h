/*
 * Management on the host: runs the VMs of a configuration (inventory), answers on the control console, counts.
 * Everything here lives on core 0's loop (the I/O core); nothing is on a data path.
 */
#ifndef MGMT_MGMT_H
#define MGMT_MGMT_H

#include <config/model.h>
#include <hv/types.h>

struct vsw;
struct datastore;
struct inventory;

/* The parts of the host that the inventory's VMs are attached to; all outlive it. */
struct mgmt_parts {
	struct config *config;          /* from malloc; the inventory's from inventory_start on: a live change replaces it */
	struct vsw *vsw;
	struct datastore **datastores;  /* one per config->datastores entry; copied */
	uint64_t vcpu_core_mask;        /* cores that run vCPUs */
	unsigned io_core;
	uint64_t base_memory_bytes;     /* what the host used before its first VM */
	/*
	 * Another configuration has become the running one and the old one is about to be freed: uplinks that are new or have another NIC need
	 * their devices. May be NULL.
	 */
	void (*configured)(struct config *config);
};

/*
 * Starts every VM of the configuration, each in a fiber of its own that waits for the datastores the VM needs: one that is missing delays
 * only its own VMs. When the last VM has ended and the configuration says so, reports the counters and powers the machine off.
 * -ENOMEM. Fiber on the I/O core.
 */
int inventory_start(const struct mgmt_parts *parts, struct inventory **inv) HV_MUST_CHECK;

/*
 * config_secrets.secret: the text of the boot module `name`, without the newline at its end. Returns its length, -ENOENT, -ENAMETOOLONG.
 */
int mgmt_module_secret(void *arg, const char *name, char *out, size_t size);

/*
 * The control console (second serial port): one command a line in, JSON lines out. Commands: `stats`, `input VM TEXT`, `list`, `stop VM`,
 * `start VM`, `config ...`, `macs`, `neighbors`, `help`. inv may be NULL (no valid configuration). Loop context.
 */
void control_start(struct inventory *inv);
/* Takes it off the loop, before what it answers for is freed. The same core. */
void control_stop(void);
/* Writes one event line: {"event": ..., ...}. Loop context. */
void control_event_vm_ended(const char *vm, const char *how, unsigned value, const char *reason);
void control_event_stats(struct inventory *inv);
void control_event_error(const char *event, const char *text);

#endif
