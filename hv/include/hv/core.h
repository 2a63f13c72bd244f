/*
 * How work runs: cores, pollers, messages, timers, fibers (docs/internals/cores.md).
 *
 * Each core runs one loop: messages, expired timers, pollers, ready fibers, then a time slice of a ready vCPU, else sleep. One core owns
 * each object; other cores send it messages. Nothing here allocates or locks on a data path.
 *
 * Contexts: "loop" = called from a core's loop (poller, message, timer, fiber; host FPU state live, may call any layer); "exit" = a guest's
 * exit on a vCPU core (guest FPU state live: only hv code); "irq" = a host interrupt handler (may only note and wake).
 */
#ifndef HV_CORE_H
#define HV_CORE_H

#include <hv/types.h>

/* This core's index, 0 .. hv_core_count()-1. Any context. */
unsigned hv_core_self(void);
unsigned hv_core_count(void);
/* Makes `core` leave its sleep or its guest and run its loop once; cheap when it is already polling. Any context, any core. */
void hv_core_wake(unsigned core);

/* Monotonic time since boot, nanoseconds. Any context. */
uint64_t hv_now_ns(void);
/* Calibrated frequency of the TSC (all cores' TSCs count alike and were synchronised at boot), Hz. Any context. */
uint64_t hv_tsc_hz(void);
/* Wall clock (from the RTC at boot), nanoseconds since 1970-01-01 UTC. Any context. */
uint64_t hv_wall_ns(void);

/* What a core's loop has done since boot. */
struct hv_core_stats {
	uint64_t rounds, busy_rounds;  /* turns of the loop; those that found work */
	uint64_t sleeps, sleep_ns;     /* times and time halted, the sleep under way included */
	uint64_t task_slices, task_ns; /* slices and time of vCPUs */
};
/* Any core, any context; another core's numbers are not all of one moment. @pre core < hv_core_count() */
void hv_core_stats(unsigned core, struct hv_core_stats *out);

/* ---- pollers ---- */
struct hv_poller {
	/* Does a bounded round of work; returns how much it did (0 = nothing). Loop context on the owner core. */
	unsigned (*poll)(struct hv_poller *p);
	/*
	 * Optional. on=true: the core is about to sleep or to run a guest: enable the source's wake-up (interrupt, guest kick), then
	 * return true if work arrived meanwhile (the core then polls on). on=false: the core polls again. NULL: nothing to arm.
	 */
	bool (*arm)(struct hv_poller *p, bool on);
	const char *name;
	/* The loop's. */
	struct hv_poller *next;
	uint64_t rounds, busy_rounds, work;
	bool attached;
};
/* Adds to / removes from the calling core's loop. Loop context; a poller may remove itself or others. */
void hv_poller_add(struct hv_poller *p);
void hv_poller_remove(struct hv_poller *p);

/* ---- messages ---- */
struct hv_msg {
	void (*fn)(struct hv_msg *m); /* runs once, loop context on the target core; m may be posted again from inside */
	struct hv_msg *next;
	uint8_t posted; /* the loop's: set from post until fn starts */
};
/*
 * Posts m to `core` and wakes it. Lock-free; any core, any context. Returns false, and changes nothing, when m is already posted and has
 * not started (so a message is also an edge-triggered "something changed" flag). @pre m->fn set, m zeroed before its first use
 */
bool hv_msg_post(unsigned core, struct hv_msg *m);

/* ---- timers ---- */
struct hv_timer {
	void (*fn)(struct hv_timer *t); /* loop context on the core that armed it */
	uint64_t deadline_ns;
	/* The loop's. */
	struct hv_timer *child, *sibling, *prev;
	bool armed;
};
/* Arms (or re-arms) for absolute time deadline_ns. Timers belong to the core that arms them. Loop or exit context on that core. */
void hv_timer_arm(struct hv_timer *t, uint64_t deadline_ns);
/* No-op when not armed. After it returns fn will not run. Same core as armed. */
void hv_timer_cancel(struct hv_timer *t);

/* ---- fibers: stackful, cooperative, bound to the core that spawned them ---- */
struct hv_fiber;
/* Runs fn(arg) in a fiber of its own on the calling core, starting from the loop. -ENOMEM. Loop context. stack_bytes 0 = 64 KiB. */
int hv_fiber_spawn(const char *name, void (*fn)(void *arg), void *arg, size_t stack_bytes) HV_MUST_CHECK;
/* The running fiber, NULL outside of one. */
struct hv_fiber *hv_fiber_self(void);
/* Lets the loop run once, then goes on. Fiber only. */
void hv_fiber_yield(void);
/* Parks until hv_fiber_wake or, when deadline_ns is not 0, until then. 0 or -ETIMEDOUT. A wake before the park is not lost. Fiber only. */
int hv_fiber_park(uint64_t deadline_ns);
/* Loop context on the fiber's core. */
void hv_fiber_wake(struct hv_fiber *f);

/* ---- host interrupts ---- */
/*
 * Allocates a vector on `core` that calls fn(arg) in irq context; fn may only note and hv_core_wake/hv_msg_post. Returns the vector or
 * -ENOSPC. Loop context.
 */
int hv_irq_alloc(unsigned core, void (*fn)(void *arg), void *arg) HV_MUST_CHECK;
void hv_irq_free(unsigned core, int vector);
/* Address and data that a device writes to raise `vector` on `core` (Intel SDM vol. 3 "Message Signalled Interrupts", APM vol. 2 ch. 16).
 */
void hv_msi_message(unsigned core, int vector, uint64_t *address, uint32_t *data);

/*
 * Interrupts `core` with HV_NOTIFY_VECTOR, which does nothing: a guest that runs there and takes this vector for itself (SDM vol. 3, 30.6) is
 * not left. Any core, any context.
 */
#define HV_NOTIFY_VECTOR 0xf2u
void hv_core_notify(unsigned core);
/* Handles an interrupt that the processor has acknowledged but not delivered (SDM vol. 3, 28.2.2 "acknowledge interrupt on exit"). Interrupts
 * off. */
void hv_irq_acknowledged(unsigned vector);

#endif
