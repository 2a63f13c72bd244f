/*
 * What a core runs when its loop has no other work: tasks that take time slices. A vCPU is the only kind of task.
 * A task belongs to one core. Ready tasks of a core get equal time, whatever interrupts them; a task that is not ready costs nothing.
 */
#ifndef HV_KERN_SCHED_H
#define HV_KERN_SCHED_H

#include <hv/types.h>

struct hv_task {
	/*
	 * Runs the guest until until_ns, or until something for the core's loop is pending (hv_core_pending() is true after an exit: a
	 * message, wake, expired timer), or until it has nothing to do. Returns true while it is still ready. Loop context, host FPU state
	 * live on entry and on return. Interrupts are on outside of the guest; the vendor's entry path closes the race between the last
	 * hv_core_pending() check and the entry (SVM: GIF, VMX: IF=0 + external-interrupt exit).
	 */
	bool (*run)(struct hv_task *t, uint64_t until_ns);
	const char *name;
	/* The loop's. */
	struct hv_task *next;
	uint16_t core;
	uint8_t state;       /* atomically: idle, ready, running, running+woken */
	uint64_t virtual_ns; /* what it has run, raised when it was asleep: who has least is next */
	uint64_t run_ns, slices;
};

/* Binds a task to a core; not ready. Any core, before its first wake. */
void hv_task_init(struct hv_task *t, unsigned core, const char *name, bool (*run)(struct hv_task *t, uint64_t until_ns));
/* Makes it ready and wakes its core; if it is running on another core, sends that core an IPI so that the guest is left. A wake is never
 * lost. Any core, any context. */
void hv_task_wake(struct hv_task *t);
/* Takes a task that is not ready off its core for good. Loop context on its core. */
void hv_task_remove(struct hv_task *t);

/* True when this core's loop has something to do before running (more of) a guest. Exit context, interrupts on or off. */
bool hv_core_pending(void);

#endif
