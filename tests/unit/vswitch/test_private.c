/* vswitch/private.c: who reaches whom in a private VLAN, by unicast and flood, on this host and over the wire; whose MAC address is whose.
 */
#include "kit.h"

#include <rte_mempool.h>

enum role { PROMISCUOUS, ISOLATED, BLUE, GREEN, ROLES };

static const unsigned group_of[ROLES] = {PG_PROMISCUOUS, PG_ISOLATED, PG_BLUE, PG_GREEN};
static const uint16_t vlan_of[ROLES] = {100, 101, 110, 120};
/* RFC 5517 section 3: from row to column. */
static const bool reaches[ROLES][ROLES] = {{1, 1, 1, 1}, {1, 0, 0, 0}, {1, 0, 1, 0}, {1, 0, 0, 1}};

static struct guest *guests[2 * ROLES]; /* two of each role */

static enum role role(unsigned i)
{
	return (enum role)(i % ROLES);
}

static const uint8_t *mac_of(unsigned i)
{
	static uint8_t macs[2 * ROLES][6];

	memcpy(macs[i], (uint8_t[]){0x52, 0x54, 0, 2, 0, (uint8_t)(i + 1)}, 6);
	return macs[i];
}

static int setup(void **state)
{
	kit_setup(state);
	kit_uplink(0);
	for (unsigned i = 0; i < 2 * ROLES; i++)
		guests[i] = kit_guest(group_of[role(i)], mac_of(i), 0);
	return 0;
}

static void forget(void)
{
	static uint8_t f[2048];

	for (unsigned i = 0; i < 2 * ROLES; i++)
		kit_guest_forget(guests[i]);
	while (kit_wire_out(0, f))
		;
}

/* The tag of the one frame on the wire; 0: there is none. */
static uint16_t wire_vlan(void)
{
	static uint8_t f[2048];
	uint16_t vlan = 0;

	if (kit_wire_out(0, f)) {
		assert_int_equal(f[12] << 8 | f[13], 0x8100);
		vlan = (uint16_t)((f[14] & 15) << 8 | f[15]);
	}
	assert_int_equal(kit_wire_out(0, f), 0);
	return vlan;
}

static void unicast(void **state)
{
	uint8_t f[100];

	for (unsigned from = 0; from < 2 * ROLES; from++) {
		for (unsigned to = 0; to < 2 * ROLES; to++) {
			bool expected = from != to && reaches[role(from)][role(to)];
			uint64_t before = kit_drops(guests[from], VSW_DROP_PRIVATE_VLAN);

			if (from == to)
				continue;
			kit_send(guests[from], f, kit_eth(f, mac_of(to), mac_of(from), 0x0800, 50), 100, NULL);
			for (unsigned i = 0; i < 2 * ROLES; i++)
				assert_int_equal(guests[i]->count, i == to && expected);
			assert_int_equal(wire_vlan(), 0); /* it is ours: no copy leaves, reached or not */
			assert_int_equal(kit_drops(guests[from], VSW_DROP_PRIVATE_VLAN) - before, !expected);
			forget();
		}
	}
}

static void flood(void **state)
{
	uint8_t f[100];

	for (unsigned from = 0; from < 2 * ROLES; from++) {
		kit_send(guests[from], f, kit_eth(f, mac_broadcast, mac_of(from), 0x0806, 50), 100, NULL);
		for (unsigned i = 0; i < 2 * ROLES; i++)
			assert_int_equal(guests[i]->count, i != from && reaches[role(from)][role(i)]);
		assert_int_equal(wire_vlan(), vlan_of[role(from)]);
		forget();
	}
}

static void unknown_leaves_by_its_own_vlan(void **state)
{
	uint8_t f[100];

	for (unsigned from = 0; from < ROLES; from++) {
		kit_send(guests[from], f, kit_eth(f, mac_x, mac_of(from), 0x0800, 50), 100, NULL);
		assert_int_equal(wire_vlan(), vlan_of[from]);
		for (unsigned i = 0; i < 2 * ROLES; i++)
			assert_int_equal(guests[i]->count, 0);
	}
}

/* From other hosts: promiscuous ports' frames in the primary VLAN, the others' in their secondary one. */
static void from_the_wire(void **state)
{
	uint8_t f[100];

	for (unsigned from = 0; from < ROLES; from++) {
		uint8_t src[6] = {0x52, 0x54, 0, 9, 0, (uint8_t)from};

		for (unsigned to = 0; to < 2 * ROLES; to++) {
			uint32_t len = kit_eth(f, mac_of(to), src, 0x0800, 50);
			uint64_t before = kit_uplink_drops(0, VSW_DROP_PRIVATE_VLAN);

			kit_wire_in(0, f, kit_tag(f, len, vlan_of[from]), 0);
			for (unsigned i = 0; i < 2 * ROLES; i++)
				assert_int_equal(guests[i]->count, i == to && reaches[from][role(to)]);
			assert_int_equal(kit_uplink_drops(0, VSW_DROP_PRIVATE_VLAN) - before, !reaches[from][role(to)]);
			forget();
		}
		kit_wire_in(0, f, kit_tag(f, kit_eth(f, mac_broadcast, src, 0x0806, 50), vlan_of[from]), 0);
		for (unsigned i = 0; i < 2 * ROLES; i++)
			assert_int_equal(guests[i]->count, reaches[from][role(i)]);
		forget();
	}
	/* A community without a port here still reaches promiscuous ports. */
	kit_wire_in(0, f, kit_tag(f, kit_eth(f, mac_broadcast, mac_y, 0x0806, 50), 111), 0);
	for (unsigned i = 0; i < 2 * ROLES; i++)
		assert_int_equal(guests[i]->count, role(i) == PROMISCUOUS);
}

/* Nobody of the private VLAN, here or outside, can send as one of our ports, in whatever VLAN of it. */
static void addresses_are_owned_in_all(void **state)
{
	struct netport *np;
	uint8_t f[100];

	for (unsigned as = 0; as < ROLES; as++) {
		for (unsigned in = 0; in < ROLES; in++) {
			uint64_t before = kit_uplink_drops(0, VSW_DROP_OWN_SOURCE);

			kit_wire_in(0, f, kit_tag(f, kit_eth(f, mac_of(PROMISCUOUS), mac_of(as), 0x0800, 50), vlan_of[in]), 0);
			assert_int_equal(kit_uplink_drops(0, VSW_DROP_OWN_SOURCE) - before, 1);
			assert_int_equal(vsw_guest_port_create(kit_vsw, group_of[in], "twin", mac_of(as), &np), -EEXIST);
		}
	}
	for (unsigned i = 0; i < 2 * ROLES; i++)
		assert_int_equal(guests[i]->count, 0);
	/* A refused twin has taken nothing away. */
	kit_send(guests[ISOLATED], f, kit_eth(f, mac_of(PROMISCUOUS), mac_of(ISOLATED), 0x0800, 50), 100, NULL);
	assert_int_equal(guests[PROMISCUOUS]->count, 1);
}

/* Addresses behind a promiscuous port (nested VMs) are learned for all that reach it; when they move out, all hear of it. */
static void learned_in_all(void **state)
{
	struct guest *nested = kit_guest(PG_NESTED, mac_a, 0);
	uint8_t f[100];

	kit_send(nested, f, kit_eth(f, mac_of(PROMISCUOUS), mac_x, 0x0800, 50), 100, NULL);
	forget();
	for (unsigned from = 0; from < ROLES; from++) {
		kit_send(guests[from], f, kit_eth(f, mac_x, mac_of(from), 0x0800, 50), 100, NULL);
		assert_int_equal(nested->count, from + 1);
		assert_int_equal(wire_vlan(), 0);
	}
	kit_guest_forget(nested);
	kit_wire_in(0, f, kit_tag(f, kit_eth(f, mac_of(PROMISCUOUS), mac_x, 0x0800, 50), 110), 0); /* now in a community of another host */
	forget();
	for (unsigned from = 0; from < ROLES; from++) {
		kit_send(guests[from], f, kit_eth(f, mac_x, mac_of(from), 0x0800, 50), 100, NULL);
		assert_int_equal(wire_vlan(), vlan_of[from]);
	}
	assert_int_equal(nested->count, 0);
}

static void mac_change(void **state)
{
	struct guest *nested = kit_guest(PG_NESTED, mac_a, 0);
	uint8_t f[100];

	nested->np->ops->set_mac(nested->np, mac_of(ISOLATED)); /* refused: it is another's in the private VLAN */
	kit_send(guests[BLUE], f, kit_eth(f, mac_a, mac_of(BLUE), 0x0800, 50), 100, NULL);
	assert_int_equal(nested->count, 1);
	nested->np->ops->set_mac(nested->np, mac_b);
	kit_send(guests[ISOLATED], f, kit_eth(f, mac_b, mac_of(ISOLATED), 0x0800, 50), 100, NULL);
	assert_int_equal(nested->count, 2);
	kit_send(guests[ISOLATED], f, kit_eth(f, mac_a, mac_of(ISOLATED), 0x0800, 50), 100, NULL); /* given up in all VLANs */
	assert_int_equal(nested->count, 2);
	assert_int_equal(wire_vlan(), 101);
}

/* After a failover each address is announced once, in the VLAN it sends in. */
static void announced_once(void **state)
{
	static uint8_t f[2048];
	unsigned seen[2 * ROLES] = {0};
	uint32_t len;

	kit_uplink(1);
	kit_teaming(&(struct vsw_teaming_config){
		.has_load_balancing = true, .load_balancing = VSW_BALANCE_EXPLICIT, .has_notify_switches = true, .notify_switches = true});
	forget();
	kit_link(0, false);
	for (unsigned i = 0; i < 2000; i++) {
		native_time_advance(1000000);
		native_core_step();
		while ((len = kit_wire_out(1, f))) {
			unsigned who = f[11] - 1u;

			assert_true(len >= 60 && who < 2 * ROLES);
			assert_int_equal((f[14] & 15) << 8 | f[15], vlan_of[role(who)]);
			seen[who]++;
		}
	}
	for (unsigned i = 0; i < 2 * ROLES; i++)
		assert_int_equal(seen[i], 1);
	kit_link(0, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(unicast, setup, kit_teardown),
		cmocka_unit_test_setup_teardown(flood, setup, kit_teardown),
		cmocka_unit_test_setup_teardown(unknown_leaves_by_its_own_vlan, setup, kit_teardown),
		cmocka_unit_test_setup_teardown(from_the_wire, setup, kit_teardown),
		cmocka_unit_test_setup_teardown(addresses_are_owned_in_all, setup, kit_teardown),
		cmocka_unit_test_setup_teardown(learned_in_all, setup, kit_teardown),
		cmocka_unit_test_setup_teardown(mac_change, setup, kit_teardown),
		cmocka_unit_test_setup_teardown(announced_once, setup, kit_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, kit_end);
}
