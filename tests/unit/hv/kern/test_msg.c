/* Messages: order, exactly once, posting again from inside, waking. */
#include "test.h"
#include <hv/core.h>

struct note {
	struct hv_msg m;
	unsigned id, again;
};
static unsigned seen[16], seen_count, seen_core;

static void record(struct hv_msg *m)
{
	struct note *n = hv_container_of(m, struct note, m);

	seen[seen_count++] = n->id;
	seen_core = hv_core_self();
	if (n->again) {
		n->again--;
		assert_true(hv_msg_post(hv_core_self(), m));
	}
}

static int setup(void **state)
{
	native_start(2);
	seen_count = 0;
	return 0;
}

static void runs_in_order_on_target(void **state)
{
	struct note n[3] = {{{record}, 1, 0}, {{record}, 2, 0}, {{record}, 3, 0}};

	for (unsigned i = 0; i < 3; i++)
		assert_true(hv_msg_post(1, &n[i].m));
	native_core_step();
	assert_int_equal(seen_count, 0);
	native_core_select(1);
	native_core_step();
	assert_int_equal(seen_count, 3);
	assert_int_equal(seen[0] * 100 + seen[1] * 10 + seen[2], 123);
	assert_int_equal(seen_core, 1);
}

static void posted_twice_runs_once(void **state)
{
	struct note n = {{record}, 7, 0};

	assert_true(hv_msg_post(0, &n.m));
	assert_false(hv_msg_post(0, &n.m));
	native_core_step();
	native_core_step();
	assert_int_equal(seen_count, 1);
}

static void posted_from_inside_runs_in_the_next_round(void **state)
{
	struct note n = {{record}, 7, 2};

	assert_true(hv_msg_post(0, &n.m));
	native_core_step();
	assert_int_equal(seen_count, 1);
	native_core_step();
	native_core_step();
	assert_int_equal(seen_count, 3);
}

static void wakes_only_a_sleeping_core(void **state)
{
	struct note n = {{record}, 1, 0};

	assert_true(hv_msg_post(1, &n.m)); /* core 1 has not slept: it polls */
	assert_int_equal(native_kicks(1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(runs_in_order_on_target, setup),
		cmocka_unit_test_setup(posted_twice_runs_once, setup),
		cmocka_unit_test_setup(posted_from_inside_runs_in_the_next_round, setup),
		cmocka_unit_test_setup(wakes_only_a_sleeping_core, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
