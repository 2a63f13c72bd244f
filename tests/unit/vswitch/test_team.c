/* Failover, failback and what physical switches are told about it. */
#include "kit.h"

static uint8_t frame[FRAME_MAX], out[FRAME_MAX];

static unsigned sends_by(struct guest *g)
{
	uint32_t len = kit_eth(frame, mac_x, mac_a, 0x0800, 64);
	bool by[2];

	kit_send(g, frame, len, len, NULL);
	by[0] = kit_wire_out(0, out);
	by[1] = kit_wire_out(1, out);
	assert_int_equal(by[0] + by[1], 1);
	return by[1];
}

static void failback_waits_for_its_delay(void **state)
{
	struct guest *g = kit_guest(PG_PLAIN, mac_a, 0);

	kit_teaming(&(struct vsw_teaming_config){.has_load_balancing = true,
		.load_balancing = VSW_BALANCE_EXPLICIT,
		.has_failback_delay = true,
		.failback_delay_s = 5,
		.has_notify_switches = true});
	kit_uplink(1);
	assert_int_equal(sends_by(g), 1);
	kit_uplink(0); /* the first link of the host's start needs no delay */
	assert_int_equal(sends_by(g), 0);
	kit_link(0, false);
	assert_int_equal(sends_by(g), 1);
	kit_link(0, true);
	for (unsigned i = 0; i < 3; i++) {
		native_time_advance(1100000000);
		native_core_step();
		assert_int_equal(sends_by(g), 1);
	}
	kit_link(0, false); /* a flap begins anew */
	kit_link(0, true);
	for (unsigned i = 0; i < 4; i++) {
		native_time_advance(1100000000);
		native_core_step();
		assert_int_equal(sends_by(g), 1);
	}
	native_time_advance(1100000000);
	native_core_step();
	assert_int_equal(sends_by(g), 0);
}

static void without_failback_the_standby_stays(void **state)
{
	struct guest *g = kit_guest(PG_PLAIN, mac_a, 0);

	kit_uplink(0);
	kit_uplink(1);
	kit_link(0, false);
	kit_link(0, true);
	for (unsigned i = 0; i < 20; i++) {
		native_time_advance(1100000000);
		native_core_step();
	}
	assert_int_equal(sends_by(g), 1);
	kit_link(1, false); /* but is left at once when it fails */
	assert_int_equal(sends_by(g), 0);
	kit_link(1, true);
}

static void a_lost_link_is_seen_within_a_tenth_of_a_second(void **state)
{
	struct guest *g = kit_guest(PG_PLAIN, mac_a, 0);

	kit_uplink(0);
	kit_uplink(1);
	kit_link(1, true);
	kit_link_set(0, false);
	native_time_advance(VSW_WATCH_NS + 1);
	native_core_step();
	assert_int_equal(sends_by(g), 1);
	kit_link(0, true);
}

static unsigned rarps(unsigned uplink, const uint8_t mac[6], uint16_t vlan, unsigned *others)
{
	unsigned n = 0;
	uint32_t len;

	while ((len = kit_wire_out(uplink, out))) {
		uint32_t at = vlan ? 16 : 12;
		bool tag = vlan ? out[12] == 0x81 && (out[14] << 8 | out[15]) == vlan : true;

		if (tag && !memcmp(out, mac_broadcast, 6) && !memcmp(out + 6, mac, 6) && len == 60 + (vlan ? 4 : 0) &&
			!memcmp(out + at, (uint8_t[]){0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3}, 10) && !memcmp(out + at + 10, mac, 6) &&
			!memcmp(out + at + 20, mac, 6))
			n++;
		else
			++*others;
	}
	return n;
}

static void finish_notifying(void)
{
	for (unsigned i = 0; i < 40; i++) {
		native_time_advance(1000001);
		native_core_step();
	}
}

static void failover_announces_each_address_on_its_vlan(void **state)
{
	uint32_t len = kit_eth(frame, mac_x, mac_c, 0x0800, 64);
	unsigned others = 0;
	struct guest *t;

	kit_teaming(&(struct vsw_teaming_config){.has_load_balancing = true, .load_balancing = VSW_BALANCE_EXPLICIT, .has_failback = true});
	t = kit_guest(PG_TRUNK, mac_c, 0);
	len = kit_tag(frame, len, 25);
	kit_uplink(0);
	kit_uplink(1);
	finish_notifying();
	kit_send(t, frame, len, len, NULL);
	while (kit_wire_out(0, out))
		;
	kit_link(0, false);
	finish_notifying();
	assert_int_equal(rarps(1, mac_c, 25, &others), 1); /* the one VLAN that the trunk's guest uses */
	assert_int_equal(others, 0);
	kit_link(0, true);
	vsw_guest_port_destroy(t->np);
	t->np = NULL;
	assert_int_equal(vsw_guest_port_create(kit_vsw, PG_WEB, "again", mac_a, &t->np), 0);
	kit_link(1, false);
	finish_notifying();
	assert_int_equal(rarps(0, mac_a, 20, &others), 1);
	assert_int_equal(others, 0);
	assert_int_equal(kit_wire_out(1, out), 0);
	kit_link(1, true);
}

/* As tshark reads them: IGMPv3 and MLDv2 general queries, checksums right. */
static const uint8_t igmp_query[] = {0x46, 0xc0, 0, 0x24, 0, 0, 0, 0, 1, 2, 0x44, 0x13, 0, 0, 0, 0, 0xe0, 0, 0, 1, 0x94, 4, 0, 0, /* IPv4 */
	0x11, 0x0a, 0xec, 0x78, 0, 0, 0, 0, 2, 0x7d, 0, 0};
static const uint8_t mld_query[] = {0x60, 0, 0, 0, 0, 0x24, 0, 1, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x3a, 0, 5, 2, 0, 0, 1, 0, /* IPv6, router alert */
	0x82, 0, 0x79, 0xbf, 3, 0xe8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0x7d, 0, 0};

/* How many queries of each kind the guest got, in this VLAN (0: untagged); it got nothing else. */
static void asked(struct guest *g, uint16_t vlan, unsigned *igmp, unsigned *mld)
{
	uint32_t at = vlan ? 18 : 14;

	*igmp = *mld = 0;
	for (unsigned i = 0; i < g->count; i++) {
		const uint8_t *f = g->in[i].bytes;
		bool v4 = !memcmp(f, (uint8_t[]){1, 0, 0x5e, 0, 0, 1}, 6);

		if (vlan)
			assert_true(f[12] == 0x81 && !f[13] && (f[14] << 8 | f[15]) == vlan);
		assert_int_equal(f[at - 2] << 8 | f[at - 1], v4 ? 0x0800 : 0x86dd);
		assert_int_equal(g->in[i].len, at + (v4 ? 46 : sizeof(mld_query)));
		if (!v4)
			assert_memory_equal(f, ((uint8_t[]){0x33, 0x33, 0, 0, 0, 1}), 6);
		assert_memory_equal(f + at, v4 ? igmp_query : mld_query, v4 ? sizeof(igmp_query) : sizeof(mld_query));
		++*(v4 ? igmp : mld);
	}
	kit_guest_forget(g);
}

static void failover_asks_guests_for_their_groups(void **state)
{
	struct guest *web, *trunk, *stays, *off;
	static const uint8_t mac_d[6] = {0x52, 0x54, 0, 0, 0, 0x0d};
	uint32_t len;
	unsigned igmp, mld;

	kit_teaming(&(struct vsw_teaming_config){.has_load_balancing = true, .load_balancing = VSW_BALANCE_EXPLICIT});
	kit_vsw->config.portgroups[PG_DB].teaming = (struct vsw_teaming_config){.active_count = 1, .active = {1}};
	vsw_teams_apply(kit_vsw);
	web = kit_guest(PG_WEB, mac_a, 0);
	trunk = kit_guest(PG_TRUNK, mac_b, 0);
	stays = kit_guest(PG_DB, mac_c, 0);
	off = kit_guest(PG_WEB, mac_d, 0);
	kit_uplink(0);
	kit_uplink(1);
	finish_notifying();
	len = kit_tag(frame, kit_eth(frame, mac_x, mac_b, 0x0800, 64), 25);
	kit_send(trunk, frame, len, len, NULL);
	off->np->ops->set_client(off->np, NULL);
	kit_guest_forget(web);
	kit_guest_forget(trunk);
	kit_guest_forget(stays);
	kit_guest_forget(off);
	kit_link(0, false);
	finish_notifying();
	asked(web, 0, &igmp, &mld);
	assert_true(igmp == 1 && mld == 1);
	asked(trunk, 25, &igmp, &mld); /* the one VLAN that it uses */
	assert_true(igmp == 1 && mld == 1);
	assert_int_equal(stays->count + off->count, 0);
	assert_int_equal(kit_port(off)->count.drops, 0);
	finish_notifying();
	assert_int_equal(web->count + trunk->count, 0); /* once */
	kit_link(0, true);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(failback_waits_for_its_delay),
		TEST(without_failback_the_standby_stays),
		TEST(a_lost_link_is_seen_within_a_tenth_of_a_second),
		TEST(failover_announces_each_address_on_its_vlan),
		TEST(failover_asks_guests_for_their_groups),
	};

	return cmocka_run_group_tests(tests, NULL, kit_end);
}
