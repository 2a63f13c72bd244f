/* Saving and loading a LAPIC (lapic_impl.h). Times go out relative to now: TSC deadlines as guest TSC, counts as time since their start. */
#include "vdev/lapic_impl.h"
#include "virt/vcpu.h"
#include "vm/state.h"
#include <errno.h>
#include <string.h>

#define TAG STATE_TAG('L', 'A', 'P', 'C')

void lapic_save(struct lapic *l, struct state_writer *w)
{
	lapic_pv_settle(l, true);
	lapic_pull(l);
	state_begin(w, TAG, 1, (uint16_t)l->id);
	for (unsigned i = 0; i < LAPIC_WORDS; i++) {
		state_put_u64(w, lapic_word(l, R_IRR, i));
		state_put_u64(w, lapic_word(l, R_ISR, i));
		state_put_u64(w, lapic_word(l, R_TMR, i));
	}
	state_put_u64(w, l->tsc_deadline);
	state_put_u64(w, lapic_timer_elapsed_ns(l));
	state_put_u64(w, l->pv_eoi_gpa);
	const uint32_t regs[] = {atomic_load(&l->svr), atomic_load(&l->ldr), atomic_load(&l->dfr), lapic_reg(l, R_TPR), l->esr,
		atomic_load(&l->esr_pending), l->icr_low, lapic_reg(l, R_ICR_HIGH), l->divide, l->init_count};
	for (unsigned i = 0; i < HV_ARRAY_LEN(regs); i++)
		state_put_u32(w, regs[i]);
	for (unsigned i = 0; i < LVT_COUNT; i++)
		state_put_u32(w, l->lvt[i]);
	state_put_u8(w, atomic_load(&l->mode));
	state_put_u8(w, l->timer_running);
	state_end(w);
}

/* What no LAPIC can be in: vectors below 16, an unknown mode, a running timer without a count. */
static bool possible(const struct lapic_state *s)
{
	if ((s->irr[0] | s->isr[0]) & 0xffff)
		return false;
	if (s->mode > LAPIC_X2APIC || s->tpr > 0xff || (s->divide & ~0xbu) || (s->svr & ~0x1ffu))
		return false;
	return !s->timer_running || s->init_count != 0;
}

int lapic_decode(struct lapic_state *s, struct state_reader *r, unsigned index)
{
	int version = state_open(r, TAG, 1, (uint16_t)index);
	if (version < 0)
		return version;
	for (unsigned i = 0; i < LAPIC_WORDS; i++) {
		s->irr[i] = state_get_u64(r);
		s->isr[i] = state_get_u64(r);
		s->tmr[i] = state_get_u64(r);
	}
	s->tsc_deadline = state_get_u64(r);
	s->timer_elapsed_ns = state_get_u64(r);
	s->pv_eoi_gpa = state_get_u64(r);
	uint32_t *const regs[] = {
		&s->svr, &s->ldr, &s->dfr, &s->tpr, &s->esr, &s->esr_pending, &s->icr_low, &s->icr_high, &s->divide, &s->init_count};
	for (unsigned i = 0; i < HV_ARRAY_LEN(regs); i++)
		*regs[i] = state_get_u32(r);
	for (unsigned i = 0; i < LVT_COUNT; i++)
		s->lvt[i] = state_get_u32(r);
	s->mode = state_get_u8(r);
	s->timer_running = state_get_u8(r) != 0;
	return state_close(r) && possible(s) ? 0 : -EINVAL;
}

void lapic_apply(struct lapic *l, const struct lapic_state *s)
{
	memset(l->page, 0, LAPIC_PAGE_BYTES);
	atomic_store(&l->requests.outstanding, 0);
	for (unsigned i = 0; i < LAPIC_WORDS; i++) {
		lapic_word_set(l, R_IRR, i, s->irr[i]);
		lapic_word_set(l, R_ISR, i, s->isr[i]);
		lapic_word_set(l, R_TMR, i, s->tmr[i]);
		atomic_store(&l->requests.vectors[i], 0);
		atomic_store(&l->held[i], 0);
		atomic_store(&l->level[i], s->tmr[i]);
	}
	atomic_store(&l->mode, s->mode);
	atomic_store(&l->svr, s->svr);
	atomic_store(&l->ldr, s->ldr);
	atomic_store(&l->dfr, s->dfr);
	atomic_store(&l->esr_pending, s->esr_pending);
	lapic_reg_set(l, R_TPR, s->tpr);
	lapic_reg_set(l, R_ICR_HIGH, s->icr_high);
	l->esr = s->esr;
	l->icr_low = s->icr_low;
	l->divide = s->divide;
	l->init_count = s->init_count;
	for (unsigned i = 0; i < LVT_COUNT; i++)
		l->lvt[i] = s->lvt[i];
	l->ext_offered = l->pv_offered = false;
	l->pv_eoi_gpa = s->pv_eoi_gpa; /* not RAM: then it is never used */
	l->tsc_deadline = s->tsc_deadline;
	l->timer_running = s->timer_running;
	l->start_ns = hv_now_ns() - s->timer_elapsed_ns;
	lapic_timer_sync(l);
	lapic_show(l);
	vcpu_apic_mode_changed(l->vcpu);
}
