/*
 * A VM's I/O bus: who answers a port or an MMIO address. Handlers run in exit context on a vCPU core (any vCPU, several at once: a device that
 * is touched by more than one core protects its state with its own short spinlock or hands over by message), no FPU, hv code only.
 */
#ifndef HV_VIRT_IOBUS_H
#define HV_VIRT_IOBUS_H

#include <hv/types.h>

struct vm;
struct vcpu;

/* Where an earlier access went: right as long as the space has not changed (iobus.c). Zeroed before its first use; one user at a time. */
struct io_hint {
	uint64_t start, bytes;
	struct io_region *region;
	uint32_t sequence;
};

struct io_access {
	struct vcpu *vcpu;
	uint64_t addr;   /* port or guest-physical address */
	uint64_t offset; /* from the region's start */
	uint8_t size;    /* 1, 2, 4 (ports), 1, 2, 4, 8 (MMIO); may be misaligned */
	bool write;
	uint64_t value; /* in for write, out for read */
	struct io_hint *hint; /* NULL, or the vCPU's for this space: saves the search when it goes where the last one went */
};

struct io_region {
	uint64_t start, bytes;
	void (*access)(struct io_region *r, struct io_access *a);
	const char *name;
	void *arg;
	/* The bus's. */
	bool attached;
};

enum io_space { IO_PORT, IO_MMIO };

/*
 * Attach/detach while the VM runs (BAR moves) is allowed from exit context. -EBUSY on overlap, -ENOSPC. Accesses nobody answers read all ones
 * and drop writes, counted.
 */
int iobus_attach(struct vm *vm, enum io_space space, struct io_region *r) HV_MUST_CHECK;
void iobus_detach(struct vm *vm, enum io_space space, struct io_region *r);
/* Finds the region and calls it; false when there is none. */
bool iobus_dispatch(struct vm *vm, enum io_space space, struct io_access *a);

#endif
