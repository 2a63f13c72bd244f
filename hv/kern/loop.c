/*
 * The run loop: what a core does, forever (docs/internals/cores.md).
 *
 *   POLLING --all idle for IDLE_BUDGET_NS, pollers armed--> SLEEPING --interrupt--> POLLING
 *      |  ^
 *      |  '--slice over, or hv_core_pending()--.
 *      '--a task is ready---------------------> GUEST
 *
 * With a ready task, idle pollers are armed at once and the task gets a long slice; while pollers are busy they get BUSY_SHARE_NS, then the
 * task gets a short slice unarmed, and so on in turn: with one core both make progress.
 *
 * A sleep that ends soon was not worth its price: the guest's kick is an exit, the interrupt another, and both wait for the wake-up. So
 * after each sleep shorter than the longest budget the next budget doubles, and one long sleep brings it back: a guest with one request in
 * flight after the other finds the core polling; a core without work polls 50 us and sleeps.
 */
#include "kern/loop.h"
#include "arch/arch.h"

#define IDLE_BUDGET_NS 50000ull /* empty polling before the core sleeps, when sleeps are long */
#define IDLE_BUDGET_MAX_NS                                                                                                                 \
	400000ull               /* ... when they are short; less than the nap of a NIC without interrupts (drivers/nic/eal/interrupts.c) */
#define BUSY_SHARE_NS 100000ull /* busy polling before a ready task gets a slice */
#define BUSY_SLICE_NS 250000ull /* slice of a task while pollers are busy */

struct hv_loop hv_loops[HV_MAX_CORES];

void hv_loop_init(unsigned core)
{
	struct hv_loop *l = &hv_loops[core];

	*l = (struct hv_loop){.core = core, .hw_deadline_ns = UINT64_MAX, .idle_budget_ns = IDLE_BUDGET_NS};
}

void hv_core_wake(unsigned core)
{
	struct hv_loop *l = &hv_loops[core];

	/* Somebody has woken it already and the loop has not begun its round: it will see what we did before this call. */
	if (atomic_exchange(&l->wake, true))
		return;
	if (core != hv_core_self() && atomic_load(&l->where) != LOOP_POLLING)
		arch_core_kick(core);
}

bool hv_core_pending(void)
{
	struct hv_loop *l = hv_loop_self();
	uint64_t next_ns;

	if (atomic_load(&l->wake) || l->ready.head)
		return true;
	/* The timer's interrupt may not have come yet, or may have been taken as one for an earlier deadline. */
	next_ns = HV_MIN(hv_timer_next(l), l->hw_deadline_ns);
	return next_ns != UINT64_MAX && hv_now_ns() >= next_ns;
}

void hv_poller_add(struct hv_poller *p)
{
	struct hv_loop *l = hv_loop_self();
	struct hv_poller **end = &l->pollers;

	if (p->attached)
		return;
	while (*end)
		end = &(*end)->next;
	p->next = NULL;
	p->attached = true;
	*end = p;
	hv_core_wake(l->core);
}

void hv_poller_remove(struct hv_poller *p)
{
	struct hv_loop *l = hv_loop_self();

	for (struct hv_poller **at = &l->pollers; *at; at = &(*at)->next) {
		if (*at != p)
			continue;
		*at = p->next;
		if (l->poll_next == p)
			l->poll_next = p->next;
		p->next = NULL;
		p->attached = false;
		return;
	}
}

static unsigned run_pollers(struct hv_loop *l)
{
	unsigned total = 0;

	for (struct hv_poller *p = l->pollers; p; p = l->poll_next) {
		unsigned n;

		l->poll_next = p->next;
		p->rounds++; /* before the call: p may be gone after it */
		n = p->poll(p);
		total += n;
		if (n && p->attached) {
			p->busy_rounds++;
			p->work += n;
		}
	}
	l->poll_next = NULL;
	return total;
}

static void disarm_pollers(struct hv_loop *l, const struct hv_poller *end)
{
	for (struct hv_poller *p = l->pollers; p != end; p = p->next)
		if (p->arm)
			p->arm(p, false);
}

/* Arms all pollers; false, with all disarmed again, when one of them has work. */
static bool arm_pollers(struct hv_loop *l)
{
	for (struct hv_poller *p = l->pollers; p; p = p->next) {
		if (!p->arm || !p->arm(p, true))
			continue;
		disarm_pollers(l, p->next);
		return false;
	}
	return true;
}

static bool run_round(struct hv_loop *l)
{
	unsigned work;

	/* Full barrier: what was done before a wake is visible to the parts below. */
	(void)atomic_exchange(&l->wake, false); /* the old value does not matter: the round looks at everything */
	work = hv_msg_run(l);
	work += hv_timer_run(l, hv_now_ns());
	work += run_pollers(l);
	work += hv_fiber_run(l);
	l->rounds++;
	l->busy_rounds += work != 0;
	return work != 0;
}

/* From here on other cores send an interrupt, and the hardware timer ends what follows. */
static void leave_polling(struct hv_loop *l, enum hv_loop_where where, uint64_t until_ns)
{
	l->hw_deadline_ns = HV_MIN(until_ns, hv_timer_next(l));
	arch_timer_set(l->hw_deadline_ns);
	atomic_store(&l->where, where);
}

static void enter_polling(struct hv_loop *l)
{
	atomic_store(&l->where, LOOP_POLLING);
	l->hw_deadline_ns = UINT64_MAX;
}

static void adapt_budget(struct hv_loop *l, uint64_t slept_ns)
{
	l->idle_budget_ns = slept_ns < IDLE_BUDGET_MAX_NS ? HV_MIN(2 * l->idle_budget_ns, IDLE_BUDGET_MAX_NS) : IDLE_BUDGET_NS;
}

static void halt(struct hv_loop *l)
{
	uint64_t start_ns = hv_now_ns();

	__atomic_store_n(&l->asleep_since_ns, start_ns, __ATOMIC_RELAXED);
	arch_halt();
	__atomic_store_n(&l->asleep_since_ns, 0, __ATOMIC_RELAXED);
	l->sleeps++;
	l->sleep_ns += hv_now_ns() - start_ns;
}

static void sleep_until_woken(struct hv_loop *l)
{
	uint64_t start_ns = hv_now_ns();

	if (!arm_pollers(l))
		return;
	leave_polling(l, LOOP_SLEEPING, UINT64_MAX);
	(void)arch_irq_save(); /* arch_halt and arch_irq_on turn them on again */
	if (hv_core_pending())
		arch_irq_on();
	else
		halt(l);
	enter_polling(l);
	disarm_pollers(l, NULL);
	adapt_budget(l, hv_now_ns() - start_ns);
}

static void run_task(struct hv_loop *l, bool busy, uint64_t now_ns)
{
	uint64_t slice_ns, until_ns;
	struct hv_task *t = hv_sched_next(l, &slice_ns);

	if (busy)
		slice_ns = HV_MIN(slice_ns, BUSY_SLICE_NS);
	until_ns = slice_ns == UINT64_MAX ? UINT64_MAX : now_ns + slice_ns;
	if (!busy && !arm_pollers(l))
		return;
	leave_polling(l, LOOP_GUEST, until_ns);
	hv_sched_slice(l, t, until_ns);
	enter_polling(l);
	if (!busy)
		disarm_pollers(l, NULL);
	l->busy_since_ns = 0;
}

void hv_loop_turn(void)
{
	struct hv_loop *l = hv_loop_self();
	bool busy = run_round(l);
	uint64_t now_ns = hv_now_ns();

	if (busy) {
		l->idle_since_ns = 0;
		if (!l->busy_since_ns)
			l->busy_since_ns = now_ns;
	} else {
		l->busy_since_ns = 0;
		if (!l->idle_since_ns)
			l->idle_since_ns = now_ns;
	}
	if (hv_sched_ready(l)) {
		if (!busy || now_ns - l->busy_since_ns >= BUSY_SHARE_NS)
			run_task(l, busy, now_ns);
		return;
	}
	if (busy)
		return;
	/* Without pollers, everything that can happen wakes the core: no reason to wait. */
	if (l->pollers && now_ns - l->idle_since_ns < l->idle_budget_ns) {
		__builtin_ia32_pause(); /* leaves the execution units, or an emulator's only thread, to whom we wait for */
		return;
	}
	sleep_until_woken(l);
	l->idle_since_ns = 0;
}

void hv_core_stats(unsigned core, struct hv_core_stats *out)
{
	const struct hv_loop *l = &hv_loops[core];
	uint64_t since_ns = __atomic_load_n(&l->asleep_since_ns, __ATOMIC_RELAXED), now_ns = hv_now_ns();

	*out = (struct hv_core_stats){
		.rounds = l->rounds,
		.busy_rounds = l->busy_rounds,
		.sleeps = l->sleeps,
		.sleep_ns = l->sleep_ns + (since_ns && since_ns < now_ns ? now_ns - since_ns : 0),
		.task_slices = l->task_slices,
		.task_ns = l->task_ns,
	};
}
