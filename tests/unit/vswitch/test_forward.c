/* Where frames go: known and unknown unicast, flooding, VLANs, learning, teaming, promiscuous ports. */
#include "kit.h"

static uint8_t frame[FRAME_MAX], out[FRAME_MAX];

static void guests_of_one_vlan_talk_others_do_not(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_WEB, mac_b, 0), *c = kit_guest(PG_DB, mac_c, 0);
	uint32_t len = kit_eth(frame, mac_b, mac_a, 0x0800, 100);

	kit_send(a, frame, len, 17, NULL);
	assert_int_equal(b->count, 1);
	assert_int_equal(b->flushes, 1);
	assert_int_equal(b->in[0].len, len);
	assert_memory_equal(b->in[0].bytes, frame, len);
	kit_eth(frame, mac_c, mac_a, 0x0800, 100);
	kit_send(a, frame, len, len, NULL);
	assert_int_equal(c->count, 0);
	assert_int_equal(kit_drops(a, VSW_DROP_NO_UPLINK), 1);
}

static void broadcast_stays_in_its_vlan_and_leaves_tagged_once(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_WEB, mac_b, 0), *c = kit_guest(PG_DB, mac_c, 0);
	uint32_t len = kit_eth(frame, mac_broadcast, mac_a, 0x0806, 100);

	kit_uplink(0);
	kit_uplink(1);
	kit_send(a, frame, len, len, NULL);
	assert_int_equal(a->count, 0);
	assert_int_equal(b->count, 1);
	assert_int_equal(c->count, 0);
	assert_memory_equal(b->in[0].bytes, frame, len);
	kit_tag(frame, len, 20);
	assert_int_equal(kit_wire_out(0, out), len + 4);
	assert_memory_equal(out, frame, len + 4);
	assert_int_equal(kit_wire_out(0, out), 0);
	assert_int_equal(kit_wire_out(1, out), 0);
}

static void frames_from_the_wire_reach_their_vlan_only(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_PLAIN, mac_b, 0);
	uint32_t len = kit_eth(frame, mac_a, mac_x, 0x0800, 64);

	kit_uplink(0);
	kit_wire_in(0, frame, len, 0); /* untagged: mac_a is not in that domain */
	assert_int_equal(a->count, 0);
	assert_int_equal(kit_uplink_drops(0, VSW_DROP_NO_DESTINATION), 1);
	kit_tag(frame, len, 20);
	kit_wire_in(0, frame, len + 4, 0);
	assert_int_equal(a->count, 1);
	kit_eth(frame, mac_a, mac_x, 0x0800, 64);
	assert_memory_equal(a->in[0].bytes, frame, len);
	kit_tag(frame, len, 99);
	kit_wire_in(0, frame, len + 4, 0);
	assert_int_equal(kit_uplink_drops(0, VSW_DROP_VLAN_UNKNOWN), 1);
	kit_eth(frame, mac_broadcast, mac_x, 0x0806, 64);
	kit_wire_in(0, frame, len, 0);
	assert_int_equal(a->count, 1);
	assert_int_equal(b->count, 1);
}

static void unknown_unicast_goes_to_the_uplink_only(void **state)
{
	struct guest *a = kit_guest(PG_PLAIN, mac_a, 0), *b = kit_guest(PG_PLAIN, mac_b, 0);
	uint32_t len = kit_eth(frame, mac_x, mac_a, 0x0800, 64);

	kit_uplink(0);
	kit_send(a, frame, len, len, NULL);
	assert_int_equal(b->count, 0);
	assert_int_equal(kit_wire_out(0, out), len);
	assert_memory_equal(out, frame, len);
}

static void a_guest_may_not_forge_its_source(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_WEB, mac_b, 0), *o = kit_guest(PG_OPEN, mac_c, 0);
	uint32_t len = kit_eth(frame, mac_b, mac_x, 0x0800, 64);

	kit_send(a, frame, len, len, NULL);
	assert_int_equal(b->count, 0);
	assert_int_equal(kit_drops(a, VSW_DROP_FORGED_SOURCE), 1);
	kit_send(o, frame, len, len, NULL); /* its port group allows it, and the address is learned */
	assert_int_equal(b->count, 1);
	kit_eth(frame, mac_x, mac_b, 0x0800, 64);
	kit_send(b, frame, len, len, NULL);
	assert_int_equal(o->count, 1);
	kit_eth(frame, mac_b, mac_a, 0x0800, 64); /* but not another port's address */
	kit_send(o, frame, len, len, NULL);
	assert_int_equal(kit_drops(o, VSW_DROP_OWN_SOURCE), 1);
	frame[6] |= 1;
	kit_send(o, frame, len, len, NULL);
	assert_int_equal(kit_drops(o, VSW_DROP_BAD_SOURCE), 1);
}

static void own_addresses_from_outside_are_refused(void **state)
{
	struct guest *a = kit_guest(PG_PLAIN, mac_a, 0);
	uint32_t len = kit_eth(frame, mac_a, mac_a, 0x0800, 64);

	kit_uplink(0);
	kit_wire_in(0, frame, len, 0);
	assert_int_equal(a->count, 0);
	assert_int_equal(kit_uplink_drops(0, VSW_DROP_OWN_SOURCE), 1);
}

static void promiscuous_needs_permission(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_WEB, mac_b, 0), *o = kit_guest(PG_OPEN, mac_c, 0);
	uint32_t len = kit_eth(frame, mac_b, mac_a, 0x0800, 64);

	b->np->ops->set_filter(b->np, true, false);
	kit_send(a, frame, len, len, NULL);
	assert_int_equal(o->count, 0);
	o->np->ops->set_filter(o->np, true, false);
	kit_send(a, frame, len, len, NULL);
	assert_int_equal(b->count, 2);
	assert_int_equal(o->count, 1);
	assert_memory_equal(o->in[0].bytes, frame, len);
	kit_eth(frame, mac_x, mac_a, 0x0800, 64);
	kit_send(a, frame, len, len, NULL);
	assert_int_equal(b->count, 2); /* asked, but its port group says no */
	assert_int_equal(o->count, 2);
	o->np->ops->set_filter(o->np, false, false);
	kit_send(a, frame, len, len, NULL);
	assert_int_equal(o->count, 2);
}

static void mac_change_needs_permission(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *o = kit_guest(PG_OPEN, mac_c, 0);
	uint32_t len = kit_eth(frame, mac_x, mac_a, 0x0800, 64);

	a->np->ops->set_mac(a->np, mac_y);
	assert_int_equal(kit_port(a)->count.mac_change_rejected, 1);
	assert_memory_equal(a->np->mac, mac_a, 6);
	o->np->ops->set_mac(o->np, mac_a);
	assert_int_equal(kit_port(o)->count.mac_change_rejected, 1); /* in use */
	o->np->ops->set_mac(o->np, mac_x);
	assert_memory_equal(o->np->mac, mac_x, 6);
	kit_send(a, frame, len, len, NULL);
	assert_int_equal(o->count, 1);
}

static void one_mac_has_one_port_in_a_vlan(void **state)
{
	struct netport *np;

	kit_guest(PG_WEB, mac_a, 0);
	assert_int_equal(vsw_guest_port_create(kit_vsw, PG_OPEN, "twin", mac_a, &np), -EEXIST);
	assert_int_equal(vsw_guest_port_create(kit_vsw, PG_WEB, "group", mac_broadcast, &np), -EINVAL);
	assert_int_equal(vsw_guest_port_create(kit_vsw, 99, "nowhere", mac_b, &np), -EINVAL);
	kit_guest(PG_DB, mac_a, 0); /* another VLAN: another address space */
}

static void failover_takes_the_next_uplink(void **state)
{
	struct guest *a = kit_guest(PG_PLAIN, mac_a, 0);
	uint32_t len = kit_eth(frame, mac_x, mac_a, 0x0800, 64);

	kit_uplink(0);
	kit_uplink(1);
	kit_link(0, false);
	kit_send(a, frame, len, len, NULL);
	assert_int_equal(kit_wire_out(0, out), 0);
	assert_int_equal(kit_wire_out(1, out), len);
	kit_eth(frame, mac_broadcast, mac_x, 0x0800, 64);
	kit_wire_in(1, frame, len, 0);
	kit_wire_in(0, frame, len, 0); /* the same broadcast by the other uplink */
	assert_int_equal(a->count, 1);
	assert_int_equal(kit_uplink_drops(0, VSW_DROP_STANDBY_UPLINK), 1);
	kit_link(1, false);
	kit_send(a, frame, len, len, NULL);
	kit_link(0, true);
	kit_eth(frame, mac_x, mac_a, 0x0800, 64);
	kit_send(a, frame, len, len, NULL);
	assert_int_equal(kit_wire_out(0, out), len);
}

static void link_control_frames_are_never_forwarded(void **state)
{
	const uint8_t lldp[6] = {0x01, 0x80, 0xc2, 0, 0, 0x0e}, near_miss[6] = {0x01, 0x80, 0xc2, 0, 0, 0x10};
	struct guest *a = kit_guest(PG_PLAIN, mac_a, 0), *b = kit_guest(PG_PLAIN, mac_b, 0);
	uint32_t len = kit_eth(frame, lldp, mac_a, 0x88cc, 64);

	kit_send(a, frame, len, len, NULL);
	assert_int_equal(b->count, 0);
	assert_int_equal(kit_drops(a, VSW_DROP_LINK_CONTROL), 1);
	memcpy(frame, near_miss, 6);
	kit_send(a, frame, len, len, NULL);
	assert_int_equal(b->count, 1);
}

static void full_receivers_lose_only_their_own(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_WEB, mac_b, 0), *c = kit_guest(PG_WEB, mac_c, 0);
	uint32_t len = kit_eth(frame, mac_broadcast, mac_a, 0x0800, 64);

	b->room = 1;
	kit_send(a, frame, len, len, NULL);
	kit_send(a, frame, len, len, NULL);
	assert_int_equal(b->count, 1);
	assert_int_equal(kit_drops(b, VSW_DROP_RX_FULL), 1);
	assert_int_equal(c->count, 2);
	c->np->ops->set_client(c->np, NULL);
	kit_send(a, frame, len, len, NULL);
	assert_int_equal(kit_drops(c, VSW_DROP_NOT_CONNECTED), 1);
	assert_int_equal(kit_port(b)->count.drops, 2);
}

static void learned_addresses_age(void **state)
{
	struct guest *a = kit_guest(PG_PLAIN, mac_a, 0);
	uint32_t len = kit_eth(frame, mac_a, mac_x, 0x0800, 64);

	kit_uplink(0);
	kit_wire_in(0, frame, len, 0);
	assert_int_equal(a->count, 1);
	assert_int_equal(kit_vsw->switches[0]->fdb.learned, 1);
	for (unsigned s = 0; s < 16; s++) {
		native_time_advance(1100000000);
		native_core_step();
	}
	assert_int_equal(kit_vsw->switches[0]->fdb.learned, 0);
	kit_wire_in(0, frame, len, 0); /* own addresses do not */
	assert_int_equal(a->count, 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(guests_of_one_vlan_talk_others_do_not),
		TEST(broadcast_stays_in_its_vlan_and_leaves_tagged_once),
		TEST(frames_from_the_wire_reach_their_vlan_only),
		TEST(unknown_unicast_goes_to_the_uplink_only),
		TEST(a_guest_may_not_forge_its_source),
		TEST(own_addresses_from_outside_are_refused),
		TEST(promiscuous_needs_permission),
		TEST(mac_change_needs_permission),
		TEST(one_mac_has_one_port_in_a_vlan),
		TEST(failover_takes_the_next_uplink),
		TEST(link_control_frames_are_never_forwarded),
		TEST(full_receivers_lose_only_their_own),
		TEST(learned_addresses_age),
	};

	return cmocka_run_group_tests(tests, NULL, kit_end);
}
