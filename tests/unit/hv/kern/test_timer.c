/* Timers against a sorted-array model: order, cancel, re-arm, bounded rounds. */
#include "test.h"
#include "kern/loop.h"
#include <stdlib.h>

#define N 300

static struct hv_timer timers[N];
static uint64_t last_ns;
static unsigned fired;

static int setup(void **state)
{
	native_start(1);
	memset(timers, 0, sizeof(timers));
	fired = 0;
	last_ns = 0;
	return 0;
}

static void note(struct hv_timer *t)
{
	assert_true(t->deadline_ns >= last_ns);
	assert_true(t->deadline_ns <= hv_now_ns());
	assert_false(t->armed);
	last_ns = t->deadline_ns;
	fired++;
}

static void random_operations_match_a_model(void **state)
{
	uint64_t model[N] = {0}; /* 0 = not armed */

	srand(1);
	for (unsigned step = 0; step < 20000; step++) {
		unsigned i = (unsigned)rand() % N, expected = 0;
		uint64_t min = UINT64_MAX;

		timers[i].fn = note;
		switch (rand() % 4) {
		case 0:
		case 1:
			model[i] = hv_now_ns() + 1 + (unsigned)rand() % 5000;
			hv_timer_arm(&timers[i], model[i]);
			break;
		case 2:
			model[i] = 0;
			hv_timer_cancel(&timers[i]);
			break;
		default:
			native_time_advance((unsigned)rand() % 200);
			last_ns = fired = 0;
			assert_true(hv_timer_run(hv_loop_self(), hv_now_ns()) < 256);
			for (unsigned k = 0; k < N; k++)
				if (model[k] && model[k] <= hv_now_ns()) {
					model[k] = 0;
					expected++;
				}
			assert_int_equal(fired, expected);
		}
		for (unsigned k = 0; k < N; k++)
			if (model[k] && model[k] < min)
				min = model[k];
		assert_true(hv_timer_next(hv_loop_self()) == min);
	}
}

static void rearm_in_the_past(struct hv_timer *t)
{
	fired++;
	hv_timer_arm(t, 1);
}

static void past_timer_does_not_hold_the_loop(void **state)
{
	timers[0].fn = rearm_in_the_past;
	hv_timer_arm(&timers[0], 1);
	native_core_step();
	assert_in_range(fired, 1, 1000);
}

static void cancelled_by_an_earlier_timer_does_not_fire(struct hv_timer *t)
{
	fired++;
	hv_timer_cancel(&timers[1]);
}

static void cancel_inside_a_round(void **state)
{
	timers[0].fn = cancelled_by_an_earlier_timer_does_not_fire;
	timers[1].fn = note;
	hv_timer_arm(&timers[1], hv_now_ns());
	hv_timer_arm(&timers[0], hv_now_ns() - 1);
	native_core_step();
	assert_int_equal(fired, 1);
}

static void sleep_sets_the_hardware_timer(void **state)
{
	timers[0].fn = note;
	hv_timer_arm(&timers[0], hv_now_ns() + 12345);
	native_core_step();
	assert_int_equal(native_sleeps(0), 1);
	assert_true(native_hw_timer(0) == hv_now_ns() + 12345);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(random_operations_match_a_model, setup),
		cmocka_unit_test_setup(past_timer_does_not_hold_the_loop, setup),
		cmocka_unit_test_setup(cancel_inside_a_round, setup),
		cmocka_unit_test_setup(sleep_sets_the_hardware_timer, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
