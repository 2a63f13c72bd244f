/* The IOAPIC: 24 inputs at 0xfec00000 (ioapic.c). Any core, loop or exit context. */
#ifndef HV_VDEV_IOAPIC_H
#define HV_VDEV_IOAPIC_H

#include "vdev/lock.h"
#include "virt/iobus.h"
#include <hv/types.h>

struct vm;
struct state_writer;
struct state_reader;

#define IOAPIC_MMIO_BASE 0xfec00000u
#define IOAPIC_PINS 24u

struct ioapic_state {
	uint64_t redirect[IOAPIC_PINS];
	uint32_t lines; /* input levels */
	uint8_t id, select;
};

struct ioapic {
	struct vdev_lock lock;
	struct ioapic_state s;
	struct vm *vm;
	struct io_region region;
	uint64_t n_sent; /* messages sent, under lock */
};

int ioapic_init(struct ioapic *io, struct vm *vm) HV_MUST_CHECK;
void ioapic_fini(struct ioapic *io);
void ioapic_reset(struct ioapic *io);
void ioapic_set_line(struct ioapic *io, unsigned pin, bool level);
/* A LAPIC ended a level-triggered interrupt of that vector. */
void ioapic_eoi(struct ioapic *io, uint8_t vector);

void ioapic_save(struct ioapic *io, struct state_writer *w);
int ioapic_decode(struct ioapic_state *s, struct state_reader *r) HV_MUST_CHECK;
void ioapic_apply(struct ioapic *io, const struct ioapic_state *s);

#endif
