/* The split ring alone: honest chains, every kind of hostile chain, and both EVENT_IDX directions. */
#include "guest_driver.h"
#include "vdev/virtio/ring.h"
#include "virt/gmem_impl.h"
#include <errno.h>

enum { NEXT = 1, WRITE = 2, INDIRECT = 4, SIZE = 8, DESC = 0x1000, AVAIL = 0x2000, USED = 0x3000, DATA = 0x10000, TABLE = 0x8000 };
#define RAM (4u << 20)

static struct gmem *gmem;
static struct vring ring;
static struct hv_seg segs[32];
static struct vring_chain chain;
static uint64_t desc_at = DESC, avail_at = AVAIL, used_at = USED;

static uint8_t *at(uint64_t gpa, size_t len)
{
	uint8_t *p = gmem_ptr(gmem, GPA(gpa), len, true);
	assert_non_null(p);
	return p;
}

static void put(uint64_t gpa, uint64_t value, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		*at(gpa + i, 1) = (uint8_t)(value >> (8 * i));
}

static uint16_t get16(uint64_t gpa)
{
	return (uint16_t)(*at(gpa, 1) | *at(gpa + 1, 1) << 8);
}

static void desc(uint64_t table, unsigned i, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	put(table + 16 * i, gpa, 8);
	put(table + 16 * i + 8, len, 4);
	put(table + 16 * i + 12, flags, 2);
	put(table + 16 * i + 14, next, 2);
}

static uint16_t avail_idx;
static void offer(uint16_t head)
{
	put(avail_at + 4 + 2 * (avail_idx % SIZE), head, 2);
	put(avail_at + 2, ++avail_idx, 2);
}

static int start(bool event_idx, bool indirect)
{
	struct vring_config c = {
		.size = SIZE, .desc = desc_at, .driver = avail_at, .device = used_at, .event_idx = event_idx, .indirect = indirect};
	avail_idx = 0;
	return vring_start(&ring, gmem, &c, 0, 0);
}

static int setup(void **state)
{
	native_start(1);
	desc_at = DESC;
	avail_at = AVAIL;
	used_at = USED;
	return gmem_create(RAM, &gmem);
}

static int teardown(void **state)
{
	gmem_destroy(gmem);
	return 0;
}

static enum vring_pop pop(void)
{
	return vring_pop(&ring, &chain, segs, HV_ARRAY_LEN(segs));
}

static void a_chain_arrives_whole(void **state)
{
	assert_int_equal(start(false, false), 0);
	assert_int_equal(pop(), VRING_EMPTY);
	desc(DESC, 3, DATA, 10, NEXT, 5);
	desc(DESC, 5, DATA + 100, 20, NEXT | WRITE, 0);
	desc(DESC, 0, DATA + 200, 0, NEXT | WRITE, 7); /* empty: allowed, no segment */
	desc(DESC, 7, DATA + 300, 30, WRITE, 0);
	offer(3);
	assert_int_equal(pop(), VRING_CHAIN);
	assert_int_equal(chain.head, 3);
	assert_int_equal(chain.out_segs, 1);
	assert_int_equal(chain.in_segs, 2);
	assert_int_equal(chain.out_bytes, 10);
	assert_int_equal(chain.in_bytes, 50);
	assert_ptr_equal(segs[0].base, at(DATA, 1));
	assert_ptr_equal(segs[2].base, at(DATA + 300, 1));
	assert_int_equal(pop(), VRING_EMPTY);
	vring_unpop(&ring, 1);
	assert_int_equal(pop(), VRING_CHAIN);
	vring_push(&ring, 3, 44);
	assert_int_equal(get16(USED + 2), 0); /* not visible yet */
	assert_true(vring_publish(&ring));
	assert_int_equal(get16(USED + 2), 1);
	assert_int_equal(get16(USED + 4), 3);
	assert_int_equal(get16(USED + 8), 44);
	assert_false(vring_publish(&ring)); /* nothing new */
}

static void a_buffer_across_host_pieces(void **state)
{
	assert_int_equal(start(false, false), 0);
	desc(DESC, 0, GMEM_UNIT - 100, 300, 0, 0);
	offer(0);
	assert_int_equal(pop(), VRING_CHAIN);
	uint32_t sum = 0;
	for (unsigned i = 0; i < chain.out_segs; i++)
		sum += segs[i].len;
	assert_int_equal(sum, 300);
	assert_ptr_equal(segs[0].base, at(GMEM_UNIT - 100, 1));
}

/* All three areas cross a 2 MiB unit of host memory. */
static void a_ring_across_host_pieces(void **state)
{
	for (unsigned area = 0; area < 3; area++) {
		desc_at = area == 0 ? GMEM_UNIT - 64 : DESC;
		avail_at = area == 1 ? GMEM_UNIT - 8 : AVAIL;
		used_at = area == 2 ? GMEM_UNIT - 24 : USED;
		assert_int_equal(start(true, false), 0);
		put(avail_at + 2, 0, 2);
		for (unsigned i = 0; i < 3 * SIZE; i++) {
			desc(desc_at, i % SIZE, DATA + i, i + 1, 0, 0);
			offer((uint16_t)(i % SIZE));
			assert_int_equal(pop(), VRING_CHAIN);
			assert_int_equal(chain.head, i % SIZE);
			assert_int_equal(chain.out_bytes, i + 1);
			vring_push(&ring, chain.head, i + 1);
			vring_publish(&ring);
			assert_int_equal(get16(used_at + 2), i + 1);
			assert_int_equal(get16(used_at + 4 + 8 * (i % SIZE)), i % SIZE);
			assert_int_equal(get16(used_at + 8 + 8 * (i % SIZE)), i + 1);
		}
	}
}

static void indirect_tables(void **state)
{
	assert_int_equal(start(false, true), 0);
	desc(TABLE, 0, DATA, 16, NEXT, 2);
	desc(TABLE, 2, DATA + 64, 8, WRITE, 0);
	desc(DESC, 1, TABLE, 48, INDIRECT, 0);
	offer(1);
	assert_int_equal(pop(), VRING_CHAIN);
	assert_int_equal(chain.head, 1);
	assert_int_equal(chain.out_bytes, 16);
	assert_int_equal(chain.in_bytes, 8);
	/* A direct part before the table. */
	desc(DESC, 2, DATA, 4, NEXT, 1);
	offer(2);
	assert_int_equal(pop(), VRING_CHAIN);
	assert_int_equal(chain.out_bytes, 20);
}

static bool marked(uint64_t gpa)
{
	uint64_t page;
	assert_true(gmem_page(gmem, GPA(gpa), &page));
	return gmem_log_take(gmem, page / 64) >> (page % 64) & 1;
}

/* The dirty log gets what the device wrote when it gives the chain back, not when it takes it; and the used ring. */
static void what_the_device_writes_is_dirty(void **state)
{
	assert_int_equal(start(false, true), 0);
	desc(TABLE, 0, DATA + 0x40000, 16, NEXT, 2);
	desc(TABLE, 2, DATA + 0x80000, 0x2000, WRITE, 0);
	desc(DESC, 1, TABLE, 48, INDIRECT, 0);
	desc(DESC, 2, DATA + 0x100000, 4, NEXT, 3);
	desc(DESC, 3, DATA + 0x140000, 4, WRITE, 0);
	assert_int_equal(gmem_log_start(gmem), 0);
	offer(1);
	offer(2);
	assert_int_equal(pop(), VRING_CHAIN);
	assert_false(marked(DATA + 0x80000));
	vring_push(&ring, 1, 8);
	assert_true(marked(DATA + 0x80000));
	assert_false(marked(DATA + 0x40000));
	assert_int_equal(pop(), VRING_CHAIN);
	vring_push(&ring, 2, 4);
	assert_true(marked(DATA + 0x140000));
	assert_false(marked(DATA + 0x100000));
	vring_publish(&ring);
	assert_true(marked(USED));
	vring_arm(&ring, false);
	assert_true(marked(USED));
	desc(TABLE, 2, DATA, 8, WRITE | NEXT, 2); /* the guest changed it into a circle meanwhile */
	vring_push(&ring, 1, 8);
	gmem_log_stop(gmem);
	vring_push(&ring, 2, 8);
	assert_false(marked(DATA + 0x140000));
}

static void too_many_pieces_is_not_broken(void **state)
{
	assert_int_equal(start(false, false), 0);
	for (unsigned i = 0; i < 4; i++)
		desc(DESC, i, DATA + 32 * i, 8, i < 3 ? NEXT : 0, (uint16_t)(i + 1));
	offer(0);
	assert_int_equal(vring_pop(&ring, &chain, segs, 3), VRING_TOO_LONG);
	assert_int_equal(chain.head, 0);
	assert_int_equal(pop(), VRING_EMPTY); /* it was taken */
}

struct hostile {
	const char *why; /* must be part of the fault */
	struct {
		uint64_t gpa;
		uint32_t len;
		uint16_t flags, next;
	} d[4], t[4];
	bool no_indirect;
};

static const struct hostile hostiles[] = {
	{"beyond the table", .d = {{DATA, 8, NEXT, SIZE}}},
	{"beyond the table", .d = {{DATA, 8, NEXT, 0xffff}}},
	{"longer than the queue", .d = {{DATA, 8, NEXT, 0}}},
	{"longer than the queue", .d = {{DATA, 8, NEXT, 1}, {DATA, 8, NEXT, 0}}},
	{"longer than the queue", .d = {{DATA, 0, NEXT, 1}, {DATA, 0, NEXT, 0}}},
	{"readable descriptor after", .d = {{DATA, 8, NEXT | WRITE, 1}, {DATA, 8, 0, 0}}},
	{"not RAM", .d = {{RAM, 1, 0, 0}}},
	{"not RAM", .d = {{RAM - 4, 8, 0, 0}}},
	{"not RAM", .d = {{~0ull - 3, 8, 0, 0}}},
	{"not RAM", .d = {{0, 0xffffffff, 0, 0}}},
	{"not RAM", .d = {{0xfee00000, 4, WRITE, 0}}},
	{"4 GiB", .d = {{DATA, 8, NEXT, 1}, {DATA, 0xffffffff, 0, 0}}},
	{"without the feature", .d = {{TABLE, 16, INDIRECT, 0}}, .no_indirect = true},
	{"NEXT or WRITE", .d = {{TABLE, 16, INDIRECT | NEXT, 1}}},
	{"NEXT or WRITE", .d = {{TABLE, 16, INDIRECT | WRITE, 0}}},
	{"bad size", .d = {{TABLE, 0, INDIRECT, 0}}},
	{"bad size", .d = {{TABLE, 17, INDIRECT, 0}}},
	{"bad size", .d = {{~0ull - 15, 32, INDIRECT, 0}}},
	{"table is not RAM", .d = {{RAM, 16, INDIRECT, 0}}},
	{"nested", .d = {{TABLE, 32, INDIRECT, 0}}, .t = {{DATA, 8, NEXT, 1}, {TABLE, 16, INDIRECT, 0}}},
	{"beyond the indirect", .d = {{TABLE, 16, INDIRECT, 0}}, .t = {{DATA, 8, NEXT, 1}}},
	{"longer than the queue", .d = {{TABLE, 32, INDIRECT, 0}}, .t = {{DATA, 8, NEXT, 1}, {DATA, 8, NEXT, 0}}},
	{"readable descriptor after", .d = {{TABLE, 32, INDIRECT, 0}}, .t = {{DATA, 8, WRITE | NEXT, 1}, {DATA, 8, 0, 0}}},
	{"not RAM", .d = {{TABLE, 16, INDIRECT, 0}}, .t = {{RAM - 1, 2, 0, 0}}},
};

static void hostile_chains_are_named(void **state)
{
	for (unsigned h = 0; h < HV_ARRAY_LEN(hostiles); h++) {
		const struct hostile *x = &hostiles[h];
		put(AVAIL + 2, 0, 2);
		assert_int_equal(start(true, !x->no_indirect), 0);
		for (unsigned i = 0; i < 4; i++) {
			desc(DESC, i, x->d[i].gpa, x->d[i].len, x->d[i].flags, x->d[i].next);
			desc(TABLE, i, x->t[i].gpa, x->t[i].len, x->t[i].flags, x->t[i].next);
		}
		offer(0);
		if (pop() != VRING_BROKEN || !strstr(ring.fault, x->why))
			fail_msg("case %u: expected \"%s\", got \"%s\"", h, x->why, ring.fault ? ring.fault : "no fault");
	}
}

static void hostile_heads_and_indices(void **state)
{
	assert_int_equal(start(false, false), 0);
	offer(SIZE);
	assert_int_equal(pop(), VRING_BROKEN);
	assert_int_equal(start(false, false), 0);
	put(AVAIL + 2, SIZE + 1, 2);
	assert_int_equal(pop(), VRING_BROKEN);
	assert_non_null(strstr(ring.fault, "ahead"));
}

static void hostile_ring_addresses(void **state)
{
	uint64_t *const areas[] = {&desc_at, &avail_at, &used_at};
	static const uint64_t bad[] = {RAM, RAM - 2, ~0ull - 1, ~0ull & ~15ull, 0xc0000000, 1};
	for (unsigned i = 0; i < 3; i++)
		for (unsigned j = 0; j < HV_ARRAY_LEN(bad); j++) {
			uint64_t good = *areas[i];
			*areas[i] = bad[j];
			assert_int_equal(start(true, false), -EINVAL);
			assert_non_null(ring.fault);
			*areas[i] = good;
		}
	struct vring_config c = {.size = 6, .desc = DESC, .driver = AVAIL, .device = USED};
	assert_int_equal(vring_start(&ring, gmem, &c, 0, 0), -EINVAL);
	c.size = VRING_SIZE_MAX * 2;
	assert_int_equal(vring_start(&ring, gmem, &c, 0, 0), -EINVAL);
}

/* 2.7.10: for every distance between event and the published range, across the wrap of the index. */
static void event_index_decides_interrupts(void **state)
{
	for (unsigned first = 0xfff0; first <= 0x10010; first++)
		for (int event = -3; event < 6; event++)
			for (unsigned n = 1; n <= 3; n++) {
				struct vring_config c = {.size = SIZE, .desc = DESC, .driver = AVAIL, .device = USED, .event_idx = true};
				assert_int_equal(vring_start(&ring, gmem, &c, (uint16_t)first, (uint16_t)first), 0);
				put(AVAIL + 4 + 2 * SIZE, (uint16_t)((int)first + event), 2);
				for (unsigned i = 0; i < n; i++)
					vring_push(&ring, 0, 0);
				assert_int_equal(vring_publish(&ring), event >= 0 && event < (int)n);
			}
}

static void arming_shows_and_looks_again(void **state)
{
	assert_int_equal(start(true, false), 0);
	desc(DESC, 0, DATA, 8, 0, 0);
	offer(0);
	assert_true(vring_arm(&ring, true)); /* there is one already */
	assert_int_equal(pop(), VRING_CHAIN);
	assert_false(vring_arm(&ring, true));
	assert_int_equal(get16(USED + 4 + 8 * SIZE), 1);
	assert_false(vring_arm(&ring, false));
	offer(0);
	assert_int_equal(pop(), VRING_CHAIN);
	assert_int_equal(get16(USED + 4 + 8 * SIZE), 1); /* not moved on while polling: no notification for the next */
	assert_int_equal(start(false, false), 0);
	put(AVAIL + 2, 0, 2);
	vring_arm(&ring, false);
	assert_int_equal(get16(USED), 1);
	assert_false(vring_arm(&ring, true));
	assert_int_equal(get16(USED), 0);
	vring_stop(&ring);
	offer(0);
	assert_false(vring_arm(&ring, true));
}

/* ---- bursts ---- */

/* What a burst sees of one chain: length of the buffer, 0 when it leaves it to vring_pop. */
static uint32_t look(bool write, uint32_t least, uint32_t more, struct vring_one *one)
{
	struct vring_burst b;
	assert_int_equal(vring_burst_begin(&ring, &b, 32), 1);
	return vring_look(&ring, &b, 0, write, least, more, one) ? one->len : 0;
}

static void a_burst_takes_usual_chains_only(void **state)
{
	static const struct {
		uint64_t gpa;
		uint32_t len;
		uint16_t flags;
		bool write, taken;
	} cases[] = {
		{DATA, 100, 0, false, true},
		{DATA, 200, WRITE, true, true},
		{DATA, 60, 0, false, true},
		{DATA, 59, 0, false, false},
		{DATA, 1060, 0, false, true},
		{DATA, 1061, 0, false, false},
		{DATA, 0, 0, false, false},
		{DATA, ~0u, 0, false, false},
		{DATA, 100, NEXT, false, false},
		{DATA, 100, INDIRECT, false, false},
		{DATA, 100, WRITE, false, false},
		{DATA, 100, 0, true, false},
		{DATA, 100, WRITE | NEXT, true, false},
		{DATA, 59, WRITE | NEXT, true, false}, /* length and flags are not one number */
		{DATA, 100, WRITE | INDIRECT, true, false},
		{DATA, 100, 8, false, false},
		{RAM - 100, 100, 0, false, true},
		{RAM - 99, 100, 0, false, false},
		{RAM, 100, 0, false, false},
		{0, 100, WRITE, true, true},
		{~0ull - 50, 100, 0, false, false},
		{~0ull << 32, 100, 0, false, false},
		{0xfee00000, 100, WRITE, true, false},
	};
	struct vring_one one;
	for (unsigned pass = 0; pass < 2; pass++) /* in the second the extent used last is that of the end */
		for (unsigned i = 0; i < HV_ARRAY_LEN(cases); i++) {
			put(AVAIL + 2, 0, 2);
			assert_int_equal(start(false, true), 0);
			if (pass)
				assert_true(gmem_extent_of(gmem, GPA(RAM - 1), &ring.extent));
			desc(DESC, 5, cases[i].gpa, cases[i].len, cases[i].flags, 0xffff);
			offer(5);
			if (look(cases[i].write, 60, 1000, &one) != (cases[i].taken ? cases[i].len : 0))
				fail_msg("case %u", i);
			if (!cases[i].taken)
				continue;
			assert_int_equal(one.head, 5);
			assert_ptr_equal(one.base, at(cases[i].gpa, cases[i].len));
		}
}

/* A buffer over the end of an extent is in two pieces of host memory: not for a burst, but for vring_pop. */
static void a_burst_leaves_buffers_in_two_pieces(void **state)
{
	struct gmem_extent first;
	struct vring_one one;
	assert_true(gmem_extent_of(gmem, GPA(0), &first));
	if (first.bytes == RAM)
		skip(); /* the two units happen to be adjacent */
	for (uint32_t before = 1; before < 100; before += 49) {
		put(AVAIL + 2, 0, 2);
		assert_int_equal(start(false, false), 0);
		desc(DESC, 0, first.bytes - before, 100, 0, 0);
		offer(0);
		assert_int_equal(look(false, 60, 1000, &one), 0);
		assert_int_equal(pop(), VRING_CHAIN);
		assert_int_equal(chain.out_segs, 2);
	}
}

static void a_burst_goes_to_the_rings_end(void **state)
{
	struct vring_config c = {.size = SIZE, .desc = DESC, .driver = AVAIL, .device = USED};
	struct vring_burst b;
	struct vring_one one;
	assert_int_equal(vring_start(&ring, gmem, &c, 0xfffd, 0xfffd), 0);
	put(AVAIL + 2, 0xfffd, 2);
	assert_int_equal(vring_burst_begin(&ring, &b, 32), 0);
	avail_idx = 0xfffd;
	for (uint16_t i = 0; i < 6; i++) {
		desc(DESC, i, DATA + 128 * i, 64u + i, 0, 0);
		offer(i);
	}
	for (unsigned done = 0, n; done < 6; done += n) {
		n = vring_burst_begin(&ring, &b, done ? 2 : 32);
		assert_int_equal(n, done == 0 ? 3 : done == 3 ? 2 : 1);
		for (unsigned i = 0; i < n; i++) {
			assert_true(vring_look(&ring, &b, i, false, 60, 1000, &one));
			assert_int_equal(one.len, 64 + done + i);
			if (i % 2)
				vring_answer(&b, i, one.head, 7);
			else
				vring_answer_read(&b, i, one.head);
		}
		vring_took(&ring, n);
		assert_false(vring_is_idle(&ring));
		vring_answered(&ring, n);
		assert_true(vring_is_idle(&ring));
	}
	assert_int_equal(get16(USED + 2), 0);
	assert_true(vring_publish(&ring));
	assert_int_equal(get16(USED + 2), 3);
	for (unsigned i = 0; i < 6; i++) {
		uint64_t entry = USED + 4 + 8 * ((0xfffdu + i) % SIZE);
		assert_int_equal(get16(entry), i);
		assert_int_equal(get16(entry + 4), i == 1 || i == 4 ? 7 : 0);
		assert_int_equal(get16(entry + 2) | get16(entry + 6), 0);
	}
}

static void no_burst_of_a_ring_that_is_not_fit(void **state)
{
	struct vring_burst b;
	struct vring_one one;
	assert_int_equal(start(false, false), 0);
	put(AVAIL + 2, SIZE + 1, 2); /* ahead by more than the queue */
	assert_int_equal(vring_burst_begin(&ring, &b, 32), 0);
	put(AVAIL + 2, 0, 2);
	desc(DESC, 0, DATA, 100, 0, 0);
	offer(SIZE); /* a head beyond the table */
	assert_int_equal(look(false, 60, 1000, &one), 0);
	assert_int_equal(pop(), VRING_BROKEN);
	vring_stop(&ring);
	assert_int_equal(vring_burst_begin(&ring, &b, 32), 0);
	avail_at = GMEM_UNIT - 8; /* an area in two pieces */
	assert_int_equal(start(false, false), 0);
	put(avail_at + 2, 0, 2);
	offer(0);
	assert_int_equal(vring_burst_begin(&ring, &b, 32), ring.flat ? 1 : 0);
	assert_int_equal(pop(), VRING_CHAIN);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {T(a_chain_arrives_whole), T(a_buffer_across_host_pieces), T(a_ring_across_host_pieces),
		T(indirect_tables), T(what_the_device_writes_is_dirty), T(too_many_pieces_is_not_broken), T(hostile_chains_are_named),
		T(hostile_heads_and_indices), T(hostile_ring_addresses), T(event_index_decides_interrupts), T(arming_shows_and_looks_again),
		T(a_burst_takes_usual_chains_only), T(a_burst_leaves_buffers_in_two_pieces), T(a_burst_goes_to_the_rings_end),
		T(no_burst_of_a_ring_that_is_not_fit)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
