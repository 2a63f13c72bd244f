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
	const struct config *config;
	struct vsw *vsw;                /* NULL when the configuration has no vSwitch */
	struct datastore **datastores;  /* one per config->datastores entry */
	uint64_t vcpu_core_mask;        /* cores that run vCPUs */
	unsigned io_core;
	uint64_t base_memory_bytes;     /* what the host used before its first VM */
};

/*
 * Starts every VM of the configuration, each in a fiber of its own that waits for the datastores the VM needs: one that is missing delays
 * only its own VMs. When the last VM has ended and the configuration says so, reports the counters and powers the machine off.
 * -ENOMEM. Fiber on the I/O core.
 */
int inventory_start(const struct mgmt_parts *parts, struct inventory **inv) HV_MUST_CHECK;

/*
 * The control console (second serial port): one command a line in, JSON lines out. Commands: `stats`, `input VM TEXT`, `list`, `stop VM`,
 * `macs`, `neighbors`, `help`. inv may be NULL (no valid configuration). Loop context.
 */
void control_start(struct inventory *inv);
/* Takes it off the loop, before what it answers for is freed. The same core. */
void control_stop(void);
/* Writes one event line: {"event": ..., ...}. Loop context. */
void control_event_vm_ended(const char *vm, const char *how, unsigned value, const char *reason);
void control_event_stats(struct inventory *inv);
void control_event_error(const char *event, const char *text);

#endif
