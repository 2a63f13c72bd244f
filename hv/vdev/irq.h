/*
 * Interrupts from devices to a VM's interrupt controllers. Any core, any context (loop, exit): the controllers take short spinlocks or set
 * atomic IRR bits, then wake the target vCPU.
 */
#ifndef HV_VDEV_IRQ_H
#define HV_VDEV_IRQ_H

#include <hv/types.h>

struct vm;
struct vcpu;

/* ISA/GSI line level (0..15 also reach the PIC, 0..23 the IOAPIC). Implemented by ioapic.c/pic.c. */
void vm_irq_set(struct vm *vm, unsigned gsi, bool level);
/* A raise-and-lower for edge-triggered lines. */
void vm_irq_pulse(struct vm *vm, unsigned gsi);
/* A message-signalled interrupt: what a device wrote, where. Delivered by lapic.c. */
void vm_msi_send(struct vm *vm, uint64_t address, uint32_t data);

#endif
