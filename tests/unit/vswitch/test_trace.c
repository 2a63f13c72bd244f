/* Trace: what it says is what happens, for thousands of frames of any kind; and it changes nothing. */
#include "kit.h"

#include "discovery.h"

#include <string.h>
#include <vswitch/frame_trace.h>

static uint8_t frame[FRAME_MAX], out[FRAME_MAX];
static struct vsw_trace trace;

static uint32_t rnd(uint32_t n)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 16) % n;
}

static const struct vsw_trace_step *step(const char *stage)
{
	for (unsigned i = 0; i < trace.step_count; i++) {
		if (!strcmp(trace.steps[i].stage, stage))
			return &trace.steps[i];
	}
	fail_msg("no step %s", stage);
	return NULL;
}

static void run(const char *port, uint32_t len)
{
	assert_int_equal(vsw_trace(kit_vsw, port, frame, len, &trace), 0);
}

/* ---- what it says ---- */

static void it_says_what_decided(void **state)
{
	struct guest *a = kit_guest(PG_WEB, mac_a, 0), *b = kit_guest(PG_WEB, mac_b, 0);
	uint32_t len = kit_eth(frame, mac_b, mac_a, 0x0800, 100);

	kit_uplink(0);
	run(a->np->name, len);
	assert_int_equal(trace.dropped, VSW_DROP_COUNT);
	assert_int_equal(trace.delivery_count, 1);
	assert_string_equal(trace.deliveries[0].port, b->np->name);
	assert_string_equal(step("ingress")->path, "portgroups[0]");
	assert_string_equal(step("vlan")->path, "portgroups[0].vlan");
	assert_string_equal(step("vlan")->text, "VLAN 20: the port group's");
	assert_string_equal(step("egress")->text, "to guest1: 114 bytes, untagged");
	assert_string_equal(step("result")->text, "handed to 1 port");
	assert_int_equal(b->count, 0);

	len = kit_eth(frame, mac_b, mac_x, 0x0800, 100);
	run(a->np->name, len);
	assert_int_equal(trace.dropped, VSW_DROP_FORGED_SOURCE);
	assert_string_equal(step("result")->path, "portgroups[0].policy.forged_transmits");

	len = kit_eth(frame, mac_x, mac_a, 0x0800, 100);
	run(a->np->name, len);
	assert_string_equal(step("team")->path, "vswitches[0].uplinks");
	assert_string_equal(step("egress")->text, "to up0: 118 bytes, with the tag of VLAN 20");
	assert_int_equal(kit_wire_out(0, out), 0);

	len = kit_tag(frame, kit_eth(frame, mac_a, mac_x, 0x0800, 100), 77);
	run("up0", len);
	assert_int_equal(trace.dropped, VSW_DROP_VLAN_UNKNOWN);
	assert_int_equal(vsw_trace(kit_vsw, "nobody", frame, len, &trace), -ENOENT);
	assert_int_equal(vsw_trace(kit_vsw, "up0", frame, 9217, &trace), -EINVAL);
}

static void a_control_frame_is_not_read(void **state)
{
	static const uint8_t pdu[] = {
		0x01, 0x80, 0xc2, 0, 0, 0x0e, 2, 0, 0, 0, 0, 1, 0x88, 0xcc, 0x02, 2, 7, 'c', 0x04, 2, 5, 'p', 0x06, 2, 0, 9, 0, 0};

	kit_uplink(0);
	memset(frame, 0, 60);
	memcpy(frame, pdu, sizeof(pdu));
	run("up0", 60);
	assert_true(trace.control);
	assert_int_equal(vsw_uplink_port(kit_vsw->uplinks[0])->count.in_control, 0);
	kit_vsw->config.uplinks[0].discovery = 1 + VSW_DISCOVERY_OFF;
	vsw_discovery_apply(vsw_uplink_port(kit_vsw->uplinks[0]), 0);
	run("up0", 60);
	assert_false(trace.control);
	assert_int_equal(trace.dropped, VSW_DROP_LINK_CONTROL);
}

/* ---- the differential test ---- */

enum { GUESTS = 8, WIRES = 2, ROUNDS = 6000 };

static const unsigned group_of[GUESTS] = {PG_WEB, PG_WEB, PG_DB, PG_PLAIN, PG_OPEN, PG_TRUNK, PG_TRUNK_STRICT, PG_SMALL};
static struct guest *guests[GUESTS];

static void address(uint8_t *to)
{
	static const uint8_t control[6] = {0x01, 0x80, 0xc2, 0, 0, 2};

	memcpy(to, (uint8_t[]){0x52, 0x54, 0, 0, 7, (uint8_t)rnd(GUESTS + 6)}, 6);
	switch (rnd(12)) {
	case 0:
		memset(to, 0xff, 6);
		break;
	case 1:
		memcpy(to, (uint8_t[]){1, 0, 0x5e, 0, 0, 9}, 6);
		break;
	case 2:
		memcpy(to, control, 6);
		break;
	case 3:
		memset(to, 0, 6);
	}
}

static uint32_t any_frame(unsigned from)
{
	static const uint16_t vlans[] = {0, 20, 25, 30, 40, 77, 4095};
	uint32_t len = kit_eth(frame, mac_broadcast, mac_a, 0x0800, rnd(8) ? 46 + rnd(1460) : rnd(1700));

	address(frame);
	if (rnd(4))
		memcpy(frame + 6, (uint8_t[]){0x52, 0x54, 0, 0, 7, (uint8_t)from}, 6);
	else
		address(frame + 6);
	if (rnd(2))
		len = kit_tag(frame, len, (uint16_t)(vlans[rnd(HV_ARRAY_LEN(vlans))] | rnd(8) << 13));
	if (!rnd(16))
		len = kit_tag(frame, len, 20);
	return rnd(30) ? len : rnd(20);
}

struct outcome {
	unsigned guests[GUESTS], wires[WIRES];
	uint64_t drops[VSW_MAX_PORTS][VSW_DROP_COUNT];
};
static struct outcome said, happened;

static void take_said(void)
{
	memset(&said, 0, sizeof(said));
	assert_true(trace.delivery_count <= VSW_TRACE_DELIVERIES);
	for (unsigned i = 0; i < trace.delivery_count; i++) {
		const struct vsw_trace_delivery *d = &trace.deliveries[i];

		for (unsigned p = 0; p < kit_vsw->port_count; p++) {
			if (kit_vsw->ports[p] && !strcmp(kit_vsw->ports[p]->name, d->port) && d->refused != VSW_DROP_COUNT)
				said.drops[p][d->refused]++;
		}
		for (unsigned g = 0; g < GUESTS && d->refused == VSW_DROP_COUNT; g++)
			said.guests[g] += !strcmp(guests[g]->np->name, d->port);
		for (unsigned w = 0; w < WIRES && d->refused == VSW_DROP_COUNT; w++)
			said.wires[w] += d->port[2] == (char)('0' + w) && !strncmp(d->port, "up", 2);
	}
}

static void count_drops(int sign)
{
	for (unsigned p = 0; p < kit_vsw->port_count; p++) {
		for (unsigned r = 0; kit_vsw->ports[p] && r < VSW_DROP_COUNT; r++)
			happened.drops[p][r] += (uint64_t)sign * kit_vsw->ports[p]->count.drop[r];
	}
}

static void take_happened(void)
{
	for (unsigned g = 0; g < GUESTS; g++) {
		happened.guests[g] = guests[g]->count;
		kit_guest_forget(guests[g]);
	}
	for (unsigned w = 0; w < WIRES; w++) {
		happened.wires[w] = 0;
		while (kit_wire_out(w, out))
			happened.wires[w]++;
	}
}

static struct vsw_counters before[VSW_MAX_PORTS];

static void one_round(void)
{
	unsigned from = rnd(GUESTS + WIRES);
	struct vsw_port *p = from < GUESTS ? kit_port(guests[from]) : vsw_uplink_port(kit_vsw->uplinks[from - GUESTS]);
	void *table = fdb_save(&p->sw->fdb), *after;
	uint32_t len = any_frame(from);
	struct vsw_vlan_set used = p->used;

	for (unsigned i = 0; i < kit_vsw->port_count; i++)
		before[i] = kit_vsw->ports[i]->count;
	run(p->name, len);
	after = fdb_save(&p->sw->fdb);
	assert_memory_equal(table, after, fdb_saved_bytes);
	fdb_saved_free(table);
	fdb_saved_free(after);
	assert_memory_equal(&used, &p->used, sizeof(used));
	for (unsigned i = 0; i < kit_vsw->port_count; i++)
		assert_memory_equal(&before[i], &kit_vsw->ports[i]->count, sizeof(before[i]));
	take_said();
	if (trace.dropped != VSW_DROP_COUNT)
		said.drops[p->index][trace.dropped]++;
	memset(&happened, 0, sizeof(happened));
	count_drops(-1);
	if (from < GUESTS)
		kit_send(guests[from], frame, len, len ? len : 1, NULL);
	else if (len)
		kit_wire_in(from - GUESTS, frame, len, 0);
	else
		return; /* no wire brings nothing */
	count_drops(1);
	take_happened();
	if (memcmp(&said, &happened, sizeof(said)) != 0)
		fail_msg("a frame of %u bytes from %s: the trace's %s is not what happened", len, p->name, step("result")->text);
}

static void what_it_says_is_what_happens(void **state)
{
	kit_vsw->config.uplinks[1].vlan_count = 3;
	memcpy(kit_vsw->config.uplinks[1].vlans, (struct vsw_vlan_range[]){{0, 0}, {20, 29}, {40, 40}}, 3 * sizeof(struct vsw_vlan_range));
	for (unsigned g = 0; g < GUESTS; g++)
		guests[g] = kit_guest(group_of[g], (uint8_t[]){0x52, 0x54, 0, 0, 7, (uint8_t)g}, 0);
	kit_uplink(0);
	kit_uplink(1);
	for (unsigned i = 0; i < ROUNDS; i++) {
		if (!rnd(200))
			kit_link(rnd(2), rnd(2));
		if (!rnd(100))
			guests[4]->np->ops->set_filter(guests[4]->np, rnd(2), false);
		if (!rnd(300)) {
			native_time_advance(1000000000);
			native_core_step();
		}
		take_happened(); /* announcements of a failover */
		one_round();
	}
	kit_link(0, true);
	kit_link(1, true);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_says_what_decided),
		TEST(a_control_frame_is_not_read),
		TEST(what_it_says_is_what_happens),
	};

	return cmocka_run_group_tests(tests, NULL, kit_end);
}
