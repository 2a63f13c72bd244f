/*
 * The host timer of a device that several vCPUs touch. It lives on io_core: whoever changes the device's state, on whatever core, calls
 * vdev_timer_changed after dropping the device's lock; on io_core `next` is then asked (it takes the lock) when the device has something to
 * do.
 */
#ifndef HV_VDEV_HOST_TIMER_H
#define HV_VDEV_HOST_TIMER_H

#include <hv/core.h>
#include <stdatomic.h>

struct vm;

#define VDEV_TIMER_NEVER UINT64_MAX
/* No guest makes the I/O core wake more often than this for one device. */
#define VDEV_TIMER_MIN_NS 100000u

struct vdev_timer {
	struct hv_timer timer;
	struct hv_msg msg;
	struct vm *vm;
	/* Does what is due at now_ns and returns when to be called next, or VDEV_TIMER_NEVER. Loop context on io_core. */
	uint64_t (*next)(struct vdev_timer *t, uint64_t now_ns);
	uint64_t last_ns; /* when the timer last fired */
	bool retired;     /* io_core only */
};

void vdev_timer_init(struct vdev_timer *t, struct vm *vm, uint64_t (*next)(struct vdev_timer *t, uint64_t now_ns));
/* Any core, loop or exit context. */
void vdev_timer_changed(struct vdev_timer *t);
/* After it returns `next` is not called any more. Fiber on io_core; yields until a message on its way has arrived. @pre no vCPU runs */
void vdev_timer_fini(struct vdev_timer *t);

/* ns since `since_ns` in ticks of hz, exact for any span of a lifetime; and back, rounded up. */
static inline uint64_t vdev_ns_to_ticks(uint64_t ns, uint32_t hz)
{
	return ns / 1000000000u * hz + ns % 1000000000u * hz / 1000000000u;
}

static inline uint64_t vdev_ticks_to_ns(uint64_t ticks, uint32_t hz)
{
	return ticks / hz * 1000000000u + (ticks % hz * 1000000000u + hz - 1) / hz;
}

#endif
