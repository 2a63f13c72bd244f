/*
 * A VM's PCI host bridge: one bus, number 0, with up to 32 single-function devices (PCI Local Bus 3.0).
 *
 * The guest reaches configuration space by ports 0xcf8/0xcfc (mechanism #1, 3.2.2.3.2) and by ECAM (PCIe Base 4.0, 7.2.2). All BARs are
 * assigned before the guest boots; the guest may turn decoding off and on and move BARs inside the two windows below. Interrupts are MSI-X
 * only: no function has an interrupt pin. The bridge also owns port 0xcf9 (reset control: bit 2 written 0 to 1 is vm_reset), because it
 * lies inside the dword port 0xcf8.
 *
 * Functions of a device may run on any core: configuration space and MSI-X tables have short spinlocks of their own.
 */
#ifndef HV_VDEV_PCI_H
#define HV_VDEV_PCI_H

#include "vdev/lock.h"
#include "virt/iobus.h"
#include <hv/types.h>

struct vm;
struct vpci;
struct vpci_dev;
struct state_writer;
struct state_reader;

/* The windows that the ACPI tables (_CRS of the host bridge, MCFG) must name. */
#define VPCI_IO_BASE 0xc000u
#define VPCI_IO_BYTES 0x4000u
#define VPCI_MMIO_BASE 0xd0000000u
#define VPCI_MMIO_BYTES 0x10000000u
#define VPCI_ECAM_BASE 0xe0000000u
#define VPCI_ECAM_BYTES 0x100000u /* bus 0 */
#define VPCI_SLOTS 32
#define VPCI_BARS 6
#define VPCI_MSIX_MAX 32

/* 0, -ENOMEM, -EBUSY. Fiber on io_core. */
int vpci_create(struct vm *vm) HV_MUST_CHECK;
/* @pre no vCPU runs, devices detached. No-op when there is none. */
void vpci_destroy(struct vm *vm);
/* Machine reset: configuration space, BARs and MSI-X of the bridge and all devices as vpci_register left them. @pre no vCPU runs */
void vpci_reset(struct vm *vm);
/* The bridge and every function's configuration space, BARs and MSI-X state. @pre no vCPU runs, same devices registered. -EINVAL */
void vpci_save(struct vm *vm, struct state_writer *w);
int vpci_load(struct vm *vm, struct state_reader *r) HV_MUST_CHECK;

struct vpci_bar {
	/* The device's, set before vpci_register. */
	uint32_t bytes; /* power of two, at least 4 (I/O) or 16 (memory); 0: not implemented */
	bool io;
	/* Exit context, any vCPU core. a->offset counts from the BAR's start. */
	void (*access)(struct vpci_dev *d, struct io_access *a);
	/* The bridge's. */
	bool decoded;
	struct io_region region;
};

struct vpci_msix_entry {
	uint64_t address;
	uint32_t data;
	bool masked, pending;
};

/*
 * A function. Zeroed, then filled by the device; it stays valid until vpci_unregister. The device embeds it and finds itself by
 * hv_container_of.
 */
struct vpci_dev {
	/* The device's, set before vpci_register. */
	const char *name;
	uint16_t vendor_id, device_id, subsys_vendor_id, subsys_id;
	uint32_t class_code; /* base class, sub-class, interface */
	uint8_t revision;
	struct vpci_bar bar[VPCI_BARS];
	uint16_t msix_count;           /* table entries; 0: no MSI-X */
	uint8_t msix_bar;              /* memory BAR that holds table and PBA; its handler passes accesses there to vpci_msix_access */
	uint32_t msix_table, msix_pba; /* offsets in it */
	/*
	 * A capability's configuration-space bytes beyond the generic handling (VIRTIO PCI_CFG access). Called before a read and after a
	 * write that touches a byte marked by vpci_cap_hook; exit context, under no lock. May be NULL.
	 */
	void (*config_hook)(struct vpci_dev *d, unsigned offset, unsigned size, bool write);

	/* The bridge's. */
	struct vm *vm;
	uint8_t slot;
	bool registered;
	uint8_t cap_end;  /* next free byte for a capability */
	uint8_t cap_last; /* offset of the newest capability, 0: none */
	uint8_t msix_cap;
	uint8_t hook_start, hook_end;
	struct vdev_lock msix_lock;
	bool msix_enabled, msix_masked;
	struct vpci_msix_entry msix[VPCI_MSIX_MAX];
	uint8_t config[256], reset_config[256];
	uint8_t writable[256];         /* bits the guest may change */
	uint64_t msix_sent, msix_held; /* messages sent; interrupts noted as pending because of a mask */
};

/*
 * Appends a capability of `len` bytes (the first two, ID and next, are filled in here) and returns its offset in configuration space, or
 * -ENOSPC. `writable` has the guest-writable bits, NULL: none. Before vpci_register.
 */
int vpci_cap_add(struct vpci_dev *d, uint8_t id, const void *body, unsigned len, const uint8_t *writable) HV_MUST_CHECK;
/* Calls config_hook for configuration-space bytes [offset, offset+len). One range per device. Before vpci_register. */
void vpci_cap_hook(struct vpci_dev *d, unsigned offset, unsigned len);

/* Gives the function a slot, assigns and enables its BARs. 0, -ENOSPC (slots, window), -EBUSY. Fiber on io_core, before the VM runs. */
int vpci_register(struct vm *vm, struct vpci_dev *d) HV_MUST_CHECK;
/* @pre no vCPU runs. No-op when not registered. */
void vpci_unregister(struct vpci_dev *d);

/* True while the guest lets the function access memory (command register, bus master enable). Any context. */
bool vpci_bus_master(const struct vpci_dev *d);

/* An access to the MSI-X table or PBA (PCI 3.0, 6.8.2.6 ff.); offset from the BAR's start. False when it hits neither. Any context. */
bool vpci_msix_access(struct vpci_dev *d, struct io_access *a);
/* Raises MSI-X vector `entry`: sent, or noted as pending while masked; dropped while MSI-X is off. Any core, any context. */
void vpci_msix_raise(struct vpci_dev *d, unsigned entry);

/* ---- between pci.c and pci_msix.c ---- */
int vpci_msix_init(struct vpci_dev *d) HV_MUST_CHECK;
void vpci_msix_reset(struct vpci_dev *d);
/* The message control word was written. */
void vpci_msix_control(struct vpci_dev *d);
void vpci_msix_save(struct vpci_dev *d, struct state_writer *w);
/* Decode into `out` (the table of entries), which the caller applies. */
void vpci_msix_load(struct state_reader *r, struct vpci_msix_entry out[VPCI_MSIX_MAX]);

#endif
