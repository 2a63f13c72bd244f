/* The local APIC as the vCPU core uses it. All calls: exit context (or loop) on the vCPU's own core, unless said otherwise. */
#ifndef HV_VDEV_LAPIC_H
#define HV_VDEV_LAPIC_H

#include <hv/types.h>

struct lapic;

/* True when an interrupt is deliverable (IRR above PPR, or ExtINT from the PIC); *vector is the one lapic_ack takes. */
bool lapic_has_interrupt(struct lapic *l, uint8_t *vector);
/* The vCPU takes it: IRR -> ISR (or the PIC's INTA cycle). */
void lapic_ack(struct lapic *l, uint8_t vector);
/* x2APIC registers 0x800-0x8ff, IA32_APIC_BASE, IA32_TSC_DEADLINE. 0, or -EINVAL: the guest gets #GP(0). */
int lapic_msr_read(struct lapic *l, uint32_t msr, uint64_t *value) HV_MUST_CHECK;
int lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t value) HV_MUST_CHECK;
/* CR8 is TPR bits 7:4. */
uint8_t lapic_get_cr8(struct lapic *l);
void lapic_set_cr8(struct lapic *l, uint8_t cr8);
/* INIT or power-on. */
void lapic_reset(struct lapic *l);

#endif
