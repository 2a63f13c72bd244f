/*
 * Tasks: what a core runs when its loop is idle. A wake from another core goes through a lock-free stack; the state word makes sure that it
 * is never lost and never queued twice.
 *
 *   IDLE --wake--> READY --slice--> RUNNING --run() true--> READY
 *     ^                               |  '--wake--> RUNNING_WOKEN --run() returns--> READY
 *     '---------run() false-----------'
 *
 * Fairness. Each task has a virtual time: the time it has run. The ready ones are listed by it, and the one that has run least is next. So
 * what counts is time, not turns: a slice that an interrupt cuts short costs its task nothing. Invariants:
 *   - The task that ran last goes on until it is SLICE_NS ahead of the one that has run least: no two are further apart, and none changes
 * places at each interrupt.
 *   - A task that slept is worth at most WAKE_CREDIT_NS: it runs at once if it asks for less than its share, and cannot save up time to
 * keep the others out. `floor_ns` never goes back; it is what the one that had run least had run.
 */
#include "arch/arch.h"
#include "kern/loop.h"
#include <hv/log.h>

#define SLICE_NS 4000000ull     /* how far ahead of the others a task gets in one turn */
#define SLICE_MIN_NS 250000ull  /* less is not worth going on for */
#define WAKE_CREDIT_NS SLICE_NS /* enough to be next at once */

enum { TASK_IDLE, TASK_READY, TASK_RUNNING, TASK_RUNNING_WOKEN };

void hv_task_init(struct hv_task *t, unsigned core, const char *name, bool (*run)(struct hv_task *t, uint64_t until_ns))
{
	*t = (struct hv_task){.run = run, .name = name, .core = (uint16_t)core, .state = TASK_IDLE};
}

static void push_woken(struct hv_loop *l, struct hv_task *t)
{
	struct hv_task *head = atomic_load_explicit(&l->woken_tasks, memory_order_relaxed);

	do
		t->next = head;
	while (!atomic_compare_exchange_weak_explicit(&l->woken_tasks, &head, t, memory_order_release, memory_order_relaxed));
}

void hv_task_wake(struct hv_task *t)
{
	uint8_t state = __atomic_load_n(&t->state, __ATOMIC_SEQ_CST);
	uint8_t next;

	do {
		if (state == TASK_READY)
			return;
		next = state == TASK_IDLE ? TASK_READY : TASK_RUNNING_WOKEN;
	} while (!__atomic_compare_exchange_n(&t->state, &state, next, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	if (next == TASK_READY) {
		push_woken(&hv_loops[t->core], t);
		hv_core_wake(t->core);
	} else if (t->core != hv_core_self()) {
		/* Each time: the guest may have been entered again since the last wake. */
		arch_core_kick(t->core);
	}
}

/* Behind those that have run as long: they waited longer. */
static void insert(struct hv_loop *l, struct hv_task *t)
{
	struct hv_task **at = &l->tasks;

	while (*at && (*at)->virtual_ns <= t->virtual_ns)
		at = &(*at)->next;
	t->next = *at;
	*at = t;
}

static void unlink_task(struct hv_loop *l, const struct hv_task *t)
{
	for (struct hv_task **at = &l->tasks; *at; at = &(*at)->next) {
		if (*at != t)
			continue;
		*at = t->next;
		return;
	}
}

static void take_woken(struct hv_loop *l)
{
	struct hv_task *t, *next, *fifo = NULL;

	if (!atomic_load_explicit(&l->woken_tasks, memory_order_relaxed))
		return;
	for (t = atomic_exchange_explicit(&l->woken_tasks, NULL, memory_order_acquire); t; t = next) {
		next = t->next;
		t->next = fifo;
		fifo = t;
	}
	for (t = fifo; t; t = next) {
		next = t->next;
		if (l->floor_ns > WAKE_CREDIT_NS)
			t->virtual_ns = HV_MAX(t->virtual_ns, l->floor_ns - WAKE_CREDIT_NS);
		insert(l, t);
	}
}

bool hv_sched_ready(struct hv_loop *l)
{
	take_woken(l);
	return l->tasks != NULL;
}

struct hv_task *hv_sched_next(struct hv_loop *l, uint64_t *slice_ns)
{
	struct hv_task *t = l->tasks, *other;

	if (l->last && l->last->virtual_ns + SLICE_MIN_NS <= t->virtual_ns + SLICE_NS)
		t = l->last;
	other = t == l->tasks ? t->next : l->tasks;
	*slice_ns = other ? other->virtual_ns + SLICE_NS - t->virtual_ns : UINT64_MAX;
	return t;
}

static void account(struct hv_loop *l, struct hv_task *t, uint64_t ns)
{
	t->run_ns += ns;
	t->virtual_ns += ns;
	t->slices++;
	l->task_ns += ns;
	l->task_slices++;
	l->floor_ns = HV_MAX(l->floor_ns, l->tasks ? HV_MIN(l->tasks->virtual_ns, t->virtual_ns) : t->virtual_ns);
}

void hv_sched_slice(struct hv_loop *l, struct hv_task *t, uint64_t until_ns)
{
	uint64_t start_ns = hv_now_ns();
	uint8_t running = TASK_RUNNING;
	bool ready;

	unlink_task(l, t);
	t->next = NULL;
	__atomic_store_n(&t->state, TASK_RUNNING, __ATOMIC_SEQ_CST);
	l->running = t;
	ready = t->run(t, until_ns);
	l->running = NULL;
	account(l, t, hv_now_ns() - start_ns);
	l->last = NULL;
	if (!ready && __atomic_compare_exchange_n(&t->state, &running, TASK_IDLE, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return;
	__atomic_store_n(&t->state, TASK_READY, __ATOMIC_SEQ_CST);
	insert(l, t);
	l->last = t;
}

void hv_task_remove(struct hv_task *t)
{
	struct hv_loop *l = hv_loop_self();

	hv_assert(t->core == l->core && l->running != t);
	take_woken(l);
	unlink_task(l, t);
	if (l->last == t)
		l->last = NULL;
	t->next = NULL;
	__atomic_store_n(&t->state, TASK_IDLE, __ATOMIC_SEQ_CST);
}
