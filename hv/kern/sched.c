/*
 * Tasks: what a core runs when its loop is idle. Round-robin among ready tasks of a core. A wake from another core goes through a lock-free
 * stack; the state word makes sure that it is never lost and never queued twice.
 *
 *   IDLE --wake--> READY --slice--> RUNNING --run() true--> READY
 *     ^                               |  '--wake--> RUNNING_WOKEN --run() returns--> READY
 *     '---------run() false-----------'
 */
#include "arch/arch.h"
#include "kern/loop.h"
#include <hv/log.h>

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

static void append(struct hv_loop *l, struct hv_task *t)
{
	t->next = NULL;
	if (l->tasks)
		l->tasks_tail->next = t;
	else
		l->tasks = t;
	l->tasks_tail = t;
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
		append(l, t);
	}
}

struct hv_task *hv_sched_peek(struct hv_loop *l)
{
	take_woken(l);
	return l->tasks;
}

void hv_sched_slice(struct hv_loop *l, uint64_t until_ns)
{
	struct hv_task *t = l->tasks;
	uint64_t start_ns = hv_now_ns();
	uint8_t running = TASK_RUNNING;
	bool ready;

	l->tasks = t->next;
	t->next = NULL;
	__atomic_store_n(&t->state, TASK_RUNNING, __ATOMIC_SEQ_CST);
	l->running = t;
	ready = t->run(t, until_ns);
	l->running = NULL;
	t->run_ns += hv_now_ns() - start_ns;
	t->slices++;
	if (!ready && __atomic_compare_exchange_n(&t->state, &running, TASK_IDLE, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return;
	__atomic_store_n(&t->state, TASK_READY, __ATOMIC_SEQ_CST);
	append(l, t);
}

void hv_task_remove(struct hv_task *t)
{
	struct hv_loop *l = hv_loop_self();
	struct hv_task *last = NULL;

	hv_assert(t->core == l->core && l->running != t);
	take_woken(l);
	for (struct hv_task **at = &l->tasks; *at;) {
		if (*at == t)
			*at = t->next;
		if (!*at)
			break;
		last = *at;
		at = &(*at)->next;
	}
	l->tasks_tail = last;
	t->next = NULL;
	__atomic_store_n(&t->state, TASK_IDLE, __ATOMIC_SEQ_CST);
}
