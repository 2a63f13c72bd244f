/*
 * What hv/kern asks of the machine. Two implementations: hv/arch (bare metal) and tests/native (Linux process whose logical cores are stepped
 * by hand). hv_core_self, hv_core_count, hv_now_ns, hv_wall_ns (hv/core.h), hv_console_write (hv/host.h), hv_panic (hv/log.h) and the page
 * functions of hv/mem.h belong to this interface too.
 */
#ifndef HV_ARCH_ARCH_H
#define HV_ARCH_ARCH_H

#include <hv/types.h>

/* Interrupts `core`: ends its halt or its guest. The handler does nothing else. Any context. */
void arch_core_kick(unsigned core);
/* This core gets a timer interrupt at deadline_ns (absolute; the past = at once; UINT64_MAX = none). Replaces the one before. */
void arch_timer_set(uint64_t deadline_ns);

/* Interrupts off on this core; gives the state back to arch_irq_restore. */
unsigned long arch_irq_save(void);
void arch_irq_restore(unsigned long state);
/*
 * Turns interrupts on and halts in one step, so that an interrupt that is already pending ends the halt; returns with interrupts on.
 * @pre interrupts off
 */
void arch_halt(void);
void arch_irq_on(void);

/* A stack of at least `bytes` with an unmapped page below it; *base is its lowest usable byte. -ENOMEM. Loop context. */
int arch_stack_alloc(size_t bytes, void **base, size_t *size) HV_MUST_CHECK;
void arch_stack_free(void *base, size_t size);

/*
 * Saves callee-saved registers, MXCSR and the x87 control word on this stack, its pointer in *save, and goes on where `load` was saved
 * (System V ABI 3.2.1). hv/arch/context.S, also used natively.
 */
void arch_context_switch(void **save, void *load);
/* First entry of a new stack: calls hv_fiber_enter(). */
void arch_context_start(void);

/*
 * Told around a switch for tools that follow stacks (ASan natively; nothing on the machine). `keep` is NULL when the stack is left for good,
 * `next_base` when the next stack is the loop's own.
 */
void arch_stack_leave(void **keep, const void *next_base, size_t next_size);
void arch_stack_entered(void *keep);

#endif
