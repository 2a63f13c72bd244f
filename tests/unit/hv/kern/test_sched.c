/* Tasks: equal time however slices end, sleepers, wakes at every moment, pollers and tasks sharing one core. */
#include "kern/loop.h"
#include "test.h"

struct job {
	struct hv_task t;
	unsigned slices;
	uint64_t until_ns;
	uint64_t cut_ns; /* runs this long at most: an interrupt ends its slices; 0: 1 us */
	bool stays_ready, wake_self, busy_timer;
};
static struct job a, b, c;
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
	native_time_advance(j->cut_ns ? HV_MIN(j->cut_ns, until_ns - hv_now_ns()) : 1000);
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
	memset(&c, 0, sizeof(c));
	memset(&timer, 0, sizeof(timer));
	hv_task_init(&a.t, 0, "a", run);
	hv_task_init(&b.t, 0, "b", run);
	hv_task_init(&c.t, 0, "c", run);
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

#define MS 1000000ull

/* Steps the core for ns of its time. */
static void run_for(uint64_t ns)
{
	for (uint64_t end_ns = hv_now_ns() + ns; hv_now_ns() < end_ns;)
		native_core_step();
}

static void start(struct job *j, uint64_t cut_ns)
{
	j->stays_ready = true;
	j->cut_ns = cut_ns;
	hv_task_wake(&j->t);
}

static void a_slice_ends_when_another_is_ready(void **state)
{
	start(&a, 1000 * MS);
	native_core_step();
	assert_true(a.until_ns == UINT64_MAX); /* alone */
	start(&b, 1000 * MS);
	native_core_step();
	native_core_step();
	assert_int_equal(b.slices, 1);
	assert_int_equal(a.slices, 2);
	assert_true(a.until_ns != UINT64_MAX && b.until_ns != UINT64_MAX);
	hv_task_remove(&b.t);
	native_core_step();
	native_core_step();
	assert_int_equal(b.slices, 1);
	assert_true(a.until_ns == UINT64_MAX);
	hv_task_wake(&b.t);
	native_core_step();
	assert_int_equal(b.slices, 2);
}

/* One runs to the end of its slices, the others are interrupted all the time. */
static void time_is_equal_not_the_number_of_turns(void **state)
{
	start(&a, 1000 * MS);
	start(&b, 20000);
	start(&c, 3 * MS);
	run_for(1000 * MS);
	assert_in_range(a.t.run_ns, 324 * MS, 343 * MS);
	assert_in_range(b.t.run_ns, 324 * MS, 343 * MS);
	assert_in_range(c.t.run_ns, 324 * MS, 343 * MS);
	assert_true(b.t.slices > 10 * a.t.slices);
}

/* Nobody loses its turn to each interrupt: a change of guests costs more than an exit. */
static void interrupts_do_not_make_tasks_change_places(void **state)
{
	unsigned changes = 0;

	start(&a, 20000);
	start(&b, 20000);
	for (unsigned i = 0; i < 10000; i++) {
		const struct hv_task *before = hv_loops[0].last;

		native_core_step();
		changes += before != hv_loops[0].last;
	}
	assert_in_range(changes, 20, 60); /* 200 ms */
}

static void who_slept_runs_at_once(void **state)
{
	start(&a, 1 * MS);
	run_for(500 * MS);
	for (unsigned i = 0; i < 20; i++) {
		unsigned before = b.slices;

		hv_task_wake(&b.t); /* runs for 1 us, then sleeps again */
		native_core_step();
		assert_int_equal(b.slices, before + 1);
		run_for(5 * MS);
	}
}

static void sleep_is_not_saved_up(void **state)
{
	uint64_t before_ns;

	start(&a, 1 * MS);
	run_for(10000 * MS);
	before_ns = a.t.run_ns;
	start(&b, 1 * MS);
	run_for(100 * MS);
	assert_true(a.t.run_ns - before_ns >= 44 * MS);
	assert_true(b.t.run_ns >= 44 * MS);
}

/* Also when the other ran alone in one piece, and the wake ended it. */
static void a_newcomer_does_not_catch_up_on_the_past(void **state)
{
	start(&a, 10000 * MS);
	native_core_step();
	assert_int_equal(a.t.run_ns, 10000 * MS);
	start(&b, 1 * MS);
	a.cut_ns = 1 * MS;
	run_for(100 * MS);
	assert_true(a.t.run_ns - 10000 * MS >= 44 * MS);
}

/* A task that goes to sleep for a moment after each slice does not come before the others again and again. */
static bool run_and_nap(struct hv_task *t, uint64_t until_ns)
{
	native_time_advance(HV_MIN(1 * MS, until_ns - hv_now_ns()));
	return false;
}

static void naps_do_not_buy_time(void **state)
{
	hv_task_init(&b.t, 0, "b", run_and_nap);
	start(&a, 1000 * MS);
	for (uint64_t end_ns = hv_now_ns() + 1000 * MS; hv_now_ns() < end_ns;) {
		hv_task_wake(&b.t);
		native_core_step();
	}
	assert_in_range(b.t.run_ns, 480 * MS, 510 * MS);
	assert_in_range(a.t.run_ns, 490 * MS, 520 * MS);
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

static void busy_pollers_leave_tasks_equal_time(void **state)
{
	struct hv_poller p = {.poll = always_busy, .name = "busy"};

	polled_ns = 0;
	hv_poller_add(&p);
	start(&a, 1000 * MS);
	start(&b, 30000);
	start(&c, 100000);
	run_for(3000 * MS);
	assert_true(polled_ns > 600 * MS);
	assert_true(a.t.run_ns > 200 * MS);
	assert_in_range(b.t.run_ns, a.t.run_ns - 6 * MS, a.t.run_ns + 6 * MS);
	assert_in_range(c.t.run_ns, a.t.run_ns - 6 * MS, a.t.run_ns + 6 * MS);
	hv_poller_remove(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(idle_task_does_not_run, setup),
		cmocka_unit_test_setup(a_slice_ends_when_another_is_ready, setup),
		cmocka_unit_test_setup(time_is_equal_not_the_number_of_turns, setup),
		cmocka_unit_test_setup(interrupts_do_not_make_tasks_change_places, setup),
		cmocka_unit_test_setup(who_slept_runs_at_once, setup),
		cmocka_unit_test_setup(sleep_is_not_saved_up, setup),
		cmocka_unit_test_setup(a_newcomer_does_not_catch_up_on_the_past, setup),
		cmocka_unit_test_setup(naps_do_not_buy_time, setup),
		cmocka_unit_test_setup(wake_while_running_is_not_lost, setup),
		cmocka_unit_test_setup(each_remote_wake_of_a_running_task_interrupts, setup),
		cmocka_unit_test_setup(timer_armed_in_an_exit_reaches_the_hardware, setup),
		cmocka_unit_test_setup(busy_pollers_and_a_task_share_the_core, setup),
		cmocka_unit_test_setup(busy_pollers_leave_tasks_equal_time, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
