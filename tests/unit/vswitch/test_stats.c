/* vswitch/stats.c: a port group's counters are those of its ports and of what has left it; nothing goes back, and no drop is without a
 * reason. */
#include "kit.h"

#include <string.h>

static uint8_t frame[FRAME_MAX], out[FRAME_MAX];

struct wanted {
	const char *name;
	struct vsw_portgroup_info info;
};

static void take(void *arg, const struct vsw_portgroup_info *info)
{
	struct wanted *w = arg;

	if (!strcmp(info->name, w->name))
		w->info = *info;
}

static struct vsw_portgroup_info group(const char *name)
{
	struct wanted w = {.name = name};

	vsw_portgroup_foreach(kit_vsw, take, &w);
	return w.info;
}

static void send(struct guest *from, const uint8_t src[6], const uint8_t dst[6], unsigned n)
{
	uint32_t len = kit_eth(frame, dst, src, 0x0800, 86);

	while (n--)
		kit_send(from, frame, len, len, NULL);
}

static void expect_group(const char *name, unsigned ports, uint64_t in, uint64_t to, uint64_t drops)
{
	struct vsw_portgroup_info g = group(name);

	assert_int_equal(g.ports, ports);
	assert_int_equal(g.counters.in_frames, in);
	assert_int_equal(g.counters.in_bytes, in * 100);
	assert_int_equal(g.counters.out_frames, to);
	assert_int_equal(g.counters.drops, drops);
}

static unsigned to_group;

static unsigned place(void *arg, enum vsw_port_kind kind, const char *port)
{
	return !strcmp(port, arg) ? to_group : VSW_PLACE_STAY;
}

static void move(struct guest *g, unsigned portgroup)
{
	struct vsw_placement placement = {place, (void *)(uintptr_t)kit_port(g)->name};
	struct vsw_change *change;

	to_group = portgroup;
	assert_int_equal(vsw_change_prepare(kit_vsw, &kit_vsw->config, &placement, NULL, &change), 0);
	vsw_change_commit(change);
}

static void a_group_keeps_what_its_ports_counted(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_DB, mac_b, 0);
	struct vsw_counters total;
	struct netport *gone;

	assert_int_equal(vsw_guest_port_create(kit_vsw, PG_WEB, "gone", mac_c, &gone), 0);
	expect_group("web", 2, 0, 0, 0);
	send(a, mac_a, mac_c, 3); /* no driver there: dropped by it */
	send(a, mac_x, mac_c, 2); /* forged: dropped by a */
	expect_group("web", 2, 5, 0, 5);
	assert_int_equal(group("web").counters.drop[VSW_DROP_NOT_CONNECTED], 3);
	vsw_guest_port_destroy(gone);
	expect_group("web", 1, 5, 0, 5);

	move(a, PG_DB);
	expect_group("web", 0, 5, 0, 5);
	expect_group("db", 2, 0, 0, 0);
	send(a, mac_a, mac_b, 4);
	assert_int_equal(b->count, 4);
	expect_group("web", 0, 5, 0, 5);
	expect_group("db", 2, 4, 4, 0);
	move(a, PG_WEB);
	send(a, mac_x, mac_b, 1);
	expect_group("web", 1, 6, 0, 6);
	expect_group("db", 1, 4, 4, 0);

	vsw_total(kit_vsw, &total);
	assert_int_equal(total.in_frames, 10);
	assert_int_equal(total.out_frames, 4);
	assert_int_equal(total.drops, 6);
	assert_int_equal(total.drop[VSW_DROP_FORGED_SOURCE] + total.drop[VSW_DROP_NOT_CONNECTED], 6);
}

/* What the wire did not take yet is a drop like any other. */
static void an_uplink_that_is_removed_counts_what_waited(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0);
	struct vsw_counters total;
	unsigned sent = 0;

	kit_uplink(0);
	send(a, mac_a, mac_y, 1300); /* more than the wire has room for */
	vsw_total(kit_vsw, &total);
	assert_int_equal(total.drops, total.drop[VSW_DROP_TX_FULL]);
	vsw_uplink_detach(kit_vsw->uplinks[0]);
	while (kit_wire_out(0, out))
		sent++;
	vsw_total(kit_vsw, &total);
	assert_true(total.drop[VSW_DROP_NO_UPLINK] > 0);
	assert_int_equal(sent + total.drops, 1300);
	assert_int_equal(total.drops, total.drop[VSW_DROP_TX_FULL] + total.drop[VSW_DROP_NO_UPLINK]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_group_keeps_what_its_ports_counted),
		TEST(an_uplink_that_is_removed_counts_what_waited),
	};

	return cmocka_run_group_tests(tests, NULL, kit_end);
}
