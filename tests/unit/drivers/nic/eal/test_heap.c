/* The heap of DPDK's memory: alignment, boundaries, joining, giving back, failure, and its invariants under a long random run. */
#include "test.h"

/* Included whole: the invariants are about its private structures. */
#include "eal/heap.c"

static struct eal_heap heap;

static int setup(void **state)
{
	native_start(1);
	memset(&heap, 0, sizeof(heap));
	return 0;
}

static bool in_bin(const struct eal_heap *h, const struct eal_heap_element *e)
{
	for (const struct eal_heap_element *i = h->bin[bin_of(e->bytes)]; i; i = i->next) {
		if (i == e)
			return true;
	}
	return false;
}

/* Walks every chunk; checks the invariants of heap.c's head and the two totals. */
static void check(const struct eal_heap *h)
{
	size_t used = 0, chunks = 0;

	for (const struct eal_heap_chunk *c = h->chunks; c; c = c->next) {
		const struct eal_heap_element *below = NULL, *e = (const struct eal_heap_element *)(c + 1);
		size_t tiled = sizeof(*c);

		for (; e; below = e, e = above(e)) {
			assert_ptr_equal(e->below, below);
			assert_ptr_equal(e->chunk, c);
			assert_int_equal(e->bytes % EAL_HEAP_LINE, 0);
			assert_true(e->bytes >= EAL_HEAP_LINE);
			assert_true(e->state == ELEMENT_FREE || e->state == ELEMENT_USED);
			assert_false(below && below->state == ELEMENT_FREE && e->state == ELEMENT_FREE);
			assert_int_equal(in_bin(h, e), e->state == ELEMENT_FREE);
			used += e->state == ELEMENT_USED ? e->bytes : 0;
			tiled += e->bytes;
		}
		assert_int_equal(tiled, c->bytes);
		chunks += c->bytes;
	}
	assert_int_equal(used, h->used_bytes);
	assert_int_equal(chunks, h->chunk_bytes);
}

/* Gives the last chunk back too, so that the sanitizer sees no leak. */
static int teardown(void **state)
{
	assert_int_equal(heap.used_bytes, 0);
	while (heap.chunks)
		give_back(&heap, heap.chunks);
	return 0;
}

static void gives_line_aligned_memory_of_at_least_the_size(void **state)
{
	static const size_t sizes[] = {1, 63, 64, 65, 4096, 100000};
	void *p[HV_ARRAY_LEN(sizes)];

	for (unsigned i = 0; i < HV_ARRAY_LEN(sizes); i++) {
		p[i] = eal_heap_alloc(&heap, sizes[i], 0, 0);
		assert_non_null(p[i]);
		assert_int_equal((uintptr_t)p[i] % EAL_HEAP_LINE, 0);
		assert_true(eal_heap_size(p[i]) >= sizes[i]);
		memset(p[i], (int)i + 1, eal_heap_size(p[i]));
		check(&heap);
	}
	for (unsigned i = 0; i < HV_ARRAY_LEN(sizes); i++) {
		assert_int_equal(((uint8_t *)p[i])[sizes[i] - 1], i + 1);
		eal_heap_free(&heap, p[i]);
		check(&heap);
	}
	eal_heap_free(&heap, NULL);
}

static void honours_alignment(void **state)
{
	for (size_t align = 1; align <= 2u << 20; align *= 2) {
		void *a = eal_heap_alloc(&heap, 100, align, 0), *b = eal_heap_alloc(&heap, 100, align, 0);

		assert_int_equal((uintptr_t)a % align, 0);
		assert_int_equal((uintptr_t)b % align, 0);
		check(&heap);
		eal_heap_free(&heap, a);
		eal_heap_free(&heap, b);
		check(&heap);
	}
}

static void honours_boundaries(void **state)
{
	void *p[40];

	for (unsigned i = 0; i < HV_ARRAY_LEN(p); i++) {
		size_t bytes = 1000 + 64 * i, boundary = 4096;

		p[i] = eal_heap_alloc(&heap, bytes, 64, boundary);
		assert_int_equal((uintptr_t)p[i] / boundary, ((uintptr_t)p[i] + bytes - 1) / boundary);
	}
	check(&heap);
	for (unsigned i = 0; i < HV_ARRAY_LEN(p); i++)
		eal_heap_free(&heap, p[i]);
}

static void refuses_what_it_cannot_meet(void **state)
{
	assert_null(eal_heap_alloc(&heap, 0, 0, 0));
	assert_null(eal_heap_alloc(&heap, SIZE_MAX, 0, 0));
	assert_null(eal_heap_alloc(&heap, EAL_HEAP_MAX + 1, 0, 0));
	assert_null(eal_heap_alloc(&heap, 64, 96, 0));
	assert_null(eal_heap_alloc(&heap, 64, EAL_HEAP_MAX * 2, 0));
	assert_null(eal_heap_alloc(&heap, 64, 0, 96));
	assert_null(eal_heap_alloc(&heap, 128, 0, 64));
	assert_null(heap.chunks);
}

static void survives_that_there_is_no_memory(void **state)
{
	void *p;

	native_fail_alloc(1);
	assert_null(eal_heap_alloc(&heap, 100, 0, 0));
	check(&heap);
	p = eal_heap_alloc(&heap, 100, 0, 0);
	assert_non_null(p);
	eal_heap_free(&heap, p);
}

static void large_chunks_go_back_small_one_is_kept(void **state)
{
	void *small = eal_heap_alloc(&heap, 100, 0, 0), *large = eal_heap_alloc(&heap, 3 * EAL_HEAP_CHUNK, 0, 0);

	assert_true(heap.chunk_bytes > 4u * EAL_HEAP_CHUNK);
	eal_heap_free(&heap, large);
	assert_int_equal(heap.chunk_bytes, EAL_HEAP_CHUNK);
	eal_heap_free(&heap, small);
	assert_int_equal(heap.chunk_bytes, EAL_HEAP_CHUNK);
	check(&heap);
}

static void freed_neighbours_are_one_again(void **state)
{
	size_t third = EAL_HEAP_CHUNK / 4;
	void *p[3];

	for (unsigned order = 0; order < 6; order++) {
		static const unsigned orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

		for (unsigned i = 0; i < 3; i++)
			p[i] = eal_heap_alloc(&heap, third, 0, 0);
		assert_int_equal(heap.chunk_bytes, EAL_HEAP_CHUNK);
		for (unsigned i = 0; i < 3; i++) {
			eal_heap_free(&heap, p[orders[order][i]]);
			check(&heap);
		}
	}
}

static uint32_t random_state = 12345;

static uint32_t random_below(uint32_t n)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)random_state * n) >> 32);
}

/* Each piece is filled with a byte of its own, so that an overlap shows. */
static void random_run_keeps_the_invariants(void **state)
{
	enum { SLOTS = 200 };
	static struct {
		uint8_t *p;
		size_t bytes;
	} slot[SLOTS];

	memset(slot, 0, sizeof(slot));
	for (unsigned step = 0; step < 6000; step++) {
		unsigned i = random_below(SLOTS);

		if (slot[i].p) {
			for (size_t k = 0; k < slot[i].bytes; k += 61)
				assert_int_equal(slot[i].p[k], (uint8_t)i);
			eal_heap_free(&heap, slot[i].p);
			slot[i].p = NULL;
		} else {
			size_t align = (size_t)1 << random_below(14), bytes = 1 + random_below(1u << (6 + random_below(12)));

			slot[i].bytes = bytes;
			slot[i].p = eal_heap_alloc(&heap, bytes, align, 0);
			assert_non_null(slot[i].p);
			assert_int_equal((uintptr_t)slot[i].p % align, 0);
			memset(slot[i].p, (int)i, bytes);
		}
		if (step % 50 == 0)
			check(&heap);
	}
	for (unsigned i = 0; i < SLOTS; i++)
		eal_heap_free(&heap, slot[i].p);
	check(&heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(gives_line_aligned_memory_of_at_least_the_size, setup, teardown),
		cmocka_unit_test_setup_teardown(honours_alignment, setup, teardown),
		cmocka_unit_test_setup_teardown(honours_boundaries, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_what_it_cannot_meet, setup, teardown),
		cmocka_unit_test_setup_teardown(survives_that_there_is_no_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(large_chunks_go_back_small_one_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(freed_neighbours_are_one_again, setup, teardown),
		cmocka_unit_test_setup_teardown(random_run_keeps_the_invariants, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
