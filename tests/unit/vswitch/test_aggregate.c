/* LACP on the switch: a partner made of a second LACP instance at the far end of the wires. */
#include "kit.h"

#include "lacp.h"

#include <vswitch/uplinks.h>

static uint8_t frame[FRAME_MAX], out[FRAME_MAX];
static struct lacp partner;
static bool cut[KIT_UPLINKS];
static unsigned data[KIT_UPLINKS]; /* frames that are no LACPDUs */

static bool is_slow(const uint8_t *f)
{
	return f[12] == 0x88 && f[13] == 0x09;
}

static void partner_sends(void *arg, unsigned port, const uint8_t *pdu, uint32_t len)
{
	if (port < KIT_UPLINKS && !cut[port] && kit_vsw->uplinks[port])
		kit_wire_in(port, pdu, len, 0);
}

static void run(unsigned ms)
{
	for (unsigned t = 0; t < ms; t += 100) {
		native_time_advance(100000001);
		native_core_step();
		for (unsigned i = 0; i < KIT_UPLINKS; i++) {
			uint32_t len;

			while ((len = kit_wire_out(i, out))) {
				if (is_slow(out) && !cut[i])
					lacp_input(&partner, i, out, len, hv_now_ns());
				data[i] += !is_slow(out);
			}
		}
		lacp_run(&partner, hv_now_ns());
		native_core_step();
	}
}

static void begin(void)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
	struct lacp_settings s = {.active = false, .fast = true, .key = 5, .system = {2, 0, 0, 0, 0, 9}};

	memset(&partner, 0, sizeof(partner));
	memset(cut, 0, sizeof(cut));
	partner.send = partner_sends;
	lacp_init(&partner, &s);
	kit_vsw->config.switches[0].has_lacp = true;
	kit_vsw->config.switches[0].lacp =
		(struct vsw_lacp_config){.rate = VSW_LACP_FAST, .system_priority = 1, .port_priority = 1, .key = 1};
	kit_teaming(&(struct vsw_teaming_config){.has_notify_switches = true});
	for (unsigned i = 0; i < KIT_UPLINKS; i++) {
		kit_uplink(i);
		lacp_port_enable(&partner, i, mac);
	}
}

static unsigned in_use(void)
{
	return (unsigned)__builtin_popcount(kit_vsw->portgroups[PG_PLAIN]->team->in_use);
}

/* Sends flows; returns the bits of the uplinks that they left by. */
static unsigned flows(struct guest *g)
{
	unsigned by = 0;

	memset(data, 0, sizeof(data));
	for (uint16_t port = 1; port < 60; port++) {
		uint32_t len = kit_tcp(frame, mac_x, mac_a, false, 100, false);

		frame[35] = (uint8_t)port;
		kit_send(g, frame, len, len, NULL);
	}
	run(100);
	for (unsigned i = 0; i < KIT_UPLINKS; i++)
		by |= data[i] ? 1u << i : 0;
	return by;
}

static void flows_use_what_both_sides_agreed_on(void **state)
{
	struct guest *g = kit_guest(PG_PLAIN, mac_a, 0);
	uint32_t len;

	begin();
	assert_int_equal(flows(g), 0);
	len = kit_eth(frame, mac_broadcast, mac_x, 0x0806, 64);
	kit_wire_in(0, frame, len, 0);
	assert_int_equal(g->count, 0);
	assert_int_equal(kit_uplink_drops(0, VSW_DROP_NOT_COLLECTING), 1);
	run(6000);
	assert_int_equal(in_use(), 3);
	assert_int_equal(flows(g), 7);
	for (unsigned i = 0; i < KIT_UPLINKS; i++) {
		len = kit_eth(frame, mac_broadcast, mac_x, 0x0806, 64);
		kit_wire_in(i, frame, len, 0); /* the partner sends each flood on one link */
	}
	assert_int_equal(g->count, 3);
}

static void a_black_hole_is_left_after_the_short_timeout(void **state)
{
	struct guest *g = kit_guest(PG_PLAIN, mac_a, 0);

	begin();
	run(6000);
	cut[1] = true;
	run(3300);
	assert_int_equal(flows(g), 5);
	cut[1] = false;
	run(6000);
	assert_int_equal(flows(g), 7);
}

static void a_lost_link_is_left_at_once(void **state)
{
	struct guest *g = kit_guest(PG_PLAIN, mac_a, 0);

	begin();
	run(6000);
	kit_link_set(2, false);
	run(100);
	assert_int_equal(flows(g), 3);
	kit_link_set(2, true);
	run(6000);
	assert_int_equal(flows(g), 7);
}

static void without_a_partner_one_uplink_works(void **state)
{
	struct guest *g = kit_guest(PG_PLAIN, mac_a, 0);

	begin();
	memset(cut, 1, sizeof(cut));
	run(8000);
	assert_int_equal(flows(g), 1);
}

static void a_change_elsewhere_leaves_the_aggregate_alone(void **state)
{
	struct guest *g = kit_guest(PG_PLAIN, mac_a, 0);

	begin();
	run(6000);
	vsw_teams_apply(kit_vsw);
	assert_int_equal(in_use(), 3);
	kit_vsw->config.switches[0].has_lacp = false;
	kit_teaming(&(struct vsw_teaming_config){.has_notify_switches = true});
	run(100);
	assert_int_equal(__builtin_popcount(flows(g)), 1); /* by port */
	assert_int_equal(in_use(), 3);
}

static unsigned told, hashed;

static void tell_uplink(void *arg, const struct vsw_uplink_info *info)
{
	assert_true(info->present && info->link_up && info->has_lacp && info->lacp.chosen && !info->probed);
	assert_string_equal(info->lacp.mux, "collecting-distributing");
	assert_string_equal(info->lacp.receive, "current");
	assert_int_equal(info->lacp.partner.key, 5);
	assert_int_equal(info->lacp.actor.port, info->lacp.partner.port);
	assert_true(info->lacp.pdus_in > 3 && info->lacp.pdus_out > 3);
	told++;
}

static void tell_team(void *arg, const struct vsw_team_info *info)
{
	assert_string_equal(info->load_balancing, "ip-hash");
	assert_string_equal(info->in_use[KIT_UPLINKS - 1], "up2");
	assert_null(info->in_use[KIT_UPLINKS]);
}

static void tell_user(void *arg, const struct vsw_uplink_user *user)
{
	hashed += !strcmp(user->uplink, "*");
}

static void the_state_is_told(void **state)
{
	begin();
	kit_guest(PG_PLAIN, mac_a, 0);
	run(6000);
	told = hashed = 0;
	vsw_uplink_foreach(kit_vsw, tell_uplink, NULL);
	vsw_team_foreach(kit_vsw, tell_team, NULL);
	vsw_uplink_user_foreach(kit_vsw, tell_user, NULL);
	assert_int_equal(told, KIT_UPLINKS);
	assert_int_equal(hashed, 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(flows_use_what_both_sides_agreed_on),
		TEST(a_black_hole_is_left_after_the_short_timeout),
		TEST(a_lost_link_is_left_at_once),
		TEST(without_a_partner_one_uplink_works),
		TEST(the_state_is_told),
		TEST(a_change_elsewhere_leaves_the_aggregate_alone),
	};

	return cmocka_run_group_tests(tests, NULL, kit_end);
}
