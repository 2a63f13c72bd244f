/* Trunks (VGT): tags of guests, the native VLAN, double tags, MAC addresses over several VLANs; MTU by port group; VLANs of an uplink. */
#include "kit.h"

static uint8_t frame[FRAME_MAX], out[FRAME_MAX], tagged[FRAME_MAX];

static uint32_t make(const uint8_t dst[6], const uint8_t src[6], uint16_t vlan)
{
	uint32_t len = kit_eth(frame, dst, src, 0x0800, 100);

	memcpy(tagged, frame, len);
	return kit_tag(tagged, len, vlan);
}

static void a_trunk_guest_reaches_access_guests_by_tag(void **state)
{
	struct guest *t = kit_guest(PG_TRUNK, mac_a, 0), *web = kit_guest(PG_WEB, mac_b, 0), *db = kit_guest(PG_DB, mac_c, 0);
	uint32_t len = make(mac_b, mac_a, 20);

	kit_send(t, tagged, len, 13, NULL);
	assert_int_equal(web->count, 1);
	assert_int_equal(web->in[0].len, len - 4);
	assert_memory_equal(web->in[0].bytes, frame, len - 4);
	kit_eth(frame, mac_c, mac_a, 0x0800, 100); /* untagged: the native VLAN */
	kit_send(t, frame, len - 4, len, NULL);
	assert_int_equal(db->count, 1);
	make(mac_a, mac_b, 20);
	kit_send(web, frame, len - 4, len, NULL);
	assert_int_equal(t->count, 1);
	assert_int_equal(t->in[0].len, len);
	assert_memory_equal(t->in[0].bytes, tagged, len);
	make(mac_a, mac_c, 30);
	kit_send(db, frame, len - 4, len, NULL);
	assert_int_equal(t->count, 2);
	assert_int_equal(t->in[1].len, len - 4);
	assert_memory_equal(t->in[1].bytes, frame, len - 4);
}

static void tags_outside_the_list_are_dropped(void **state)
{
	struct guest *t = kit_guest(PG_TRUNK, mac_a, 0), *s = kit_guest(PG_TRUNK_STRICT, mac_b, 0), *db = kit_guest(PG_DB, mac_c, 0);
	uint32_t len = make(mac_c, mac_a, 31);

	kit_send(t, tagged, len, len, NULL);
	make(mac_c, mac_a, 4095);
	kit_send(t, tagged, len, len, NULL);
	assert_int_equal(kit_drops(t, VSW_DROP_VLAN_NOT_ALLOWED), 2);
	make(mac_c, mac_b, 30);
	kit_send(s, frame, len - 4, len, NULL);
	assert_int_equal(kit_drops(s, VSW_DROP_UNTAGGED), 1);
	make(mac_c, mac_b, 0); /* a priority tag counts as untagged */
	kit_send(s, tagged, len, len, NULL);
	assert_int_equal(kit_drops(s, VSW_DROP_UNTAGGED), 2);
	assert_int_equal(db->count, 0);
	make(mac_c, mac_b, 30);
	kit_send(s, tagged, len, len, NULL);
	assert_int_equal(db->count, 1);
	make(mac_b, mac_c, 30); /* it has no native VLAN: 30 arrives tagged */
	kit_send(db, frame, len - 4, len, NULL);
	assert_int_equal(s->count, 1);
	assert_memory_equal(s->in[0].bytes, tagged, len);
	kit_send(t, tagged, 15, 15, NULL); /* ends inside the tag */
	assert_int_equal(kit_drops(t, VSW_DROP_RUNT), 1);
}

static void double_tags_hop_nowhere(void **state)
{
	struct guest *t = kit_guest(PG_TRUNK, mac_a, 0), *db = kit_guest(PG_DB, mac_b, 0), *web = kit_guest(PG_WEB, mac_c, 0);
	uint32_t len = make(mac_broadcast, mac_a, 20);

	kit_uplink(0);
	len = kit_tag(tagged, len, 30);
	kit_send(t, tagged, len, len, NULL);
	make(mac_broadcast, mac_a, 20);
	len = kit_tag(tagged, len - 4, 0);
	kit_send(t, tagged, len, len, NULL);
	memcpy(tagged + 12, (uint8_t[]){0x88, 0xa8}, 2);
	kit_send(t, tagged, len, len, NULL);
	assert_int_equal(kit_drops(t, VSW_DROP_DOUBLE_TAG), 3);
	make(mac_broadcast, mac_x, 20);
	len = kit_tag(tagged, len - 4, 30);
	kit_wire_in(0, tagged, len, 0);
	assert_int_equal(kit_uplink_drops(0, VSW_DROP_DOUBLE_TAG), 1);
	assert_int_equal(db->count + web->count + t->count, 0);
	assert_int_equal(kit_wire_out(0, out), 0);
}

static void a_trunk_and_the_wire_exchange_tags_with_priority(void **state)
{
	struct guest *t = kit_guest(PG_TRUNK, mac_a, 0);
	uint32_t len;

	kit_uplink(0);
	len = make(mac_a, mac_x, 0xa028); /* priority 5, VLAN 40 */
	kit_wire_in(0, tagged, len, 0);
	assert_int_equal(t->count, 1);
	assert_int_equal(t->in[0].len, len);
	assert_memory_equal(t->in[0].bytes, tagged, len);
	make(mac_x, mac_a, 0x6028);
	kit_send(t, tagged, len, len, NULL);
	assert_int_equal(kit_wire_out(0, out), len);
	assert_memory_equal(out, tagged, len);
	make(mac_x, mac_a, 30);
	kit_send(t, frame, len - 4, len, NULL); /* the native VLAN is tagged on the wire */
	assert_int_equal(kit_wire_out(0, out), len);
	assert_memory_equal(out, tagged, len);
	make(mac_a, mac_x, 41);
	kit_wire_in(0, tagged, len, 0);
	assert_int_equal(kit_uplink_drops(0, VSW_DROP_VLAN_UNKNOWN), 1);
	assert_int_equal(t->count, 1);
}

static void a_broadcast_is_tagged_for_trunks_only(void **state)
{
	struct guest *t = kit_guest(PG_TRUNK, mac_a, 0), *web = kit_guest(PG_WEB, mac_b, 0), *u = kit_guest(PG_TRUNK, mac_c, 0);
	uint32_t len = make(mac_broadcast, mac_b, 20);

	kit_uplink(0);
	kit_send(web, frame, len - 4, len, NULL);
	assert_int_equal(t->count, 1);
	assert_int_equal(u->count, 1);
	assert_memory_equal(t->in[0].bytes, tagged, len);
	assert_memory_equal(u->in[0].bytes, tagged, len);
	assert_int_equal(kit_wire_out(0, out), len);
	assert_memory_equal(out, tagged, len);
	make(mac_broadcast, mac_a, 25);
	kit_send(t, tagged, len, len, NULL);
	assert_int_equal(web->count, 0);
	assert_int_equal(u->count, 2);
	assert_memory_equal(u->in[1].bytes, tagged, len);
}

static void a_trunk_address_is_one_ports_in_all_its_vlans(void **state)
{
	struct guest *web = kit_guest(PG_WEB, mac_b, 0);
	uint32_t len = make(mac_broadcast, mac_a, 20);
	struct netport *np;

	kit_uplink(0);
	kit_wire_in(0, tagged, len, 0); /* learned outside before the port comes */
	assert_int_equal(vsw_guest_port_create(kit_vsw, PG_TRUNK, "twin", mac_b, &np), -EEXIST);
	struct guest *t = kit_guest(PG_TRUNK, mac_a, 0);
	assert_int_equal(vsw_guest_port_create(kit_vsw, PG_WEB, "twin", mac_a, &np), -EEXIST);
	kit_guest(PG_PLAIN, mac_a, 0); /* not one of the trunk's VLANs */
	kit_wire_in(0, tagged, len, 0);
	assert_int_equal(kit_uplink_drops(0, VSW_DROP_OWN_SOURCE), 1);
	make(mac_a, mac_b, 20);
	kit_send(web, frame, len - 4, len, NULL);
	assert_int_equal(t->count, 1);
	assert_int_equal(kit_wire_out(0, out), 0);
}

static void checksums_and_segments_work_behind_a_tag(void **state)
{
	struct guest *t = kit_guest(PG_TRUNK, mac_a, NETPORT_F_CSUM | NETPORT_F_TSO4 | NETPORT_F_ECN), *web = kit_guest(PG_WEB, mac_b, 0);
	uint32_t len = kit_tcp(frame, mac_b, mac_a, false, 3000, true), whole = len;
	struct netport_offload off = {
		.needs_csum = true, .csum_start = 38, .csum_offset = 16, .gso = NETPORT_GSO_TCPV4, .gso_size = 1000, .hdr_len = 58};

	len = kit_tag(frame, len, 20);
	kit_send(t, frame, len, 999, &off);
	assert_int_equal(web->count, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_true(kit_checksums_good(web->in[i].bytes, web->in[i].len));
	kit_tcp(frame, mac_a, mac_b, false, 3000, true);
	off.csum_start = 34;
	off.hdr_len = 54;
	kit_send(web, frame, whole, 999, &off);
	assert_int_equal(t->count, 1); /* as one frame, its numbers moved by the tag */
	assert_int_equal(t->in[0].len, whole + 4);
	assert_int_equal(t->in[0].off.csum_start, 38);
	assert_int_equal(t->in[0].off.hdr_len, 58);
	off.csum_start = 2; /* would be negative behind the tag */
	kit_tcp(frame, mac_b, mac_a, false, 100, true);
	kit_tag(frame, 154, 20);
	kit_send(t, frame, 158, 158, &off);
	assert_int_equal(kit_drops(t, VSW_DROP_BAD_OFFLOAD), 1);
}

static void the_mtu_is_the_port_groups(void **state)
{
	struct guest *small = kit_guest(PG_SMALL, mac_a, 0), *web = kit_guest(PG_WEB, mac_b, 0);
	uint32_t len = kit_eth(frame, mac_b, mac_a, 0x0800, 1401);

	assert_int_equal(small->np->mtu, 1400);
	kit_send(small, frame, len, len, NULL);
	assert_int_equal(kit_drops(small, VSW_DROP_OVERSIZE), 1);
	kit_send(small, frame, len - 1, len, NULL);
	assert_int_equal(web->count, 1);
	kit_eth(frame, mac_a, mac_b, 0x0800, 1401);
	kit_send(web, frame, len, len, NULL);
	assert_int_equal(kit_drops(small, VSW_DROP_OVERSIZE), 2);
	kit_send(web, frame, len - 1, len, NULL);
	assert_int_equal(small->count, 1);
}

static void an_uplink_carries_its_list(void **state)
{
	struct guest *web = kit_guest(PG_WEB, mac_a, 0), *db = kit_guest(PG_DB, mac_b, 0);
	uint32_t len = make(mac_x, mac_a, 20);

	kit_vsw->config.uplinks[0].vlans[0] = (struct vsw_vlan_range){30, 30};
	kit_vsw->config.uplinks[0].vlan_count = 1;
	kit_uplink(0);
	kit_send(web, frame, len - 4, len, NULL);
	assert_int_equal(kit_wire_out(0, out), 0);
	assert_int_equal(kit_uplink_drops(0, VSW_DROP_VLAN_NOT_ALLOWED), 1);
	make(mac_a, mac_x, 20);
	kit_wire_in(0, tagged, len, 0);
	assert_int_equal(kit_uplink_drops(0, VSW_DROP_VLAN_NOT_ALLOWED), 2);
	make(mac_b, mac_x, 30);
	kit_wire_in(0, tagged, len, 0);
	assert_int_equal(db->count, 1);
	make(mac_x, mac_b, 30);
	kit_send(db, frame, len - 4, len, NULL);
	assert_int_equal(kit_wire_out(0, out), len);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_trunk_guest_reaches_access_guests_by_tag),
		TEST(tags_outside_the_list_are_dropped),
		TEST(double_tags_hop_nowhere),
		TEST(a_trunk_and_the_wire_exchange_tags_with_priority),
		TEST(a_broadcast_is_tagged_for_trunks_only),
		TEST(a_trunk_address_is_one_ports_in_all_its_vlans),
		TEST(checksums_and_segments_work_behind_a_tag),
		TEST(the_mtu_is_the_port_groups),
		TEST(an_uplink_carries_its_list),
	};

	return cmocka_run_group_tests(tests, NULL, kit_end);
}
