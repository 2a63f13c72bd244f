/* Virtual machines: life cycle, and what a VM is made of. */
#ifndef HV_VM_H
#define HV_VM_H

#include <hv/blk.h>
#include <hv/netport.h>
#include <hv/types.h>

#define VM_NAME_MAX 63
#define VM_MAX_CPUS 32
#define VM_MAX_DISKS 16
#define VM_MAX_NICS 8
#define VM_MAX_MODULES 8

struct vm;

struct vm_blob {
	const void *data;
	size_t bytes;
	const char *name; /* multiboot: the module's command line */
};

enum vm_boot { VM_BOOT_LINUX, VM_BOOT_MULTIBOOT };

enum vm_end { VM_END_POWER_OFF, VM_END_RESET, VM_END_DEBUG_EXIT, VM_END_CRASH, VM_END_STOPPED };

struct vm_disk_config {
	struct blk_dev *dev;
	const char *serial; /* up to 20 characters */
};

struct vm_nic_config {
	struct netport *port; /* its MAC is the NIC's */
	unsigned queue_pairs; /* receive and transmit queues, 1..8; 0: one pair for each vCPU, 8 at most */
};

struct vm_config {
	const char *name;
	unsigned cpus;
	uint64_t memory_bytes; /* multiple of 2 MiB */
	enum vm_boot boot;
	struct vm_blob kernel, initrd;
	struct vm_blob modules[VM_MAX_MODULES];
	unsigned module_count;
	const char *cmdline;
	bool debug_exit;         /* a write to port 0xf4 ends the VM */
	unsigned io_core;        /* where its virtio queues are polled */
	uint64_t vcpu_core_mask; /* cores its vCPUs may run on */
	struct vm_disk_config disks[VM_MAX_DISKS];
	unsigned disk_count;
	struct vm_nic_config nics[VM_MAX_NICS];
	unsigned nic_count;
	/* Serial console bytes the guest wrote. Loop context on io_core. */
	void (*console)(void *arg, const char *bytes, size_t len);
	/*
	 * The VM has ended and its vCPUs run no more; called once, loop context on io_core. detail: debug-exit value, or for a crash a
	 * sentence (reason).
	 */
	void (*ended)(void *arg, enum vm_end how, unsigned value, const char *reason);
	void *arg;
};

/* NULL when this machine can run guests, else a sentence: what it lacks, and what to do. Loop context. */
const char *vm_refused_by_machine(void);
/*
 * Makes a VM: memory, devices, vCPUs, kernel loaded; it does not run yet. 0, -EINVAL (log says what), -ENOMEM. Fiber on io_core; may yield.
 */
int vm_create(const struct vm_config *config, struct vm **vm) HV_MUST_CHECK;
void vm_start(struct vm *vm);
/* Ends it from outside (VM_END_STOPPED follows through ended()). */
void vm_stop(struct vm *vm);
void vm_pause(struct vm *vm);
void vm_resume(struct vm *vm);
/* @pre ended() was called. Waits for I/O in flight (cancelling it), frees everything. Fiber on io_core; may yield. */
void vm_destroy(struct vm *vm);
/* Bytes typed at the VM's serial console; returns how many it took. Loop context on io_core. */
size_t vm_console_input(struct vm *vm, const char *bytes, size_t len);

/* ---- dirty log: a fiber on io_core, one at a time; may yield ---- */
/*
 * Which 4 KiB pages of its memory were written since the last look, by the guest or for it. For live migration: copy all, then again what was
 * written meanwhile, until little is left.
 *
 *	OFF --vm_dirty_start--> ON --vm_dirty_read, any number--> ON --vm_dirty_stop--> OFF
 */
/* From now on writes are logged; nothing is dirty yet. -ENOMEM: it stays off. -EALREADY. */
int vm_dirty_start(struct vm *vm) HV_MUST_CHECK;
/* One bit a page, along guest memory without its hole below 4 GiB (vm_dirty_gpa); so many words of 64. */
size_t vm_dirty_words(const struct vm *vm);
gpa_t vm_dirty_gpa(const struct vm *vm, uint64_t page);
/*
 * The pages written since the start or the last read. Copy them after this has returned: what is written later is in the next read. Returns how
 * many. @pre on
 */
uint64_t vm_dirty_read(struct vm *vm, uint64_t *bits);
/* @pre on */
void vm_dirty_stop(struct vm *vm);

/* ---- numbers ---- */
struct vm_stats_sink {
	/* One named counter, "exits.cpuid", "irq.injected", "disk0.kicks" ... */
	void (*counter)(struct vm_stats_sink *sink, const char *name, uint64_t value);
};
/* Reports all counters (sums over vCPUs; exact once the VM has ended). Loop context on io_core. */
void vm_stats(struct vm *vm, struct vm_stats_sink *sink);
/* Host memory the VM uses, bytes: guest memory and everything around it. */
uint64_t vm_memory_bytes(const struct vm *vm);

#endif
