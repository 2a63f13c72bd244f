/*
 * The interrupt half of a LAPIC (lapic_impl.h): requests, priorities, delivery, end of interrupt.
 *
 *	any core: request --> own core: pull --> page IRR --> page ISR --EOI--> nothing
 *
 * The last two steps are ours (lapic_ack, lapic_eoi), or the processor's while it delivers from the page (`assisted`): then it also moves
 *TPR and PPR, and tells us of those EOIs only that the I/O APIC waits for. So IRR, ISR, TMR, TPR and PPR exist in the page only, and
 *nothing of them is kept elsewhere.
 *
 * Invariant: only this vCPU's core changes the page, by its code or by the processor that runs the guest there.
 */
#include "vdev/ioapic.h"
#include "vdev/lapic_impl.h"
#include "vdev/pic.h"
#include "virt/gmem.h"
#include "virt/vcpu.h"
#include "vm/vm_impl.h"
#include <errno.h>

/* ---- 256 bits in eight registers ---- */

static uint32_t *word(struct lapic *l, unsigned first, uint8_t vector)
{
	return &l->page[(first + vector / 32u) * 4];
}

static uint32_t bit(uint8_t vector)
{
	return 1u << (vector & 31);
}

static int top(const struct lapic *l, unsigned first)
{
	for (int i = 7; i >= 0; i--) {
		uint32_t w = lapic_reg(l, first + (unsigned)i);
		if (w)
			return i * 32 + 31 - __builtin_clz(w);
	}
	return -1;
}

/* SDM 11.8.3.1: the higher class of TPR and the vector in service. */
static uint32_t ppr_over(const struct lapic *l, int in_service)
{
	uint32_t tpr = lapic_reg(l, R_TPR), isr = in_service < 0 ? 0 : (uint32_t)in_service;
	return tpr >> 4 >= isr >> 4 ? tpr : isr & 0xf0;
}

uint32_t lapic_ppr(const struct lapic *l)
{
	return ppr_over(l, top(l, R_ISR));
}

/* ---- requests ---- */

void lapic_set_irr(struct lapic *l, uint8_t vector, bool level)
{
	if (vector < 16) {
		lapic_raise_error(l, ESR_RECV_ILLEGAL);
		return;
	}
	if (!lapic_svr_enabled(l))
		return;
	unsigned i = vector >> 6;
	uint64_t mask = 1ull << (vector & 63);
	bool was_level = atomic_load_explicit(&l->level[i], memory_order_relaxed) & mask;
	if (level)
		atomic_fetch_or(&l->level[i], mask);
	else if (was_level)
		atomic_fetch_and(&l->level[i], ~mask);
	if (level || was_level) {
		if (!(atomic_fetch_or(&l->held[i], mask) & mask))
			vcpu_kick(l->vcpu); /* was it set before, its setter kicks */
	} else if (!(atomic_fetch_or(&l->requests.vectors[i], mask) & mask)) {
		vcpu_requested(l->vcpu, &l->requests);
	}
}

struct lapic_requests *lapic_get_requests(struct lapic *l)
{
	return &l->requests;
}

void lapic_pull(struct lapic *l)
{
	if (atomic_load_explicit(&l->requests.outstanding, memory_order_relaxed)) {
		atomic_store(&l->requests.outstanding, 0);
		vcpu_recheck(l->vcpu); /* it may not have been kicked */
	}
	for (unsigned i = 0; i < LAPIC_WORDS; i++) {
		if (!(atomic_load_explicit(&l->requests.vectors[i], memory_order_relaxed) |
			    atomic_load_explicit(&l->held[i], memory_order_relaxed)))
			continue;
		uint64_t new = atomic_exchange(&l->requests.vectors[i], 0) | atomic_exchange(&l->held[i], 0);
		uint64_t level = atomic_load_explicit(&l->level[i], memory_order_relaxed);
		lapic_word_set(l, R_IRR, i, lapic_word(l, R_IRR, i) | new);
		lapic_word_set(l, R_TMR, i, (lapic_word(l, R_TMR, i) & ~new) | (new &level));
	}
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

/* ---- end of interrupt ---- */

void lapic_ended(struct lapic *l, uint8_t vector)
{
	if (*word(l, R_TMR, vector) & bit(vector))
		ioapic_eoi(l->ioapic, vector);
}

static void end_of_interrupt(struct lapic *l)
{
	int vector = top(l, R_ISR);
	if (vector < 0)
		return;
	*word(l, R_ISR, (uint8_t)vector) &= ~bit((uint8_t)vector);
	lapic_ended(l, (uint8_t)vector);
}

/*
 * Paravirtual EOI. The guest gave us a byte of its memory. When an edge-triggered interrupt is taken and no other waits, bit 0 is set
 * there: the guest's EOI then is clearing it, without an exit. We look at it when we next have to do with the ISR. Only the vCPU's own core
 * touches the byte, and only while the guest does not run; what a hostile guest does to it ends its own interrupts early or late. A
 * processor that delivers by itself needs none of it: nothing is offered then.
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
		gmem_mark(l->vm->gmem, GPA(l->pv_eoi_gpa), 1);
		l->pv_offered = true;
	}
}

void lapic_pv_settle(struct lapic *l, bool withdraw)
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
		gmem_mark(l->vm->gmem, GPA(l->pv_eoi_gpa), 1);
	}
	l->pv_offered = !ended && !withdraw && flag;
}

int lapic_pv_write(struct lapic *l, uint64_t value)
{
	if ((value & 2) || ((value & 1) && !gmem_ptr(l->vm->gmem, GPA(value & ~3ull), 4, true)))
		return -EINVAL;
	lapic_pv_settle(l, true);
	l->pv_eoi_gpa = value & 1 ? value & ~3ull : 0;
	return 0;
}

void lapic_eoi(struct lapic *l)
{
	lapic_pv_settle(l, true);
	l->n_eoi++;
	end_of_interrupt(l);
}

/* ---- what the vCPU core asks ---- */

/* The PIC's output reaches the CPU: directly while the APIC is off, else through LINT0 in ExtINT mode. */
static bool ext_wired(struct lapic *l)
{
	if (lapic_mode(l) == LAPIC_OFF)
		return true;
	return !(l->lvt[LVT_LINT0] & LVT_MASKED) && (l->lvt[LVT_LINT0] >> LVT_MODE_SHIFT & 7) == APIC_EXTINT;
}

bool lapic_has_external(struct lapic *l, uint8_t *vector)
{
	l->ext_offered = l->pic && pic_output(l->pic) && ext_wired(l);
	if (l->ext_offered)
		*vector = pic_peek(l->pic);
	return l->ext_offered;
}

bool lapic_has_interrupt(struct lapic *l, uint8_t *vector)
{
	lapic_pull(l);
	int waiting = top(l, R_IRR);
	if (l->pv_offered)
		lapic_pv_settle(l, waiting >= 0); /* something waits: the end of what is in service must be seen */
	if (lapic_has_external(l, vector))
		return true;
	if (waiting < 0 || (uint32_t)waiting >> 4 <= lapic_ppr(l) >> 4 || lapic_mode(l) == LAPIC_OFF)
		return false;
	*vector = (uint8_t)waiting;
	return true;
}

bool lapic_tpr_blocks(struct lapic *l)
{
	lapic_pull(l);
	int waiting = top(l, R_IRR);
	return waiting >= 0 && (uint32_t)waiting >> 4 <= lapic_reg(l, R_TPR) >> 4 && waiting >> 4 > top(l, R_ISR) >> 4;
}

void lapic_ack(struct lapic *l, uint8_t vector)
{
	if (l->ext_offered) {
		l->ext_offered = false;
		l->n_ext++;
		pic_ack(l->pic);
		return;
	}
	*word(l, R_IRR, vector) &= ~bit(vector);
	*word(l, R_ISR, vector) |= bit(vector);
	bool level = *word(l, R_TMR, vector) & bit(vector);
	if (l->pv_eoi_gpa && !level && !l->assisted && top(l, R_IRR) < 0)
		pv_offer(l);
}

enum lapic_mode lapic_get_mode(const struct lapic *l)
{
	return lapic_mode(l);
}

void lapic_set_assisted(struct lapic *l, bool on)
{
	lapic_pv_settle(l, true);
	l->assisted = on;
	lapic_show(l);
}

void lapic_collect(struct lapic *l, struct lapic_page_state *out)
{
	lapic_pull(l);
	int waiting = top(l, R_IRR), in_service = top(l, R_ISR);
	out->requested = waiting < 0 ? 0 : (uint8_t)waiting;
	out->in_service = in_service < 0 ? 0 : (uint8_t)in_service;
	for (unsigned i = 0; i < LAPIC_WORDS; i++)
		out->level[i] = lapic_word(l, R_TMR, i);
}
