/* The page allocator against an ownership map: no page given twice, all found again, double frees refused. */
#include "test.h"
#include "kern/buddy.h"
#include <stdlib.h>

#define PAGES 4096u
#define FIRST 3u /* an untidy start and end */
#define END (PAGES - 5u)
#define HELD 200

static struct buddy b;
static uint8_t *pages, state_bytes[PAGES], owner[PAGES];

static int setup(void **state)
{
	pages = aligned_alloc(PAGES * HV_PAGE_SIZE, PAGES * HV_PAGE_SIZE);
	memset(state_bytes, 0, sizeof(state_bytes));
	memset(owner, 0, sizeof(owner));
	buddy_init(&b, pages, state_bytes, PAGES);
	buddy_add(&b, FIRST, 1000);
	buddy_add(&b, 1000, END);
	return 0;
}

static int teardown(void **state)
{
	free(pages);
	return 0;
}

static uint64_t number(const void *p)
{
	return (uint64_t)((const uint8_t *)p - pages) / HV_PAGE_SIZE;
}

static void own(const void *p, uint64_t n, bool take)
{
	for (uint64_t i = number(p); i < number(p) + n; i++) {
		assert_in_range(i, FIRST, END - 1);
		assert_int_equal(owner[i], !take);
		owner[i] = take;
	}
}

static void random_blocks_and_runs(void **state)
{
	struct {
		void *p;
		uint64_t n;
		unsigned order;
	} held[HELD] = {{0}};

	srand(3);
	for (unsigned step = 0; step < 50000; step++) {
		unsigned i = (unsigned)rand() % HELD;

		if (held[i].p) {
			memset(held[i].p, 0xee, held[i].n * HV_PAGE_SIZE > 64 ? 64 : 1);
			own(held[i].p, held[i].n, false);
			if (held[i].order != 99)
				assert_true(buddy_free(&b, held[i].p, held[i].order));
			else
				assert_true(buddy_free_run(&b, held[i].p, held[i].n));
			held[i].p = NULL;
		} else if (rand() % 2) {
			held[i].order = (unsigned)rand() % 8;
			held[i].n = 1u << held[i].order;
			held[i].p = buddy_alloc(&b, held[i].order);
		} else {
			uint64_t align = 1u << rand() % 6;

			held[i].order = 99;
			held[i].n = 1 + (unsigned)rand() % 90;
			held[i].p = buddy_alloc_run(&b, held[i].n, align);
			assert_true(!held[i].p || number(held[i].p) % align == 0);
		}
		if (held[i].p) {
			if (held[i].order != 99)
				assert_int_equal(number(held[i].p) % held[i].n, 0);
			own(held[i].p, held[i].n, true);
		}
	}
	for (unsigned i = 0; i < HELD; i++)
		if (held[i].p)
			assert_true(held[i].order != 99 ? buddy_free(&b, held[i].p, held[i].order) : buddy_free_run(&b, held[i].p, held[i].n));
	assert_int_equal(b.free_pages, END - FIRST);
	assert_int_equal(b.total_pages, END - FIRST);
	assert_non_null(buddy_alloc(&b, 10)); /* neighbours are joined again */
}

static void wrong_frees_are_refused(void **state)
{
	char *p = buddy_alloc(&b, 3), *run = buddy_alloc_run(&b, 5, 1);
	uint64_t before = b.free_pages;

	assert_false(buddy_free(&b, p, 2));
	assert_false(buddy_free(&b, p + HV_PAGE_SIZE, 0));
	assert_false(buddy_free_run(&b, run, 6));
	assert_false(buddy_free_run(&b, run + HV_PAGE_SIZE, 4));
	assert_int_equal(b.free_pages, before);
	assert_true(buddy_free(&b, p, 3));
	assert_false(buddy_free(&b, p, 3));
	assert_true(buddy_free_run(&b, run, 5));
	assert_false(buddy_free_run(&b, run, 5));
	assert_int_equal(b.free_pages, END - FIRST);
}

static void too_large_is_refused(void **state)
{
	assert_null(buddy_alloc(&b, 12));
	assert_null(buddy_alloc_run(&b, 0, 1));
	assert_null(buddy_alloc_run(&b, (1ull << BUDDY_MAX_ORDER) + 1, 1));
	assert_null(buddy_alloc_run(&b, UINT64_MAX, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(random_blocks_and_runs, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_frees_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(too_large_is_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
