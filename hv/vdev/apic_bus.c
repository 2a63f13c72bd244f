/* The APIC bus (apic_bus.h): destinations and delivery. SDM vol. 3, 11.6 "Issuing interprocessor interrupts", 11.11 "Message signalled
 * interrupts". */
#include "vdev/apic_bus.h"
#include "vdev/irq.h"
#include "vdev/lapic_impl.h"
#include "virt/vcpu.h"
#include "vm/vm_impl.h"

uint32_t apic_dest8(uint8_t dest)
{
	return dest == 0xff ? APIC_BROADCAST : dest;
}

/* xAPIC: flat model when DFR is all ones, else clusters of four (11.6.2.2). x2APIC: clusters of sixteen (11.12.9). */
static bool matches_logical(struct lapic *l, uint32_t dest)
{
	uint32_t ldr = atomic_load_explicit(&l->ldr, memory_order_relaxed);
	if (dest == APIC_BROADCAST)
		return true;
	if (atomic_load_explicit(&l->mode, memory_order_relaxed) == LAPIC_X2APIC)
		return dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff);
	uint32_t mine = ldr >> 24;
	if (atomic_load_explicit(&l->dfr, memory_order_relaxed) >> 28 == 0xf)
		return (dest & mine) != 0;
	return (dest >> 4 == mine >> 4 || dest >> 4 == 0xf) && (dest & mine & 0xf);
}

static bool matches(struct lapic *l, const struct apic_msg *m)
{
	if (atomic_load_explicit(&l->mode, memory_order_relaxed) == LAPIC_OFF)
		return false;
	if (m->logical)
		return matches_logical(l, m->dest);
	return m->dest == APIC_BROADCAST || m->dest == l->id;
}

static void deliver(struct lapic *l, const struct apic_msg *m)
{
	switch (m->mode) {
	case APIC_FIXED:
	case APIC_LOWEST:
		lapic_set_irr(l, m->vector, m->level);
		break;
	case APIC_NMI:
		vcpu_nmi(l->vcpu);
		break;
	case APIC_INIT:
		vcpu_init_signal(l->vcpu);
		break;
	case APIC_SIPI:
		vcpu_sipi(l->vcpu, m->vector);
		break;
	default: /* SMI: there is no SMM; ExtINT by message: the PIC is wired to LINT0 only */
		break;
	}
}

/*
 * Lowest priority: any one of those addressed may take it. The vector picks where to start, so that different vectors spread and one vector
 * stays on a warm cache.
 */
static unsigned send_lowest(struct vm *vm, const struct apic_msg *m)
{
	for (unsigned i = 0; i < vm->cpu_count; i++) {
		struct lapic *l = vcpu_lapic(vm->vcpus[(m->vector + i) % vm->cpu_count]);
		if (matches(l, m) && lapic_svr_enabled(l)) {
			deliver(l, m);
			return 1;
		}
	}
	return 0;
}

unsigned apic_send(struct vm *vm, const struct apic_msg *m)
{
	if (m->mode == APIC_LOWEST)
		return send_lowest(vm, m);
	if (!m->logical && m->dest < vm->cpu_count) { /* a vCPU's APIC ID is its index */
		struct lapic *l = vcpu_lapic(vm->vcpus[m->dest]);
		if (!matches(l, m))
			return 0;
		deliver(l, m);
		return 1;
	}
	unsigned hits = 0;
	for (unsigned i = 0; i < vm->cpu_count; i++) {
		struct lapic *l = vcpu_lapic(vm->vcpus[i]);
		if (matches(l, m)) {
			deliver(l, m);
			hits++;
		}
	}
	return hits;
}

void vm_msi_send(struct vm *vm, uint64_t address, uint32_t data)
{
	if (address >> 20 != LAPIC_MMIO_BASE >> 20)
		return; /* a memory write elsewhere: devices write messages only */
	struct apic_msg m = {
		.dest = apic_dest8((uint8_t)(address >> 12)),
		.vector = (uint8_t)data,
		.mode = data >> 8 & 7,
		.logical = address >> 2 & 1,
		.level = (data >> 15 & 1) && (data >> 14 & 1),
	};
	apic_send(vm, &m);
}
