/* Tasks: turns, wakes at every moment, pollers and tasks sharing one core. */
#include "test.h"
#include "kern/loop.h"

struct job {
	struct hv_task t;
	unsigned slices;
	uint64_t until_ns;
	bool stays_ready, wake_self, busy_timer;
};
static struct job a, b;
static struct hv_timer timer;
static uint64_t polled_ns;

static void nothing(struct hv_timer *t)
{
}

static bool run(struct hv_task *t, uint64_t until_ns)
{
	struct job *j = hv_container_of(t, struct job, t);

	j->slices++;
	j->until_ns = until_ns;
	native_time_advance(1000);
	if (j->wake_self) {
		j->wake_self = false;
		hv_task_wake(t);
		return false;
	}
	if (j->busy_timer) {
		timer.fn = nothing;
		hv_timer_arm(&timer, hv_now_ns() + 777);
	}
	return j->stays_ready;
}

static int setup(void **state)
{
	native_start(2);
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	memset(&timer, 0, sizeof(timer));
	hv_task_init(&a.t, 0, "a", run);
	hv_task_init(&b.t, 0, "b", run);
	return 0;
}

static void idle_task_does_not_run(void **state)
{
	native_core_step();
	assert_int_equal(a.slices, 0);
	hv_task_wake(&a.t);
	hv_task_wake(&a.t);
	native_run(5);
	assert_int_equal(a.slices, 1);
}

static void ready_tasks_take_turns(void **state)
{
	a.stays_ready = b.stays_ready = true;
	hv_task_wake(&a.t);
	hv_task_wake(&b.t);
	for (unsigned i = 0; i < 10; i++)
		native_core_step();
	assert_int_equal(a.slices, 5);
	assert_int_equal(b.slices, 5);
	assert_true(a.until_ns != UINT64_MAX);
	hv_task_remove(&b.t);
	native_core_step();
	native_core_step();
	assert_int_equal(b.slices, 5);
	assert_int_equal(a.slices, 7);
	assert_true(a.until_ns == UINT64_MAX);
	hv_task_wake(&b.t);
	native_core_step();
	native_core_step();
	assert_int_equal(b.slices, 6);
}

static void wake_while_running_is_not_lost(void **state)
{
	a.wake_self = true;
	hv_task_wake(&a.t);
	native_run(5);
	assert_int_equal(a.slices, 2);
	assert_int_equal(a.t.slices, 2);
}

static struct job *kick_target;
static bool kicked_from_other_core(struct hv_task *t, uint64_t until_ns)
{
	native_core_select(1);
	hv_task_wake(t);
	hv_task_wake(t);
	native_core_select(0);
	kick_target->slices++;
	return false;
}

static void each_remote_wake_of_a_running_task_interrupts(void **state)
{
	kick_target = &b;
	hv_task_init(&a.t, 0, "a", kicked_from_other_core);
	hv_task_wake(&a.t);
	native_core_step();
	assert_int_equal(native_kicks(0), 2);
	assert_false(hv_core_pending()); /* the guest is left, the loop has nothing to do */
	native_core_step();
	assert_int_equal(b.slices, 2);
}

static void timer_armed_in_an_exit_reaches_the_hardware(void **state)
{
	a.busy_timer = true;
	hv_task_wake(&a.t);
	native_core_step();
	assert_true(native_hw_timer(0) == hv_now_ns() + 777);
	assert_false(hv_core_pending());
	native_time_advance(777);
	assert_true(hv_core_pending());
}

static unsigned always_busy(struct hv_poller *p)
{
	native_time_advance(20000);
	polled_ns += 20000;
	return 1;
}

static void busy_pollers_and_a_task_share_the_core(void **state)
{
	struct hv_poller p = {.poll = always_busy, .name = "busy"};

	a.stays_ready = true;
	polled_ns = 0;
	hv_poller_add(&p);
	hv_task_wake(&a.t);
	for (unsigned i = 0; i < 100; i++)
		native_core_step();
	assert_in_range(a.slices, 10, 60);
	assert_true(polled_ns > 1000000);
	hv_poller_remove(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(idle_task_does_not_run, setup),
		cmocka_unit_test_setup(ready_tasks_take_turns, setup),
		cmocka_unit_test_setup(wake_while_running_is_not_lost, setup),
		cmocka_unit_test_setup(each_remote_wake_of_a_running_task_interrupts, setup),
		cmocka_unit_test_setup(timer_armed_in_an_exit_reaches_the_hardware, setup),
		cmocka_unit_test_setup(busy_pollers_and_a_task_share_the_core, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
