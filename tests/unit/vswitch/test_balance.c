/* Several uplinks at once: who sends by which, what arrives by which, and that a flood on all of them is delivered once. */
#include "kit.h"

#include <vswitch/teaming.h>

static uint8_t frame[FRAME_MAX], out[FRAME_MAX];

/* Takes everything off the wires; returns the bits of those that had something. */
static unsigned wires(void)
{
	unsigned bits = 0;

	for (unsigned i = 0; i < KIT_UPLINKS; i++) {
		while (kit_wire_out(i, out))
			bits |= 1u << i;
	}
	return bits;
}

static unsigned sends_by(struct guest *g, const uint8_t src[6])
{
	uint32_t len = kit_eth(frame, mac_x, src, 0x0800, 64);

	kit_send(g, frame, len, len, NULL);
	return wires();
}

/* One flow of TCP over IPv4, by its source port. */
static unsigned flow_by(struct guest *g, uint16_t port, uint8_t fragment)
{
	uint32_t len = kit_tcp(frame, mac_x, mac_a, false, 100, false);

	frame[34] = (uint8_t)(port >> 8);
	frame[35] = (uint8_t)port;
	frame[20] = fragment;
	kit_send(g, frame, len, len, NULL);
	return wires();
}

static void three_uplinks(uint8_t balance)
{
	kit_teaming(&(struct vsw_teaming_config){.has_load_balancing = true, .load_balancing = balance, .has_notify_switches = true});
	for (unsigned i = 0; i < KIT_UPLINKS; i++)
		kit_uplink(i);
}

static void links_up(void)
{
	for (unsigned i = 0; i < KIT_UPLINKS; i++)
		kit_link(i, true);
}

static void broadcast_on_all_wires(uint16_t vlan)
{
	uint32_t len = kit_eth(frame, mac_broadcast, mac_x, 0x0806, 64);

	if (vlan)
		len = kit_tag(frame, len, vlan);
	for (unsigned i = 0; i < KIT_UPLINKS; i++) {
		if (kit_vsw->uplinks[i])
			kit_wire_in(i, frame, len, 0);
	}
}

static void ports_are_spread_and_only_those_of_a_lost_uplink_move(void **state)
{
	struct guest *g[6];
	unsigned before[6], seen = 0;
	uint8_t mac[6];

	three_uplinks(VSW_BALANCE_PORT);
	memcpy(mac, mac_a, 6);
	for (unsigned i = 0; i < 6; i++) {
		mac[5] = (uint8_t)(0x40 + i);
		g[i] = kit_guest(PG_PLAIN, mac, 0);
		before[i] = sends_by(g[i], mac);
		seen |= before[i];
	}
	assert_int_equal(seen, 7);
	kit_link(1, false);
	for (unsigned i = 0; i < 6; i++) {
		mac[5] = (uint8_t)(0x40 + i);
		seen = sends_by(g[i], mac);
		if (before[i] == 2)
			assert_true(seen == 1 || seen == 4);
		else
			assert_int_equal(seen, before[i]);
	}
	kit_link(1, true);
	for (unsigned i = 0; i < 6; i++) {
		mac[5] = (uint8_t)(0x40 + i);
		assert_int_equal(sends_by(g[i], mac), before[i]);
	}
}

static void a_flood_on_all_uplinks_reaches_each_port_once(void **state)
{
	struct guest *g[3] = {kit_guest(PG_PLAIN, mac_a, 0), kit_guest(PG_PLAIN, mac_b, 0), kit_guest(PG_PLAIN, mac_c, 0)};
	uint64_t dropped = 0;

	for (uint8_t balance = VSW_BALANCE_PORT; balance <= VSW_BALANCE_EXPLICIT; balance++) {
		if (balance == VSW_BALANCE_IP_HASH)
			continue;
		if (balance == VSW_BALANCE_PORT)
			three_uplinks(balance);
		else
			kit_teaming(&(struct vsw_teaming_config){.has_load_balancing = true, .load_balancing = balance});
		if (balance == VSW_BALANCE_EXPLICIT)
			dropped = kit_uplink_drops(1, VSW_DROP_STANDBY_UPLINK);
		broadcast_on_all_wires(0);
		for (unsigned i = 0; i < 3; i++) {
			assert_int_equal(g[i]->count, 1);
			kit_guest_forget(g[i]);
		}
		assert_int_equal(wires(), 0); /* nothing goes from uplink to uplink */
	}
	assert_int_equal(kit_uplink_drops(1, VSW_DROP_STANDBY_UPLINK), dropped + 1); /* explicit: nobody takes them from there */
}

static void an_aggregate_brings_a_flood_on_any_member(void **state)
{
	struct guest *g = kit_guest(PG_PLAIN, mac_a, 0);
	uint32_t len;

	three_uplinks(VSW_BALANCE_IP_HASH);
	for (unsigned i = 0; i < KIT_UPLINKS; i++) {
		len = kit_eth(frame, mac_broadcast, mac_x, 0x0806, 64);
		kit_wire_in(i, frame, len, 0);
		assert_int_equal(g->count, i + 1);
	}
	assert_int_equal(wires(), 0);
}

static void flows_are_spread_by_ip_hash_and_fragments_stay_together(void **state)
{
	struct guest *g = kit_guest(PG_PLAIN, mac_a, 0);
	unsigned seen = 0, count[8] = {0};

	three_uplinks(VSW_BALANCE_IP_HASH);
	for (uint16_t port = 1000; port < 1090; port++) {
		unsigned by = flow_by(g, port, 0x40);

		assert_true(by == 1 || by == 2 || by == 4);
		assert_int_equal(flow_by(g, port, 0x40), by);
		count[by]++;
	}
	assert_true(count[1] > 10 && count[2] > 10 && count[4] > 10);
	for (uint16_t port = 1000; port < 1050; port++)
		seen |= flow_by(g, port, 0x20); /* more fragments */
	assert_true(seen == 1 || seen == 2 || seen == 4);
	kit_link(0, false);
	for (uint16_t port = 1000; port < 1050; port++)
		assert_int_equal(flow_by(g, port, 0x40) & ~6u, 0);
	links_up();
}

static void short_ip_headers_are_not_read_past_their_end(void **state)
{
	struct guest *g = kit_guest(PG_PLAIN, mac_a, 0);

	three_uplinks(VSW_BALANCE_IP_HASH);
	for (uint32_t payload = 0; payload < 60; payload++) {
		for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
			uint32_t len = kit_eth(frame, mac_x, mac_a, ipv6 ? 0x86dd : 0x0800, payload);

			frame[14] = ipv6 ? 0x60 : (uint8_t)(0x40 | payload % 16);
			kit_send(g, frame, len, len, NULL);
			assert_int_equal(__builtin_popcount(wires()), 1);
		}
	}
}

static void by_mac_each_source_has_its_uplink(void **state)
{
	struct guest *g;
	uint8_t mac[6];
	unsigned seen = 0;

	three_uplinks(VSW_BALANCE_MAC);
	g = kit_guest(PG_OPEN, mac_a, 0);
	memcpy(mac, mac_a, 6);
	for (unsigned i = 0; i < 40; i++) {
		unsigned by;

		mac[4] = (uint8_t)(i + 1);
		by = sends_by(g, mac);
		assert_int_equal(__builtin_popcount(by), 1);
		assert_int_equal(sends_by(g, mac), by);
		seen |= by;
	}
	assert_int_equal(seen, 7);
}

static void a_standby_takes_the_place_of_one_that_fails(void **state)
{
	struct guest *a = kit_guest(PG_PLAIN, mac_a, 0), *b = kit_guest(PG_PLAIN, mac_b, 0);

	kit_teaming(&(struct vsw_teaming_config){
		.has_notify_switches = true, .active_count = 2, .active = {0, 1}, .standby_count = 1, .standby = {2}});
	for (unsigned i = 0; i < KIT_UPLINKS; i++)
		kit_uplink(i);
	assert_int_equal(sends_by(a, mac_a) | sends_by(b, mac_b), 3);
	kit_link(1, false);
	assert_int_equal(sends_by(a, mac_a) | sends_by(b, mac_b), 5);
	kit_link(0, false);
	assert_int_equal(sends_by(a, mac_a) | sends_by(b, mac_b), 4);
	kit_link(2, false);
	assert_int_equal(sends_by(a, mac_a), 0);
	assert_int_equal(kit_drops(a, VSW_DROP_NO_UPLINK), 1);
	links_up();
	assert_int_equal(sends_by(a, mac_a) | sends_by(b, mac_b), 3);
}

static void without_failback_an_uplink_waits_until_another_fails(void **state)
{
	struct guest *a = kit_guest(PG_PLAIN, mac_a, 0), *b = kit_guest(PG_PLAIN, mac_b, 0);

	kit_teaming(&(struct vsw_teaming_config){
		.has_notify_switches = true, .active_count = 2, .active = {0, 1}, .unused_count = 1, .unused = {2}, .has_failback = true});
	kit_uplink(0);
	kit_uplink(1);
	kit_link(1, false);
	kit_link(1, true);
	assert_int_equal(sends_by(a, mac_a) | sends_by(b, mac_b), 1);
	kit_link(0, false);
	assert_int_equal(sends_by(a, mac_a) | sends_by(b, mac_b), 2);
	kit_link(0, true);
	assert_int_equal(sends_by(a, mac_a) | sends_by(b, mac_b), 2);
}

static void a_port_group_has_its_own_order_and_an_unused_uplink_is_silent(void **state)
{
	struct guest *web = kit_guest(PG_WEB, mac_a, 0), *plain = kit_guest(PG_PLAIN, mac_b, 0);
	uint32_t len;

	kit_vsw->config.portgroups[PG_WEB].teaming =
		(struct vsw_teaming_config){.active_count = 1, .active = {1}, .standby_count = 1, .standby = {0}};
	kit_teaming(&(struct vsw_teaming_config){
		.has_load_balancing = true, .load_balancing = VSW_BALANCE_EXPLICIT, .has_notify_switches = true});
	for (unsigned i = 0; i < KIT_UPLINKS; i++)
		kit_uplink(i);
	assert_int_equal(sends_by(web, mac_a), 2);
	assert_int_equal(sends_by(plain, mac_b), 1);
	broadcast_on_all_wires(20);
	assert_int_equal(web->count, 1);
	for (unsigned i = 0; i < KIT_UPLINKS; i++) {
		len = kit_tag(frame, kit_eth(frame, mac_a, mac_x, 0x0800, 64), 20);
		kit_wire_in(i, frame, len, 0);
	}
	assert_int_equal(web->count, 3); /* the broadcast; unicast by the active and the standby one */
	assert_int_equal(kit_uplink_drops(2, VSW_DROP_UNUSED_UPLINK), 1);
	kit_link(1, false);
	assert_int_equal(sends_by(web, mac_a), 1);
	kit_link(0, false);
	assert_int_equal(sends_by(web, mac_a), 0); /* though up2 is up */
	assert_int_equal(sends_by(plain, mac_b), 4);
	links_up();
}

static void own_floods_that_come_back_teach_nothing(void **state)
{
	struct guest *open, *web;
	uint8_t nested[6] = {0x52, 0x54, 0, 9, 9, 9};
	uint32_t len;

	kit_teaming(&(struct vsw_teaming_config){0});
	kit_uplink(0);
	kit_uplink(1);
	kit_uplink(2);
	open = kit_guest(PG_OPEN, mac_a, 0);
	web = kit_guest(PG_WEB, mac_b, 0);
	len = kit_eth(frame, mac_broadcast, nested, 0x0806, 64);
	kit_send(open, frame, len, len, NULL);
	assert_int_equal(web->count, 1);
	unsigned by = wires();
	len = kit_tag(frame, kit_eth(frame, mac_broadcast, nested, 0x0806, 64), 20);
	for (unsigned i = 0; i < KIT_UPLINKS; i++) {
		if (!(by >> i & 1)) {
			kit_wire_in(i, frame, len, 0);
			assert_int_equal(kit_uplink_drops(i, VSW_DROP_OWN_SOURCE), 1);
		}
	}
	assert_int_equal(web->count, 1);
	len = kit_eth(frame, nested, mac_b, 0x0800, 64);
	kit_send(web, frame, len, len, NULL);
	assert_int_equal(wires(), 0); /* it still lives here */
	assert_int_equal(open->count, 1);
	len = kit_tag(frame, kit_eth(frame, mac_broadcast, nested, 0x0806, 64), 20); /* moved to another host: by the uplink it left by */
	kit_wire_in((unsigned)__builtin_ctz(by), frame, len, 0);
	len = kit_eth(frame, nested, mac_b, 0x0800, 64);
	kit_send(web, frame, len, len, NULL);
	assert_int_equal(__builtin_popcount(wires()), 1);
}

static void lists_resolve(void **state)
{
	struct vsw_switch_config sw = {.uplink_count = 3, .uplinks = {4, 5, 6}};
	struct vsw_teaming_config own = {.standby_count = 1, .standby = {5}, .has_failback = true}, is;

	vsw_teaming_resolve(&sw, NULL, &is);
	assert_int_equal(is.active_count, 3);
	assert_true(is.failback && is.notify_switches);
	vsw_teaming_resolve(&sw, &own, &is);
	assert_int_equal(is.active_count, 2);
	assert_int_equal(is.active[0], 4);
	assert_int_equal(is.active[1], 6);
	assert_false(is.failback);
	sw.teaming = (struct vsw_teaming_config){
		.active_count = 1, .active = {6}, .has_load_balancing = true, .load_balancing = VSW_BALANCE_MAC};
	vsw_teaming_resolve(&sw, &own, &is); /* the port group's lists are all three its own */
	assert_int_equal(is.active_count, 2);
	assert_int_equal(is.load_balancing, VSW_BALANCE_MAC);
}

static void a_change_of_teaming_keeps_what_it_does_not_touch(void **state)
{
	struct guest *web = kit_guest(PG_WEB, mac_a, 0), *plain = kit_guest(PG_PLAIN, mac_b, 0);

	kit_uplink(0);
	kit_uplink(1);
	kit_link(0, false);
	kit_link(0, true); /* no failback: all stay on up1 */
	assert_int_equal(sends_by(plain, mac_b), 2);
	kit_vsw->config.portgroups[PG_WEB].teaming =
		(struct vsw_teaming_config){.active_count = 1, .active = {0}, .unused_count = 2, .unused = {1, 2}};
	vsw_teams_apply(kit_vsw);
	assert_int_equal(sends_by(web, mac_a), 1);
	assert_int_equal(sends_by(plain, mac_b), 2);
	kit_vsw->config.portgroups[PG_WEB].teaming = (struct vsw_teaming_config){0};
	vsw_teams_apply(kit_vsw);
	assert_int_equal(sends_by(web, mac_a), 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ports_are_spread_and_only_those_of_a_lost_uplink_move),
		TEST(a_flood_on_all_uplinks_reaches_each_port_once),
		TEST(an_aggregate_brings_a_flood_on_any_member),
		TEST(flows_are_spread_by_ip_hash_and_fragments_stay_together),
		TEST(short_ip_headers_are_not_read_past_their_end),
		TEST(by_mac_each_source_has_its_uplink),
		TEST(a_standby_takes_the_place_of_one_that_fails),
		TEST(without_failback_an_uplink_waits_until_another_fails),
		TEST(a_port_group_has_its_own_order_and_an_unused_uplink_is_silent),
		TEST(own_floods_that_come_back_teach_nothing),
		TEST(lists_resolve),
		TEST(a_change_of_teaming_keeps_what_it_does_not_touch),
	};

	return cmocka_run_group_tests(tests, NULL, kit_end);
}
