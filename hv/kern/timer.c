/*
 * Timers: a pairing heap per core (Fredman et al. 1986). Arming is O(1); taking the earliest and cancelling are O(log n) amortised; nothing
 * allocates. A node's `prev` is its left sibling, or its parent for the first child; the root's is NULL.
 */
#include "arch/arch.h"
#include "kern/loop.h"

#define TIMERS_PER_ROUND 256 /* a timer that re-arms itself in the past cannot hold the loop */

static struct hv_timer *merge(struct hv_timer *a, struct hv_timer *b)
{
	if (!a)
		return b;
	if (!b)
		return a;
	if (b->deadline_ns < a->deadline_ns) {
		struct hv_timer *t = a;

		a = b;
		b = t;
	}
	b->prev = a;
	b->sibling = a->child;
	if (a->child)
		a->child->prev = b;
	a->child = b;
	a->sibling = NULL;
	a->prev = NULL;
	return a;
}

/* Two passes: pairs from left to right, then all pairs from right to left. */
static struct hv_timer *merge_children(struct hv_timer *first)
{
	struct hv_timer *pairs = NULL, *root = NULL;

	while (first) {
		struct hv_timer *a = first, *b = first->sibling;

		first = b ? b->sibling : NULL;
		a->sibling = NULL;
		if (b)
			b->sibling = NULL;
		a = merge(a, b);
		a->sibling = pairs;
		pairs = a;
	}
	while (pairs) {
		struct hv_timer *next = pairs->sibling;

		pairs->sibling = NULL;
		root = merge(root, pairs);
		pairs = next;
	}
	if (root)
		root->prev = NULL;
	return root;
}

static void take_out(struct hv_loop *l, struct hv_timer *t)
{
	struct hv_timer *below = merge_children(t->child);

	if (l->timers == t) {
		l->timers = below;
	} else {
		if (t->prev->child == t)
			t->prev->child = t->sibling;
		else
			t->prev->sibling = t->sibling;
		if (t->sibling)
			t->sibling->prev = t->prev;
		l->timers = merge(l->timers, below);
	}
	t->child = t->sibling = t->prev = NULL;
	t->armed = false;
}

uint64_t hv_timer_next(const struct hv_loop *l)
{
	return l->timers ? l->timers->deadline_ns : UINT64_MAX;
}

void hv_timer_arm(struct hv_timer *t, uint64_t deadline_ns)
{
	struct hv_loop *l = hv_loop_self();

	if (t->armed)
		take_out(l, t);
	t->deadline_ns = deadline_ns;
	t->child = t->sibling = t->prev = NULL;
	t->armed = true;
	l->timers = merge(l->timers, t);
	/* In a guest's exit the hardware timer is already set for the slice. */
	if (atomic_load_explicit(&l->where, memory_order_relaxed) != LOOP_POLLING && deadline_ns < l->hw_deadline_ns) {
		l->hw_deadline_ns = deadline_ns;
		arch_timer_set(deadline_ns);
	}
}

void hv_timer_cancel(struct hv_timer *t)
{
	if (t->armed)
		take_out(hv_loop_self(), t);
}

unsigned hv_timer_run(struct hv_loop *l, uint64_t now_ns)
{
	unsigned n = 0;

	while (l->timers && l->timers->deadline_ns <= now_ns && n < TIMERS_PER_ROUND) {
		struct hv_timer *t = l->timers;

		take_out(l, t);
		t->fn(t);
		n++;
	}
	return n;
}
