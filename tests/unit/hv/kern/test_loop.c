/* The loop: pollers that come and go, arming before sleep, wakes that race with it. */
#include "test.h"
#include "kern/loop.h"

struct probe {
	struct hv_poller p;
	unsigned polls, work, arms, disarms;
	bool late_work, remove_self;
	struct hv_poller *remove_other;
};
static struct probe a, b;

static unsigned poll(struct hv_poller *p)
{
	struct probe *s = hv_container_of(p, struct probe, p);
	unsigned n = s->work;

	s->polls++;
	s->work = 0;
	if (s->remove_self)
		hv_poller_remove(p);
	if (s->remove_other)
		hv_poller_remove(s->remove_other);
	return n;
}

static bool arm(struct hv_poller *p, bool on)
{
	struct probe *s = hv_container_of(p, struct probe, p);
	bool late = s->late_work;

	if (!on) {
		s->disarms++;
		return false;
	}
	s->arms++;
	s->late_work = false;
	return late;
}

static int setup(void **state)
{
	native_start(2);
	a = (struct probe){.p = {.poll = poll, .arm = arm, .name = "a"}};
	b = (struct probe){.p = {.poll = poll, .arm = arm, .name = "b"}};
	return 0;
}

static void sleeps_at_once_without_pollers(void **state)
{
	assert_false(native_core_step());
	assert_int_equal(native_sleeps(0), 1);
}

static void polls_for_a_budget_then_arms_and_sleeps(void **state)
{
	hv_poller_add(&a.p);
	assert_true(native_core_step());
	assert_int_equal(a.arms, 0);
	assert_true(native_run(100));
	assert_true(a.polls > 2);
	assert_int_equal(a.arms, 1);
	assert_int_equal(a.disarms, 1);
}

static void work_found_while_arming_keeps_it_awake(void **state)
{
	hv_poller_add(&a.p);
	hv_poller_add(&b.p);
	b.late_work = true;
	native_core_step();
	native_time_advance(1000000);
	assert_true(native_core_step());
	assert_int_equal(native_sleeps(0), 0);
	assert_int_equal(a.arms, 1);
	assert_int_equal(a.disarms, 1);
	assert_int_equal(b.disarms, 1);
}

static uint64_t sleep_ns;

static bool time_passes(struct hv_poller *p, bool on)
{
	if (on)
		native_time_advance(sleep_ns);
	return false;
}

/* How long the core polls without work before it sleeps. */
static uint64_t polling_ns(void)
{
	uint64_t ns = 0;

	while (native_core_step()) {
		native_time_advance(10000);
		ns += 10000;
	}
	return ns;
}

static void short_sleeps_make_it_poll_longer(void **state)
{
	uint64_t first, now_ns = 0;

	a.p.arm = time_passes;
	sleep_ns = 1000;
	hv_poller_add(&a.p);
	first = polling_ns();
	for (unsigned i = 0; i < 10; i++) {
		uint64_t before = now_ns;

		now_ns = polling_ns();
		assert_true(now_ns >= before);
	}
	assert_true(now_ns > 4 * first);
	assert_true(now_ns <= 2000000); /* bounded */
	sleep_ns = 5000000;
	polling_ns();
	sleep_ns = 1000;
	assert_int_equal(polling_ns(), first);
}

static void removal_during_the_walk(void **state)
{
	hv_poller_add(&a.p);
	hv_poller_add(&b.p);
	hv_poller_add(&a.p); /* a second time: nothing */
	a.remove_self = true;
	a.remove_other = &b.p;
	native_core_step();
	native_core_step();
	assert_int_equal(a.polls, 1);
	assert_int_equal(b.polls, 0);
	assert_false(a.p.attached);
	b.remove_self = false;
	hv_poller_add(&b.p);
	native_core_step();
	assert_int_equal(b.polls, 1);
}

static bool wake_while_arming(struct hv_poller *p, bool on)
{
	if (on)
		hv_core_wake(0);
	return false;
}

static void wake_before_halt_is_not_lost(void **state)
{
	a.p.arm = wake_while_arming;
	hv_poller_add(&a.p);
	native_core_step();
	native_time_advance(1000000);
	native_core_step();
	assert_int_equal(a.polls, 2);
	assert_int_equal(native_sleeps(0), 0);
}

static void sleeping_core_gets_one_interrupt(void **state)
{
	atomic_store(&hv_loops[1].where, LOOP_SLEEPING);
	hv_core_wake(1);
	hv_core_wake(1);
	assert_int_equal(native_kicks(1), 1);
	native_core_select(1);
	native_core_step();
	atomic_store(&hv_loops[1].where, LOOP_SLEEPING);
	native_core_select(0);
	hv_core_wake(1);
	assert_int_equal(native_kicks(1), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(sleeps_at_once_without_pollers, setup),
		cmocka_unit_test_setup(polls_for_a_budget_then_arms_and_sleeps, setup),
		cmocka_unit_test_setup(work_found_while_arming_keeps_it_awake, setup),
		cmocka_unit_test_setup(short_sleeps_make_it_poll_longer, setup),
		cmocka_unit_test_setup(removal_during_the_walk, setup),
		cmocka_unit_test_setup(wake_before_halt_is_not_lost, setup),
		cmocka_unit_test_setup(sleeping_core_gets_one_interrupt, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
