/*
 * The LAPIC's timer (SDM vol. 3, 11.5.4): one-shot, periodic, TSC-deadline. The counter is not stepped: it is computed from the time it was
 * started; a host timer exists only while an interrupt can come of it.
 *
 *	count written  -> timer_running, start_ns = now;   expiry = start_ns + init_count * divisor
 *	one-shot fires -> not running;                     periodic fires -> start_ns += whole periods passed (lost ticks are not repeated)
 *	mode changed to or from TSC-deadline, count 0, INIT -> not running, tsc_deadline 0
 */
#include "vdev/lapic_impl.h"
#include "virt/vcpu.h"
#include "vm/vm_impl.h"

/* A guest may ask for a period of nanoseconds; the host's core must still get work done. */
#define MIN_PERIOD_NS 50000u

static uint64_t divisor(const struct lapic *l)
{
	unsigned code = (l->divide & 3) | (l->divide >> 1 & 4); /* 0: by 2, ... 6: by 128, 7: by 1 */
	return 1u << ((code + 1) & 7);
}

static uint64_t period_ns(const struct lapic *l)
{
	return (uint64_t)l->init_count * divisor(l) * LAPIC_BUS_NS;
}

static unsigned mode(const struct lapic *l)
{
	return LVT_TIMER_MODE(l->lvt[LVT_TIMER]);
}

static void arm(struct lapic *l, uint64_t now_ns)
{
	bool wanted = !(l->lvt[LVT_TIMER] & LVT_MASKED) && !atomic_load_explicit(&l->retired, memory_order_relaxed);
	if (wanted && l->tsc_deadline != 0) {
		hv_timer_arm(&l->timer, vcpu_tsc_to_ns(l->vcpu, l->tsc_deadline));
	} else if (wanted && l->timer_running) {
		uint64_t period = period_ns(l);
		uint64_t next = l->start_ns + period;
		if (mode(l) == TIMER_PERIODIC) {
			if (next <= now_ns)
				next = now_ns + period - (now_ns - l->start_ns) % period;
			next = HV_MAX(next, HV_MIN(now_ns + MIN_PERIOD_NS, l->start_ns + HV_MAX(period, (uint64_t)MIN_PERIOD_NS)));
		}
		hv_timer_arm(&l->timer, next);
	} else {
		hv_timer_cancel(&l->timer);
	}
}

static void fire(struct hv_timer *t)
{
	struct lapic *l = hv_container_of(t, struct lapic, timer);
	uint64_t now = hv_now_ns();

	if (l->tsc_deadline != 0) {
		l->tsc_deadline = 0;
	} else if (!l->timer_running) {
		return;
	} else if (mode(l) == TIMER_PERIODIC) {
		uint64_t period = period_ns(l);
		l->start_ns += (now - l->start_ns) / period * period;
		if (!atomic_load_explicit(&l->vm->ending, memory_order_relaxed))
			arm(l, now);
	} else {
		l->timer_running = false;
	}
	l->n_timer++;
	lapic_lvt_deliver(l, LVT_TIMER);
}

static void sync_here(struct lapic *l)
{
	if (atomic_load(&l->retired))
		hv_timer_cancel(&l->timer);
	else
		arm(l, hv_now_ns());
	atomic_store_explicit(&l->timer_synced, true, memory_order_release);
}

static void sync_message(struct hv_msg *m)
{
	sync_here(hv_container_of(m, struct lapic, timer_msg));
}

void lapic_timer_init(struct lapic *l)
{
	l->timer.fn = fire;
	l->timer_msg.fn = sync_message;
}

void lapic_timer_sync(struct lapic *l)
{
	atomic_store(&l->timer_synced, false);
	if (vcpu_core(l->vcpu) == hv_core_self())
		sync_here(l);
	else
		hv_msg_post(vcpu_core(l->vcpu), &l->timer_msg); /* false: it is on its way and will see this state */
}

/* State only; the caller syncs the host timer. */
static void clear(struct lapic *l)
{
	l->timer_running = false;
	l->init_count = 0;
	l->tsc_deadline = 0;
}

void lapic_timer_stop(struct lapic *l)
{
	clear(l);
	lapic_timer_sync(l);
}

void lapic_timer_set_count(struct lapic *l, uint32_t count)
{
	if (mode(l) == TIMER_DEADLINE)
		return; /* 11.5.4.1: ignored in TSC-deadline mode */
	uint64_t now = hv_now_ns();
	l->init_count = count;
	l->start_ns = now;
	l->timer_running = count != 0;
	arm(l, now);
}

uint64_t lapic_timer_elapsed_ns(struct lapic *l)
{
	return l->timer_running ? hv_now_ns() - l->start_ns : 0;
}

uint32_t lapic_timer_current(struct lapic *l)
{
	if (!l->timer_running || mode(l) == TIMER_DEADLINE)
		return 0;
	uint64_t period = period_ns(l), elapsed = hv_now_ns() - l->start_ns;
	if (mode(l) == TIMER_PERIODIC)
		elapsed %= period;
	else if (elapsed >= period)
		return 0;
	return (uint32_t)((period - elapsed) / (divisor(l) * LAPIC_BUS_NS));
}

void lapic_timer_set_divide(struct lapic *l, uint32_t divide)
{
	uint32_t left = lapic_timer_current(l);
	uint64_t now = hv_now_ns();
	l->divide = divide & 0xb;
	l->start_ns = now - (uint64_t)(l->init_count - left) * divisor(l) * LAPIC_BUS_NS;
	arm(l, now);
}

void lapic_timer_set_lvt(struct lapic *l, uint32_t lvt)
{
	unsigned before = mode(l);
	bool was_masked = l->lvt[LVT_TIMER] & LVT_MASKED;
	l->lvt[LVT_TIMER] = lvt;
	unsigned after = mode(l);
	if (after != before && (after == TIMER_DEADLINE || before == TIMER_DEADLINE))
		clear(l);
	if (was_masked && l->tsc_deadline != 0 && l->tsc_deadline <= vcpu_tsc(l->vcpu))
		l->tsc_deadline = 0;
	uint64_t now = hv_now_ns();
	if (was_masked && l->timer_running && after == TIMER_ONE_SHOT && now - l->start_ns >= period_ns(l))
		l->timer_running = false; /* it ran out while nobody was to be told */
	arm(l, now);
}

void lapic_timer_set_deadline(struct lapic *l, uint64_t tsc)
{
	if (mode(l) != TIMER_DEADLINE)
		return; /* 11.5.4.1: ignored, and reads back as 0 */
	if (tsc != 0 && !(l->lvt[LVT_TIMER] & LVT_MASKED) && tsc <= vcpu_tsc(l->vcpu)) {
		l->tsc_deadline = 0; /* already there: no need for the host's timer and its exit */
		hv_timer_cancel(&l->timer);
		l->n_timer++;
		lapic_lvt_deliver(l, LVT_TIMER);
		return;
	}
	l->tsc_deadline = tsc;
	arm(l, hv_now_ns());
}
