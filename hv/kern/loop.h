/*
 * The run loop of a core, private to hv/kern and the port under it (hv/arch, tests/native).
 *
 * `wake` means "the loop has something to do". It is set by any core and cleared by the owner before it looks at its inbox, so that nothing
 * posted is missed. `where` says whether the owner will look at `wake` by itself (POLLING) or needs an interrupt (SLEEPING, GUEST). The
 * owner stores `where` before it loads `wake`; a waker stores `wake` before it loads `where`; both sequentially consistent: one of them
 * sees the other.
 */
#ifndef HV_KERN_LOOP_H
#define HV_KERN_LOOP_H

#include "kern/sched.h"
#include <hv/core.h>
#include <stdatomic.h>

enum hv_loop_where { LOOP_POLLING, LOOP_SLEEPING, LOOP_GUEST };

struct hv_fiber_queue {
	struct hv_fiber *head, *tail;
};

struct hv_loop {
	/* Any core. */
	HV_CACHE_ALIGNED _Atomic(struct hv_msg *) inbox; /* newest first */
	_Atomic(struct hv_task *) woken_tasks;           /* newest first */
	atomic_bool wake;
	atomic_uchar where; /* enum hv_loop_where; written by the owner */
	/* The owner's. */
	HV_CACHE_ALIGNED unsigned core;
	struct hv_poller *pollers, *poll_next; /* poll_next: where the walk under way goes on */
	struct hv_timer *timers;               /* pairing heap, earliest at the root */
	uint64_t hw_deadline_ns;               /* what the hardware timer is set to while not POLLING */
	struct hv_fiber_queue ready;
	struct hv_fiber *fiber; /* running now */
	void *loop_sp;          /* the loop's own context while a fiber runs */
	void *stack_keep;       /* for arch_stack_leave */
	struct hv_task *tasks;  /* ready, by virtual time */
	struct hv_task *last;   /* the one that ran last, when it is still ready */
	struct hv_task *running;
	uint64_t floor_ns;        /* virtual time of the task that had run least */
	uint64_t busy_since_ns;   /* start of the current run of busy rounds without a slice, 0 = none */
	uint64_t idle_since_ns;   /* start of the current run of empty rounds, 0 = none */
	uint64_t idle_budget_ns;  /* empty polling before a sleep; follows how long sleeps are */
	uint64_t asleep_since_ns; /* 0: not halted */
	uint64_t rounds, busy_rounds, sleeps, sleep_ns, task_slices, task_ns;
};

extern struct hv_loop hv_loops[HV_MAX_CORES];

static inline struct hv_loop *hv_loop_self(void)
{
	return &hv_loops[hv_core_self()];
}

/*
 * Somebody wants the core, or its timer has fired: what a guest's entry asks after every exit, so only what costs nothing. @pre l is the
 * calling core's
 */
static inline bool hv_loop_wanted(const struct hv_loop *l)
{
	return atomic_load_explicit(&l->wake, memory_order_relaxed) || l->ready.head;
}

/* The deadline of the core's timer has passed: the guest that runs, or is about to be entered, is left. irq context. */
static inline void hv_loop_timer_fired(void)
{
	atomic_store(&hv_loop_self()->wake, true);
}

/* Prepares the loop of `core`; before any other core may post to it. */
void hv_loop_init(unsigned core);
/* One turn of the calling core: a round of messages, timers, pollers and fibers, then a slice of a ready task, or a sleep when all is idle.
 */
void hv_loop_turn(void);

/* The parts of a round; each returns how much it did. Owner core. */
unsigned hv_msg_run(struct hv_loop *l);
unsigned hv_timer_run(struct hv_loop *l, uint64_t now_ns);
unsigned hv_fiber_run(struct hv_loop *l);

/* Earliest deadline, UINT64_MAX when none. */
uint64_t hv_timer_next(const struct hv_loop *l);

/* Tasks (sched.c). */
bool hv_sched_ready(struct hv_loop *l);
/* Whose turn it is, and how long it may run before another's comes (UINT64_MAX: no other is ready). @pre hv_sched_ready() */
struct hv_task *hv_sched_next(struct hv_loop *l, uint64_t *slice_ns);
void hv_sched_slice(struct hv_loop *l, struct hv_task *t, uint64_t until_ns);

/* Called by arch_context_start on a new fiber's stack. */
_Noreturn void hv_fiber_enter(void);

#endif
