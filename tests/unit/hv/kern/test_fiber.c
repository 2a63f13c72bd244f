/* Fibers: life, yield, park with wake and deadline, early wakes, out of memory, deep stacks. */
#include "test.h"
#include <errno.h>
#include <hv/core.h>

static char order[32];
static struct hv_fiber *parked;
static int park_result;

static int setup(void **state)
{
	native_start(1);
	order[0] = '\0';
	parked = NULL;
	park_result = 1;
	return 0;
}

static void letters(void *arg)
{
	for (unsigned i = 0; i < 3; i++) {
		strcat(order, arg);
		hv_fiber_yield();
	}
}

static void yield_takes_turns(void **state)
{
	assert_int_equal(hv_fiber_spawn("a", letters, "a", 0), 0);
	assert_int_equal(hv_fiber_spawn("b", letters, "b", 0), 0);
	assert_string_equal(order, "");
	for (unsigned i = 0; i < 4; i++)
		native_core_step();
	assert_string_equal(order, "ababab");
	assert_null(hv_fiber_self());
}

static void parks(void *arg)
{
	parked = hv_fiber_self();
	park_result = hv_fiber_park(*(uint64_t *)arg);
	parked = NULL;
}

static void park_ends_by_wake(void **state)
{
	uint64_t deadline_ns = 0;

	assert_int_equal(hv_fiber_spawn("p", parks, &deadline_ns, 0), 0);
	assert_true(native_run(10));
	assert_non_null(parked);
	hv_fiber_wake(parked);
	native_core_step();
	assert_null(parked);
	assert_int_equal(park_result, 0);
}

static void park_ends_by_deadline(void **state)
{
	uint64_t deadline_ns = hv_now_ns() + 1000000;

	assert_int_equal(hv_fiber_spawn("p", parks, &deadline_ns, 0), 0);
	assert_true(native_run(10));
	assert_non_null(parked);
	assert_true(native_hw_timer(0) == deadline_ns);
	native_time_set(deadline_ns);
	native_core_step();
	assert_null(parked);
	assert_int_equal(park_result, -ETIMEDOUT);
}

static void wakes_itself(void *arg)
{
	hv_fiber_wake(hv_fiber_self());
	hv_fiber_wake(hv_fiber_self());
	assert_int_equal(hv_fiber_park(0), 0);
	park_result = hv_fiber_park(hv_now_ns() + 5);
}

static void early_wake_is_kept_once(void **state)
{
	assert_int_equal(hv_fiber_spawn("w", wakes_itself, NULL, 0), 0);
	native_core_step();
	assert_int_equal(park_result, 1);
	native_time_advance(10);
	native_core_step();
	assert_int_equal(park_result, -ETIMEDOUT);
}

static void out_of_memory(void **state)
{
	native_fail_alloc(1);
	assert_int_equal(hv_fiber_spawn("x", letters, "x", 0), -ENOMEM);
	native_core_step();
	assert_string_equal(order, "");
}

static unsigned deep(unsigned depth)
{
	volatile char pad[512];

	pad[0] = (char)depth;
	return depth ? deep(depth - 1) + (pad[0] == (char)depth) : 0;
}

static void uses_stack_and_sse(void *arg)
{
	volatile double x = 1.5;

	assert_int_equal(deep(60), 60);
	hv_fiber_yield();
	assert_true(x * 2 == 3.0);
	park_result = 0;
}

static void stack_and_registers_survive(void **state)
{
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(hv_fiber_spawn("d", uses_stack_and_sse, NULL, 0), 0);
		native_core_step();
		native_core_step();
		assert_int_equal(park_result, 0);
		park_result = 1;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(yield_takes_turns, setup),
		cmocka_unit_test_setup(park_ends_by_wake, setup),
		cmocka_unit_test_setup(park_ends_by_deadline, setup),
		cmocka_unit_test_setup(early_wake_is_kept_once, setup),
		cmocka_unit_test_setup(out_of_memory, setup),
		cmocka_unit_test_setup(stack_and_registers_survive, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
