/*
 * A short spinlock for control paths. A lock that interrupt handlers or exits take too is held with interrupts off (hv_lock_irq), so that a
 * holder is never interrupted by another taker on its own core. Never held across a call that may yield.
 */
#ifndef HV_KERN_LOCK_H
#define HV_KERN_LOCK_H

#include "arch/arch.h"
#include <stdatomic.h>
#include <stdbool.h>

struct hv_lock {
	atomic_bool held;
};

static inline bool hv_lock_try(struct hv_lock *l)
{
	return !atomic_exchange_explicit(&l->held, true, memory_order_acquire);
}

static inline void hv_lock(struct hv_lock *l)
{
	while (!hv_lock_try(l))
		while (atomic_load_explicit(&l->held, memory_order_relaxed))
			__builtin_ia32_pause();
}

static inline void hv_unlock(struct hv_lock *l)
{
	atomic_store_explicit(&l->held, false, memory_order_release);
}

static inline unsigned long hv_lock_irq(struct hv_lock *l)
{
	unsigned long state = arch_irq_save();

	hv_lock(l);
	return state;
}

static inline void hv_unlock_irq(struct hv_lock *l, unsigned long state)
{
	hv_unlock(l);
	arch_irq_restore(state);
}

#endif
