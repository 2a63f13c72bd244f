/*
 * The local APIC of one vCPU (SDM vol. 3 ch. 11, APM vol. 2 ch. 16): xAPIC page at 0xfee00000, x2APIC MSRs, timer, inter-processor
 * interrupts. Calls: exit context (or loop) on the vCPU's own core, unless said otherwise. What other cores may do is set IRR bits:
 * vm_msi_send and the interrupt controllers do that for them.
 */
#ifndef HV_VDEV_LAPIC_H
#define HV_VDEV_LAPIC_H

#include <hv/types.h>
#include <stdatomic.h>

struct lapic;

/* OFF: there is none; XAPIC: the page; X2APIC: the MSRs. */
enum lapic_mode { LAPIC_OFF, LAPIC_XAPIC, LAPIC_X2APIC };
#define LAPIC_PAGE_BYTES 0x1000u

#define MSR_APIC_BASE 0x1bu
#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC_FIRST 0x800u
#define MSR_X2APIC_LAST 0x8ffu
#define MSR_KVM_PV_EOI 0x4b564d04u /* CPUID 0x40000001 EAX bit 6 (Linux Documentation/virt/kvm/x86/msr.rst) */

/*
 * Interrupts requested by any core that are not in the page yet. It has the form of a posted-interrupt descriptor (SDM vol. 3, table 30-1),
 * so that a processor that knows those takes the requests into the page of a running guest by itself. Whoever sets a bit of `vectors` then
 * sets `outstanding`, and notifies when that was clear; whoever takes the bits clears `outstanding` first.
 */
struct lapic_requests {
	_Atomic uint64_t vectors[4];
	_Atomic uint32_t outstanding; /* 0 or 1; the other bits are an interrupt remapper's, which is not used */
	uint32_t unused[7];
} HV_CACHE_ALIGNED;
struct lapic_requests *lapic_get_requests(struct lapic *l);

/*
 * True when an interrupt is deliverable (IRR above PPR, or ExtINT from the PIC); *vector is the one lapic_ack takes. Does not look at the
 * vCPU's RFLAGS.IF or interrupt shadow.
 */
bool lapic_has_interrupt(struct lapic *l, uint8_t *vector);
/* The vCPU takes what the last lapic_has_interrupt named: IRR -> ISR (or the PIC's INTA cycle). */
void lapic_ack(struct lapic *l, uint8_t vector);
/*
 * Any IRR bit above PPR's class if TPR were 0, i.e. an interrupt that only TPR holds back: the vCPU core then needs to see CR8 writes.
 */
bool lapic_tpr_blocks(struct lapic *l);
/*
 * For a processor that takes interrupts from the LAPIC's page by itself (SDM vol. 3 ch. 30 "APIC virtualization"; APM vol. 2, 15.29). While
 * it is on, lapic_ack is for ExtINT only, and after an exit the page holds what the processor did.
 */
void lapic_set_assisted(struct lapic *l, bool on);
enum lapic_mode lapic_get_mode(const struct lapic *l);
/* Requests of other cores go into the page; what the processor needs to know of it: the highest vector that waits and that is in service
 * (0: none), and which vectors are level-triggered: their EOI must be told by lapic_ended. */
struct lapic_page_state {
	uint64_t level[4];
	uint8_t requested, in_service;
};
void lapic_collect(struct lapic *l, struct lapic_page_state *out);
/* The PIC's vector, if it asks for one (ExtINT); then lapic_ack takes that. */
bool lapic_has_external(struct lapic *l, uint8_t *vector);
/* The processor ended `vector`, which is out of the ISR already. */
void lapic_ended(struct lapic *l, uint8_t vector);
/* The guest wrote the register at `offset` of the page, and the processor let it (SDM vol. 3, 30.4.3). */
void lapic_page_written(struct lapic *l, unsigned offset);
/* x2APIC registers 0x800-0x8ff, IA32_APIC_BASE, IA32_TSC_DEADLINE, MSR_KVM_PV_EOI. 0, or -EINVAL: the guest gets #GP(0). */
int lapic_msr_read(struct lapic *l, uint32_t msr, uint64_t *value) HV_MUST_CHECK;
int lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t value) HV_MUST_CHECK;
/* CPUID.1:EDX.APIC follows IA32_APIC_BASE.EN. */
bool lapic_is_enabled(const struct lapic *l);
/* CR8 is TPR bits 7:4. */
uint8_t lapic_get_cr8(const struct lapic *l);
void lapic_set_cr8(struct lapic *l, uint8_t cr8);
/* INIT: everything but the APIC ID and IA32_APIC_BASE goes to its reset state (SDM vol. 3, 11.4.7.3). */
void lapic_reset(struct lapic *l);

#endif
