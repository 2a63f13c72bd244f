/*
 * The APIC bus of one VM: a message (from an MSI, the IOAPIC, or a vCPU's ICR) finds its target LAPICs. Nothing here has state; any core,
 * loop or exit context. Targets get atomic IRR bits or vCPU signals.
 */
#ifndef HV_VDEV_APIC_BUS_H
#define HV_VDEV_APIC_BUS_H

#include <hv/types.h>

struct vm;

/* Delivery modes (SDM vol. 3, 11.6.1). */
enum apic_mode { APIC_FIXED = 0, APIC_LOWEST = 1, APIC_SMI = 2, APIC_NMI = 4, APIC_INIT = 5, APIC_SIPI = 6, APIC_EXTINT = 7 };

#define APIC_BROADCAST 0xffffffffu

struct apic_msg {
	uint32_t dest; /* APIC ID, logical destination, or APIC_BROADCAST */
	uint8_t vector;
	uint8_t mode; /* enum apic_mode */
	bool logical;
	bool level; /* trigger mode; an EOI then goes to the IOAPIC */
};

/* Widens the 8-bit destination of an MSI, an IOAPIC entry or an xAPIC ICR. */
uint32_t apic_dest8(uint8_t dest);
/* Delivers; returns how many LAPICs were addressed (0: nobody, the message is lost, as on hardware). */
unsigned apic_send(struct vm *vm, const struct apic_msg *m);

#endif
