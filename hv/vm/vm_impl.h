/*
 * What a VM is made of, for hv/ (others see <hv/vm.h>). Created and destroyed in a fiber on config.io_core; between vm_create's return and
 * vm_destroy all pointers here are constant and may be read from any core.
 */
#ifndef HV_VM_IMPL_H
#define HV_VM_IMPL_H

#include <hv/core.h>
#include <hv/vm.h>
#include <stdatomic.h>

struct gmem;
struct iobus;
struct vcpu;
struct platform; /* hv/vdev/platform.h: interrupt controllers, timers, UART, ACPI, debug-exit */
struct vpci;     /* hv/vdev/pci.h: PCI host bridge and everything on it */
struct virtio;   /* hv/vdev/virtio: its virtio devices */
struct nested;   /* hv/virt/nested.h */
struct dirty_log; /* hv/virt/dirty.c */
struct virt_vm;  /* the vendor's: nested page tables, permission maps */

/*
 * CREATED --vm_start--> RUNNING <--vm_pause/vm_resume--> PAUSED;  any --vm_ended (first caller)--> ENDING --last vCPU left--> ENDED
 */
enum vm_state { VM_CREATED, VM_RUNNING, VM_PAUSED, VM_ENDING, VM_ENDED };

#define VM_REASON_MAX 160

struct vm {
	char name[VM_NAME_MAX + 1];
	struct vm_config config; /* config.name points to name; blobs and cmdline are only valid while vm_create runs */
	struct gmem *gmem;
	struct iobus *iobus;
	unsigned cpu_count;
	struct vcpu *vcpus[VM_MAX_CPUS];
	struct platform *platform;
	struct vpci *vpci;
	struct virtio *virtio;
	struct virt_vm *virt;
	struct nested *nested;   /* in *virt */
	struct dirty_log *dirty; /* NULL: off. fibers on io_core; read by vCPUs while nested->logging */
	int64_t tsc_offset; /* guest TSC - host TSC */

	/* Life cycle (vm.c). */
	_Atomic uint8_t state;      /* enum vm_state */
	_Atomic bool ending;        /* set by the first vm_ended: every vCPU leaves at its next exit */
	_Atomic unsigned vcpus_in;  /* vCPUs that may still run; the one that brings it to 0 posts ended_msg */
	struct hv_msg ended_msg;
	enum vm_end end_how;
	unsigned end_value;
	char end_reason[VM_REASON_MAX];

	/* Counters that are not a vCPU's. */
	_Atomic uint64_t io_unclaimed; /* port and MMIO accesses nobody answered */
};

/*
 * Ends the VM: power-off, reset, debug-exit, crash. The first caller wins, later calls change nothing. Any core, loop or exit context.
 * `reason` is copied (NULL: none). The vCPU that calls it in exit context returns from its handler as usual and then leaves.
 */
void vm_ended(struct vm *vm, enum vm_end how, unsigned value, const char *reason);
/* The guest (or a device) asks for a machine reset: keyboard controller, port 0xcf9, ACPI reset register. Ends with VM_END_RESET. */
void vm_reset(struct vm *vm);

#endif
