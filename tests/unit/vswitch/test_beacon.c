/*
 * Beacon probing over a physical network made of the test's hands: what leaves by an uplink is flooded to the other uplinks that the
 * network carries. A black hole is an uplink that it does not carry, in one direction or both, while its link is up.
 */
#include "kit.h"

#include "control.h"

static uint8_t frame[FRAME_MAX], out[FRAME_MAX];
static bool to_network[KIT_UPLINKS], from_network[KIT_UPLINKS];
static unsigned beacons;
static uint8_t last[FRAME_MAX];
static uint32_t last_len;

static bool is_beacon(const uint8_t *f)
{
	return vsw_load_mac(f) == VSW_BEACON_MAC;
}

/* One turn of the network: everything on the wires goes to the other wires. */
static void carry(void)
{
	for (unsigned i = 0; i < KIT_UPLINKS; i++) {
		uint32_t len;

		while ((len = kit_wire_out(i, out))) {
			if (is_beacon(out)) {
				beacons++;
				memcpy(last, out, len);
				last_len = len;
			}
			for (unsigned k = 0; k < KIT_UPLINKS; k++) {
				if (k != i && to_network[i] && from_network[k] && kit_vsw->uplinks[k])
					kit_wire_in(k, out, len, 0);
			}
		}
	}
}

static void run(unsigned ms)
{
	for (unsigned t = 0; t < ms; t += 100) {
		native_time_advance(100000001);
		native_core_step();
		carry();
	}
}

static void begin(unsigned uplinks)
{
	kit_vsw->config.switches[0].beacon = (struct vsw_beacon_config){.interval_ms = 200, .loss = 3};
	kit_teaming(&(struct vsw_teaming_config){.has_failure_detection = true,
		.failure_detection = VSW_DETECT_BEACON,
		.has_load_balancing = true,
		.load_balancing = VSW_BALANCE_EXPLICIT,
		.has_notify_switches = true});
	for (unsigned i = 0; i < KIT_UPLINKS; i++) {
		to_network[i] = from_network[i] = true;
		if (i < uplinks)
			kit_uplink(i);
	}
	beacons = 0;
}

static unsigned sends_by(struct guest *g)
{
	uint32_t len = kit_eth(frame, mac_x, mac_a, 0x0800, 64);
	unsigned by = 0;

	carry();
	kit_send(g, frame, len, len, NULL);
	for (unsigned i = 0; i < KIT_UPLINKS; i++) {
		while (kit_wire_out(i, out))
			by |= is_beacon(out) ? 0 : 1u << i;
	}
	return by;
}

static void each_uplink_sends_in_its_interval_on_the_port_groups_vlan(void **state)
{
	begin(3);
	run(2000);
	assert_in_range(beacons, 3 * 9, 3 * 11);
	assert_int_equal(last_len, 64);
	assert_memory_equal(last + 12, ((uint8_t[]){0x81, 0, 0, 20, 0x88, 0xb5}), 6);
}

static void a_black_hole_is_left_within_the_detection_time(void **state)
{
	struct guest *g = kit_guest(PG_PLAIN, mac_a, 0);

	begin(3);
	run(2000);
	assert_int_equal(sends_by(g), 1);
	to_network[0] = from_network[0] = false;
	run(400);
	assert_int_equal(sends_by(g), 1);
	run(400); /* interval 200 ms, three of them, looked at each 100 ms */
	assert_int_equal(sends_by(g), 2);
	to_network[0] = from_network[0] = true;
	run(400);
	assert_int_equal(sends_by(g), 2); /* good again only after it was so for the detection time */
	run(800);
	assert_int_equal(sends_by(g), 1);
}

static void one_direction_is_enough_to_be_cut_off(void **state)
{
	struct guest *g = kit_guest(PG_PLAIN, mac_a, 0);

	begin(3);
	run(2000);
	to_network[0] = false; /* it still hears the others */
	run(900);
	assert_int_equal(sends_by(g), 2);
	to_network[0] = true;
	from_network[0] = false;
	run(3000);
	assert_int_equal(sends_by(g), 2);
}

static void of_two_the_one_that_still_receives_is_good(void **state)
{
	struct guest *g = kit_guest(PG_PLAIN, mac_a, 0);
	uint32_t len;

	begin(2);
	run(2000);
	to_network[0] = from_network[0] = false;
	run(900);
	assert_int_equal(sends_by(g), 1); /* nobody receives anything: it cannot be told */
	len = kit_eth(frame, mac_broadcast, mac_x, 0x0806, 64);
	kit_wire_in(1, frame, len, 0);
	run(100);
	assert_int_equal(sends_by(g), 2);
	to_network[0] = from_network[0] = true;
	run(1500);
	assert_int_equal(sends_by(g), 1);
}

static void all_silent_changes_nothing(void **state)
{
	struct guest *g = kit_guest(PG_PLAIN, mac_a, 0);

	begin(3);
	run(2000);
	memset(to_network, 0, sizeof(to_network));
	run(3000);
	assert_int_equal(sends_by(g), 1);
	for (unsigned i = 0; i < KIT_UPLINKS; i++)
		assert_false(vsw_uplink_port(kit_vsw->uplinks[i])->beacon.lost);
}

static void a_link_that_comes_back_must_first_carry_beacons(void **state)
{
	struct guest *g = kit_guest(PG_PLAIN, mac_a, 0);

	begin(3);
	run(2000);
	to_network[0] = from_network[0] = false; /* the switch boots: link first, forwarding later */
	kit_link_set(0, false);
	run(300);
	kit_link_set(0, true);
	run(3000);
	assert_int_equal(sends_by(g), 2);
	to_network[0] = from_network[0] = true;
	run(1200);
	assert_int_equal(sends_by(g), 1);
}

static void link_detection_does_not_look_at_beacons(void **state)
{
	struct guest *web = kit_guest(PG_WEB, mac_a, 0);

	kit_vsw->config.portgroups[PG_WEB].teaming =
		(struct vsw_teaming_config){.has_failure_detection = true, .failure_detection = VSW_DETECT_LINK};
	begin(3);
	run(2000);
	to_network[0] = from_network[0] = false;
	run(1500);
	assert_int_equal(sends_by(web), 1);
	assert_true(vsw_uplink_port(kit_vsw->uplinks[0])->beacon.lost);
}

/* Somebody repeats what he saw, or makes some up. */
static void foreign_and_old_beacons_do_not_count(void **state)
{
	struct guest *g = kit_guest(PG_PLAIN, mac_a, 0);

	begin(3);
	run(2000);
	memcpy(frame, last, last_len);
	to_network[0] = false;
	for (unsigned i = 0; i < 30; i++) {
		uint8_t forged[FRAME_MAX];

		memcpy(forged, last, last_len);
		forged[30] = 0;  /* as if from uplink 0 */
		forged[34] ^= 1; /* but another host's */
		kit_wire_in(1, forged, last_len, 0);
		kit_wire_in(2, forged, last_len, 0);
		frame[30] = 0; /* ours, an old one */
		kit_wire_in(1, frame, last_len, 0);
		kit_wire_in(2, frame, last_len, 0);
		kit_wire_in(2, frame, 40, 0);
		run(100);
	}
	assert_int_equal(sends_by(g), 2);
	assert_true(kit_uplink_drops(1, VSW_DROP_LINK_CONTROL) >= 30);
}

static void guests_cannot_send_beacons_and_do_not_get_them(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_WEB, mac_b, 0);
	uint8_t to[6];
	uint32_t len;

	begin(3);
	run(1000);
	assert_int_equal(a->count, 0);
	vsw_store_mac(to, VSW_BEACON_MAC);
	len = kit_eth(frame, to, mac_a, 0x88b5, 60);
	kit_send(a, frame, len, len, NULL);
	assert_int_equal(kit_drops(a, VSW_DROP_LINK_CONTROL), 1);
	assert_int_equal(b->count, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_uplink_sends_in_its_interval_on_the_port_groups_vlan),
		TEST(a_black_hole_is_left_within_the_detection_time),
		TEST(one_direction_is_enough_to_be_cut_off),
		TEST(of_two_the_one_that_still_receives_is_good),
		TEST(all_silent_changes_nothing),
		TEST(a_link_that_comes_back_must_first_carry_beacons),
		TEST(link_detection_does_not_look_at_beacons),
		TEST(foreign_and_old_beacons_do_not_count),
		TEST(guests_cannot_send_beacons_and_do_not_get_them),
	};

	return cmocka_run_group_tests(tests, NULL, kit_end);
}
