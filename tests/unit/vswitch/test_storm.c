/* vswitch/storm.c: limits by class, events, what is never limited; policies of a NIC over its port group's. */
#include "kit.h"

#include "filter.h"

static struct guest *a, *b;
static uint8_t frame[2000];

static int setup(void **state)
{
	kit_setup(state);
	kit_uplink(0);
	a = kit_guest(PG_WEB, mac_a, 0);
	b = kit_guest(PG_WEB, mac_b, 0);
	return 0;
}

static void limit(struct guest *g, uint32_t broadcast, uint32_t multicast, uint32_t unknown)
{
	struct vsw_port_config c = {.has_storm = true, .storm = {broadcast, multicast, unknown}};

	vsw_guest_port_apply(g->np, &c);
}

static void send(const uint8_t dst[6], unsigned count)
{
	static uint8_t out[2000];

	for (unsigned i = 0; i < count; i++) {
		kit_send(a, frame, kit_eth(frame, dst, mac_a, 0x0800, 50), 100, NULL);
		while (kit_wire_out(0, out))
			;
	}
}

static void each_class_by_itself(void **state)
{
	static const uint8_t group[6] = {1, 0, 0x5e, 1, 2, 3};

	limit(a, 1000, 500, 400);
	send(mac_broadcast, 200);
	assert_int_equal(b->count, 100); /* a tenth of a second's */
	assert_int_equal(kit_drops(a, VSW_DROP_STORM_BROADCAST), 100);
	kit_guest_forget(b);
	send(group, 200);
	assert_int_equal(b->count, 50);
	assert_int_equal(kit_drops(a, VSW_DROP_STORM_MULTICAST), 150);
	kit_guest_forget(b);
	send(mac_x, 200);
	assert_int_equal(kit_drops(a, VSW_DROP_STORM_UNKNOWN), 160);
	send(mac_b, 200); /* known */
	assert_int_equal(b->count, 200);
	assert_int_equal(kit_port(a)->count.drops, 100 + 150 + 160);
	kit_guest_forget(b);
	native_time_advance(10000000);
	send(mac_broadcast, 200);
	assert_int_equal(b->count, 10); /* 10 ms later */
}

static unsigned events(const char *event)
{
	unsigned n = 0;

	for (const char *at = native_log_text(); (at = strstr(at, event)); at++)
		n++;
	return n;
}

static void begin_and_end_are_logged_once(void **state)
{
	limit(a, 1000, 0, 0);
	send(mac_broadcast, 100);
	assert_int_equal(events("vswitch.storm.begin"), 0);
	for (unsigned second = 0; second < 3; second++) {
		send(mac_broadcast, 200);
		native_time_advance(1000000000);
		native_core_step();
		assert_int_equal(events("vswitch.storm.begin"), 1);
		assert_int_equal(events("vswitch.storm.end"), 0);
	}
	native_time_advance(1000000000);
	native_core_step();
	assert_int_equal(events("vswitch.storm.end"), 1);
	assert_non_null(strstr(native_log_text(), "400 were dropped"));
	send(mac_broadcast, 150);
	assert_int_equal(events("vswitch.storm.begin"), 2);
	limit(a, 0, 0, 0);
	assert_int_equal(events("vswitch.storm.end"), 2);
	assert_int_equal(kit_port(a)->filters_in, 0);
}

static void uplinks_have_limits_too(void **state)
{
	static const uint8_t lldp[6] = {1, 0x80, 0xc2, 0, 0, 0xe};
	const struct vsw_storm_config c = {.broadcast_pps = 1000, .multicast_pps = 1};

	vsw_storm_apply(vsw_uplink_port(kit_vsw->uplinks[0]), &c);
	for (unsigned i = 0; i < 110; i++)
		kit_wire_in(0, frame, kit_tag(frame, kit_eth(frame, mac_broadcast, mac_x, 0x0800, 50), 20), 0);
	assert_int_equal(b->count, 100);
	assert_int_equal(kit_uplink_drops(0, VSW_DROP_STORM_BROADCAST), 10);
	/* Control frames are not counted, whatever there is. */
	for (unsigned i = 0; i < 110; i++)
		kit_wire_in(0, frame, kit_eth(frame, lldp, mac_x, 0x88cc, 50), 0);
	assert_int_equal(kit_uplink_drops(0, VSW_DROP_STORM_MULTICAST), 0);
}

/* ---- policies of a NIC ---- */

static void a_nic_overrides_its_group(void **state)
{
	struct vsw_port_config own = {.policy = {.forged_transmits = true, .has_forged_transmits = true}};
	struct guest *open = kit_guest(PG_OPEN, mac_c, 0);

	kit_send(a, frame, kit_eth(frame, mac_b, mac_y, 0x0800, 50), 100, NULL);
	assert_int_equal(kit_drops(a, VSW_DROP_FORGED_SOURCE), 1);
	vsw_guest_port_apply(a->np, &own);
	kit_send(a, frame, kit_eth(frame, mac_b, mac_y, 0x0800, 50), 100, NULL);
	assert_int_equal(b->count, 1);
	a->np->ops->set_mac(a->np, mac_x); /* not overridden: the group's no */
	assert_int_equal(kit_port(a)->count.mac_change_rejected, 1);
	own.policy.mac_changes = own.policy.has_mac_changes = true;
	vsw_guest_port_apply(a->np, &own);
	a->np->ops->set_mac(a->np, mac_x);
	assert_int_equal(kit_port(a)->mac, vsw_load_mac(mac_x));
	own = (struct vsw_port_config){.policy = {.has_promiscuous = true}};
	open->np->ops->set_filter(open->np, true, false);
	kit_send(b, frame, kit_eth(frame, mac_x, mac_b, 0x0800, 50), 100, NULL);
	assert_int_equal(open->count, 1); /* it sees what is not for it, as its group allows */
	vsw_guest_port_apply(open->np, &own);
	kit_send(b, frame, kit_eth(frame, mac_x, mac_b, 0x0800, 50), 100, NULL);
	assert_int_equal(open->count, 1);
	own.policy.has_promiscuous = false;
	vsw_guest_port_apply(open->np, &own); /* its guest asked, and may again */
	kit_send(b, frame, kit_eth(frame, mac_x, mac_b, 0x0800, 50), 100, NULL);
	assert_int_equal(open->count, 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_class_by_itself),
		TEST(begin_and_end_are_logged_once),
		TEST(uplinks_have_limits_too),
		TEST(a_nic_overrides_its_group),
	};

	return cmocka_run_group_tests(tests, NULL, kit_end);
}
