/*
 * A short spinlock for device state that several cores touch (exits on vCPU cores, pollers on the I/O core). Never held across a call that
 * may yield, never taken by an interrupt handler, so a holder is never interrupted by another taker on its own core.
 */
#ifndef HV_VDEV_LOCK_H
#define HV_VDEV_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>

struct vdev_lock {
	atomic_bool held;
};

static inline void vdev_lock(struct vdev_lock *l)
{
	while (atomic_exchange_explicit(&l->held, true, memory_order_acquire))
		while (atomic_load_explicit(&l->held, memory_order_relaxed))
			__builtin_ia32_pause();
}

static inline void vdev_unlock(struct vdev_lock *l)
{
	atomic_store_explicit(&l->held, false, memory_order_release);
}

#endif
