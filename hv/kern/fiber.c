/*
 * Fibers: control work that reads top to bottom. Stackful, cooperative, bound to one core; the loop switches to a fiber and the fiber switches
 * back, never from one fiber to another.
 *
 *   spawn -> READY --loop--> RUNNING --yield--> READY
 *                               |  '--park--> PARKED --wake, deadline--> READY
 *                               '--fn returns--> ENDED (the loop frees the stack)
 *
 * The control block lies at the top of the fiber's own stack.
 */
#include "arch/arch.h"
#include "kern/loop.h"
#include <errno.h>
#include <hv/log.h>

#define DEFAULT_STACK_BYTES (64u << 10)
#define MXCSR_DEFAULT 0x1f80ull /* all exceptions masked, round to nearest (SDM vol. 1, 10.2.3) */
#define X87_CW_DEFAULT 0x037full

enum fiber_state { FIBER_READY, FIBER_RUNNING, FIBER_PARKED, FIBER_ENDED };

struct hv_fiber {
	void *sp;
	struct hv_fiber *next;
	void (*fn)(void *arg);
	void *arg;
	const char *name;
	void *stack;
	size_t stack_size;
	void *keep; /* for arch_stack_leave */
	struct hv_timer deadline;
	enum fiber_state state;
	bool woken; /* a wake that no park has returned for yet */
	unsigned core;
};

static void make_ready(struct hv_loop *l, struct hv_fiber *f)
{
	f->state = FIBER_READY;
	f->next = NULL;
	if (l->ready.head)
		l->ready.tail->next = f;
	else
		l->ready.head = f;
	l->ready.tail = f;
}

static void deadline_passed(struct hv_timer *t)
{
	make_ready(hv_loop_self(), hv_container_of(t, struct hv_fiber, deadline));
}

int hv_fiber_spawn(const char *name, void (*fn)(void *arg), void *arg, size_t stack_bytes)
{
	struct hv_loop *l = hv_loop_self();
	struct hv_fiber *f;
	uintptr_t top;
	void *stack;
	size_t size;
	uint64_t *frame;
	int err = arch_stack_alloc(stack_bytes ? stack_bytes : DEFAULT_STACK_BYTES, &stack, &size);

	if (err)
		return err;
	top = HV_ALIGN_DOWN((uintptr_t)stack + size - sizeof(*f), (uintptr_t)64);
	f = (struct hv_fiber *)top;
	*f = (struct hv_fiber){.fn = fn, .arg = arg, .name = name, .stack = stack, .stack_size = size, .core = l->core};
	f->deadline.fn = deadline_passed;
	/* The frame arch_context_switch pops; see context.S. The stack pointer after its `ret` is `top`. */
	frame = (uint64_t *)top - 8;
	frame[0] = MXCSR_DEFAULT | X87_CW_DEFAULT << 32;
	for (unsigned i = 1; i <= 6; i++)
		frame[i] = 0;
	frame[7] = (uintptr_t)arch_context_start;
	f->sp = frame;
	make_ready(l, f);
	return 0;
}

struct hv_fiber *hv_fiber_self(void)
{
	return hv_loop_self()->fiber;
}

/* From the fiber to the loop. */
static void switch_to_loop(struct hv_loop *l, struct hv_fiber *f)
{
	arch_stack_leave(f->state == FIBER_ENDED ? NULL : &f->keep, NULL, 0);
	arch_context_switch(&f->sp, l->loop_sp);
	arch_stack_entered(f->keep);
}

static void switch_to_fiber(struct hv_loop *l, struct hv_fiber *f)
{
	f->state = FIBER_RUNNING;
	l->fiber = f;
	arch_stack_leave(&l->stack_keep, f->stack, f->stack_size);
	arch_context_switch(&l->loop_sp, f->sp);
	arch_stack_entered(l->stack_keep);
	l->fiber = NULL;
	if (f->state == FIBER_ENDED)
		arch_stack_free(f->stack, f->stack_size);
}

_Noreturn void hv_fiber_enter(void)
{
	struct hv_loop *l = hv_loop_self();
	struct hv_fiber *f = l->fiber;

	arch_stack_entered(NULL);
	f->fn(f->arg);
	hv_timer_cancel(&f->deadline);
	f->state = FIBER_ENDED;
	switch_to_loop(l, f);
	hv_panic("fiber %s ran after its end", f->name);
}

unsigned hv_fiber_run(struct hv_loop *l)
{
	struct hv_fiber *f = l->ready.head, *next;
	unsigned n = 0;

	l->ready.head = l->ready.tail = NULL;
	for (; f; f = next) {
		next = f->next;
		switch_to_fiber(l, f);
		n++;
	}
	return n;
}

void hv_fiber_yield(void)
{
	struct hv_loop *l = hv_loop_self();

	hv_assert(l->fiber);
	make_ready(l, l->fiber);
	switch_to_loop(l, l->fiber);
}

int hv_fiber_park(uint64_t deadline_ns)
{
	struct hv_loop *l = hv_loop_self();
	struct hv_fiber *f = l->fiber;

	hv_assert(f);
	if (!f->woken) {
		f->state = FIBER_PARKED;
		if (deadline_ns)
			hv_timer_arm(&f->deadline, deadline_ns);
		switch_to_loop(l, f);
	}
	if (!f->woken)
		return -ETIMEDOUT; /* only the deadline makes a parked fiber ready without a wake */
	f->woken = false;
	return 0;
}

void hv_fiber_wake(struct hv_fiber *f)
{
	hv_assert(f->core == hv_core_self());
	f->woken = true;
	if (f->state == FIBER_PARKED) {
		hv_timer_cancel(&f->deadline);
		make_ready(hv_loop_self(), f);
	}
}
