/* vswitch/shape.c, bucket.h: rates, bursts and peaks in both directions, what waits and what is dropped, TSO by its bytes on a wire. */
#include "kit.h"

#include "filter.h"

#define AVERAGE_KBPS 8000u /* 1000 bytes a millisecond */
#define FRAME 1000u
#define MS 1000000ull

static struct guest *a, *b;
static uint8_t frame[FRAME_MAX];

static int setup(void **state)
{
	kit_setup(state);
	a = kit_guest(PG_WEB, mac_a, 0);
	b = kit_guest(PG_WEB, mac_b, 0);
	return 0;
}

static void configure(struct guest *g, bool out, uint64_t average_kbps, uint64_t peak_kbps, uint64_t burst_bytes)
{
	struct vsw_shaping_config shaping = {.average_kbps = average_kbps, .peak_kbps = peak_kbps, .burst_bytes = burst_bytes};
	struct vsw_port_config c = {.has_ingress = !out, .has_egress = out};

	*(out ? &c.egress : &c.ingress) = shaping;
	vsw_guest_port_apply(g->np, &c);
}

/* Numbered frames from a to b. */
static void send(unsigned first, unsigned count)
{
	for (unsigned i = first; i < first + count; i++) {
		kit_eth(frame, mac_b, mac_a, 0x0800, FRAME - 14);
		frame[14] = (uint8_t)i;
		kit_send(a, frame, FRAME, FRAME, NULL);
	}
}

static void pass_ms(unsigned ms)
{
	for (unsigned i = 0; i < ms * 4; i++) {
		native_time_advance(MS / 4);
		native_core_step();
	}
}

static void in_order(void)
{
	for (unsigned i = 0; i < b->count; i++)
		assert_int_equal(b->in[i].bytes[14], (uint8_t)i);
}

static void average_and_burst(bool out)
{
	const struct vsw_counters *c = &kit_port(out ? b : a)->count;

	configure(out ? b : a, out, AVERAGE_KBPS, 0, 10 * FRAME);
	send(0, 20);
	assert_int_equal(b->count, 10); /* the burst */
	assert_int_equal(out ? c->out_shaped : c->in_shaped, 10);
	pass_ms(1);
	assert_int_equal(b->count, 11);
	pass_ms(8);
	assert_int_equal(b->count, 19);
	pass_ms(1);
	assert_int_equal(b->count, 20);
	pass_ms(5); /* half of the burst is there again */
	send(20, 6);
	assert_int_equal(b->count, 25);
	pass_ms(1);
	assert_int_equal(b->count, 26);
	in_order();
	assert_int_equal(c->drops, 0);
	assert_int_equal(kit_port(a)->count.in_frames, 26);
	assert_int_equal(kit_port(b)->count.out_frames, 26);
	assert_true(b->flushes > 0);
}

static void from_the_guest(void **state)
{
	average_and_burst(false);
}

static void to_the_guest(void **state)
{
	average_and_burst(true);
}

static void peak_limits_the_burst(void **state)
{
	configure(b, true, AVERAGE_KBPS, 2 * AVERAGE_KBPS, 20 * FRAME);
	send(0, 24);
	assert_int_equal(b->count, 3); /* two frames of the MTU */
	pass_ms(1);
	assert_int_equal(b->count, 5);
	pass_ms(8);
	assert_int_equal(b->count, 21); /* 16 more at the peak: 21 sent by 20 of burst and 9 earned */
	pass_ms(2);
	assert_int_equal(b->count, 24);
	in_order();
}

static void what_does_not_fit_is_dropped(void **state)
{
	configure(a, false, AVERAGE_KBPS, 0, 2 * FRAME);
	send(0, 200);
	assert_int_equal(b->count, 2);
	/* 100 ms of the average: 100 frames wait. */
	assert_int_equal(kit_port(a)->count.in_shaped, 100);
	assert_int_equal(kit_drops(a, VSW_DROP_SHAPED), 98);
	pass_ms(101);
	assert_int_equal(b->count, 102);
	assert_int_equal(kit_port(a)->count.in_frames, kit_port(b)->count.out_frames + kit_port(a)->count.drops);
}

static void all_queues_together_are_bounded(void **state)
{
	uint8_t mac[6] = {0x52, 0x54, 0, 0, 1, 0};
	uint64_t waiting = 0;
	struct vsw_counters before, after;
	struct guest *g[8];

	for (unsigned i = 0; i < 8; i++) {
		mac[5] = (uint8_t)i;
		g[i] = kit_guest(PG_WEB, mac, 0);
		configure(g[i], false, 1000 * AVERAGE_KBPS, 0, FRAME);
		for (unsigned k = 0; k < 300; k++)
			kit_send(g[i], frame, kit_eth(frame, mac_b, mac, 0x0800, FRAME - 14), FRAME, NULL);
		waiting += kit_port(g[i])->count.in_shaped;
	}
	assert_int_equal(waiting, 1024);
	assert_int_equal(kit_vsw->shaped_mbufs, 1024);
	vsw_total(kit_vsw, &before);
	waiting = kit_port(g[0])->count.in_shaped;
	vsw_guest_port_destroy(g[0]->np); /* with its queue */
	vsw_total(kit_vsw, &after);
	assert_int_equal(vsw_guest_port_create(kit_vsw, PG_WEB, "again", mac_c, &g[0]->np), 0);
	assert_true(waiting > 0);
	assert_int_equal(after.drop[VSW_DROP_PORT_GONE] - before.drop[VSW_DROP_PORT_GONE], waiting);
	assert_int_equal(after.drop[VSW_DROP_SHAPED], before.drop[VSW_DROP_SHAPED]);
	assert_int_equal(after.drops - before.drops, waiting);
	assert_true(kit_vsw->shaped_mbufs < 1024);
	pass_ms(100);
	assert_int_equal(kit_vsw->shaped_mbufs, 0);
}

/* Over a minute of frames of any size, at any pace: never more than the burst and the rate allow, and nearly that. */
static void exact_over_time(void **state)
{
	static const uint64_t rates_kbps[] = {999, 10007, 100003, 1000003, 40000000};
	uint64_t random = 88172645463325252ull;

	for (unsigned r = 0; r < HV_ARRAY_LEN(rates_kbps); r++) {
		uint64_t start = hv_now_ns(), bits = 0, burst = HV_MAX(3000ull, rates_kbps[r] / 8), allowed;
		struct vsw_bucket bucket;

		vsw_bucket_init(&bucket, rates_kbps[r] * 1000, burst * 8, start);
		for (unsigned i = 0; i < 200000; i++) {
			uint32_t cost;

			random ^= random << 13, random ^= random >> 7, random ^= random << 17;
			cost = (uint32_t)(random % 1500 + 14) * 8;
			vsw_bucket_fill(&bucket, hv_now_ns());
			if (!vsw_bucket_has(&bucket, cost)) {
				native_time_advance(vsw_bucket_wait_ns(&bucket, cost));
				vsw_bucket_fill(&bucket, hv_now_ns());
				assert_true(vsw_bucket_has(&bucket, cost));
			}
			vsw_bucket_take(&bucket, cost);
			bits += cost;
			allowed = burst * 8 + (uint64_t)((double)(hv_now_ns() - start) * (double)rates_kbps[r] / 1e6) + 1;
			assert_true(bits <= allowed);
		}
		assert_true((double)bits > (double)(allowed - burst * 8) * 0.9999);
	}
}

static void a_long_pause_fills_once(void **state)
{
	configure(b, true, AVERAGE_KBPS, 0, 3 * FRAME);
	send(0, 3);
	native_time_advance(400ull * 86400 * 1000 * MS); /* a year */
	native_core_step();
	send(3, 10);
	assert_int_equal(b->count, 6);
	pass_ms(7);
	assert_int_equal(b->count, 13);
}

static void tso_counts_its_segments(void **state)
{
	struct netport_offload off = {.needs_csum = true, .csum_start = 34, .csum_offset = 16, .gso = NETPORT_GSO_TCPV4, .gso_size = 1000};
	uint32_t len = kit_tcp(frame, mac_b, mac_a, false, 10 * 1000, true), wire = 10 * (1000 + 54);

	a->np->ops->set_features(a->np, ~0u);
	b->np->ops->set_features(b->np, ~0u);
	configure(a, false, AVERAGE_KBPS, 0, 12000);
	kit_send(a, frame, len, len, &off);
	assert_int_equal(b->count, 1);
	assert_int_equal(b->in[0].len, len);
	/* 12000 - 10540 left: a frame of 1460 bytes goes, nothing after it. */
	kit_send(a, frame, kit_eth(frame, mac_b, mac_a, 0x0800, 12000 - wire - 14), 2000, NULL);
	assert_int_equal(b->count, 2);
	kit_send(a, frame, kit_eth(frame, mac_b, mac_a, 0x0800, 46), 100, NULL);
	assert_int_equal(b->count, 2);
	pass_ms(1);
	assert_int_equal(b->count, 3);
}

/* Larger than the burst: when all of it is there, and what it takes too much is owed. */
static void larger_than_the_burst(void **state)
{
	struct netport_offload off = {.needs_csum = true, .csum_start = 34, .csum_offset = 16, .gso = NETPORT_GSO_TCPV4, .gso_size = 1000};
	uint32_t len = kit_tcp(frame, mac_b, mac_a, false, 10 * 1000, true);

	b->np->ops->set_features(b->np, ~0u);
	configure(a, false, AVERAGE_KBPS, 0, 2000);
	kit_send(a, frame, len, len, &off);
	assert_int_equal(b->count, 1);
	send(1, 1);
	pass_ms(9); /* 2000 - 10540 + 9000: not yet 1000 */
	assert_int_equal(b->count, 1);
	pass_ms(1);
	assert_int_equal(b->count, 2);
}

static void port_group_and_override(void **state)
{
	struct vsw_port_config own = {.has_egress = true}; /* average 0: no limit */
	struct guest *c;

	kit_vsw->config.portgroups[PG_WEB].egress = (struct vsw_shaping_config){.average_kbps = AVERAGE_KBPS, .burst_bytes = 2 * FRAME};
	c = kit_guest(PG_WEB, mac_c, 0);
	for (unsigned i = 0; i < 5; i++)
		kit_send(a, frame, kit_eth(frame, mac_c, mac_a, 0x0800, FRAME - 14), FRAME, NULL);
	assert_int_equal(c->count, 2);
	vsw_guest_port_apply(c->np, &own); /* what waits goes, the queue is gone */
	native_core_step();
	assert_int_equal(c->count, 5);
	assert_int_equal(kit_port(c)->filters_out, 0);
	for (unsigned i = 0; i < 5; i++)
		kit_send(a, frame, kit_eth(frame, mac_c, mac_a, 0x0800, FRAME - 14), FRAME, NULL);
	assert_int_equal(c->count, 10);
	own = (struct vsw_port_config){0};
	vsw_guest_port_apply(c->np, &own);
	for (unsigned i = 0; i < 5; i++)
		kit_send(a, frame, kit_eth(frame, mac_c, mac_a, 0x0800, FRAME - 14), FRAME, NULL);
	assert_int_equal(c->count, 12);
}

static void a_new_rate_keeps_what_waits(void **state)
{
	configure(b, true, AVERAGE_KBPS / 8, 0, 2 * FRAME);
	send(0, 10);
	assert_int_equal(b->count, 2);
	configure(b, true, AVERAGE_KBPS, 0, 2 * FRAME);
	pass_ms(8);
	assert_int_equal(b->count, 10);
	in_order();
	assert_int_equal(kit_port(b)->count.drops, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(from_the_guest),
		TEST(to_the_guest),
		TEST(peak_limits_the_burst),
		TEST(what_does_not_fit_is_dropped),
		TEST(all_queues_together_are_bounded),
		TEST(exact_over_time),
		TEST(a_long_pause_fills_once),
		TEST(tso_counts_its_segments),
		TEST(larger_than_the_burst),
		TEST(port_group_and_override),
		TEST(a_new_rate_keeps_what_waits),
	};

	return cmocka_run_group_tests(tests, NULL, kit_end);
}
