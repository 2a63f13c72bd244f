/*
 * rte_eal_alarm_*: a driver's delayed calls (link set-up that takes a while), on hv timers. An alarm belongs to the core that sets it, as
 * its timer does: its callback runs there, in loop context, and it is cancelled there; devices are set up and serviced by one core.
 */
#include <errno.h>
#include <hv/core.h>
#include <hv/log.h>
#include <rte_alarm.h>
#include <rte_spinlock.h>

#define ALARMS 128u
#define ANY_ARG ((void *)-1) /* rte_eal_alarm_cancel: whatever the argument */

struct alarm {
	struct hv_timer timer;
	rte_eal_alarm_callback fn; /* NULL: free */
	void *arg;
	unsigned core;
};

static rte_spinlock_t lock = RTE_SPINLOCK_INITIALIZER; /* over fn of every alarm: taking and freeing one */
static struct alarm alarms[ALARMS];

static void release(struct alarm *a)
{
	rte_spinlock_lock(&lock);
	a->fn = NULL;
	rte_spinlock_unlock(&lock);
}

static void expired(struct hv_timer *t)
{
	struct alarm *a = hv_container_of(t, struct alarm, timer);
	rte_eal_alarm_callback fn = a->fn;
	void *arg = a->arg;

	release(a); /* before the call: it may set the next */
	fn(arg);
}

static struct alarm *claim(rte_eal_alarm_callback fn, void *arg)
{
	struct alarm *found = NULL;

	rte_spinlock_lock(&lock);
	for (unsigned i = 0; i < ALARMS && !found; i++) {
		if (!alarms[i].fn) {
			found = &alarms[i];
			*found = (struct alarm){.timer.fn = expired, .fn = fn, .arg = arg, .core = hv_core_self()};
		}
	}
	rte_spinlock_unlock(&lock);
	return found;
}

int rte_eal_alarm_set(uint64_t us, rte_eal_alarm_callback fn, void *arg)
{
	struct alarm *a;

	if (!fn || us < 1 || us > (UINT64_MAX - hv_now_ns()) / 1000)
		return -EINVAL;
	a = claim(fn, arg);
	if (!a) {
		log_error("nic.alarm.full", "all %u driver alarms are in use", ALARMS);
		return -ENOMEM;
	}
	hv_timer_arm(&a->timer, hv_now_ns() + us * 1000);
	return 0;
}

int rte_eal_alarm_cancel(rte_eal_alarm_callback fn, void *arg)
{
	int cancelled = 0;

	if (!fn)
		return -EINVAL;
	for (unsigned i = 0; i < ALARMS; i++) {
		struct alarm *a = &alarms[i];

		if (a->fn != fn || a->core != hv_core_self() || (arg != ANY_ARG && a->arg != arg))
			continue;
		hv_timer_cancel(&a->timer);
		release(a);
		cancelled++;
	}
	return cancelled ? cancelled : -ENOENT;
}
