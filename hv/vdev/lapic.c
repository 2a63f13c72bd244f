/*
 * The register half of a LAPIC (lapic.h): the xAPIC page, the MSRs, ICR, modes, reset. Interrupts are in lapic_irq.c, the timer in
 * lapic_timer.c, the bus between LAPICs in apic_bus.c.
 *
 * One register file serves both ways in: the xAPIC page (register n at offset n << 4) and the x2APIC MSRs (register n at 0x800 + n).
 * Modes (SDM vol. 3, figure 11-27):
 *
 *	OFF --EN--> XAPIC --EXTD--> X2APIC --EN=EXTD=0--> OFF;  XAPIC --EN=0--> OFF;  every other change is #GP
 *
 * Registers whose writes do something are kept in struct lapic, and shown in the page (`show`) for a processor that lets the guest read
 * them there; the others (lapic_irq.c's, ICR's high half) are in the page only.
 */
#include "vdev/lapic_impl.h"
#include "virt/iobus.h"
#include "virt/vcpu.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <string.h>

#define BASE_BSP (1ull << 8)
#define BASE_EXTD (1ull << 10)
#define BASE_EN (1ull << 11)

/* Bits that software may write, by entry (SDM figure 11-8). */
static const uint32_t lvt_writable[LVT_COUNT] = {
	[LVT_TIMER] = 0x700ff,
	[LVT_THERMAL] = 0x107ff,
	[LVT_PERF] = 0x107ff,
	[LVT_LINT0] = 0x1a7ff,
	[LVT_LINT1] = 0x1a7ff,
	[LVT_ERROR] = 0x100ff,
};

/* ---- inter-processor interrupts ---- */

static void send_ipi(struct lapic *l, uint32_t icr, uint32_t dest)
{
	struct apic_msg m = {
		.dest = dest,
		.vector = (uint8_t)icr,
		.mode = icr >> 8 & 7,
		.logical = icr >> 11 & 1,
	};
	unsigned shorthand = icr >> 18 & 3;
	bool deassert = !(icr >> 14 & 1) && (icr >> 15 & 1);

	l->n_ipi++;
	if (m.mode == APIC_INIT && deassert)
		return; /* INIT level de-assert: nothing on any CPU since the Pentium 4 */
	if (m.vector < 16 && (m.mode == APIC_FIXED || m.mode == APIC_LOWEST)) {
		lapic_raise_error(l, ESR_SEND_ILLEGAL);
		return;
	}
	if (shorthand == 0) {
		apic_send(l->vm, &m);
		return;
	}
	m.logical = false;
	for (unsigned i = 0; i < l->vm->cpu_count; i++) {
		bool self = i == l->id;
		m.dest = i;
		if (shorthand == 2 || (self && shorthand == 1) || (!self && shorthand == 3))
			apic_send(l->vm, &m);
	}
}

/* ---- registers ---- */

static uint32_t version(void)
{
	return LAPIC_VERSION | (LVT_COUNT - 1) << 16;
}

/* A register's value; registers that do not exist read 0 (the callers know which exist). */
static uint32_t reg_read(struct lapic *l, unsigned reg)
{
	lapic_pv_settle(l, false);
	if (reg >= R_ISR && reg < R_IRR + 8) {
		lapic_pull(l);
		return lapic_reg(l, reg);
	}
	if (reg >= R_LVT && reg < R_LVT + LVT_COUNT)
		return l->lvt[reg - R_LVT];
	switch (reg) {
	case R_ID:
		return lapic_mode(l) == LAPIC_X2APIC ? l->id : l->id << 24;
	case R_VERSION:
		return version();
	case R_TPR:
	case R_ICR_HIGH:
		return lapic_reg(l, reg);
	case R_APR:
	case R_PPR:
		return lapic_ppr(l);
	case R_LDR:
		return atomic_load(&l->ldr);
	case R_DFR:
		return atomic_load(&l->dfr);
	case R_SVR:
		return atomic_load(&l->svr);
	case R_ESR:
		return l->esr;
	case R_ICR:
		return l->icr_low;
	case R_INIT_COUNT:
		return l->init_count;
	case R_CURRENT_COUNT:
		return lapic_timer_current(l);
	case R_DIVIDE:
		return l->divide;
	default:
		return 0;
	}
}

void lapic_show(struct lapic *l)
{
	static const uint8_t shown[] = {R_ID, R_VERSION, R_LDR, R_DFR, R_SVR, R_ESR, R_ICR, R_LVT, R_LVT + 1, R_LVT + 2, R_LVT + 3,
		R_LVT + 4, R_LVT + 5, R_INIT_COUNT, R_DIVIDE};
	for (unsigned i = 0; i < sizeof(shown); i++)
		lapic_reg_set(l, shown[i], reg_read(l, shown[i]));
}

static void write_svr(struct lapic *l, uint32_t value)
{
	atomic_store(&l->svr, value & 0x1ff);
	if (value & SVR_ENABLE)
		return;
	for (unsigned i = LVT_THERMAL; i < LVT_COUNT; i++) /* 11.4.7.2: disabled means all entries masked */
		l->lvt[i] |= LVT_MASKED;
	lapic_timer_set_lvt(l, l->lvt[LVT_TIMER] | LVT_MASKED);
}

static void write_lvt(struct lapic *l, unsigned entry, uint32_t value)
{
	value &= lvt_writable[entry];
	if (!lapic_svr_enabled(l))
		value |= LVT_MASKED;
	if (entry == LVT_TIMER)
		lapic_timer_set_lvt(l, value);
	else
		l->lvt[entry] = value;
}

static void reg_write(struct lapic *l, unsigned reg, uint32_t value)
{
	switch (reg) {
	case R_LVT ... R_LVT + LVT_COUNT - 1:
		write_lvt(l, reg - R_LVT, value);
		break;
	case R_TPR:
		lapic_reg_set(l, R_TPR, value & 0xff);
		return;
	case R_EOI:
		lapic_eoi(l);
		return;
	case R_LDR:
		atomic_store(&l->ldr, value & 0xff000000u);
		break;
	case R_DFR:
		atomic_store(&l->dfr, value | 0x0fffffffu);
		break;
	case R_SVR:
		write_svr(l, value);
		break;
	case R_ESR:
		l->esr = atomic_exchange(&l->esr_pending, 0);
		break;
	case R_ICR_HIGH:
		lapic_reg_set(l, R_ICR_HIGH, value & 0xff000000u);
		return;
	case R_ICR:
		l->icr_low = value & 0xccfffu;
		send_ipi(l, l->icr_low, apic_dest8((uint8_t)(lapic_reg(l, R_ICR_HIGH) >> 24)));
		break;
	case R_INIT_COUNT:
		lapic_timer_set_count(l, value);
		break;
	case R_DIVIDE:
		lapic_timer_set_divide(l, value);
		break;
	default: /* read-only and absent registers */
		break;
	}
	if (l->assisted)
		lapic_show(l);
}

/* What the guest wrote lies in the page already. */
void lapic_page_written(struct lapic *l, unsigned offset)
{
	unsigned reg = offset >> 4 & 0xff;
	if (reg != R_SELF_IPI) /* exists as an MSR only; one with a vector below 16 comes here */
		reg_write(l, reg, lapic_reg(l, reg));
	else
		lapic_raise_error(l, ESR_SEND_ILLEGAL);
}

void lapic_mmio(struct lapic *l, struct io_access *a)
{
	unsigned reg = (unsigned)(a->offset >> 4), byte = a->offset & 15;

	if (!a->write)
		a->value = ~0ull;
	if (lapic_mode(l) != LAPIC_XAPIC)
		return; /* nobody answers the page */
	if (!a->write)
		a->value = byte < 4 ? reg_read(l, reg) >> 8 * byte : 0;
	else if (byte == 0 && a->size >= 4)
		reg_write(l, reg, (uint32_t)a->value); /* 11.4.1: other writes are undefined; dropped here */
}

/* ---- MSRs ---- */

static uint32_t x2_ldr(uint32_t id)
{
	return id >> 4 << 16 | 1u << (id & 15);
}

static uint64_t base_read(struct lapic *l)
{
	static const uint64_t bits[] = {[LAPIC_OFF] = 0, [LAPIC_XAPIC] = BASE_EN, [LAPIC_X2APIC] = BASE_EN | BASE_EXTD};
	return LAPIC_MMIO_BASE | bits[atomic_load(&l->mode)] | (l->boot ? BASE_BSP : 0);
}

static int base_write(struct lapic *l, uint64_t value)
{
	unsigned now = atomic_load(&l->mode);
	unsigned next = value & BASE_EXTD ? LAPIC_X2APIC : value & BASE_EN ? LAPIC_XAPIC : LAPIC_OFF;

	/* The page cannot be moved here; a real one could, but no system we run does. */
	if ((value & ~(BASE_BSP | BASE_EN | BASE_EXTD)) != LAPIC_MMIO_BASE || ((value & BASE_EXTD) && !(value & BASE_EN)))
		return -EINVAL;
	if (next == now)
		return 0;
	if ((now == LAPIC_X2APIC && next == LAPIC_XAPIC) || (now == LAPIC_OFF && next == LAPIC_X2APIC))
		return -EINVAL;
	if (next == LAPIC_OFF)
		lapic_reset(l);
	if (next == LAPIC_X2APIC)
		atomic_store(&l->ldr, x2_ldr(l->id));
	atomic_store(&l->mode, (uint8_t)next);
	vcpu_apic_mode_changed(l->vcpu);
	return 0;
}

/* Registers that exist as MSRs (SDM table 11-6). */
static bool x2_readable(unsigned reg)
{
	if (reg >= R_ISR && reg <= R_ESR)
		return true;
	if (reg >= R_LVT && reg <= R_CURRENT_COUNT)
		return true;
	return reg == R_ID || reg == R_VERSION || reg == R_TPR || reg == R_PPR || reg == R_LDR || reg == R_SVR || reg == R_ICR ||
	       reg == R_DIVIDE;
}

static bool x2_writable(unsigned reg)
{
	return reg == R_TPR || reg == R_EOI || reg == R_SVR || reg == R_ESR || (reg >= R_LVT && reg <= R_INIT_COUNT) || reg == R_DIVIDE ||
	       reg == R_SELF_IPI;
}

static int x2_write(struct lapic *l, unsigned reg, uint64_t value)
{
	if (reg == R_ICR) { /* the only 64-bit one; destination and command in one write */
		l->icr_low = (uint32_t)value & 0xccfffu;
		lapic_reg_set(l, R_ICR_HIGH, (uint32_t)(value >> 32));
		send_ipi(l, l->icr_low, (uint32_t)(value >> 32));
		return 0;
	}
	if (value >> 32 || !x2_writable(reg))
		return -EINVAL;
	if ((reg == R_EOI || reg == R_ESR) && value != 0)
		return -EINVAL;
	if ((reg == R_TPR || reg == R_SELF_IPI) && value > 0xff)
		return -EINVAL;
	if (reg == R_SELF_IPI)
		send_ipi(l, (uint32_t)value | 1u << 18, 0);
	else
		reg_write(l, reg, (uint32_t)value);
	return 0;
}

int lapic_msr_read(struct lapic *l, uint32_t msr, uint64_t *value)
{
	if (msr == MSR_APIC_BASE) {
		*value = base_read(l);
		return 0;
	}
	if (msr == MSR_TSC_DEADLINE) {
		*value = l->tsc_deadline;
		return 0;
	}
	if (msr == MSR_KVM_PV_EOI) {
		*value = l->pv_eoi_gpa ? l->pv_eoi_gpa | 1 : 0;
		return 0;
	}
	unsigned reg = msr - MSR_X2APIC_FIRST;
	if (msr < MSR_X2APIC_FIRST || reg > R_SELF_IPI || !x2_readable(reg) || lapic_mode(l) != LAPIC_X2APIC)
		return -EINVAL;
	*value = reg_read(l, reg);
	if (reg == R_ICR)
		*value |= (uint64_t)lapic_reg(l, R_ICR_HIGH) << 32;
	return 0;
}

int lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t value)
{
	if (msr == MSR_TSC_DEADLINE) {
		lapic_timer_set_deadline(l, value);
		return 0;
	}
	if (msr == MSR_APIC_BASE)
		return base_write(l, value);
	if (msr == MSR_KVM_PV_EOI)
		return lapic_pv_write(l, value);
	if (msr < MSR_X2APIC_FIRST || msr > MSR_X2APIC_LAST || lapic_mode(l) != LAPIC_X2APIC)
		return -EINVAL;
	return x2_write(l, msr - MSR_X2APIC_FIRST, value);
}

bool lapic_is_enabled(const struct lapic *l)
{
	return lapic_mode(l) != LAPIC_OFF;
}

uint8_t lapic_get_cr8(const struct lapic *l)
{
	return (uint8_t)(lapic_reg(l, R_TPR) >> 4 & 15);
}

/* The low half of TPR has no effect, and stays when the high half does not change. */
void lapic_set_cr8(struct lapic *l, uint8_t cr8)
{
	if (lapic_get_cr8(l) != (cr8 & 15))
		lapic_reg_set(l, R_TPR, (uint32_t)(cr8 & 15) << 4);
}

/* ---- reset ---- */

void lapic_reset(struct lapic *l)
{
	atomic_store(&l->requests.outstanding, 0);
	for (unsigned i = 0; i < LAPIC_WORDS; i++) {
		atomic_store(&l->requests.vectors[i], 0);
		atomic_store(&l->held[i], 0);
		atomic_store(&l->level[i], 0);
	}
	memset(l->page, 0, LAPIC_PAGE_BYTES);
	l->ext_offered = l->pv_offered = false;
	l->pv_eoi_gpa = 0;
	l->esr = l->icr_low = l->divide = 0;
	atomic_store(&l->esr_pending, 0);
	atomic_store(&l->svr, 0xff);
	atomic_store(&l->dfr, 0xffffffffu);
	atomic_store(&l->ldr, lapic_mode(l) == LAPIC_X2APIC ? x2_ldr(l->id) : 0);
	for (unsigned i = 0; i < LVT_COUNT; i++)
		l->lvt[i] = LVT_MASKED;
	lapic_timer_stop(l);
	lapic_show(l);
}

void lapic_power_on(struct lapic *l)
{
	atomic_store(&l->mode, LAPIC_XAPIC);
	lapic_reset(l);
	vcpu_apic_mode_changed(l->vcpu);
	if (l->boot) { /* there is no firmware: "virtual wire" as it would leave it (MultiProcessor Specification 1.4, 3.6.2.2) */
		l->lvt[LVT_LINT0] = APIC_EXTINT << LVT_MODE_SHIFT;
		l->lvt[LVT_LINT1] = APIC_NMI << LVT_MODE_SHIFT;
	}
}

void lapic_init(struct lapic *l, struct vcpu *vcpu, struct pic *pic, struct ioapic *ioapic)
{
	l->vcpu = vcpu;
	l->vm = vcpu_vm(vcpu);
	l->page = vcpu_apic_page(vcpu);
	l->id = vcpu_index(vcpu);
	l->boot = l->id == 0;
	l->pic = l->boot ? pic : NULL;
	l->ioapic = ioapic;
	lapic_timer_init(l);
	lapic_power_on(l);
}
