/* Guest memory: bounds, pieces that are not contiguous in the host, failing allocations. */
#include "test.h"
#include "virt/gmem_impl.h"
#include <errno.h>
#include <hv/mem.h>

static struct gmem *m;

static int setup(void **state)
{
	native_start(1);
	return gmem_create(3 * GMEM_UNIT, &m);
}

static int teardown(void **state)
{
	gmem_destroy(m);
	return 0;
}

static void reads_what_was_written_across_units(void **state)
{
	char out[300], in[300];
	for (unsigned i = 0; i < sizeof(out); i++)
		out[i] = (char)i;
	assert_int_equal(gmem_write(m, GPA(GMEM_UNIT - 100), out, sizeof(out)), 0);
	assert_int_equal(gmem_read(m, GPA(GMEM_UNIT - 100), in, sizeof(in)), 0);
	assert_memory_equal(in, out, sizeof(out));
	assert_memory_equal((char *)gmem_unit(m, GPA(GMEM_UNIT)), out + 100, 200);
}

static void refuses_what_is_not_ram(void **state)
{
	char b[8] = {0};
	assert_int_equal(gmem_read(m, GPA(3 * GMEM_UNIT - 4), b, 8), -EFAULT);
	assert_int_equal(gmem_write(m, GPA(GMEM_LOW_MAX), b, 1), -EFAULT);
	assert_int_equal(gmem_read(m, GPA(GMEM_HIGH), b, 1), -EFAULT);
	assert_int_equal(gmem_read(m, GPA(~0ull), b, 8), -EFAULT);
	assert_null(gmem_ptr(m, GPA(3 * GMEM_UNIT - 4), 8, false));
	assert_null(gmem_ptr(m, GPA(~0ull - 3), 8, false));
	assert_non_null(gmem_ptr(m, GPA(3 * GMEM_UNIT - 8), 8, true));
}

static void segments_cover_exactly(void **state)
{
	struct hv_seg s[4];
	int n = gmem_segs(m, GPA(GMEM_UNIT - 10), GMEM_UNIT + 30, true, s, 4);
	uint32_t sum = 0;
	assert_in_range(n, 1, 3);
	for (int i = 0; i < n; i++)
		sum += s[i].len;
	assert_int_equal(sum, GMEM_UNIT + 30);
	assert_ptr_equal(s[0].base, (char *)gmem_unit(m, GPA(0)) + GMEM_UNIT - 10);
	assert_int_equal(gmem_segs(m, GPA(3 * GMEM_UNIT - 10), 11, false, s, 4), -EFAULT);
	if (n > 1)
		assert_int_equal(gmem_segs(m, GPA(GMEM_UNIT - 10), 20, false, s, 1), -E2BIG);
}

/* Each byte of RAM is in one extent, which maps it where the unit's table does; adjacent extents are not adjacent in the host. */
static void extents_cover_exactly(void **state)
{
	struct gmem_extent e, last = {0};
	for (uint64_t gpa = 0; gpa < 3 * GMEM_UNIT; gpa += e.bytes) {
		assert_true(gmem_extent_of(m, GPA(gpa), &e));
		assert_int_equal(e.gpa, gpa);
		assert_true(e.bytes >= GMEM_UNIT && e.bytes % GMEM_UNIT == 0);
		assert_true(!gpa || e.host != last.host + last.bytes);
		for (uint64_t at = 0; at < e.bytes; at += GMEM_UNIT)
			assert_ptr_equal(e.host + at, gmem_unit(m, GPA(gpa + at)));
		last = e;
		assert_true(gmem_extent_of(m, GPA(gpa + e.bytes - 1), &e));
		assert_int_equal(e.gpa, gpa);
	}
	assert_false(gmem_extent_of(m, GPA(3 * GMEM_UNIT), &e));
	assert_false(gmem_extent_of(m, GPA(GMEM_HIGH), &e));
	assert_false(gmem_extent_of(m, GPA(~0ull), &e));
}

static void every_failed_allocation_undoes(void **state)
{
	struct gmem *x;
	uint64_t total, before, after;
	assert_int_equal(gmem_create(GMEM_UNIT / 2, &x), -EINVAL);
	assert_int_equal(gmem_create(0, &x), -EINVAL);
	hv_mem_usage(&total, &before);
	for (unsigned i = 1; i <= 5; i++) {
		native_fail_alloc(i);
		assert_int_equal(gmem_create(3 * GMEM_UNIT, &x), -ENOMEM);
	}
	native_fail_alloc(0);
	hv_mem_usage(&total, &after);
	assert_int_equal(before, after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads_what_was_written_across_units, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_what_is_not_ram, setup, teardown),
		cmocka_unit_test_setup_teardown(segments_cover_exactly, setup, teardown),
		cmocka_unit_test_setup_teardown(extents_cover_exactly, setup, teardown),
		cmocka_unit_test_setup_teardown(every_failed_allocation_undoes, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
