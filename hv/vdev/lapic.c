/*
 * The local APIC of one vCPU (lapic.h): registers, priorities, EOI, ICR. The timer is in lapic_timer.c, the bus between LAPICs in
 *apic_bus.c.
 *
 * One register file serves both ways in: the xAPIC page (register n at offset n << 4) and the x2APIC MSRs (register n at 0x800 + n).
 * Modes (SDM vol. 3, figure 11-27):
 *
 *	OFF --EN--> XAPIC --EXTD--> X2APIC --EN=EXTD=0--> OFF;  XAPIC --EN=0--> OFF;  every other change is #GP
 *
 * Invariants: isr_top is the highest bit of isr. Only this vCPU's core moves bits from irr to isr; any core may add bits to irr.
 */
#include "vdev/ioapic.h"
#include "vdev/lapic_impl.h"
#include "vdev/pic.h"
#include "virt/gmem.h"
#include "virt/iobus.h"
#include "virt/vcpu.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <string.h>

enum { /* register numbers */
	R_ID = 0x02,
	R_VERSION = 0x03,
	R_TPR = 0x08,
	R_APR = 0x09,
	R_PPR = 0x0a,
	R_EOI = 0x0b,
	R_RRD = 0x0c,
	R_LDR = 0x0d,
	R_DFR = 0x0e,
	R_SVR = 0x0f,
	R_ISR = 0x10,
	R_TMR = 0x18,
	R_IRR = 0x20,
	R_ESR = 0x28,
	R_ICR = 0x30,
	R_ICR_HIGH = 0x31,
	R_LVT = 0x32,
	R_INIT_COUNT = 0x38,
	R_CURRENT_COUNT = 0x39,
	R_DIVIDE = 0x3e,
	R_SELF_IPI = 0x3f,
};

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

/* ---- vectors ---- */

static int highest(const uint64_t *words)
{
	for (int i = LAPIC_WORDS - 1; i >= 0; i--)
		if (words[i])
			return i * 64 + 63 - __builtin_clzll(words[i]);
	return -1;
}

static int irr_top(struct lapic *l)
{
	for (int i = LAPIC_WORDS - 1; i >= 0; i--) {
		uint64_t w = atomic_load_explicit(&l->irr[i], memory_order_acquire);
		if (w)
			return i * 64 + 63 - __builtin_clzll(w);
	}
	return -1;
}

/* SDM 11.8.3.1: the higher class of TPR and the vector in service. */
static uint32_t ppr(const struct lapic *l)
{
	uint32_t in_service = l->isr_top < 0 ? 0 : (uint32_t)l->isr_top;
	return l->tpr >> 4 >= in_service >> 4 ? l->tpr : in_service & 0xf0;
}

void lapic_set_irr(struct lapic *l, uint8_t vector, bool level)
{
	if (vector < 16) {
		lapic_raise_error(l, ESR_RECV_ILLEGAL);
		return;
	}
	if (!lapic_svr_enabled(l))
		return;
	uint64_t bit = 1ull << (vector & 63);
	if (level)
		atomic_fetch_or(&l->tmr[vector >> 6], bit);
	else if (atomic_load_explicit(&l->tmr[vector >> 6], memory_order_relaxed) & bit)
		atomic_fetch_and(&l->tmr[vector >> 6], ~bit);
	if (!(atomic_fetch_or(&l->irr[vector >> 6], bit) & bit))
		vcpu_kick(l->vcpu); /* was it set before, its setter kicks */
}

void lapic_raise_error(struct lapic *l, uint32_t esr_bit)
{
	if (atomic_fetch_or(&l->esr_pending, esr_bit) & esr_bit)
		return; /* reported, not yet read: also ends the recursion of an error entry with an illegal vector */
	lapic_lvt_deliver(l, LVT_ERROR);
}

void lapic_lvt_deliver(struct lapic *l, enum lapic_lvt entry)
{
	uint32_t lvt = l->lvt[entry];
	if (lvt & LVT_MASKED)
		return;
	unsigned mode = entry == LVT_TIMER || entry == LVT_ERROR ? APIC_FIXED : lvt >> LVT_MODE_SHIFT & 7;
	if (mode == APIC_FIXED)
		lapic_set_irr(l, (uint8_t)lvt, false);
	else if (mode == APIC_NMI)
		vcpu_nmi(l->vcpu);
}

static void end_of_interrupt(struct lapic *l)
{
	if (l->isr_top < 0)
		return;
	uint8_t vector = (uint8_t)l->isr_top;
	uint64_t bit = 1ull << (vector & 63);
	l->isr[vector >> 6] &= ~bit;
	l->isr_top = highest(l->isr);
	if (atomic_load_explicit(&l->tmr[vector >> 6], memory_order_acquire) & bit)
		ioapic_eoi(l->ioapic, vector);
}

/* ---- paravirtual EOI ---- */

/*
 * The guest gave us a byte of its memory. When an edge-triggered interrupt is taken and no other waits, bit 0 is set there: the guest's EOI
 * then is clearing it, without an exit. We look at it when we next have to do with the ISR. Only the vCPU's own core touches the byte, and
 * only while the guest does not run; what a hostile guest does to it ends its own interrupts early or late.
 */
static volatile uint8_t *pv_flag(struct lapic *l)
{
	return l->pv_eoi_gpa ? gmem_ptr(l->vm->gmem, GPA(l->pv_eoi_gpa), 1, true) : NULL;
}

static void pv_offer(struct lapic *l)
{
	volatile uint8_t *flag = pv_flag(l);
	if (flag) {
		*flag |= 1;
		l->pv_offered = true;
	}
}

/* withdraw: from now on the guest's EOI must come to us. */
static void pv_settle(struct lapic *l, bool withdraw)
{
	if (!l->pv_offered)
		return;
	volatile uint8_t *flag = pv_flag(l);
	bool ended = flag && !(*flag & 1);
	if (ended) {
		l->n_pv_eoi++;
		end_of_interrupt(l);
	} else if (flag && withdraw) {
		*flag &= 0xfe;
	}
	l->pv_offered = !ended && !withdraw && flag;
}

void lapic_pv_withdraw(struct lapic *l)
{
	pv_settle(l, true);
}

static int pv_write(struct lapic *l, uint64_t value)
{
	if ((value & 2) || ((value & 1) && !gmem_ptr(l->vm->gmem, GPA(value & ~3ull), 4, true)))
		return -EINVAL;
	pv_settle(l, true);
	l->pv_eoi_gpa = value & 1 ? value & ~3ull : 0;
	return 0;
}

static void eoi(struct lapic *l)
{
	pv_settle(l, true);
	l->n_eoi++;
	end_of_interrupt(l);
}

/* ---- what the vCPU core asks ---- */

/* The PIC's output reaches the CPU: directly while the APIC is off, else through LINT0 in ExtINT mode. */
static bool ext_wired(struct lapic *l)
{
	if (atomic_load_explicit(&l->mode, memory_order_relaxed) == LAPIC_OFF)
		return true;
	return !(l->lvt[LVT_LINT0] & LVT_MASKED) && (l->lvt[LVT_LINT0] >> LVT_MODE_SHIFT & 7) == APIC_EXTINT;
}

bool lapic_has_interrupt(struct lapic *l, uint8_t *vector)
{
	int top = irr_top(l);
	if (l->pv_offered)
		pv_settle(l, top >= 0); /* something waits: the end of what is in service must be seen */
	l->ext_offered = l->pic && pic_output(l->pic) && ext_wired(l);
	if (l->ext_offered) {
		*vector = pic_peek(l->pic);
		return true;
	}
	if (top < 0 || (uint32_t)top >> 4 <= ppr(l) >> 4 || atomic_load_explicit(&l->mode, memory_order_relaxed) == LAPIC_OFF)
		return false;
	*vector = (uint8_t)top;
	return true;
}

bool lapic_tpr_blocks(struct lapic *l)
{
	int top = irr_top(l);
	return top >= 0 && (uint32_t)top >> 4 <= l->tpr >> 4 && top >> 4 > l->isr_top >> 4;
}

void lapic_ack(struct lapic *l, uint8_t vector)
{
	if (l->ext_offered) {
		l->ext_offered = false;
		l->n_ext++;
		pic_ack(l->pic);
		return;
	}
	uint64_t bit = 1ull << (vector & 63);
	atomic_fetch_and(&l->irr[vector >> 6], ~bit);
	l->isr[vector >> 6] |= bit;
	l->isr_top = HV_MAX(l->isr_top, (int)vector);
	bool level = atomic_load_explicit(&l->tmr[vector >> 6], memory_order_relaxed) & bit;
	if (l->pv_eoi_gpa && !level && irr_top(l) < 0)
		pv_offer(l);
}

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
	bool x2 = atomic_load_explicit(&l->mode, memory_order_relaxed) == LAPIC_X2APIC;
	pv_settle(l, false);
	if (reg >= R_ISR && reg < R_ISR + 8)
		return (uint32_t)(l->isr[(reg - R_ISR) / 2] >> 32 * (reg & 1));
	if (reg >= R_TMR && reg < R_TMR + 8)
		return (uint32_t)(atomic_load(&l->tmr[(reg - R_TMR) / 2]) >> 32 * (reg & 1));
	if (reg >= R_IRR && reg < R_IRR + 8)
		return (uint32_t)(atomic_load(&l->irr[(reg - R_IRR) / 2]) >> 32 * (reg & 1));
	if (reg >= R_LVT && reg < R_LVT + LVT_COUNT)
		return l->lvt[reg - R_LVT];
	switch (reg) {
	case R_ID:
		return x2 ? l->id : l->id << 24;
	case R_VERSION:
		return version();
	case R_TPR:
		return l->tpr;
	case R_APR:
	case R_PPR:
		return ppr(l);
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
	case R_ICR_HIGH:
		return l->icr_high;
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
	if (reg >= R_LVT && reg < R_LVT + LVT_COUNT) {
		write_lvt(l, reg - R_LVT, value);
		return;
	}
	switch (reg) {
	case R_TPR:
		l->tpr = value & 0xff;
		break;
	case R_EOI:
		eoi(l);
		break;
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
		l->icr_high = value & 0xff000000u;
		break;
	case R_ICR:
		l->icr_low = value & 0xccfffu;
		send_ipi(l, l->icr_low, apic_dest8((uint8_t)(l->icr_high >> 24)));
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
}

void lapic_mmio(struct lapic *l, struct io_access *a)
{
	unsigned reg = (unsigned)(a->offset >> 4), byte = a->offset & 15;

	if (!a->write)
		a->value = ~0ull;
	if (atomic_load_explicit(&l->mode, memory_order_relaxed) != LAPIC_XAPIC)
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
		l->icr_high = (uint32_t)(value >> 32);
		send_ipi(l, l->icr_low, l->icr_high);
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
	if (msr < MSR_X2APIC_FIRST || reg > R_SELF_IPI || !x2_readable(reg) || atomic_load(&l->mode) != LAPIC_X2APIC)
		return -EINVAL;
	*value = reg_read(l, reg);
	if (reg == R_ICR)
		*value |= (uint64_t)l->icr_high << 32;
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
		return pv_write(l, value);
	if (msr < MSR_X2APIC_FIRST || msr > MSR_X2APIC_LAST || atomic_load_explicit(&l->mode, memory_order_relaxed) != LAPIC_X2APIC)
		return -EINVAL;
	return x2_write(l, msr - MSR_X2APIC_FIRST, value);
}

bool lapic_is_enabled(const struct lapic *l)
{
	return atomic_load_explicit(&l->mode, memory_order_relaxed) != LAPIC_OFF;
}

uint8_t lapic_get_cr8(const struct lapic *l)
{
	return (uint8_t)(l->tpr >> 4);
}

void lapic_set_cr8(struct lapic *l, uint8_t cr8)
{
	l->tpr = (uint32_t)(cr8 & 15) << 4;
}

/* ---- reset ---- */

void lapic_reset(struct lapic *l)
{
	for (unsigned i = 0; i < LAPIC_WORDS; i++) {
		atomic_store(&l->irr[i], 0);
		atomic_store(&l->tmr[i], 0);
		l->isr[i] = 0;
	}
	l->isr_top = -1;
	l->ext_offered = l->pv_offered = false;
	l->pv_eoi_gpa = 0;
	l->tpr = l->esr = l->icr_low = l->icr_high = l->divide = 0;
	atomic_store(&l->esr_pending, 0);
	atomic_store(&l->svr, 0xff);
	atomic_store(&l->dfr, 0xffffffffu);
	atomic_store(&l->ldr, atomic_load(&l->mode) == LAPIC_X2APIC ? x2_ldr(l->id) : 0);
	for (unsigned i = 0; i < LVT_COUNT; i++)
		l->lvt[i] = LVT_MASKED;
	lapic_timer_stop(l);
}

void lapic_power_on(struct lapic *l)
{
	atomic_store(&l->mode, LAPIC_XAPIC);
	lapic_reset(l);
	if (l->boot) { /* there is no firmware: "virtual wire" as it would leave it (MultiProcessor Specification 1.4, 3.6.2.2) */
		l->lvt[LVT_LINT0] = APIC_EXTINT << LVT_MODE_SHIFT;
		l->lvt[LVT_LINT1] = APIC_NMI << LVT_MODE_SHIFT;
	}
}

void lapic_init(struct lapic *l, struct vcpu *vcpu, struct pic *pic, struct ioapic *ioapic)
{
	l->vcpu = vcpu;
	l->vm = vcpu_vm(vcpu);
	l->id = vcpu_index(vcpu);
	l->boot = l->id == 0;
	l->pic = l->boot ? pic : NULL;
	l->ioapic = ioapic;
	lapic_timer_init(l);
	lapic_power_on(l);
}
