/*
 * Bursts of mixed frames: the short path and the careful one, one after the other, make of them what each frame alone would be. Every burst
 * comes twice: the first teaches the source addresses, so that the second may take the short path.
 */
#include "kit.h"

enum { VLAN_WEB = 20, TYPE_IPV4 = 0x0800, TYPE_IPV6 = 0x86dd, TYPE_MPLS = 0x8847, TYPE_PPPOE = 0x8863 };

static uint8_t frame[FRAME_MAX];

/* One frame for the wire: for guest web with its tag, or for guest plain without. */
static void put(const uint8_t dst[6], uint16_t type, uint32_t payload, int vlan)
{
	uint32_t len = kit_eth(frame, dst, mac_x, type, payload);

	if (vlan >= 0)
		len = kit_tag(frame, len, (uint16_t)vlan);
	kit_wire_put(0, frame, len, 0);
}

static void put_second_tag(uint8_t first, uint8_t second)
{
	uint32_t len = kit_tag(frame, kit_eth(frame, mac_a, mac_x, TYPE_IPV4, 100), VLAN_WEB);

	len = kit_tag(frame, len, VLAN_WEB);
	memcpy(frame + 16, (uint8_t[]){first, second}, 2);
	kit_wire_put(0, frame, len, 0);
}

static void put_burst(void)
{
	put(mac_a, TYPE_IPV4, 101, VLAN_WEB);
	put(mac_a, TYPE_IPV6, 102, VLAN_WEB);
	put(mac_b, TYPE_IPV4, 201, -1);
	put(mac_a, TYPE_PPPOE, 103, VLAN_WEB);
	put_second_tag(0x81, 0x00);
	put_second_tag(0x88, 0xa8);
	put(mac_b, 0x88a8, 299, -1); /* a service tag alone */
	put(mac_b, TYPE_IPV6, 202, -1);
	put(mac_b, TYPE_IPV4, 203, 0); /* a priority tag: of no VLAN */
	put(mac_a, TYPE_IPV4, 104, 0xa000 | VLAN_WEB);
	put(mac_a, TYPE_IPV4, 199, 999);
	put(mac_a, TYPE_IPV4, 1501, VLAN_WEB);
	put(mac_b, TYPE_IPV4, 1501, -1);
	put(mac_a, TYPE_MPLS, 1500, VLAN_WEB);
	put(mac_b, TYPE_IPV4, 1500, -1);
	put(mac_c, TYPE_IPV4, 198, VLAN_WEB); /* nobody's */
	put(mac_b, TYPE_IPV4, 197, VLAN_WEB); /* not in this VLAN */
	kit_eth(frame, mac_b, mac_x, TYPE_IPV4, 100);
	kit_wire_put(0, frame, 17, 0);
	kit_eth(frame, mac_a, mac_x, TYPE_IPV4, 100);
	kit_tag(frame, 114, VLAN_WEB);
	kit_wire_put(0, frame, 17, 0);
	put(mac_a, TYPE_IPV4, 4, VLAN_WEB);
}

static void expect(const struct guest *g, unsigned from, const uint32_t *payloads, unsigned n)
{
	assert_int_equal(g->count, from + n);
	for (unsigned i = 0; i < n; i++) {
		const struct received *r = &g->in[from + i];

		assert_int_equal(r->len, payloads[i] + 14);
		assert_memory_equal(r->bytes, g->np->mac, 6);
		assert_memory_equal(r->bytes + 6, mac_x, 6);
	}
}

static void a_mixed_burst_from_the_wire(void **state)
{
	static const uint32_t web_gets[] = {101, 102, 103, 104, 1500, 4}, plain_gets[] = {201, 202, 203, 1500};
	struct guest *web = kit_guest(PG_WEB, mac_a, 0), *plain = kit_guest(PG_PLAIN, mac_b, 0);
	const struct vsw_counters *count;
	unsigned before = 0;

	kit_uplink(0);
	count = &kit_vsw->ports[0]->count;
	for (unsigned i = 0; i < kit_vsw->port_count; i++) {
		if (kit_vsw->ports[i]->kind == VSW_PORT_UPLINK)
			count = &kit_vsw->ports[i]->count;
	}
	for (unsigned round = 1; round <= 3; round++) {
		put_burst();
		native_core_step();
		expect(web, before, web_gets, HV_ARRAY_LEN(web_gets));
		expect(plain, before / HV_ARRAY_LEN(web_gets) * HV_ARRAY_LEN(plain_gets), plain_gets, HV_ARRAY_LEN(plain_gets));
		before += HV_ARRAY_LEN(web_gets);
		assert_int_equal(kit_uplink_drops(0, VSW_DROP_DOUBLE_TAG), 3 * round);
		assert_int_equal(kit_uplink_drops(0, VSW_DROP_VLAN_UNKNOWN), round);
		assert_int_equal(kit_uplink_drops(0, VSW_DROP_NO_DESTINATION), 2 * round);
		assert_int_equal(kit_uplink_drops(0, VSW_DROP_RUNT), 2 * round);
		assert_int_equal(count->in_frames, 20 * round);
		assert_int_equal(count->in_frames - count->drops,
			10 * round + kit_drops(web, VSW_DROP_OVERSIZE) + kit_drops(plain, VSW_DROP_OVERSIZE));
	}
}

static void a_burst_of_several_vlans_to_the_wire(void **state)
{
	static const uint8_t mac_d[6] = {0x52, 0x54, 0, 0, 9, 9};
	struct guest *senders[] = {
		kit_guest(PG_WEB, mac_a, 0), kit_guest(PG_PLAIN, mac_b, 0), kit_guest(PG_DB, mac_c, 0), kit_guest(PG_WEB, mac_d, 0)};
	static const uint16_t vlans[] = {20, 0, 30, 20};
	uint8_t out[FRAME_MAX], sent[FRAME_MAX];

	kit_uplink(0);
	put(mac_broadcast, TYPE_IPV4, 60, -1);
	put(mac_broadcast, TYPE_IPV4, 60, 20);
	put(mac_broadcast, TYPE_IPV4, 60, 30);
	native_core_step();
	for (unsigned i = 0; i < HV_ARRAY_LEN(senders); i++) {
		uint32_t len = kit_eth(sent, mac_x, senders[i]->np->mac, TYPE_IPV4, 20 + 40 * i);
		struct hv_seg seg = {sent, len};
		struct netport_frame f = {.segs = &seg, .nsegs = 1, .len = len};

		for (unsigned k = 0; k < 3; k++) /* not flushed: the uplink gets all in one burst */
			assert_int_equal(senders[i]->np->ops->tx_burst(senders[i]->np, &f, 1), 1);
	}
	senders[0]->np->ops->tx_flush(senders[0]->np);
	for (unsigned i = 0; i < HV_ARRAY_LEN(senders); i++) {
		uint32_t len = kit_eth(sent, mac_x, senders[i]->np->mac, TYPE_IPV4, 20 + 40 * i);

		if (len < 60) {
			memset(sent + len, 0, 60 - len);
			len = 60;
		}
		if (vlans[i])
			len = kit_tag(sent, len, vlans[i]);
		for (unsigned k = 0; k < 3; k++) {
			assert_int_equal(kit_wire_out(0, out), len);
			assert_memory_equal(out, sent, len);
		}
	}
	assert_int_equal(kit_wire_out(0, out), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_mixed_burst_from_the_wire),
		TEST(a_burst_of_several_vlans_to_the_wire),
	};

	return cmocka_run_group_tests(tests, NULL, kit_end);
}
