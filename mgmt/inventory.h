/* Inside mgmt/: one VM of the inventory and what became of it. */
#ifndef MGMT_INVENTORY_H
#define MGMT_INVENTORY_H

#include <hv/core.h>
#include <hv/vm.h>
#include <mgmt/mgmt.h>
#include <yyjson.h>

/*
 * WAITING (for a datastore) <-> PREPARING (disks, boot files, ports) -> RUNNING -> ENDED (everything released, `final` keeps the numbers)
 *     any failure before RUNNING -> FAILED (reported as a crash with its reason)
 */
enum machine_state { MACHINE_WAITING, MACHINE_PREPARING, MACHINE_RUNNING, MACHINE_ENDED, MACHINE_FAILED };

struct machine_file {
	void *data;
	size_t bytes;
};

struct machine {
	struct inventory *inv;
	struct config_vm *config; /* its own copy: a live change gives it another content, never another place */
	bool active;              /* its fiber has not ended */
	enum machine_state state;
	struct hv_fiber *fiber;
	struct vm *vm;
	bool dirty_on, dirty_busy; /* its dirty log (dirty.c) */
	struct blk_dev *disks[CONFIG_MAX_VM_DISKS];
	struct netport *ports[CONFIG_MAX_VM_NICS];
	/* Boot files read from datastores; data is NULL where a boot module is used in place. */
	struct machine_file loaded[2 + CONFIG_MAX_VM_MODULES];
	/* Console: text since the last newline, as the host prints whole lines. */
	char line[512];
	size_t line_len;
	uint64_t console_dropped; /* lines for which the host's console had no room */
	/* How it ended, set by hv's ended(). */
	bool ended;
	enum vm_end how;
	unsigned value;
	char reason[160];
	yyjson_mut_doc *final; /* its counters at its end: {vm, disks, ports} */
};

struct inventory {
	struct mgmt_parts parts;
	unsigned running; /* machines that have not ended */
	/* In the order of the configuration. */
	struct machine *machines[CONFIG_MAX_VMS];
	unsigned count;
	struct datastore *datastores[DATASTORE_MAX];
};

/* A machine that waits to be started, with a copy of its configuration. NULL: no memory. */
struct machine *machine_new(struct inventory *inv, const struct config_vm *config);
/* @pre not active */
void machine_free(struct machine *m);
/* Runs it in a fiber of its own. @pre not active. One for which there is no memory is reported as failed. */
void machine_start(struct machine *m);
/* The name of a NIC's port: "web1.nic0". */
void machine_port_name(char *out, size_t size, const char *vm, unsigned nic);
/* The NIC of a VM that has the port of this name: c->vms[*vm].nics[*nic]. False: no VM has it. */
bool machine_port_nic(const struct config *c, const char *port, unsigned *vm, unsigned *nic);

/* ---- live change: inventory_change.c ---- */
struct inventory_refusal {
	char path[48];
	char text[192];
	const char *hint;
};
struct inventory_change {
	struct inventory *inv;
	const struct config *to;
	/* By the new indexes; those that this change made are marked. */
	struct datastore *datastores[DATASTORE_MAX];
	struct machine *machines[CONFIG_MAX_VMS];
	bool opened[DATASTORE_MAX], made[CONFIG_MAX_VMS];
	unsigned before_datastores;
};
/* @pre what a running VM cannot do is not in it. -errno and *why, or 0; then commit or abort must follow. `to` outlives it. */
int inventory_change_prepare(
	struct inventory *inv, const struct config *to, struct inventory_change *c, struct inventory_refusal *why) HV_MUST_CHECK;
void inventory_change_commit(struct inventory_change *c);
void inventory_change_abort(struct inventory_change *c);

/* ---- secret.c ---- */
/* A secret as it came from a file: without the newline at its end, NUL-terminated. Its length, -ENAMETOOLONG. */
int mgmt_secret_text(const void *bytes, size_t len, char *out, size_t size);

/* Console bytes of a machine to the host's console as "[name] line"; flush prints what has no newline yet. */
void machine_console(struct machine *m, const char *bytes, size_t len);
void machine_console_flush(struct machine *m);
struct machine *inventory_find(struct inventory *inv, const char *name, size_t len);
const char *machine_state_name(enum machine_state s);

/* Text that came from outside, into JSON: bytes that are no UTF-8, and control characters, become '?'. */
void text_add(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, const char *text);

/* Adds one machine's counters to the arrays vms, disks and ports of doc. */
void stats_machine(yyjson_mut_doc *doc, yyjson_mut_val *vms, yyjson_mut_val *disks, yyjson_mut_val *ports, struct machine *m);
/*
 * A document of its own with the counters of a machine that has ended: first the VM's, which need the VM; then those of its disks and
 * ports, which are final only when the VM is gone and has cancelled its requests. stats_final_vm: NULL when there is no memory.
 */
yyjson_mut_doc *stats_final_vm(struct machine *m);
void stats_final_devices(yyjson_mut_doc *doc, struct machine *m);
/* The whole host's counters: {"event": "stats", ...}. NULL: no memory. */
yyjson_mut_doc *stats_host(struct inventory *inv);

#endif
