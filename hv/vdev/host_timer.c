/* Host timers of shared devices (host_timer.h). */
#include "vdev/host_timer.h"
#include "vm/vm_impl.h"

static void run(struct vdev_timer *t)
{
	if (t->retired || atomic_load_explicit(&t->vm->ending, memory_order_relaxed)) {
		hv_timer_cancel(&t->timer);
		return;
	}
	uint64_t due = t->next(t, hv_now_ns());
	if (due == VDEV_TIMER_NEVER)
		hv_timer_cancel(&t->timer);
	else
		hv_timer_arm(&t->timer, HV_MAX(due, t->last_ns + VDEV_TIMER_MIN_NS));
}

static void fired(struct hv_timer *timer)
{
	struct vdev_timer *t = hv_container_of(timer, struct vdev_timer, timer);
	t->last_ns = hv_now_ns();
	run(t);
}

static void changed(struct hv_msg *m)
{
	run(hv_container_of(m, struct vdev_timer, msg));
}

void vdev_timer_init(struct vdev_timer *t, struct vm *vm, uint64_t (*next)(struct vdev_timer *t, uint64_t now_ns))
{
	t->vm = vm;
	t->next = next;
	t->timer.fn = fired;
	t->msg.fn = changed;
}

void vdev_timer_changed(struct vdev_timer *t)
{
	hv_msg_post(t->vm->config.io_core, &t->msg); /* false: it is on its way and will see the new state */
}

void vdev_timer_fini(struct vdev_timer *t)
{
	if (!t->next)
		return; /* never made */
	t->retired = true;
	hv_timer_cancel(&t->timer);
	while (__atomic_load_n(&t->msg.posted, __ATOMIC_ACQUIRE))
		hv_fiber_yield();
}
