/*
 * A guest's side of virtio for tests: a VM without vCPUs, whose "driver" is the test. It reaches the devices as a guest does, by ports,
 * MMIO and rings in guest memory, so a test sees exactly what a guest would see.
 */
#ifndef GUEST_DRIVER_H
#define GUEST_DRIVER_H

#include "test.h"
#include "vm/vm_impl.h"

#define GUEST_MEMORY (8u << 20)
#define VECTORS 32

struct guest {
	struct vm vm;
	unsigned msi[VECTORS]; /* messages received, by data */
	unsigned resets;       /* vm_reset calls */
	uint64_t next_free;    /* guest memory not handed out yet */
};
extern struct guest guest;

/* One descriptor to be. */
struct buf {
	uint64_t gpa;
	uint32_t len;
	bool in; /* device writes */
};

struct queue {
	struct dev *dev;
	unsigned index;
	uint16_t size, avail_idx, used_seen, free_desc;
	uint64_t desc, avail, used;
	bool event_idx, indirect;
};

struct dev {
	unsigned slot;
	uint32_t io_base, mmio_base;
	uint64_t features;
	struct queue queues[8];
};

/* Starts core 0 and a VM with config's disks and NICs; memory zeroed. */
void guest_start(const struct vm_config *config);
/* The same on cores that run already. */
void guest_make(const struct vm_config *config);
/* Detaches, frees. */
void guest_end(void);
/* Runs the I/O core until it sleeps; fails the test when it never does. */
void guest_run(void);

uint32_t port_read(uint16_t port, unsigned size);
void port_write(uint16_t port, unsigned size, uint32_t value);
uint64_t mmio_read(uint64_t gpa, unsigned size);
void mmio_write(uint64_t gpa, unsigned size, uint64_t value);
uint32_t pci_read(unsigned slot, unsigned offset, unsigned size);
void pci_write(unsigned slot, unsigned offset, unsigned size, uint32_t value);

/* Guest memory: allocate (16-byte aligned), and reach it. */
uint64_t ram_alloc(uint64_t bytes);
void *ram(uint64_t gpa, size_t len);
void ram_fill(uint64_t gpa, uint8_t byte, size_t len);

/* Finds the device's BARs, resets it, negotiates `features` (VERSION_1 added), sets up its queues and MSI-X vectors (queue i: data base +
 * i, config: base + 15), DRIVER_OK. */
void dev_open(struct dev *d, unsigned slot, uint64_t features, unsigned queues, unsigned vector_base);
/* The same, but stops before DRIVER_OK. */
void dev_prepare(struct dev *d, unsigned slot, uint64_t features, unsigned queues, unsigned vector_base);
uint8_t dev_status(struct dev *d);
void dev_set_status(struct dev *d, uint8_t status);
uint64_t dev_offered(struct dev *d);

/* Writes a descriptor by hand. */
void desc_write(uint64_t table, unsigned index, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next);
/* Makes a chain of bufs available; returns its head. No kick. */
uint16_t queue_add(struct queue *q, const struct buf *bufs, unsigned n);
/* Makes head available as it is. */
void queue_add_head(struct queue *q, uint16_t head);
/* Kicks if the device wants it, as a driver would decide. Returns true if it did. */
bool queue_kick(struct queue *q, uint16_t added);
/* The next used entry; false when there is none. */
bool queue_used(struct queue *q, uint16_t *head, uint32_t *len);
/* Driver wants an interrupt at once for the next used entry (event_idx). */
void queue_want_interrupt(struct queue *q);

#endif
