/*
 * Messages between cores: one lock-free stack per core, pushed by anyone (also interrupt handlers), taken whole by its owner and turned
 * around, so that messages of one sender run in the order they were posted.
 */
#include "kern/loop.h"

bool hv_msg_post(unsigned core, struct hv_msg *m)
{
	struct hv_loop *l = &hv_loops[core];
	struct hv_msg *head;

	if (__atomic_exchange_n(&m->posted, 1, __ATOMIC_ACQ_REL))
		return false;
	head = atomic_load_explicit(&l->inbox, memory_order_relaxed);
	do
		m->next = head;
	while (!atomic_compare_exchange_weak_explicit(&l->inbox, &head, m, memory_order_release, memory_order_relaxed));
	hv_core_wake(core);
	return true;
}

unsigned hv_msg_run(struct hv_loop *l)
{
	struct hv_msg *m, *next, *fifo = NULL;
	unsigned n = 0;

	if (!atomic_load_explicit(&l->inbox, memory_order_relaxed))
		return 0;
	for (m = atomic_exchange_explicit(&l->inbox, NULL, memory_order_acquire); m; m = next) {
		next = m->next;
		m->next = fifo;
		fifo = m;
	}
	for (m = fifo; m; m = next) {
		next = m->next; /* from here on m may be posted again */
		__atomic_store_n(&m->posted, 0, __ATOMIC_RELEASE);
		m->fn(m);
		n++;
	}
	return n;
}
