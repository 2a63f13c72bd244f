/* Address ranges against a bitmap. */
#include "test.h"
#include "kern/ranges.h"
#include <stdlib.h>

#define SPAN 400

static void check(const struct ranges *set, const bool *model)
{
	bool seen[SPAN] = {0};

	for (unsigned i = 0; i < set->count; i++) {
		assert_true(set->r[i].start < set->r[i].end && set->r[i].end <= SPAN);
		assert_true(i == 0 || set->r[i - 1].end < set->r[i].start); /* sorted, disjoint, merged */
		for (uint64_t k = set->r[i].start; k < set->r[i].end; k++)
			seen[k] = true;
	}
	assert_memory_equal(seen, model, sizeof(seen));
}

static void random_operations_match_a_bitmap(void **state)
{
	static struct ranges set;
	bool model[SPAN] = {0};
	uint64_t at;

	srand(7);
	for (unsigned step = 0; step < 20000; step++) {
		uint64_t start = (unsigned)rand() % SPAN, length = (unsigned)rand() % 20, end = HV_MIN(start + length, (uint64_t)SPAN);
		bool add = rand() % 2;

		if (rand() % 16 == 0) {
			if (ranges_take(&set, 8, 4, SPAN / 2, &at)) {
				assert_true(at % 4 == 0 && at + 8 <= SPAN / 2);
				for (uint64_t k = at; k < at + 8; k++) {
					assert_true(model[k]);
					model[k] = false;
				}
			}
		} else {
			assert_true(add ? ranges_add(&set, start, end) : ranges_remove(&set, start, end));
			for (uint64_t k = start; k < end; k++)
				model[k] = add;
		}
		check(&set, model);
	}
}

static void full_set_refuses_and_stays(void **state)
{
	static struct ranges set;

	for (unsigned i = 0; i < RANGES_MAX; i++)
		assert_true(ranges_add(&set, i * 10, i * 10 + 5));
	assert_false(ranges_add(&set, 100000, 100001));
	assert_false(ranges_remove(&set, 2, 3));
	assert_int_equal(set.count, RANGES_MAX);
	assert_int_equal(set.r[0].end, 5);
	assert_true(ranges_add(&set, 5, 10)); /* merges two */
	assert_int_equal(set.count, RANGES_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations_match_a_bitmap),
		cmocka_unit_test(full_set_refuses_and_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
