/* Slabs: capacity, back-pressure, alignment, failure. */
#include "test.h"
#include <errno.h>
#include <hv/mem.h>

static int setup(void **state)
{
	native_start(1);
	return 0;
}

static void gives_capacity_objects_then_null(void **state)
{
	struct hv_slab s;
	char *o[10];

	assert_int_equal(hv_slab_init(&s, "t", 100, 10), 0);
	for (unsigned i = 0; i < 10; i++) {
		o[i] = hv_slab_get(&s);
		assert_non_null(o[i]);
		assert_int_equal((uintptr_t)o[i] % 64, 0);
		memset(o[i], (int)i, 100);
	}
	assert_null(hv_slab_get(&s));
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(o[i][99], i);
	hv_slab_put(&s, o[3]);
	assert_ptr_equal(hv_slab_get(&s), o[3]);
	for (unsigned i = 0; i < 10; i++)
		hv_slab_put(&s, o[i]);
	assert_int_equal(s.in_use, 0);
	hv_slab_destroy(&s);
}

static void refuses_bad_sizes_and_no_memory(void **state)
{
	struct hv_slab s;

	assert_int_equal(hv_slab_init(&s, "t", 0, 10), -EINVAL);
	assert_int_equal(hv_slab_init(&s, "t", 8, 0), -EINVAL);
	assert_int_equal(hv_slab_init(&s, "t", SIZE_MAX, 2), -EINVAL);
	assert_int_equal(hv_slab_init(&s, "t", SIZE_MAX / 4, 0xffffffffu), -EINVAL);
	native_fail_alloc(1);
	assert_int_equal(hv_slab_init(&s, "t", 8, 8), -ENOMEM);
	hv_slab_destroy(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(gives_capacity_objects_then_null, setup),
		cmocka_unit_test_setup(refuses_bad_sizes_and_no_memory, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
