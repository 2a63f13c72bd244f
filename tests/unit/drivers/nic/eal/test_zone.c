/* Names of memory zones: unique, bounded, found again, reusable after release. */
#include "test.h"

#include "eal/zone.h"
#include <errno.h>
#include <stdio.h>

static struct eal_zones zones;

static int setup(void **state)
{
	memset(&zones, 0, sizeof(zones));
	return 0;
}

static void finds_what_was_claimed(void **state)
{
	int a = eal_zone_claim(&zones, "a"), ab = eal_zone_claim(&zones, "ab");

	assert_true(a >= 0 && ab >= 0 && a != ab);
	assert_int_equal(eal_zone_find(&zones, "a"), a);
	assert_int_equal(eal_zone_find(&zones, "ab"), ab);
	assert_int_equal(eal_zone_find(&zones, "b"), -ENOENT);
	assert_int_equal(eal_zone_find(&zones, ""), -ENOENT);
	assert_int_equal(eal_zone_find(&zones, NULL), -ENOENT);
	assert_int_equal(zones.used, 2);
}

static void refuses_bad_and_taken_names(void **state)
{
	char longest[EAL_ZONE_NAME], too_long[EAL_ZONE_NAME + 1];

	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	memset(too_long, 'x', sizeof(too_long));
	too_long[sizeof(too_long) - 1] = '\0';
	assert_int_equal(eal_zone_claim(&zones, NULL), -EINVAL);
	assert_int_equal(eal_zone_claim(&zones, ""), -EINVAL);
	assert_int_equal(eal_zone_claim(&zones, too_long), -ENAMETOOLONG);
	assert_true(eal_zone_claim(&zones, longest) >= 0);
	assert_int_equal(eal_zone_claim(&zones, longest), -EEXIST);
	assert_int_equal(zones.used, 1);
}

static void fills_up_and_takes_released_places(void **state)
{
	char name[EAL_ZONE_NAME];
	int middle;

	for (unsigned i = 0; i < EAL_ZONES; i++) {
		snprintf(name, sizeof(name), "zone %u", i);
		assert_true(eal_zone_claim(&zones, name) >= 0);
	}
	assert_int_equal(eal_zone_claim(&zones, "one more"), -ENOSPC);
	middle = eal_zone_find(&zones, "zone 500");
	assert_int_equal(eal_zone_release(&zones, (unsigned)middle), 0);
	assert_int_equal(eal_zone_release(&zones, (unsigned)middle), -EINVAL);
	assert_int_equal(eal_zone_release(&zones, EAL_ZONES), -EINVAL);
	assert_int_equal(eal_zone_find(&zones, "zone 500"), -ENOENT);
	assert_int_equal(eal_zone_claim(&zones, "one more"), middle);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(finds_what_was_claimed, setup),
		cmocka_unit_test_setup(refuses_bad_and_taken_names, setup),
		cmocka_unit_test_setup(fills_up_and_takes_released_places, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
