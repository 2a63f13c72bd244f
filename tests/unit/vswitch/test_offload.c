/* Offload requests of guests: right ones arrive intact or finished, wrong ones are dropped; segmentation gives back the same stream. */
#include "kit.h"

#include <stdlib.h>

#define ALL (NETPORT_F_CSUM | NETPORT_F_TSO4 | NETPORT_F_TSO6 | NETPORT_F_ECN)

static uint8_t frame[FRAME_MAX], out[FRAME_MAX];

static struct netport_offload tso(bool ipv6, uint16_t size)
{
	return (struct netport_offload){.needs_csum = true,
		.gso = ipv6 ? NETPORT_GSO_TCPV6 : NETPORT_GSO_TCPV4,
		.gso_size = size,
		.hdr_len = ipv6 ? 74 : 54,
		.csum_start = ipv6 ? 54 : 34,
		.csum_offset = 16};
}

static void partial_checksums_are_handed_over_or_finished(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, ALL), *b = kit_guest(PG_WEB, mac_b, ALL), *c = kit_guest(PG_WEB, mac_c, 0);
	struct netport_offload off = {.needs_csum = true, .csum_start = 34, .csum_offset = 16};
	uint32_t len = kit_tcp(frame, mac_b, mac_a, false, 333, true);

	kit_send(a, frame, len, 100, &off);
	assert_int_equal(b->count, 1);
	assert_true(b->in[0].off.needs_csum);
	assert_int_equal(b->in[0].off.csum_start, 34);
	assert_memory_equal(b->in[0].bytes, frame, len);
	kit_tcp(frame, mac_c, mac_a, false, 333, true);
	kit_send(a, frame, len, 100, &off);
	assert_int_equal(c->count, 1);
	assert_false(c->in[0].off.needs_csum);
	assert_true(c->in[0].off.csum_valid);
	assert_true(kit_checksums_good(c->in[0].bytes, c->in[0].len));
	kit_uplink(0);
	kit_tcp(frame, mac_x, mac_a, false, 333, true);
	kit_send(a, frame, len, 100, &off);
	kit_wire_out(0, out);
	memmove(out + 12, out + 16, len - 12);
	assert_true(kit_checksums_good(out, len));
}

static void large_frames_pass_unsegmented_between_able_guests(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, ALL), *b = kit_guest(PG_WEB, mac_b, ALL);
	struct netport_offload off = tso(false, 1448);
	uint32_t len = kit_tcp(frame, mac_b, mac_a, false, 65495, true);

	kit_send(a, frame, len, 4096, &off);
	assert_int_equal(b->count, 1);
	assert_int_equal(b->in[0].off.gso, NETPORT_GSO_TCPV4);
	assert_int_equal(b->in[0].off.gso_size, 1448);
	assert_int_equal(b->in[0].off.hdr_len, 54);
	assert_true(b->in[0].off.ecn);
	assert_memory_equal(b->in[0].bytes, frame, len);
	b->np->ops->set_features(b->np, ALL & ~NETPORT_F_ECN); /* CWR must then be cut off from later segments */
	kit_send(a, frame, len, 4096, &off);
	assert_int_equal(b->count, 1 + (65495 + 1447) / 1448);
	assert_int_equal(b->in[1].off.gso, NETPORT_GSO_NONE);
	assert_true(b->in[1].off.needs_csum);
}

static void check_segments(const struct received *in, unsigned n, bool ipv6, uint32_t payload, uint32_t size)
{
	uint32_t headers = ipv6 ? 74 : 54, at = 0;

	for (unsigned i = 0; i < n; i++) {
		const uint8_t *tcp = in[i].bytes + headers - 20;
		uint32_t bytes = in[i].len - headers;
		uint32_t seq = (uint32_t)tcp[4] << 24 | (uint32_t)(tcp[5] << 16) | (uint32_t)(tcp[6] << 8) | tcp[7];

		assert_true(kit_checksums_good(in[i].bytes, in[i].len));
		assert_int_equal(seq, 0x01020304 + at);
		assert_int_equal(bytes, HV_MIN(size, payload - at));
		assert_memory_equal(in[i].bytes + headers, frame + headers + at, bytes);
		assert_int_equal(tcp[13], 0x10 | (i ? 0 : 0x80) | (i == n - 1 ? 0x09 : 0)); /* CWR first, FIN and PSH last */
		if (!ipv6)
			assert_int_equal(in[i].bytes[18] << 8 | in[i].bytes[19], 0x1234 + i);
		at += bytes;
	}
	assert_int_equal(at, payload);
}

static void large_frames_are_segmented_for_others(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, ALL), *b = kit_guest(PG_WEB, mac_b, 0);

	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		struct netport_offload off = tso(ipv6, 1000);
		uint32_t len = kit_tcp(frame, mac_b, mac_a, ipv6, 30001, true);

		kit_guest_forget(b);
		kit_send(a, frame, len, 4096, &off);
		assert_int_equal(b->count, 31);
		check_segments(b->in, b->count, ipv6, 30001, 1000);
	}
}

/* What left on the wire, without its tags, as check_segments wants it; a short frame's padding is cut off after a look at it. */
static unsigned wire_segments(struct received *in, bool ipv6)
{
	unsigned n = 0;
	uint32_t got;

	while ((got = kit_wire_out(0, out))) {
		uint32_t used = 18 + (ipv6 ? 40u + (uint32_t)(out[22] << 8 | out[23]) : (uint32_t)(out[20] << 8 | out[21]));

		assert_true(got <= 1518 && got >= 64 && used <= got);
		assert_int_equal(out[12] << 8 | out[13], 0x8100);
		assert_int_equal(out[14] << 8 | out[15], 20);
		for (uint32_t i = used; i < got; i++)
			assert_int_equal(out[i], 0);
		memmove(out + 12, out + 16, got - 16);
		in[n].len = used - 4;
		in[n].bytes = malloc(used);
		memcpy(in[n++].bytes, out, used - 4);
	}
	return n;
}

static void large_frames_leave_in_segments(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, ALL);
	static struct received in[64];

	kit_uplink(0);
	for (unsigned i = 0; i < 4; i++) {
		bool ipv6 = i & 1;
		struct netport_offload off = tso(ipv6, 1400);
		uint32_t payload = i < 2 ? 20000 : 14 * 1400 + 1; /* the last segment is shorter than the least frame */
		uint32_t len = kit_tcp(frame, mac_x, mac_a, ipv6, payload, true);
		unsigned n;

		kit_send(a, frame, len, 4096, &off);
		n = wire_segments(in, ipv6);
		assert_int_equal(n, 15);
		check_segments(in, n, ipv6, payload, 1400);
		while (n)
			free(in[--n].bytes);
	}
	assert_int_equal(vsw_uplink_port(kit_vsw->uplinks[0])->count.out_segmented, 60);
}

static void a_segmented_frame_without_buffers_is_a_counted_drop(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, ALL);
	struct netport_offload off = tso(false, 1448);
	uint32_t len = kit_tcp(frame, mac_x, mac_a, false, 20000, true);
	static struct rte_mbuf *all[4096];
	unsigned taken = 0;

	kit_uplink(0);
	while (taken < 4096 && (all[taken] = rte_pktmbuf_alloc(kit_vsw->gso_headers)))
		taken++;
	kit_send(a, frame, len, 4096, &off);
	assert_int_equal(kit_wire_out(0, out), 0);
	assert_int_equal(kit_uplink_drops(0, VSW_DROP_NO_MBUF), 1);
	rte_pktmbuf_free_bulk(all, taken);
	kit_send(a, frame, len, 4096, &off);
	assert_true(kit_wire_out(0, out) > 0);
	while (kit_wire_out(0, out))
		;
}

static void refused(struct guest *a, uint32_t len, const struct netport_offload *off)
{
	uint64_t before = kit_drops(a, VSW_DROP_BAD_OFFLOAD);

	kit_send(a, frame, len, 4096, off);
	assert_int_equal(kit_drops(a, VSW_DROP_BAD_OFFLOAD), before + 1);
}

static void requests_that_do_not_fit_are_refused(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, ALL), *b = kit_guest(PG_WEB, mac_b, ALL);
	uint32_t len = kit_tcp(frame, mac_b, mac_a, false, 5000, true);
	struct netport_offload off;

#define REFUSE(...)                                                                                                                        \
	off = tso(false, 1000);                                                                                                            \
	__VA_ARGS__;                                                                                                                       \
	refused(a, len, &off)
	REFUSE(off.gso = NETPORT_GSO_TCPV6);
	REFUSE(off.gso = 77);
	REFUSE(off.gso = NETPORT_GSO_UDP_L4);
	REFUSE(off.gso_size = 0);
	REFUSE(off.gso_size = 1);
	REFUSE(off.gso_size = 1461);
	REFUSE(off.needs_csum = false);
	REFUSE(off.csum_start = 30);
	REFUSE(off.csum_offset = 6);
	REFUSE(off.csum_start = 65535);
	REFUSE(off.csum_offset = 65535);
	REFUSE(frame[16] = 0); /* IP length */
	kit_tcp(frame, mac_b, mac_a, false, 5000, true);
	REFUSE(frame[20] = 0x20); /* a fragment */
	kit_tcp(frame, mac_b, mac_a, false, 5000, true);
	REFUSE(frame[46] = 0x40); /* TCP header too short */
	kit_tcp(frame, mac_b, mac_a, false, 5000, true);
	REFUSE(frame[14] = 0x44); /* IP header too short */
	kit_tcp(frame, mac_b, mac_a, false, 5000, true);
	REFUSE(frame[12] = 0x77); /* not IP */
	assert_int_equal(b->count, 0);
	off = (struct netport_offload){.needs_csum = true, .csum_start = 12}; /* a checksum may not become a VLAN tag */
	refused(a, len, &off);
	assert_int_equal(b->count, 0);
}

static void checksums_of_unknown_protocols_are_done_at_once(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, ALL), *b = kit_guest(PG_WEB, mac_b, ALL);
	struct netport_offload off = {.needs_csum = true, .csum_start = 20, .csum_offset = 4};
	uint32_t len = kit_eth(frame, mac_b, mac_a, 0x1234, 101), sum = 0;

	kit_send(a, frame, len, len, &off);
	assert_int_equal(b->count, 1);
	assert_false(b->in[0].off.needs_csum);
	for (uint32_t i = 20; i < len; i++)
		sum += (i & 1) ? frame[i] : (uint32_t)frame[i] << 8;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	assert_int_equal(b->in[0].bytes[24] << 8 | b->in[0].bytes[25], ~sum & 0xffff);
}

static void lengths_and_tags_are_checked(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, ALL), *b = kit_guest(PG_WEB, mac_b, ALL);
	struct hv_seg seg = {frame, 100};
	struct netport_frame lie = {.segs = &seg, .nsegs = 1, .len = 200};
	uint32_t len = kit_eth(frame, mac_b, mac_a, 0x0800, 1500);

	kit_send(a, frame, len, len, NULL);
	assert_int_equal(b->count, 1);
	kit_send(a, frame, len + 1, len + 1, NULL);
	assert_int_equal(kit_drops(a, VSW_DROP_OVERSIZE), 1);
	kit_send(a, frame, 66000, 4096, NULL);
	assert_int_equal(kit_drops(a, VSW_DROP_OVERSIZE), 2);
	kit_send(a, frame, 13, 13, NULL);
	kit_send(a, frame, 0, 1, NULL);
	assert_int_equal(kit_drops(a, VSW_DROP_RUNT), 2);
	a->np->ops->tx_burst(a->np, &lie, 1);
	assert_int_equal(kit_drops(a, VSW_DROP_RUNT), 3);
	kit_tag(frame, 200, 30);
	kit_send(a, frame, 204, 204, NULL);
	assert_int_equal(kit_drops(a, VSW_DROP_VLAN_TAG), 1);
	assert_int_equal(b->count, 1);
}

static void received_checksum_notes_reach_the_guest(void **state)
{
	struct guest *a = kit_guest(PG_PLAIN, mac_a, ALL);
	uint32_t len = kit_tcp(frame, mac_a, mac_x, false, 200, false);

	kit_uplink(0);
	kit_wire_in(0, frame, len, RTE_MBUF_F_RX_L4_CKSUM_GOOD);
	kit_wire_in(0, frame, len, RTE_MBUF_F_RX_L4_CKSUM_BAD);
	kit_tcp(frame, mac_a, mac_x, false, 200, true);
	kit_wire_in(0, frame, len, RTE_MBUF_F_RX_L4_CKSUM_NONE);
	assert_int_equal(a->count, 3);
	assert_true(a->in[0].off.csum_valid);
	assert_false(a->in[1].off.csum_valid);
	assert_true(a->in[2].off.needs_csum);
	assert_int_equal(a->in[2].off.csum_start, 34);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(partial_checksums_are_handed_over_or_finished),
		TEST(large_frames_pass_unsegmented_between_able_guests),
		TEST(large_frames_are_segmented_for_others),
		TEST(large_frames_leave_in_segments),
		TEST(a_segmented_frame_without_buffers_is_a_counted_drop),
		TEST(requests_that_do_not_fit_are_refused),
		TEST(checksums_of_unknown_protocols_are_done_at_once),
		TEST(lengths_and_tags_are_checked),
		TEST(received_checksum_notes_reach_the_guest),
	};

	return cmocka_run_group_tests(tests, NULL, kit_end);
}
